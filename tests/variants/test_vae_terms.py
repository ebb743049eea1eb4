"""Every term of every VAE's loss and bounds, for posteriors that are given, against closed forms in float64.

An untrained encoder's divergence is small beside the reconstruction; here it is not, so that a wrong scale of
either cannot hide. A new relative of the VAE is tested unasked: it needs a line in `DENSITIES`.
"""

import inspect
import math
from collections.abc import Callable

import pytest
import torch
from formulas import Formulas
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import logsigmoid, one_hot, softplus

from gm_bench.nets.dcgan import DCGAN
from gm_bench.nets.mlp import MLP
from gm_bench.variants import classifier_ascent
from gm_bench.variants.autoencoder import Autoencoder
from gm_bench.variants.base import contract as variants
from gm_bench.variants.base.contract import Batch
from gm_bench.variants.vae import VariationalAutoencoder
from gm_bench.variants.vq_vae import VQVAE

N, Z = 6, 3
SIGMA, SIGMA_MIN, BETA = 0.7, 0.2, 4.0
OPTIONS = {"z_dim": Z, "n_codes": 4, "sigma": SIGMA, "sigma_min": SIGMA_MIN, "beta": BETA}
NAMES = [name for name in variants.names() if issubclass(variants.find(name), VariationalAutoencoder)]
# Means of ±3 and deviations from 0.2 to 3, other ones for every image and dimension.
MU = torch.linspace(-3, 3, N * Z).view(N, Z).roll(5)
LOG_VARIANCE = torch.linspace(-3, 2, N * Z).view(N, Z).flip(0)


IMAGES = torch.arange(N * 64).mul(7).remainder(256).to(torch.uint8).view(N, 1, 8, 8)


def batch() -> Batch:
    labels = torch.tensor([3, 0, 7, 7, 1, 9])
    generator = torch.Generator().manual_seed(4)
    return Batch(generator, {"images": IMAGES, "labels": labels}, torch.arange(N))


class Given(nn.Module):
    """An encoder that answers what it is told, whatever the images, which it keeps."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, images: Tensor) -> Tensor:
        assert len(images) == len(self.output)
        self.images = images
        return self.output


def model_of(name: str, network: MLP) -> VariationalAutoencoder:
    """The variant in eval mode, whose posterior is N(MU, exp LOG_VARIANCE)."""
    accepted = inspect.signature(variants.find(name)).parameters
    keywords = {key: value for key, value in OPTIONS.items() if key in accepted}
    model = variants.build(name, network, keywords).eval()
    assert isinstance(model, VariationalAutoencoder)
    model.model["encoder"] = Given(torch.cat([MU, LOG_VARIANCE], dim=1))
    return model


def normal(x: Tensor, mean: Tensor, sigma: Tensor | float) -> Tensor:
    return Normal(mean.double(), sigma).log_prob(x.double()).flatten(1).sum(1)


def with_spread(x: Tensor, output: Tensor) -> Tensor:
    mean, spread = output.double()[:, :1], output.double()[:, 1:]
    return normal(x, mean.tanh(), SIGMA_MIN + softplus(spread))


def black_and_white(x: Tensor, logits: Tensor) -> Tensor:
    share, logits = (x.double() + 1) / 2, logits.double()
    return (share * logsigmoid(logits) + (1 - share) * logsigmoid(-logits)).flatten(1).sum(1)


# log p(x | z) of images (n, 1, 8, 8), from what the decoder says of their codes
DENSITIES: Formulas[Callable[[Tensor, Tensor], Tensor]] = Formulas(
    "DENSITIES of tests/variants/test_vae_terms.py",
    {
        "vae": lambda x, output: normal(x, output, SIGMA),
        "beta_vae": lambda x, output: normal(x, output, SIGMA),
        "cvae": lambda x, output: normal(x, output, SIGMA),
        "vae_gaussian": with_spread,
        "vae_bernoulli": black_and_white,
        "iwae": black_and_white,
    },
)
# E x of p(x | z)
MEANS: dict[str, Callable[[Tensor], Tensor]] = {
    "vae_gaussian": lambda output: output[:, :1].tanh(),
    "iwae": lambda output: 2 / (1 + (-output).exp()) - 1,
    "vae_bernoulli": lambda output: 2 / (1 + (-output).exp()) - 1,
}
WEIGHTS = {"beta_vae": BETA}


def codes(generator: torch.Generator) -> Tensor:
    return MU + (LOG_VARIANCE / 2).exp() * torch.randn(N, Z, generator=generator)


def decoded(model: VariationalAutoencoder, z: Tensor, labels: Tensor) -> Tensor:
    decoder = model.model["decoder"]
    return (decoder(z, labels) if model.conditional else decoder(z)).detach()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "iwae"])
def test_terms_of_the_loss_are_the_closed_forms(name: str, digits_network: MLP) -> None:
    """KL = ½ Σ (μ² + σ² − 1 − log σ²) and −log p(x | z) of the code drawn, mean over images."""
    model, given = model_of(name, digits_network), batch()
    terms = model.loss("model", batch())
    mu, log_variance = MU.double(), LOG_VARIANCE.double()
    kl = 0.5 * (mu**2 + log_variance.exp() - 1 - log_variance).sum() / N
    x, output = given.images, decoded(model, codes(given.generator), given.labels)
    error = -DENSITIES[name](x, output).mean()
    assert terms["kl"].item() == pytest.approx(kl.item(), rel=1e-5)
    assert terms["reconstruction"].item() == pytest.approx(error.item(), rel=1e-5)
    expected = error + WEIGHTS.get(name, 1.0) * kl
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert kl > 0.05 * error, "a wrong scale of it cannot hide"
    assert set(terms) == {"loss", "reconstruction", "kl"}


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_the_bounds_are_the_densities(name: str, digits_network: MLP) -> None:
    """log p(x | z) + log N(z; 0, I) − log N(z; μ, σ²) of every code drawn, and their two bounds."""
    model, given, again = model_of(name, digits_network), batch(), batch()
    x, labels = given.images, given.labels
    weights = model.log_weights(x, labels, 3, given.generator)
    expected = []
    for _ in range(3):
        z = codes(again.generator)
        likelihood = DENSITIES[name](x, decoded(model, z, labels))
        prior, posterior = (
            normal(z, torch.zeros_like(z), 1.0),
            normal(z, MU, (LOG_VARIANCE.double() / 2).exp()),
        )
        expected.append(likelihood + prior - posterior)
    torch.testing.assert_close(weights.double(), torch.stack(expected), rtol=1e-5, atol=1e-4)
    elbo, weighted = model.log_likelihood_bounds(x, labels, 3, batch().generator)
    torch.testing.assert_close(elbo.double(), torch.stack(expected).mean(0), rtol=1e-5, atol=1e-4)
    by_hand = torch.stack(expected).logsumexp(0) - math.log(3)
    torch.testing.assert_close(weighted.double(), by_hand, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_encoder_sees_the_images_and_where_it_is_conditional_their_classes(
    name: str, digits_network: MLP
) -> None:
    model, given = model_of(name, digits_network), batch()
    model.loss("model", batch())
    seen = model.model["encoder"].images
    assert torch.equal(seen[:, :1], given.images)
    planes = one_hot(given.labels, 10).float()[:, :, None, None].expand(-1, -1, 8, 8)
    assert torch.equal(seen[:, 1:], planes if model.conditional else planes[:, :0])


@pytest.mark.parametrize("name", NAMES)
def test_the_code_of_an_image_is_the_posteriors_mean(name: str, digits_network: MLP) -> None:
    model, given = model_of(name, digits_network), batch()
    assert torch.equal(model.encode(given.images, given.labels if model.conditional else None), MU)


@pytest.mark.parametrize("name", [name for name in NAMES if not variants.find(name).conditional])
def test_what_knows_no_classes_needs_no_labels(name: str, digits_network: MLP) -> None:
    unlabelled = Batch(batch().generator, {"images": IMAGES}, torch.arange(N))
    model = model_of(name, digits_network)
    assert torch.equal(model.loss("model", unlabelled)["loss"], model.loss("model", batch())["loss"])


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_the_mean_image_of_a_normal_code(name: str, digits_network: MLP) -> None:
    model, labels = model_of(name, digits_network), batch().labels
    z = torch.randn(N, Z, generator=batch().generator)
    output = decoded(model, z, labels)
    expected = MEANS.get(name, lambda output: output)(output)
    torch.testing.assert_close(model.decode(z, labels), expected)
    drawn = model.sample(N, batch().generator, labels)
    torch.testing.assert_close(drawn, expected)
    assert drawn.shape == (N, 1, 8, 8)


def test_terms_of_the_vector_quantised_loss() -> None:
    """Reconstruction + codebook + β commitment + prior, means over images, for vectors that are given."""
    network = DCGAN((1, 8, 8), n_classes=0, width=4, critic_norm="none")
    options = {"n_codes": 5, "code_dim": 2, "beta": 0.25, "sigma": SIGMA, "prior_width": 8, "prior_layers": 1}
    model = variants.build("vq_vae", network, options).eval()
    assert isinstance(model, VQVAE)
    vectors = torch.arange(N * 2 * 16).mul(7.3).sin().view(N, 2, 4, 4)
    vectors = vectors * torch.arange(1, N + 1).view(N, 1, 1, 1)
    vectors.requires_grad_()
    model.model["encoder"] = Given(vectors)
    terms = model.loss("model", batch())

    flat = vectors.detach().movedim(1, -1).double()
    book = model.codebook.detach().double()
    indices = (flat[..., None, :] - book).square().sum(-1).argmin(-1)
    quantised = book[indices]
    assert torch.equal(model.encode(batch().images), flat.float().flatten(1))
    error = -normal(batch().images, model.model["decoder"](quantised.float().movedim(-1, 1)), SIGMA).mean()
    apart = (flat - quantised).square().sum() / N
    logits = model.model["prior"](indices).double()
    prior = sum(
        -logits[i, :, row, column].log_softmax(0)[indices[i, row, column]]
        for i in range(N)
        for row in range(4)
        for column in range(4)
    ) / N  # fmt: skip
    assert terms["reconstruction"].item() == pytest.approx(error.item(), rel=1e-5)
    assert terms["codebook"].item() == pytest.approx(apart.item(), rel=1e-5)
    assert terms["prior"].item() == pytest.approx(prior.item(), rel=1e-5)
    assert terms["loss"].item() == pytest.approx((error + 1.25 * apart + prior).item(), rel=1e-5)
    shares = torch.bincount(indices.flatten(), minlength=5).double() / indices.numel()
    assert terms["perplexity"].item() == pytest.approx(
        torch.special.entr(shares).sum().exp().item(), rel=1e-5
    )
    assert apart > 10
    assert all(not torch.equal(each, each.T) for each in indices), "rows and columns are told apart"

    # Codebook and commitment have one value; which of them β weighs, their gradients tell.
    to_vectors, to_book = torch.autograd.grad(terms["loss"], [vectors, model.codebook], retain_graph=True)
    (of_error,) = torch.autograd.grad(terms["reconstruction"], vectors)
    pull = 2 * (flat - quantised) / N
    expected = 0.25 * pull.movedim(-1, 1)
    torch.testing.assert_close((to_vectors - of_error).double(), expected, rtol=1e-4, atol=1e-5)
    by_hand = torch.zeros_like(book).index_add_(0, indices.flatten(), -pull.flatten(0, -2))
    torch.testing.assert_close(to_book.double(), by_hand, rtol=1e-5, atol=1e-5)


def test_loss_of_the_autoencoder_is_the_squared_error_of_its_own_images(digits_network: MLP) -> None:
    model = Autoencoder(digits_network, z_dim=Z).eval()
    model.model["encoder"] = Given(MU)
    x, made = batch().images.double(), model.model["decoder"](MU).double()
    expected = sum((x[i] - made[i]).square().sum() for i in range(N)) / N
    assert model.loss("model", batch())["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_loss_of_the_climbed_classifier_is_cross_entropy(digits_network: MLP) -> None:
    """Logits that are right for images 0 and 3 of six, surer of each than of the one before."""
    model = classifier_ascent.ClassifierAscent(digits_network, n_steps=1, step_size=0.1)
    logits = torch.zeros(N, 10)
    said = torch.tensor([3, 1, 0, 7, 2, 8])
    logits[torch.arange(N), said] = torch.arange(1.0, N + 1)
    model.model = Given(logits)
    terms = model.loss("model", batch())
    right = {0, 3}
    losses = [math.log(9 + math.exp(i + 1)) - (i + 1 if i in right else 0) for i in range(N)]
    assert terms["loss"].item() == pytest.approx(sum(losses) / N, rel=1e-6)
    assert terms["accuracy"].item() == pytest.approx(2 / 6, rel=1e-6)
