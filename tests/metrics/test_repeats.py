"""Distinct images: counted by pixels, whatever their order."""

import pytest
import torch

from gm_bench.metrics.repeats import distinct_share


def test_twenty_images_repeated_a_hundred_times_are_one_in_a_hundred() -> None:
    images = torch.randint(0, 256, (20, 3, 4, 4), dtype=torch.uint8)
    mixed = images.repeat(100, 1, 1, 1)[torch.randperm(2000)]
    assert distinct_share(mixed) == 0.01
    assert distinct_share(images) == 1.0


def test_one_pixel_makes_another_image() -> None:
    images = torch.zeros(4, 1, 3, 3, dtype=torch.uint8)
    images[3, 0, 2, 2] = 1
    assert distinct_share(images) == 0.5


def test_views_that_are_not_contiguous_count_the_same() -> None:
    images = torch.randint(0, 256, (6, 4, 4, 1), dtype=torch.uint8).movedim(-1, 1)
    assert distinct_share(images.repeat(2, 1, 1, 1)) == 0.5


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match=r"uint8 images \(N, C, H, W\), not torch.float32 \(2, 1, 4, 4\)"):
        distinct_share(torch.zeros(2, 1, 4, 4))
