"""The VAE family: terms by hand and against torch.distributions, bounds against densities known exactly.

Tolerances are those of single precision unless a test says otherwise.
"""

import math
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, MultivariateNormal, Normal
from torch.distributions import kl_divergence as kl_of_distributions
from torch.nn.functional import conv2d

from gm_bench.nets.dcgan import DCGAN
from gm_bench.nets.mlp import MLP
from gm_bench.variants import beta_vae, cvae, vae, vae_bernoulli, vae_gaussian, vq_vae
from gm_bench.variants.base import contract as variants
from gm_bench.variants.base.contract import Batch
from gm_bench.variants.vae import evidence_bounds, gaussian_log_likelihood, kl_divergence

IMAGES = torch.arange(8 * 64).remainder(256).to(torch.uint8).view(8, 1, 8, 8)
VQ = {"n_codes": 6, "code_dim": 3, "beta": 0.25, "sigma": 0.5, "prior_width": 8, "prior_layers": 1}


def exactly(value: float) -> object:
    return pytest.approx(value, rel=1e-6)


def batch(n: int = 8, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(generator, {"images": IMAGES, "labels": torch.arange(8)}, torch.arange(n))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Terms


def test_kl_matches_torch_distributions() -> None:
    mu, log_variance = torch.randn(6, 3), torch.randn(6, 3)
    posterior = Normal(mu, (0.5 * log_variance).exp())
    expected = kl_of_distributions(posterior, Normal(0.0, 1.0)).sum(dim=1).mean().item()
    assert kl_divergence(mu, log_variance).item() == pytest.approx(expected, rel=1e-5)


def test_kl_by_hand() -> None:
    """½(μ² + σ² − 1 − log σ²) at μ=2, σ²=4: ½(4 + 4 − 1 − log 4); 0 at the prior."""
    value = kl_divergence(torch.tensor([[2.0, 0.0]]), torch.tensor([[math.log(4), 0.0]])).item()
    assert value == exactly((7 - math.log(4)) / 2)


def test_gaussian_likelihood_matches_torch_distributions() -> None:
    x, mean = torch.rand(3, 2, 2, 2), torch.rand(3, 2, 2, 2)
    for sigma in (torch.tensor(0.3), torch.rand(3, 2, 2, 2) + 0.1):
        expected = Normal(mean, sigma.expand_as(x)).log_prob(x).flatten(1).sum(1)
        torch.testing.assert_close(gaussian_log_likelihood(x, mean, sigma), expected)


def test_gaussian_likelihood_by_hand() -> None:
    """Two pixels off by 1 and 0 at σ = ½: −(1/½)²/2 = −2 and twice −log ½ − ½ log 2π."""
    value = gaussian_log_likelihood(torch.tensor([[1.0, 5.0]]), torch.tensor([[0.0, 5.0]]), torch.tensor(0.5))
    assert value.item() == exactly(-2 + 2 * math.log(2) - math.log(2 * math.pi))


def test_bernoulli_likelihood_matches_torch_distributions() -> None:
    x, logits = torch.randint(0, 2, (3, 1, 2, 2)).float(), torch.randn(3, 1, 2, 2)
    expected = Bernoulli(logits=logits).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(vae_bernoulli.bernoulli_log_likelihood(x, logits), expected)


def test_bernoulli_likelihood_of_grey_by_hand() -> None:
    """A level of ¼ at p = ½ twice: −log 2 each; and at p = ¾: ¼ log ¾ + ¾ log ¼."""
    x = torch.full((1, 3), 0.25)
    value = vae_bernoulli.bernoulli_log_likelihood(x, torch.tensor([[0.0, 0.0, math.log(3)]])).item()
    assert value == exactly(-2 * math.log(2) + 0.25 * math.log(0.75) + 0.75 * math.log(0.25))


def test_bernoulli_decoder_reads_images_as_probabilities(digits_network: MLP) -> None:
    """White (1) at logit 0 costs log 2 a pixel, as black (−1) does; at logit log 3 they differ by log 3."""
    model = vae_bernoulli.BernoulliVAE(digits_network, z_dim=2)
    white, black = torch.ones(1, 1, 8, 8), -torch.ones(1, 1, 8, 8)
    zero, likely = torch.zeros(1, 1, 8, 8), torch.full((1, 1, 8, 8), math.log(3))
    assert model.log_likelihood(white, zero).item() == exactly(-64 * math.log(2))
    assert model.log_likelihood(white, likely).item() == pytest.approx(64 * math.log(0.75), rel=1e-5)
    assert model.log_likelihood(black, likely).item() == pytest.approx(64 * math.log(0.25), rel=1e-5)
    torch.testing.assert_close(model.mean(likely), torch.full((1, 1, 8, 8), 0.5))


def test_logits_of_the_bernoulli_decoder_are_unbounded(digits_network: MLP) -> None:
    model = vae_bernoulli.BernoulliVAE(digits_network, z_dim=2).eval()
    assert model.model["decoder"](1000 * torch.randn(5, 2)).abs().max() > 2


def test_gaussian_decoder_by_hand() -> None:
    """Raw values 0: mean 0, σ = 0.1 + log 2; a very negative one stops at sigma_min, a large one is kept."""
    output = torch.tensor([0.0, 0.0]).view(1, 2, 1, 1)
    mean, sigma = vae_gaussian.mean_and_sigma(output, sigma_min=0.1)
    assert (mean.item(), sigma.item()) == (0.0, exactly(0.1 + math.log(2)))
    output = torch.tensor([50.0, -0.5, 0.25, -90.0, 90.0, 0.0]).view(1, 6, 1, 1)  # three colours
    mean, sigma = vae_gaussian.mean_and_sigma(output, sigma_min=0.1)
    assert mean.flatten().tolist() == [exactly(1.0), exactly(math.tanh(-0.5)), exactly(math.tanh(0.25))]
    assert sigma.flatten().tolist() == [exactly(0.1), exactly(90.1), exactly(0.1 + math.log(2))]


def test_gaussian_decoder_learns_a_pixels_spread(digits_network: MLP) -> None:
    """Images N(0, 0.3²) in every pixel, nothing to encode: the decoder's σ settles at 0.3."""
    model = vae_gaussian.GaussianVAE(digits_network, z_dim=2, sigma_min=0.05)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(300):
        x = 0.3 * torch.randn(64, 1, 8, 8)
        mu, log_variance = model.posterior(x, None)
        z = mu + (0.5 * log_variance).exp() * torch.randn_like(mu)
        loss = kl_divergence(mu, log_variance) - model.log_likelihood(x, model.model["decoder"](z)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    _, sigma = vae_gaussian.mean_and_sigma(model.model["decoder"](torch.randn(256, 2)), 0.05)
    assert sigma.mean().item() == pytest.approx(0.3, rel=0.05)  # 64 images a step: a few percent of noise


def test_beta_weighs_the_divergence_alone(digits_network: MLP) -> None:
    assert beta_vae.weighted_bound(torch.tensor(5.0), torch.tensor(2.0), beta=4.0).item() == 13.0
    model = beta_vae.BetaVAE(digits_network, z_dim=2, sigma=0.5, beta=4.0)
    terms = model.loss("model", batch())
    assert terms["loss"].item() == exactly((terms["reconstruction"] + 4 * terms["kl"]).item())


def test_loss_is_minus_the_elbo(digits_network: MLP) -> None:
    """Averaged over draws, from log weights that use no closed form: 2,000 draws leave a percent of noise."""
    model = vae.VAE(digits_network, z_dim=2, sigma=0.5).eval()
    x = batch().images
    with torch.no_grad():
        losses = [model.loss("model", batch(seed=i))["loss"] for i in range(2000)]
    elbo, _ = evidence_bounds(model.log_weights(x, None, 2000, seeded()))
    assert torch.stack(losses).mean().item() == pytest.approx(-elbo.mean().item(), rel=0.01)


def test_samples_of_the_code_have_the_posterior_s_moments() -> None:
    """10,000 draws of N(2, 3²): mean within 0.1 and standard deviation within 2 %, three standard errors."""
    mu, log_variance = torch.full((10_000, 1), 2.0), torch.full((10_000, 1), math.log(9.0))
    z = vae.draw_code(mu, log_variance, seeded())
    assert z.mean().item() == pytest.approx(2.0, abs=0.1)
    assert z.std().item() == pytest.approx(3.0, rel=0.02)


# Bounds


class Linear(vae.VAE):
    """x = W h + b + sigma ε: p(x) = N(b, W Wᵀ + sigma² I), and q is given by hand."""

    source: ClassVar[str] = "closed form"

    def __init__(self, weight: Tensor, bias: Tensor, sigma: float) -> None:
        super().__init__(MLP((1, 2, 2), n_classes=0, width=4, critic_norm="none"), weight.shape[1], sigma)
        self.weight, self.bias = weight, bias
        decoder = nn.Linear(weight.shape[1], 4)
        decoder.weight.data, decoder.bias.data = weight, bias
        self.model["decoder"] = nn.Sequential(decoder, nn.Unflatten(1, (1, 2, 2)))
        self.spread = 1.0

    def posterior(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """N(P⁻¹ Wᵀ(x − b)/σ², P⁻¹), P = I + WᵀW/σ²: true for orthogonal columns, `spread` times as wide."""
        precision = 1 + self.weight.square().sum(0) / self.sigma**2
        mu = (images.flatten(1) - self.bias) @ self.weight / self.sigma**2 / precision
        return mu, (self.spread**2 / precision).log().expand_as(mu)

    def log_evidence(self, x: Tensor) -> Tensor:
        covariance = self.weight @ self.weight.T + self.sigma**2 * torch.eye(4)
        return MultivariateNormal(self.bias, covariance).log_prob(x.flatten(1))


@pytest.fixture
def linear() -> Linear:
    weight = torch.tensor([[1.0, 0.5], [1.0, -0.5], [0.0, 0.3], [0.0, 0.3]])  # orthogonal columns
    return Linear(weight, torch.tensor([0.1, -0.2, 0.3, 0.0]), sigma=0.5)


def test_both_bounds_are_tight_at_the_true_posterior(linear: Linear) -> None:
    """log w = log p(x) whatever the code: with one code as with many."""
    x = torch.randn(5, 1, 2, 2)
    log_weights = linear.log_weights(x, None, 7, seeded())
    torch.testing.assert_close(log_weights, linear.log_evidence(x).expand(7, -1), rtol=1e-4, atol=1e-4)


def test_elbo_misses_by_the_divergence_from_the_posterior(linear: Linear) -> None:
    """A posterior twice as wide costs ½(4 − 1 − log 4) nats a dimension; 40,000 codes leave 0.02 of noise."""
    linear.spread = 2.0
    x = torch.randn(5, 1, 2, 2)
    of_copies = linear.log_weights(x.repeat(200, 1, 1, 1), None, 200, seeded())
    elbo, weighted = evidence_bounds(of_copies.view(40_000, 5))
    gap = 2 * 0.5 * (4 - 1 - math.log(4))
    torch.testing.assert_close(elbo, linear.log_evidence(x) - gap, rtol=0, atol=0.06)
    torch.testing.assert_close(weighted, linear.log_evidence(x), rtol=0, atol=0.03)


def test_bounds_by_hand() -> None:
    """Weights 1 and 3: means of logs ½ log 3, log of mean log 2. Equal weights: both the same."""
    elbo, weighted = evidence_bounds(torch.tensor([[0.0, -5.0], [math.log(3), -5.0]]))
    assert elbo.tolist() == [exactly(0.5 * math.log(3)), exactly(-5.0)]
    assert weighted.tolist() == [exactly(math.log(2)), exactly(-5.0)]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vae", {"z_dim": 2, "sigma": 0.5}),
        ("vae_bernoulli", {"z_dim": 2}),
        ("vae_gaussian", {"z_dim": 2, "sigma_min": 0.1}),
        ("beta_vae", {"z_dim": 2, "sigma": 0.5, "beta": 4.0}),
        ("cvae", {"z_dim": 2, "sigma": 0.5}),
    ],
)
def test_elbo_is_never_above_the_importance_weighted_bound(
    name: str, options: dict[str, float], digits_network: MLP
) -> None:
    """For every image, and strictly where the weights differ; one code makes them one."""
    model = variants.build(name, digits_network, options).eval()
    seen = batch()
    elbo, weighted = evidence_bounds(model.log_weights(seen.images, seen.labels, 16, seeded()))
    assert bool((elbo < weighted).all())
    elbo, weighted = evidence_bounds(model.log_weights(seen.images, seen.labels, 1, seeded()))
    torch.testing.assert_close(elbo, weighted)


# Conditional


def test_encoder_and_decoder_of_the_cvae_are_told_the_class(digits_network: MLP) -> None:
    model = cvae.CVAE(digits_network, z_dim=2, sigma=0.5).eval()
    x, z = batch(1).images, torch.zeros(1, 2)
    three, four = torch.tensor([3]), torch.tensor([4])
    assert not torch.equal(model.encode(x, three), model.encode(x, four))
    assert not torch.equal(model.decode(z, three), model.decode(z, four))
    draws = [model.sample(1, seeded(), labels) for labels in (three, three, four)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


# Vector quantisation


def test_nearest_entry_against_all_distances() -> None:
    z, codebook = torch.randn(3, 2, 2, 5), torch.randn(7, 5)
    expected = [
        min(range(7), key=lambda k: (vector - codebook[k]).square().sum().item())
        for vector in z.reshape(-1, 5)
    ]
    assert vq_vae.nearest(z, codebook).flatten().tolist() == expected


def test_gradient_passes_straight_through() -> None:
    """L = (2q)²/2 with q = 3: dL/dq = 12 arrives at z as it is; the codebook gets nothing from it."""
    z = torch.tensor([[2.6]], requires_grad=True)
    codebook = torch.tensor([[3.0], [-1.0]], requires_grad=True)
    quantised = codebook[vq_vae.nearest(z, codebook)]
    out = vq_vae.straight_through(z, quantised)
    assert out.item() == 3.0
    to_z, to_codebook = torch.autograd.grad((2 * out).square().sum() / 2, [z, codebook], allow_unused=True)
    assert to_z.item() == 12.0
    assert to_codebook is None


def test_codebook_and_encoder_are_pulled_together_each_by_its_own_term() -> None:
    """z = 1 and q = 3: both are 4; d/dq (z − q)² = 4 by the first, d/dz = −4 by the second, else nothing."""
    z, q = torch.tensor([[1.0]], requires_grad=True), torch.tensor([[3.0]], requires_grad=True)
    for term, mover, slope in ((vq_vae.codebook_loss, q, 4.0), (vq_vae.commitment_loss, z, -4.0)):
        value = term(z, q)
        assert value.item() == 4.0
        gradients = torch.autograd.grad(value, [z, q], allow_unused=True)
        assert [None if g is None else g.item() for g in gradients] == [
            slope if tensor is mover else None for tensor in (z, q)
        ]


def test_vq_terms_are_summed_over_places_and_averaged_over_images() -> None:
    """Two images of 2 × 3 places and 4 dimensions, off by 1 and by 3 in each: (24 + 9 · 24) / 2."""
    z, q = torch.zeros(2, 2, 3, 4), torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).expand(2, 2, 3, 4)
    assert vq_vae.codebook_loss(z, q).item() == vq_vae.commitment_loss(z, q).item() == 120.0


def test_perplexity_counts_the_codes_in_use() -> None:
    """Two of eight alike: 2; shares ¾ and ¼: 4 / 3^¾."""
    assert vq_vae.perplexity(torch.tensor([[0, 5], [5, 0]]), 8).item() == exactly(2.0)
    assert vq_vae.perplexity(torch.tensor([1, 1, 1, 7]), 8).item() == exactly(4 / 3**0.75)


@pytest.mark.parametrize(("height", "breadth"), [(4, 4), (7, 5)])
def test_prior_sees_only_the_places_before(height: int, breadth: int) -> None:
    """Changing one code changes no logit at its own place or before it, and some after it."""
    prior = vq_vae.PixelCNN(n_codes=5, width=8, n_layers=2).eval()
    indices = torch.randint(0, 5, (1, height, breadth))
    before = prior(indices).flatten(2)
    for place in range(height * breadth):
        other = indices.clone().view(-1)
        other[place] = (other[place] + 1) % 5
        moved = (prior(other.view_as(indices)).flatten(2) != before).any(1).flatten()
        assert not moved[: place + 1].any()
        assert moved[place + 1 :].any() or place == height * breadth - 1


def test_prior_sees_all_places_before_on_a_4_by_4_map() -> None:
    """The last logit depends on each of the other 15 codes: there is no blind spot."""
    prior = vq_vae.PixelCNN(n_codes=5, width=8, n_layers=0).eval()
    indices = torch.zeros(16, 4, 4, dtype=torch.int64)
    indices.view(16, 16)[range(16), range(16)] = 1  # row 15 changes the last place itself: no change
    logits = prior(indices)[:, :, 3, 3]
    unchanged = (logits == logits[15]).all(1)
    assert unchanged.tolist() == [False] * 15 + [True]


def test_prior_by_hand() -> None:
    """h₀ = A e,  h ← h + W relu(B relu(h)) for each layer, logits V relu(h); A sees 24 places before, B 5."""
    prior = vq_vae.PixelCNN(n_codes=5, width=4, n_layers=2)
    indices = torch.randint(0, 5, (3, 4, 4))

    def seen(layer: nn.Conv2d, n_places: int) -> Tensor:
        mask = torch.arange(layer.kernel_size[0] ** 2).view(layer.kernel_size) < n_places
        return layer.weight * mask

    h = prior.embedding.weight[indices].permute(0, 3, 1, 2)
    h = conv2d(h, seen(prior.first, 24), prior.first.bias, padding=3)
    for _, masked, _, last in prior.layers:
        inner = conv2d(h.clamp_min(0), seen(masked, 5), masked.bias, padding=1)
        h = h + conv2d(inner.clamp_min(0), last.weight, last.bias)
    expected = conv2d(h.clamp_min(0), prior.last.weight, prior.last.bias)
    torch.testing.assert_close(prior(indices), expected)


def test_residual_by_hand() -> None:
    """x + W₂ relu(W₁ relu(x)) + b, with the batch norm that is between, at its start, near 1."""
    residual = vq_vae.Residual(3).eval()
    x = torch.randn(2, 3, 4, 4)
    _, first, norm, _, last = residual.layers
    inner = conv2d(x.clamp_min(0), first.weight, padding=1) / math.sqrt(1 + norm.eps)
    expected = x + conv2d(inner.clamp_min(0), last.weight, last.bias)
    torch.testing.assert_close(residual(x), expected)


def test_encoder_and_decoder_of_the_vq_vae_layer_by_layer() -> None:
    """Two residual blocks, whose sum is rectified, before vectors and before the network's own decoder."""
    model = vq_vae.VQVAE(DCGAN((1, 8, 8), n_classes=0, width=4, critic_norm="none"), **VQ).eval()
    body, *blocks, _, last = model.model["encoder"]
    expected = last(blocks[1](blocks[0](body(batch().images))).clamp_min(0))
    torch.testing.assert_close(model.model["encoder"](batch().images), expected)
    first, *blocks, _, up = model.model["decoder"]
    vectors = torch.randn(2, 3, 4, 4)
    expected = up(blocks[1](blocks[0](first(vectors))).clamp_min(0))
    torch.testing.assert_close(model.model["decoder"](vectors), expected)


def test_entries_start_uniform_within_1_over_their_number() -> None:
    """200 entries of 50 dimensions reach both ends, and their standard deviation is 1 / (200 √3)."""
    network = DCGAN((1, 8, 8), n_classes=0, width=4, critic_norm="none")
    entries = vq_vae.VQVAE(network, **VQ | {"n_codes": 200, "code_dim": 50}).codebook
    assert entries.min().item() == pytest.approx(-1 / 200, rel=0.01)
    assert entries.max().item() == pytest.approx(1 / 200, rel=0.01)
    assert entries.std().item() == pytest.approx(1 / 200 / math.sqrt(3), rel=0.03)


def test_prior_learns_a_distribution_of_maps() -> None:
    """Maps of one repeated code, 0 (¾) or 1 (¼): the loss nears the entropy, samples keep the shares."""
    network = DCGAN((1, 8, 8), n_classes=0, width=4, critic_norm="none")
    model = vq_vae.VQVAE(network, **VQ)
    maps = torch.tensor([0, 0, 0, 1])[:, None, None].expand(-1, 4, 4)
    optimiser = torch.optim.Adam(model.model["prior"].parameters(), lr=1e-2)
    for _ in range(200):
        loss = model.prior_loss(maps)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert loss.item() == pytest.approx(entropy, abs=0.02)
    with torch.no_grad():
        drawn = model.latent(400, seeded()).view(400, 4, 4, -1)
    is_zero = (drawn == model.codebook[0]).all(-1).flatten(1)
    assert ((is_zero.all(1)) | (~is_zero).all(1)).float().mean().item() > 0.97
    assert is_zero.all(1).float().mean().item() == pytest.approx(0.75, abs=0.07)  # three standard errors


def test_prior_loss_by_hand() -> None:
    """Uniform logits over 6 codes: 16 places cost log 6 each, for every image."""
    model = vq_vae.VQVAE(DCGAN((1, 8, 8), n_classes=0, width=4, critic_norm="none"), **VQ)
    nn.init.zeros_(model.model["prior"].last.weight)
    nn.init.zeros_(model.model["prior"].last.bias)
    assert model.prior_loss(torch.randint(0, 6, (3, 4, 4))).item() == pytest.approx(
        16 * math.log(6), rel=1e-5
    )


def test_prior_sends_nothing_back_to_the_codes() -> None:
    model = vq_vae.VQVAE(DCGAN((1, 8, 8), n_classes=0, width=4, critic_norm="none"), **VQ)
    parts = [*model.model["encoder"].parameters(), *model.model["codebook"].parameters()]
    prior = model.loss("model", batch())["prior"]
    assert all(g is None for g in torch.autograd.grad(prior, parts, allow_unused=True))


def test_decoding_quantises() -> None:
    """A vector a little off an entry is decoded as the entry."""
    model = vq_vae.VQVAE(DCGAN((1, 8, 8), n_classes=0, width=4, critic_norm="none"), **VQ).eval()
    entry = model.codebook[torch.randint(0, 6, (2, 4, 4))].detach()
    torch.testing.assert_close(model.decode((entry + 1e-4).flatten(1)), model.decode(entry.flatten(1)))


def test_vq_vae_needs_a_network_with_maps(digits_network: MLP) -> None:
    with pytest.raises(ValueError, match="vq_vae does not work with network mlp; allowed: dcgan"):
        variants.build("vq_vae", digits_network, VQ)
    with pytest.raises(ValueError, match="network mlp has no maps of features; use network dcgan"):
        digits_network.map_encoder()
