"""Memorisation: numbers by hand, and what copies of training images do to them."""

import math

import pytest
import torch

from gm_bench.metrics.distances import nearest_squared
from gm_bench.metrics.memorisation import (
    duplicate_limit,
    leak,
    median_distance,
    memorisation,
    share_of_duplicates,
)


def squares(*distances: float) -> torch.Tensor:
    return torch.tensor(distances, dtype=torch.float64).square()


def test_ratio_and_shares_by_hand() -> None:
    held_out = squares(*range(1, 102))  # distances 1 to 101: median 51, hundredth part below 2
    fake = squares(0, 0.5, 1.9, 2, 10.2, 17, 30, 40, 50, 60)  # median (10.2 + 17) / 2
    result = memorisation(fake, held_out, 0.01)
    assert result.distance_ratio == pytest.approx(13.6 / 51, rel=1e-12)
    assert result.duplicates == pytest.approx(0.3, rel=1e-12)  # 2 itself is none
    assert result.exact == pytest.approx(0.1, rel=1e-12)


def test_held_out_images_are_their_own_measure() -> None:
    held_out = squares(*(0.5 + torch.rand(1000)).tolist())
    result = memorisation(held_out, held_out, 0.05)
    assert result.distance_ratio == 1
    assert result.duplicates == pytest.approx(0.05, abs=1e-3)  # 1 of 1,000
    assert result.exact == 0


def test_the_limit_is_a_distance_between_two_images_not_between_their_squares() -> None:
    assert duplicate_limit(squares(1, 3), 0.5) == pytest.approx(4, rel=1e-12)
    assert median_distance(squares(1, 3)) == pytest.approx(2, rel=1e-12)


def test_exact_copies_are_duplicates_where_no_distance_is_below_the_limit() -> None:
    assert share_of_duplicates(squares(0, 1), 0.0) == 0.5


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_copies_show_as_duplicates_and_as_nearness(share: float) -> None:
    train, held_out, fake = torch.randn(3, 600, 8).unbind()
    copies = int(share * 600)
    fake[: copies // 2] = train[: copies // 2]
    fake[copies // 2 : copies] = train[copies // 2 : copies] + 1e-3
    result = memorisation(nearest_squared(fake, train), nearest_squared(held_out, train), 0.01)
    # of the others about 1 % are below the limit by chance
    assert result.duplicates == pytest.approx(share + 0.01 * (1 - share), abs=0.015)
    assert result.exact == pytest.approx(share / 2, abs=1e-12)
    if share < 0.5:  # a median does not see fewer than half; two of 600 rows, each off by 2 %
        assert result.distance_ratio == pytest.approx(1 - share / 10, abs=0.06)
    else:
        assert result.distance_ratio < 0.5


def test_far_from_everything_is_no_copy() -> None:
    train, held_out = torch.randn(2, 300, 8).unbind()
    result = memorisation(nearest_squared(held_out + 10, train), nearest_squared(held_out, train), 0.01)
    assert (result.duplicates, result.exact) == (0, 0)
    assert result.distance_ratio > 5


@pytest.mark.parametrize("quantile", [0.0, 1.0, -0.1, math.nan])
def test_a_quantile_out_of_range_is_refused(quantile: float) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        memorisation(squares(1, 2), squares(1, 2), quantile)


def test_held_out_images_that_are_copies_are_refused() -> None:
    with pytest.raises(ValueError, match="more than half of the held-out images are copies"):
        memorisation(squares(1, 2, 3), squares(0, 0, 3), 0.01)


def test_held_out_images_with_a_near_duplicate_are_counted_by_the_median_distance() -> None:
    """The median is 2: below 0.5 is near, and 0 is exact; squares are given."""
    distances = torch.tensor([2.0] * 90 + [0.51, 0.5, 0.49, 0.3, 0.0, 0.0])
    found = leak(distances.square())
    assert (found.exact, found.near, found.of) == (2, 4, 96)
    assert found.sentence.startswith(
        "4 of 96 held-out images have a near duplicate among the training images (2 of them exact), so the "
        "floor is too low"
    )
    assert leak((10 * distances).square()) == found, "the scale of the features does not matter"


def test_next_to_no_near_duplicates_are_not_worth_a_sentence() -> None:
    distances = torch.tensor([2.0] * 199 + [0.1])
    assert (leak(distances.square()).near, leak(distances.square()).sentence) == (1, "")


def test_exact_duplicates_count_where_they_are_more_than_half() -> None:
    assert leak(torch.tensor([0.0, 0.0, 0.0, 1.0])).near == 3
