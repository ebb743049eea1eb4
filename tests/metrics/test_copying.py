"""Copying: planted copies are found at their share, and what is merely plain is none."""

import pytest
import torch
from torch import Tensor

from gm_bench.metrics.copying import Copied, copied
from gm_bench.metrics.distances import between
from gm_bench.metrics.memorisation import duplicate_limit, memorisation

N_TRAIN, N, D = 3000, 1000, 16


def test_two_shares_and_the_error_of_their_difference() -> None:
    train = torch.tensor([0.0, 0.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    held_out = torch.tensor([0.9, 2.0, 3.0, 4.0])
    found = copied(train, held_out, 1.0)
    assert found == Copied(2 / 8 - 1 / 4, pytest.approx((3 / 12 * 9 / 12 * (1 / 8 + 1 / 4)) ** 0.5))
    assert copied(train, held_out, 0.1).share == 1 / 8


def test_an_image_at_distance_0_is_a_duplicate_at_any_limit() -> None:
    assert copied(torch.zeros(4), torch.ones(4), 0.0) == Copied(1.0, pytest.approx(0.5**1.5))


def test_nothing_near_is_nothing_copied_and_has_no_error() -> None:
    assert copied(torch.ones(4), torch.ones(4), 0.5) == Copied(0.0, 0.0)


def real() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N_TRAIN, D, generator=generator), torch.randn(N, D, generator=generator)


def seen(fake: Tensor) -> tuple[Copied, float]:
    """What is said of features, and the share of near duplicates beside it."""
    train, held_out = real()
    known = between(held_out, train).a.squared
    swept = between(fake, train)
    found = copied(swept.b.squared, between(fake, held_out).b.squared, duplicate_limit(known, 0.01))
    return found, memorisation(swept.a.squared, known, 0.01).duplicates


def plain() -> Tensor:
    """Features of blurs: amid all others, hardly different from one another."""
    return torch.randn(N, D, generator=torch.Generator().manual_seed(1)) * 0.2


def test_samples_amid_all_others_are_near_duplicates_and_no_copies() -> None:
    found, duplicates = seen(plain())
    assert duplicates > 0.3
    assert abs(found.share) < 2 * found.error


def test_new_images_are_no_copies() -> None:
    fresh = torch.randn(N, D, generator=torch.Generator().manual_seed(2))
    found, duplicates = seen(fresh)
    assert duplicates == pytest.approx(0.01, abs=0.01)
    assert abs(found.share) < 2 * found.error


@pytest.mark.parametrize("others", ["fresh", "plain"])
def test_planted_copies_are_found_at_their_share_among_new_images_and_amid_blurs(others: str) -> None:
    generator = torch.Generator().manual_seed(3)
    fake = plain() if others == "plain" else torch.randn(N, D, generator=generator)
    before, _ = seen(fake)
    train, _ = real()
    fake[:150] = train[:150] + 0.05 * torch.randn(150, D, generator=generator)
    after, _ = seen(fake)
    assert after.share - before.share == pytest.approx(150 / N_TRAIN, abs=0.01)
    assert after.share > 4 * after.error
