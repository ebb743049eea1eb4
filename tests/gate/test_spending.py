"""The chance of a false alarm, spent over looks: against published bounds and against drawn paths."""

import math

import numpy as np
import pytest
from scipy import stats

from gm_bench.results.spending import level, spent


def bounds(chance: float, fractions: list[float]) -> list[float]:
    """The normal bound of every look."""
    return [float(stats.norm.isf(level(chance, fractions[: k + 1]))) for k in range(len(fractions))]


@pytest.mark.parametrize(
    ("n_looks", "published"),
    [
        (1, [1.9600]),
        (2, [2.9626, 1.9686]),
        (3, [3.7103, 2.5114, 1.9930]),
        (5, [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
    ],
)
def test_bounds_are_the_published_ones(n_looks: int, published: list[float]) -> None:
    """Lan & DeMets with O'Brien & Fleming's spending function, one-sided 2.5 %, equal looks.

    Source: Reboussin, DeMets, Kim & Lan 2000, "Computations for group sequential boundaries using the
    Lan-DeMets spending function method"; four places are printed, of which the last may be off by one.
    """
    fractions = [(k + 1) / n_looks for k in range(n_looks)]
    assert bounds(0.025, fractions) == pytest.approx(published, abs=1.5e-4)


def test_what_is_spent_at_half_of_the_information() -> None:
    """2 − 2 Φ(2.2414 / √½) = 0.00153 of 2.5 %, and all at the end."""
    assert spent(0.025, 0.5) == pytest.approx(0.001525, abs=2e-6)
    assert spent(0.025, 1.0) == pytest.approx(0.025)


def test_unequal_looks_keep_the_chance() -> None:
    """Means of 4, 8 and 12 values against a mean of 12 that all looks share: 5 % of noise crosses a bound.

    200,000 runs: the standard error of 5 % is 0.05 %. With the level 5 % at each look 9.8 % cross.
    """
    rng = np.random.default_rng(0)
    old = rng.standard_normal((200_000, 12)).mean(axis=1)
    new = rng.standard_normal((200_000, 12))
    information = [1 / (1 / 12 + 1 / n) for n in (4, 8, 12)]
    fractions = [each / information[-1] for each in information]
    crossed = np.zeros(len(old), dtype=bool)
    for n, has, bound in zip((4, 8, 12), information, bounds(0.05, fractions), strict=True):
        crossed |= (new[:, :n].mean(axis=1) - old) * math.sqrt(has) > bound
    assert crossed.mean() == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize("fractions", [[], [0.0, 1.0], [0.5, 0.5], [0.7, 0.3]])
def test_looks_that_do_not_ascend_are_refused(fractions: list[float]) -> None:
    with pytest.raises(ValueError, match="fractions of information must ascend"):
        level(0.05, fractions)


def test_a_look_has_no_more_than_all_information() -> None:
    with pytest.raises(ValueError, match=r"cannot have more than all information, this has 1\.2"):
        level(0.05, [0.5, 1.2])
