"""Seeded draws, the labels they are asked for, and what a density says of images."""

import math

import pytest
import torch
from torch import Tensor

from gm_bench.data.scale import from_uint8, to_uint8
from gm_bench.nets.mlp import MLP
from gm_bench.training import sampling
from gm_bench.variants import cvae, kde, vae
from gm_bench.variants.base.contract import Sampler


def test_labels_follow_the_training_distribution_and_the_seed() -> None:
    """20,000 labels of classes 1 : 0 : 3; the standard error of a share is 0.003."""
    labels = sampling.draw_labels([10, 0, 30], 20_000, seed=0, index=0)
    shares = labels.bincount(minlength=3) / len(labels)
    assert shares[1] == 0
    assert abs(shares[2].item() - 0.75) < 0.012
    assert torch.equal(labels, sampling.draw_labels([10, 0, 30], 20_000, seed=0, index=0))
    assert not torch.equal(labels, sampling.draw_labels([10, 0, 30], 20_000, seed=0, index=1))
    assert not torch.equal(labels, sampling.draw_labels([10, 0, 30], 20_000, seed=1, index=0))


def test_levels_are_rounded_and_clipped() -> None:
    """127.5 (x + 1): −1 → 0, 0 → 127.5, to even 128, 1 → 255; beyond is clipped."""
    images = torch.tensor([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])
    assert to_uint8(images).tolist() == [0, 0, 128, 191, 255, 255]


def test_every_level_comes_back_and_is_what_the_formula_says() -> None:
    """x / 127.5 − 1 in single precision, for all 256 levels, bit for bit."""
    levels = torch.arange(256, dtype=torch.uint8)
    scaled = from_uint8(levels)
    assert torch.equal(scaled, levels.float() / 127.5 - 1)
    assert (scaled[0].item(), scaled[255].item()) == (-1.0, 1.0)
    assert torch.equal(to_uint8(scaled), levels)
    assert torch.equal(levels, torch.arange(256, dtype=torch.uint8)), "the images themselves stay"


class Line(Sampler):
    """Draws points (n, 2) on a line."""

    def sample(self, n: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        return torch.randn(n, 1, generator=generator) * torch.tensor([[3.0, 4.0]])


def test_samples_that_are_no_images_stay_as_they_are_drawn() -> None:
    points = sampling.draw(Line(), None, 700, seed=0, device=CPU)
    assert (points.shape, points.dtype) == ((700, 2), torch.float32)
    assert points.abs().max() > 3
    torch.testing.assert_close(points[:, 1] / points[:, 0], torch.full((700,), 4 / 3))


CPU = torch.device("cpu")


def test_bounds_of_a_decoder_that_ignores_its_code(digits_network: MLP, blobs: Tensor) -> None:
    """p(x | z) = N(0, ½² I) whatever z, and q(z | x) the prior: both bounds are log p(x), for any codes."""
    model = vae.VAE(digits_network, z_dim=2, sigma=0.5).eval()
    for weights in model.parameters():
        torch.nn.init.zeros_(weights)
    images = blobs[:7]
    found = sampling.likelihood_bounds(model, images, None, 3, seed=0, device=CPU)
    x = images.double().flatten(1) / 127.5 - 1
    expected = -2 * x.square().sum(dim=1) - 64 * math.log(0.5 * math.sqrt(2 * math.pi))
    for name in ("elbo", "iw_bound"):
        torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=0)


def test_bounds_take_images_in_parts_and_follow_the_seed(
    digits_network: MLP, blobs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = cvae.CVAE(digits_network, z_dim=2, sigma=0.5).eval()
    monkeypatch.setattr(sampling, "BATCH_SIZE", 5)
    labels = torch.arange(12) % 10
    found, again, other = (
        sampling.likelihood_bounds(model, blobs[:12], labels, 4, seed, CPU) for seed in (0, 0, 1)
    )
    assert {name: (tuple(v.shape), v.dtype) for name, v in found.items()} == {
        "elbo": ((12,), torch.float64),
        "iw_bound": ((12,), torch.float64),
    }
    assert bool((found["elbo"] < found["iw_bound"]).all())
    assert torch.equal(found["elbo"], again["elbo"])
    assert not torch.equal(found["elbo"], other["elbo"])
    told = sampling.likelihood_bounds(model, blobs[:12], (labels + 1) % 10, 4, 0, CPU)
    assert not bool((told["elbo"] == found["elbo"]).any())


def test_a_kernel_density_estimate_is_exact(digits_network: MLP, blobs: Tensor) -> None:
    """One bump of width ½ at a black image: log N(x; −1, ½² I) by hand."""
    model = kde.KDE(digits_network, n_held_out=1).eval()
    model.bandwidth.fill_(0.5)
    found = sampling.likelihood_bounds(model, blobs[:3], None, 1, 0, CPU)
    x = blobs[:3].double().flatten(1) / 127.5 - 1
    expected = -2 * (x + 1).square().sum(dim=1) - 64 * math.log(0.5 * math.sqrt(2 * math.pi))
    torch.testing.assert_close(found["elbo"], expected, rtol=1e-6, atol=0)
    assert torch.equal(found["elbo"], found["iw_bound"])


def test_a_likelihood_that_is_not_finite_is_refused(digits_network: MLP, blobs: Tensor) -> None:
    model = vae.VAE(digits_network, z_dim=2, sigma=0.5).eval()
    torch.nn.init.constant_(next(model.parameters()), math.inf)
    with pytest.raises(ValueError, match="likelihood of a test image is not finite"):
        sampling.likelihood_bounds(model, blobs[:3], None, 1, 0, CPU)
