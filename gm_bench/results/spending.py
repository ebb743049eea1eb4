"""One chance of a false alarm, spent over several looks at data that grow.

Source: Lan & DeMets 1983, "Discrete sequential boundaries for clinical trials", Biometrika 70: the chance
that is spent up to a look follows from how much of all information it has. Their first spending function,
whose bounds are like those of O'Brien & Fleming 1979, takes hardly anything from the last look:

    α*(t) = 2 − 2 Φ(z_{α/2} / √t),   t = information at the look / information at the last, α*(1) = α

The bound of each look is found by numerical integration over what did not cross the earlier ones (Armitage,
McPherson & Rowe 1969; Jennison & Turnbull 2000, "Group Sequential Methods", ch. 19). It is exact where the
statistics of the looks have cov(Z_j, Z_k) = √(t_j / t_k), as the difference of two means has, also where one
side has all its values from the beginning.
"""

import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
N_NODES = 200
N_SPREADS = 9.0  # as far below 0, in standard deviations, as the integration goes


def spent(chance: float, fraction: float) -> float:
    """The chance that is spent once a fraction in (0, 1] of all information is there."""
    from scipy.special import ndtr, ndtri  # late: a second of every other command

    return float(2 * ndtr(ndtri(chance / 2) / math.sqrt(fraction)))


def level(chance: float, fractions: Sequence[float]) -> float:
    """One-sided significance level of the last of several looks.

    For statistics with Student's t in place of the normal distribution the same levels serve (Jennison &
    Turnbull 2000, §4.4).

    Args:
        chance: that one of all looks, up to fraction 1, calls noise an effect.
        fractions: of the information that the looks so far had, ascending, the last up to 1.

    Raises:
        ValueError: the fractions do not ascend within (0, 1].
    """
    if not fractions or any(a >= b for a, b in zip((0.0, *fractions), (*fractions, math.inf), strict=True)):
        raise ValueError(f"fractions of information must ascend from above 0, these do not: {fractions}")
    if fractions[-1] > 1 + 1e-9:
        raise ValueError(f"a look cannot have more than all information, this has {fractions[-1]}")
    return _levels(chance, tuple(fractions))[-1]


@cache
def _levels(chance: float, fractions: tuple[float, ...]) -> tuple[float, ...]:
    """The levels of all looks."""
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    levels = [spent(chance, fractions[0])]
    x, mass = _below(-float(ndtri(levels[0])) * math.sqrt(fractions[0]), fractions[0])
    mass = mass * _density(x, math.sqrt(fractions[0]))
    for before, fraction in pairwise(fractions):
        step, root = math.sqrt(fraction - before), math.sqrt(fraction)
        due = spent(chance, fraction) - spent(chance, before)

        def excess(z: float, at: FloatArray = x, weight: FloatArray = mass) -> float:
            return float(weight @ ndtr((at - z * root) / step)) - due  # noqa: B023 (called within the round)

        bound = brentq(excess, 0.0, 1 - float(ndtri(due)), xtol=1e-12)
        levels.append(float(ndtr(-bound)))
        y, weights = _below(bound * root, fraction)
        x, mass = y, weights * (_density(y[:, None] - x, step) @ mass)
    return tuple(levels)


def _below(bound: float, variance: float) -> tuple[FloatArray, FloatArray]:
    """Places and weights of an integration up to `bound` over what has this variance."""
    nodes, weights = np.polynomial.legendre.leggauss(N_NODES)
    half = (bound + N_SPREADS * math.sqrt(variance)) / 2
    return bound - half + half * nodes, half * weights


def _density(x: FloatArray, sd: float) -> FloatArray:
    """Of a normal distribution about 0."""
    density: FloatArray = np.exp(-((x / sd) ** 2) / 2) / (sd * math.sqrt(2 * math.pi))
    return density
