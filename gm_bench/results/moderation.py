"""What the spreads of several groups say about each: variances of few degrees of freedom, drawn together.

Three seeds give a variance of a variant that is itself mostly chance. Where the variants of a dataset differ
little in it, they share it; as far as they differ, each keeps its own. They share it only with others of one
kind of noise: a fit in closed form has that of its draws alone, and says nothing of what training adds.

Source: Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression", §3
(moderated t) and §6.2 (the prior's scale and degrees of freedom).

    s_v² ~ s0² F(d_v, d0),   s̃_v² = (d0 s0² + Σ squares) / (d0 + d_v)

Deviates from the paper: groups without spread do not count in the prior; where d0 = ∞, which one group alone
has too, s0² is the pooled variance Σ squares / Σ d_v, not exp(ē), ē the mean of log s_v² less its bias.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Squared deviations from the mean of their seeds, summed, and how many degrees of freedom they have."""

    sum_of_squares: float
    degrees: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """That of the values of one group: of equal ones none, though their mean may be rounded."""
        if min(values) == max(values):
            return cls(0.0, len(values) - 1)
        mean = statistics.fmean(values)
        return cls(math.fsum((value - mean) ** 2 for value in values), len(values) - 1)

    def __add__(self, other: "Spread") -> "Spread":
        return Spread(self.sum_of_squares + other.sum_of_squares, self.degrees + other.degrees)


@dataclass(frozen=True)
class Prior:
    """What the variants agree about: their spreads scatter about `variance` as if it had been seen with
    `degrees` degrees of freedom; inf where they differ no more than chance makes them."""

    variance: float
    degrees: float

    def posterior(self, own: Spread) -> tuple[float, float]:
        """Variance of a variant with a spread of its own, and the degrees of freedom it is known with."""
        if math.isinf(self.degrees):
            return self.variance, math.inf
        degrees = self.degrees + own.degrees
        return (self.degrees * self.variance + own.sum_of_squares) / degrees, degrees


def fit_prior(spreads: Sequence[Spread]) -> Prior:
    """Scale and degrees of freedom of the distribution that the variants' variances come from.

    Source: Smyth 2004, §6.2: mean and variance of log s² less what a sample of d degrees adds to them.

    Args:
        spreads: one per variant; those with no degrees or no deviation are left out. Without any the
            variance is 0: then only the margin decides.
    """
    from scipy.special import digamma, polygamma  # late: a second of every other command

    usable = [s for s in spreads if s.degrees > 0 and s.sum_of_squares > 0]
    if not usable:
        return Prior(0.0, math.inf)
    pooled = math.fsum(s.sum_of_squares for s in usable) / sum(s.degrees for s in usable)
    if len(usable) == 1:
        return Prior(pooled, math.inf)
    halves = [s.degrees / 2 for s in usable]
    logs = [
        math.log(s.sum_of_squares / s.degrees) - float(digamma(half)) + math.log(half)
        for s, half in zip(usable, halves, strict=True)
    ]
    excess = statistics.variance(logs) - statistics.fmean(float(polygamma(1, half)) for half in halves)
    if excess <= 0:
        return Prior(pooled, math.inf)
    half = inverse_trigamma(excess)
    return Prior(math.exp(statistics.fmean(logs) + float(digamma(half)) - math.log(half)), 2 * half)


def posteriors(
    spreads: Mapping[str, Spread], kinds: Mapping[str, str] | None = None
) -> dict[str, tuple[float, float]]:
    """Variance of every variant, and the degrees of freedom it is known with: those of its kind at most.

    Args:
        spreads: one per variant.
        kinds: of noise, by variant; without it that of all is of one kind. Of a kind that no spread is known
            of, all variants speak.
    """
    of = kinds or {}
    found = {}
    for kind in dict.fromkeys(map(of.get, spreads)):
        own = [variant for variant in spreads if of.get(variant) == kind]
        known = [spreads[variant] for variant in own]
        if not any(spread.degrees for spread in known):
            known = list(spreads.values())
        prior, total = fit_prior(known), sum(spread.degrees for spread in known)
        for variant in own:
            variance, degrees = prior.posterior(spreads[variant])
            found[variant] = variance, min(degrees, total)
    return found


def inverse_trigamma(value: float) -> float:
    """The x > 0 with trigamma(x) = value > 0, by Newton's method on 1 / trigamma (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    x = 0.5 + 1 / value
    for _ in range(100):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x


def quantile(chance: float, degrees: float) -> float:
    """What Student's t exceeds with this chance; the normal quantile for infinite degrees of freedom."""
    from scipy.special import ndtri, stdtrit

    return float(-ndtri(chance)) if math.isinf(degrees) else float(-stdtrit(degrees, chance))
