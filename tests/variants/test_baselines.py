"""The baselines against closed forms: densities, subspaces and moments that are known without training."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.nets.mlp import MLP
from gm_bench.reproducibility import derive
from gm_bench.training import sampling
from gm_bench.training.in_memory import train_in_memory
from gm_bench.training.job import Job
from gm_bench.training.state import start
from gm_bench.variants import autoencoder, classifier_ascent, kde, pca
from gm_bench.variants.base.contract import Batch

CPU = torch.device("cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Kernel density estimate


def test_density_is_the_mean_of_gaussians() -> None:
    x, centres, h = torch.randn(4, 3).double(), torch.randn(6, 3).double(), 0.7
    expected = torch.stack([Normal(c, h).log_prob(x).sum(1).exp() for c in centres]).mean(0).log()
    value = kde.log_density(torch.cdist(x, centres).square(), torch.tensor(h), n_pixels=3)
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)


def test_bandwidth_by_hand() -> None:
    """One bump and held-out points at distances 1 and 3 in 2 dimensions: h² = (1 + 9) / 2 / 2."""
    bandwidth = kde.most_likely_bandwidth(torch.tensor([[1.0], [9.0]]), n_pixels=2)
    assert bandwidth.item() == pytest.approx(math.sqrt(2.5), rel=1e-6)


def test_bandwidth_is_the_most_likely_of_a_fine_grid() -> None:
    squared = torch.cdist(torch.randn(50, 5).double(), torch.randn(200, 5).double()).square()
    bandwidth = kde.most_likely_bandwidth(squared, 5)
    best = max(
        (float(kde.log_density(squared, h, 5).sum()), float(h)) for h in torch.linspace(0.05, 2, 400).double()
    )
    assert bandwidth.item() == pytest.approx(best[1], abs=0.005)  # the grid's step
    assert float(kde.log_density(squared, bandwidth, 5).sum()) >= best[0]
    shares = (-squared / (2 * bandwidth**2)).softmax(dim=1)
    still = ((shares * squared).sum(dim=1).mean() / 5).sqrt()
    assert still.item() == pytest.approx(bandwidth.item(), rel=1e-8), "another step would not move it"


def test_held_out_images_are_no_bumps_of_their_own(digits_network: MLP) -> None:
    """Were they, their nearest bump would be at 0 and the bandwidth would fall to nothing."""
    images = torch.randint(0, 256, (60, 1, 8, 8), generator=seeded()).to(torch.uint8)
    model = kde.KDE(digits_network, n_held_out=20)
    model.begin({"images": images})
    again = kde.KDE(digits_network, n_held_out=20)
    again.begin({"images": images})
    assert again.bandwidth == model.bandwidth, "the same images are held out each time"
    # Independent uniform pixels: the nearest of 40 is about as far as any, E d² / 64 = 2/3 (in [-1, 1]).
    assert 0.6 < model.bandwidth.item() < math.sqrt(2 / 3)
    assert torch.equal(model.images, images)


def test_samples_are_training_images_plus_noise_of_the_bandwidth(digits_network: MLP) -> None:
    """Mid-grey images, h = 0.1: the noise's standard deviation over 64,000 pixels is 0.1 within 1 %."""
    model = kde.KDE(digits_network, n_held_out=1)
    model.images = torch.tensor([96, 160], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    model.bandwidth = torch.tensor(0.1)
    x = model.sample(1000, seeded())
    means = x.flatten(1).mean(1)
    levels = torch.where(means < 0, 96 / 127.5 - 1, 160 / 127.5 - 1)
    assert (means < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert (x - levels[:, None, None, None]).std().item() == pytest.approx(0.1, rel=0.01)


def test_samples_of_a_wide_bandwidth_stay_in_the_range_of_images(digits_network: MLP) -> None:
    """By hand from the draws: the images first, then the noise."""
    model = kde.KDE(digits_network, n_held_out=1)
    model.images = torch.randint(0, 256, (3, 1, 8, 8), generator=seeded()).to(torch.uint8)
    model.bandwidth = torch.tensor(0.8)
    generator = seeded(2)
    rows = torch.randint(3, (20,), generator=generator)
    noise = torch.randn(20, 1, 8, 8, generator=generator)
    expected = (model.images[rows] / 127.5 - 1 + 0.8 * noise).clamp(-1, 1)
    x = model.sample(20, seeded(2))
    torch.testing.assert_close(x, expected)
    assert (x.min().item(), x.max().item()) == (-1, 1)


def test_bounds_are_the_density_of_the_bumps_on_all_images(digits_network: MLP) -> None:
    """log (1/3) Σ N(x; xᵢ, h² I) of five images, exact, whatever the number of codes."""
    model = kde.KDE(digits_network, n_held_out=1)
    model.images = torch.randint(0, 256, (3, 1, 8, 8), generator=seeded()).to(torch.uint8)
    model.bandwidth = torch.tensor(0.6)
    x = torch.rand(5, 1, 8, 8, generator=seeded(1)) * 2 - 1
    centres = (model.images.double() / 127.5 - 1).flatten(1)
    each = torch.stack([Normal(c, 0.6).log_prob(x.flatten(1).double()).sum(1) for c in centres])
    elbo, weighted = model.log_likelihood_bounds(x, None, 2, seeded())
    torch.testing.assert_close(elbo, each.logsumexp(0) - math.log(3), rtol=1e-6, atol=0)
    assert torch.equal(weighted, elbo)


def test_a_stored_estimate_is_loaded_whole(digits_network: MLP) -> None:
    images = torch.randint(0, 256, (30, 1, 8, 8)).to(torch.uint8)
    model = kde.KDE(digits_network, n_held_out=5)
    model.begin({"images": images})
    fresh = kde.KDE(digits_network, n_held_out=5)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.images, images)
    assert torch.equal(fresh.sample(4, seeded()), model.sample(4, seeded()))
    fresh.images[0] = 7
    assert torch.equal(model.images, images), "loading shares no memory with what was stored"


def test_too_few_images_to_hold_out(digits_network: MLP) -> None:
    with pytest.raises(ValueError, match=r"kde holds out 5 images .* only 5; set n_held_out lower"):
        kde.KDE(digits_network, n_held_out=5).begin({"images": torch.zeros(5, 1, 8, 8, dtype=torch.uint8)})


@pytest.mark.parametrize("n_copies", [2, 40])
def test_held_out_images_that_all_have_a_copy_choose_no_bandwidth(digits_network: MLP, n_copies: int) -> None:
    """Two images, each many times: the likelihood grows without end as h falls to 0, unless one differs.

    Of many images torch computes distances by a product of matrices, which gives nearly 0.
    """
    two = torch.randint(0, 256, (2, 1, 8, 8), generator=seeded()).to(torch.uint8)
    model = kde.KDE(digits_network, n_held_out=n_copies - 1)
    with pytest.raises(ValueError, match=rf"kde cannot .*all {n_copies - 1} images that it holds out eq"):
        model.begin({"images": two.repeat(n_copies, 1, 1, 1)})
    odd = two.repeat(n_copies, 1, 1, 1)
    first = torch.randperm(2 * n_copies, generator=seeded())[0]
    odd[first, 0, 0, 0] = (odd[first, 0, 0, 0].int() + 1) % 256
    model.begin({"images": odd})
    assert model.bandwidth.item() > 0


# Principal components


def test_moments_match_torch() -> None:
    images = torch.randint(0, 256, (40, 1, 3, 3)).to(torch.uint8)
    mean, covariance = pca.moments(images)
    x = images.flatten(1).double() / 127.5 - 1
    torch.testing.assert_close(mean, x.mean(0), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(covariance, x.T.cov(), rtol=1e-6, atol=1e-7)


def test_moments_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(0, 256, (40, 1, 3, 3)).to(torch.uint8)
    whole = pca.moments(images)
    monkeypatch.setattr(pca, "CHUNK", 7)
    for a, b in zip(whole, pca.moments(images), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_leading_components_are_the_largest_first() -> None:
    values, vectors = pca.leading_components(torch.diag(torch.tensor([1.0, 9.0, 4.0])), 2)
    assert values.tolist() == pytest.approx([9.0, 4.0])
    torch.testing.assert_close(vectors.abs(), torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))


def test_a_direction_without_spread_has_no_variance() -> None:
    """Where eigh is off by a rounding error, whose root would not be a number."""
    values, _ = pca.leading_components(torch.diag(torch.tensor([-1e-9, 9.0])), 2)
    assert values.tolist() == [9.0, 0.0]


def ellipse() -> Tensor:
    """500 images (1, 8, 8), uint8, with three strong directions around mid-grey."""
    generator = seeded()
    directions = torch.linalg.qr(torch.randn(64, 3, generator=generator)).Q
    scales = torch.tensor([300.0, 200.0, 100.0])
    x = torch.randn(500, 3, generator=generator) * scales @ directions.T
    x = 128 + x + 4 * torch.randn(500, 64, generator=generator)
    return x.round().clamp(0, 255).to(torch.uint8).view(-1, 1, 8, 8)


def fitted(network: MLP, z_dim: int) -> pca.PCA:
    model = pca.PCA(network, z_dim=z_dim)
    model.begin({"images": ellipse()})
    return model


def test_a_trained_linear_autoencoder_spans_the_subspace(digits_network: MLP) -> None:
    """Its decoder's columns after training: every principal angle to the fitted components is near 0."""
    model = fitted(digits_network, 3)
    x = ellipse().flatten(1) / 127.5 - 1 - model.mean
    encoder, decoder = nn.Linear(64, 3, bias=False), nn.Linear(3, 64, bias=False)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-2)
    for _ in range(1500):
        error = (x - decoder(encoder(x))).square().sum(1).mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
    cosines = torch.linalg.svdvals(model.components @ torch.linalg.qr(decoder.weight.detach()).Q)
    assert cosines.min().item() == pytest.approx(1.0, abs=1e-3)
    best = (x - x @ model.components.T @ model.components).square().sum(1).mean()
    assert error.item() == pytest.approx(best.item(), rel=1e-2)
    assert error.item() >= best.item() * (1 - 1e-5), "no linear autoencoder is better"


def test_pca_samples_have_the_moments_of_the_data(digits_network: MLP) -> None:
    """20,000 samples: variances within 5 %, covariances within 0.2 of up to 700, means within 0.1."""
    model = fitted(digits_network, 3)
    z = model.encode(model.sample(20_000, seeded()))
    data = model.encode(ellipse() / 127.5 - 1)
    torch.testing.assert_close(model.latent(20_000, seeded()).T.cov(), data.T.cov(), rtol=0.05, atol=0.2)
    assert z.mean(0).abs().max().item() < 0.1


def test_pca_reconstruction_is_the_projection(digits_network: MLP) -> None:
    model = fitted(digits_network, 64)
    x = ellipse()[:5] / 127.5 - 1
    torch.testing.assert_close(model.decode(model.encode(x)), x, rtol=0, atol=1e-4)


def test_pca_keeps_what_lies_in_its_subspace_of_the_distance_to_the_mean(digits_network: MLP) -> None:
    model = fitted(digits_network, 3)
    x = ellipse()[:5] / 127.5 - 1
    values, vectors = torch.linalg.eigh((ellipse().flatten(1) / 127.5 - 1).double().T.cov())
    basis, mean = vectors[:, -3:], (ellipse().flatten(1) / 127.5 - 1).double().mean(0)
    expected = mean + (x.flatten(1).double() - mean) @ basis @ basis.T
    made = model.decode(model.encode(x))
    torch.testing.assert_close(made.flatten(1).double(), expected.clamp(-1, 1), rtol=0, atol=1e-5)
    variances = model.encode(ellipse() / 127.5 - 1).double().var(dim=0)
    torch.testing.assert_close(variances, values.flip(0)[:3], rtol=1e-4, atol=0)


def test_pca_in_more_dimensions_than_pixels(digits_network: MLP) -> None:
    with pytest.raises(ValueError, match="z_dim of pca is 65; images of 64 values"):
        pca.PCA(digits_network, z_dim=65)


# Autoencoder


@pytest.mark.parametrize("n", [200, 3])
def test_gaussian_of_codes_has_their_moments(n: int) -> None:
    """Singular covariances too: three codes in five dimensions."""
    codes = torch.randn(n, 5).double() @ torch.randn(5, 5).double() + 3
    mean, factor = autoencoder.fit_gaussian(codes)
    assert factor.shape == (5, 5)
    torch.testing.assert_close(mean, codes.mean(0))
    torch.testing.assert_close(factor @ factor.T, codes.T.cov())


def test_codes_that_are_not_finite_have_no_gaussian() -> None:
    codes = torch.zeros(10, 3).double()
    codes[4, 1] = torch.inf
    mean, factor = autoencoder.fit_gaussian(codes)
    assert mean.isnan().all()
    assert factor.shape == (3, 3)
    assert factor.isnan().all()


def test_autoencoder_samples_from_the_gaussian_of_its_codes(digits_network: MLP, blobs: Tensor) -> None:
    """20,000 codes: mean within 0.05 standard deviations, covariance within 5 %."""
    model = autoencoder.Autoencoder(digits_network, z_dim=3).train()
    model.loss("model", Batch(seeded(), {"images": blobs}, torch.arange(64)))
    model.finish({"images": blobs})
    with torch.no_grad():
        codes = model.eval().encode(blobs / 127.5 - 1)
    drawn = model.latent(20_000, seeded())
    assert ((drawn.mean(0) - codes.mean(0)) / codes.std(0)).abs().max().item() < 0.05
    torch.testing.assert_close(drawn.T.cov(), codes.T.cov(), rtol=0.05, atol=0.05 * codes.var(0).max().item())


def test_squared_error_by_hand() -> None:
    """Two images of four pixels, off by 1 and by 2 in each: (4 + 16) / 2."""
    x = torch.zeros(2, 1, 2, 2)
    other = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1).expand_as(x)
    assert autoencoder.reconstruction_error(x, other).item() == 10.0


# Ascending a classifier


class LinearClassifier(nn.Module):
    """Logits 3 x₀ + 4 x₁ and minus that: ∇ log p(0 | x) points along (3, 4) everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        along = x.flatten(1)[:, :2] @ torch.tensor([[3.0], [4.0]])
        return torch.cat([along, -along], dim=1)


def test_ascent_moves_by_steps_of_one_length_up_the_class() -> None:
    """Three steps of ¼ along (3, 4) / 5, however steep the class is there: (.45, .6), or back."""
    start = torch.zeros(2, 1, 2, 2)
    start[1, 0, 1, 0] = 0.5
    before, labels = start.clone(), torch.tensor([0, 1])
    x = classifier_ascent.ascend(LinearClassifier(), start, labels, n_steps=3, step_size=0.25)
    torch.testing.assert_close(x.flatten(1), torch.tensor([[0.45, 0.6, 0.0, 0.0], [-0.45, -0.6, 0.5, 0.0]]))
    assert torch.equal(start, before)
    far = classifier_ascent.ascend(LinearClassifier(), start, labels, n_steps=6, step_size=0.25)
    assert far[:, 0, 0, 1].tolist() == [1.0, -1.0], "stays in the range of images"


def test_ascent_stays_in_the_range_of_images_at_every_step() -> None:
    """log p(0 | x) is largest at x = 1.2: from 0.9 by ½ to 1.4, kept at 1, up again; unkept it came back."""

    def classifier(x: Tensor) -> Tensor:
        along = -(x.flatten(1) - 1.2).square()
        return torch.cat([along, torch.zeros_like(along)], dim=1)

    start = torch.full((1, 1, 1, 1), 0.9)
    x = classifier_ascent.ascend(classifier, start, torch.tensor([0]), n_steps=2, step_size=0.5)
    assert x.item() == 1.0


def test_ascent_rests_where_the_classifier_is_flat() -> None:
    start = torch.full((2, 1, 2, 2), 0.5)
    x = classifier_ascent.ascend(lambda x: 0 * x.flatten(1), start, torch.tensor([0, 1]), 2, 0.25)
    assert torch.equal(x, start)


def test_ascent_starts_from_uniform_noise_in_the_range_of_images(digits_network: MLP) -> None:
    model = classifier_ascent.ClassifierAscent(digits_network, n_steps=2, step_size=0.5).eval()
    labels = torch.tensor([1, 7, 3])
    noise = torch.rand(3, 1, 8, 8, generator=seeded(5)) * 2 - 1
    expected = classifier_ascent.ascend(model.model, noise, labels, 2, 0.5)
    assert torch.equal(model.sample(3, seeded(5), labels), expected)


def test_ascent_leaves_no_gradient_and_works_without(digits_network: MLP) -> None:
    model = classifier_ascent.ClassifierAscent(digits_network, n_steps=5, step_size=0.5).eval()
    with torch.no_grad():
        x = model.sample(10, seeded(), torch.arange(10))
    assert x.shape == (10, 1, 8, 8)
    assert all(p.grad is None for p in model.parameters())


def test_ascent_makes_the_classifier_surer(digits_network: MLP) -> None:
    """Each of 50 noise images ends with a higher log p of its class than it began with."""
    model = classifier_ascent.ClassifierAscent(digits_network, n_steps=20, step_size=0.1).eval()
    labels, start = torch.arange(50) % 10, torch.rand(50, 1, 8, 8, generator=seeded()) * 2 - 1
    end = classifier_ascent.ascend(model.model, start, labels, 20, 0.1)
    sure = [model.model(x).log_softmax(1)[range(50), labels] for x in (start, end)]
    assert bool((sure[1] > sure[0]).all())


def test_fitted_variants_are_not_trained(params: Params, blobs: Tensor) -> None:
    for name in ("kde", "pca"):
        job = Job(Cell("", "blobs", name, 0), params.recipe(name, "tiny"), 640)
        state = start(job, (1, 8, 8), 10, torch.device("cpu"))
        assert state.model.players == ()
        with pytest.raises(ValueError, match=f"{name} has no player to train"):
            state.model.loss("model", None)


def test_snapshots_of_an_autoencoder_are_drawn_from_its_codes_of_the_moment(
    params: Params, blobs: Tensor
) -> None:
    """The last one is what the finished model draws; what is learnt does not depend on them."""
    states = []
    for n_snapshots in (2, 0):
        recipe = params.recipe("autoencoder", "tiny")
        job = Job(Cell("", "blobs", "autoencoder", 0), recipe, 640, n_snapshots, n_validation=6)
        states.append(start(job, (1, 8, 8), 10, CPU))
        train_in_memory(states[-1], job, {"images": blobs, "labels": torch.zeros(256, dtype=torch.int64)})
    first, second = states
    seed = derive(0, "snapshot")
    assert torch.equal(first.snapshots[640], sampling.draw(first.model, None, 6, seed, CPU))
    for a, b in zip(first.model.state_dict().values(), second.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)
