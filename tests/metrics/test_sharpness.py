"""Sharpness by hand, by a loop, and under blur and noise."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from gm_bench.metrics import sharpness
from gm_bench.metrics.sharpness import laplacian_variance, ratio_spread


def images(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def by_loop(given: Tensor) -> float:
    total = 0.0
    for image in given.double():
        edges = []
        for channel in image:
            for y in range(1, channel.shape[0] - 1):
                for x in range(1, channel.shape[1] - 1):
                    around = channel[y - 1, x] + channel[y + 1, x] + channel[y, x - 1] + channel[y, x + 1]
                    edges.append(float(around - 4 * channel[y, x]))
        mean = sum(edges) / len(edges)
        total += sum((edge - mean) ** 2 for edge in edges) / len(edges)
    return total / len(given)


def test_a_single_dot_by_hand() -> None:
    image = torch.zeros(1, 1, 5, 5, dtype=torch.uint8)
    image[0, 0, 2, 2] = 10
    # of the 9 values within the border: −40, four times 10, four times 0; their mean is 0
    assert laplacian_variance(image) == pytest.approx((1600 + 4 * 100) / 9, rel=1e-12)


@pytest.mark.parametrize("shape", [(5, 1, 8, 8), (4, 3, 6, 9), (3, 2, 3, 5), (2, 1, 4, 3)])
def test_it_is_a_loop_in_batches_too(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]) -> None:
    monkeypatch.setattr(sharpness, "BATCH_SIZE", 2)
    given = images(*shape)
    assert laplacian_variance(given) == pytest.approx(by_loop(given), rel=1e-12)


def test_a_slope_has_no_edges() -> None:
    slope = torch.arange(0, 80, 10).repeat(8, 1)[None, None].byte()
    assert laplacian_variance(slope) == 0


def test_blur_lowers_and_noise_raises_it() -> None:
    given = (torch.rand(50, 1, 4, 4) * 180).repeat_interleave(4, dim=2).repeat_interleave(4, dim=3).byte()
    blurred = avg_pool2d(given.float(), 3, stride=1, padding=1).round().byte()
    noisy = (given.float() + 20 * torch.randn(given.shape)).clamp(0, 255).byte()
    assert laplacian_variance(blurred) < 0.5 * laplacian_variance(given)
    assert laplacian_variance(noisy) > 1.2 * laplacian_variance(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (images(4, 1, 8, 8).float(), "reads uint8 images"),
        (images(0, 1, 8, 8), "reads uint8 images"),
        (images(4, 8, 8), "reads uint8 images"),
        (images(4, 1, 2, 8), "at least 3×3, not 2×8"),
    ],
)
def test_what_has_no_edges_is_refused(given: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        laplacian_variance(given)


def test_the_spread_of_a_ratio_is_that_of_many_sets_of_other_images() -> None:
    """Images of differing contrast, 100 against 100 others: 200 ratios, whose own spread is known to 5 %."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(40_000, 1, 6, 6, generator=generator) - 0.5
    contrast = 40 + 160 * torch.rand(40_000, 1, 1, 1, generator=generator)
    images = (128 + noise * contrast).to(torch.uint8)
    means = torch.tensor([laplacian_variance(part) for part in images.split(100)])
    ratios = means[:200] / means[200:]
    assert ratio_spread(images[:100]) == pytest.approx(float(ratios.std()), rel=0.15)
