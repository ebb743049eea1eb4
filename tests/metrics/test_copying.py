"""Copying: planted copies are found at their share, and what is merely plain is none."""

import pytest
import torch
from torch import Tensor

from gm_bench.metrics.copying import share_of_copies
from gm_bench.metrics.distances import between
from gm_bench.metrics.memorisation import duplicate_limit, memorisation

N_TRAIN, N, D = 3000, 1000, 16


def test_a_copy_is_near_and_nearer_than_two_thirds() -> None:
    to_one = torch.tensor([1.0, 2.0, 3.9, 4.1, 8.0]) ** 2
    to_other = torch.tensor([1.4, 3.1, 9.0, 9.0, 99.0]) ** 2
    # of the first the other is too near, the last two are no near duplicates
    assert share_of_copies(to_one, to_other, 16.0) == 2 / 5
    assert share_of_copies(to_other, to_one, 16.0) == 0


def test_an_exact_copy_is_one_at_any_limit_unless_it_is_on_both_sides() -> None:
    assert share_of_copies(torch.zeros(4), torch.tensor([0.0, 0.1, 1.0, 2.0]), 0.0) == 0.75


def real() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N_TRAIN, D, generator=generator), torch.randn(N, D, generator=generator)


def seen(fake: Tensor) -> tuple[float, float, float]:
    """Copies of training and of held-out images, and near duplicates, among features."""
    train, held_out = real()
    known = between(held_out, train).a.squared
    one, other = between(fake, train).a.squared, between(fake, held_out).a.squared
    limit = duplicate_limit(known, 0.01)
    return (
        share_of_copies(one, other, limit),
        share_of_copies(other, one, limit),
        memorisation(one, known, 0.01).duplicates,
    )


def plain() -> Tensor:
    """Features of blurs: amid all others, hardly different from one another."""
    return torch.randn(N, D, generator=torch.Generator().manual_seed(1)) * 0.2


def fresh() -> Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(2))


def test_samples_amid_all_others_are_near_duplicates_and_no_copies() -> None:
    copied, copied_held_out, duplicates = seen(plain())
    assert duplicates > 0.3
    assert max(copied, copied_held_out) < 0.003


def test_new_images_are_no_copies() -> None:
    copied, copied_held_out, duplicates = seen(fresh())
    assert duplicates == pytest.approx(0.01, abs=0.01)
    assert max(copied, copied_held_out) < 0.003


@pytest.mark.parametrize("others", [fresh, plain])
@pytest.mark.parametrize("n_originals", [150, 5])
def test_planted_copies_are_found_at_their_share(others, n_originals: int) -> None:
    """Among new images and amid blurs, of as many originals and of a few over and over again."""
    generator = torch.Generator().manual_seed(3)
    train, held_out = real()
    for originals, of_held_out in ((train, False), (held_out, True)):
        fake = others()
        fake[:150] = originals[:n_originals].repeat(150 // n_originals, 1)
        fake[:150] += 0.05 * torch.randn(150, D, generator=generator)
        copied, copied_held_out, _ = seen(fake)
        found, other = (copied_held_out, copied) if of_held_out else (copied, copied_held_out)
        assert found == pytest.approx(0.15, abs=0.003)
        assert other < 0.003
