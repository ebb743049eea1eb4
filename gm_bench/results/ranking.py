"""What may be said of an order: intervals of means over seeds, and ranks that rows share unless told apart.

Seeds are independent draws. Variances are moderated among variants whose noise is of one kind (`moderation`).
No noise was measured of a variant of one seed: it has no interval and no rank. A metric whose spread grows
with it is compared by its logarithm.

Two means a and b are told apart where they differ by more than √((q_a e_a)² + (q_b e_b)²), e their standard
errors and q the quantile of Student's t for the degrees of freedom that each is known with: whatever the
variances are, noise alone exceeds it no more often than it may.

Source: Banerjee 1960, "Approximate confidence interval for linear functions of means of k populations when
the population variances are not equal", Sankhyā 22, 357–358.
Deviates from the paper: there variances are estimated independently of one another, here they are moderated;
that it holds all the same is what benchmarks/ranks.py shows.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gm_bench.results.moderation import Spread, posteriors, quantile

CONFIDENCE = 0.95
LEVEL = 0.05


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds on the scale of comparison, its standard error and how well that is known."""

    mean: float
    error: float
    degrees: float

    def half_width(self, chance: float) -> float:
        """How far from it the true mean lies beyond either side with this chance."""
        return quantile(chance, self.degrees) * self.error


def intervals(
    values: Mapping[str, Sequence[float]], ratio: bool, kinds: Mapping[str, str] | None = None
) -> dict[str, tuple[float, float] | None]:
    """95 % intervals of the means by variant, from the moderated t distribution.

    Args:
        values: one per finished seed, by variant; at least one each.
        ratio: whether differences are relative; then the interval is that of the logarithm around the mean.
        kinds: of noise, by variant; without it that of all is of one kind.

    Returns:
        (low, high); None for a variant of one seed.
    """
    scaled = {v: [math.log(x) for x in xs] if ratio else list(xs) for v, xs in values.items()}
    found: dict[str, tuple[float, float] | None] = dict.fromkeys(values)
    for variant, estimate in estimates(scaled, kinds).items():
        mean, half = statistics.fmean(values[variant]), estimate.half_width((1 - CONFIDENCE) / 2)
        found[variant] = (
            (mean * math.exp(-half), mean * math.exp(half)) if ratio else (mean - half, mean + half)
        )
    return found


def ranks(
    badness: Mapping[str, Sequence[float]], kinds: Mapping[str, str] | None = None
) -> dict[str, int | None]:
    """Ranks of variants by values of which lower ones are better: 1 + how many are better beyond noise.

    None for a variant of one seed, which counts in no pair.

    Args:
        kinds: of noise, by variant; without it that of all is of one kind.
    """
    known = better(badness, kinds)
    return {variant: 1 + len(known[variant]) if variant in known else None for variant in badness}


def better(
    badness: Mapping[str, Sequence[float]], kinds: Mapping[str, str] | None = None
) -> dict[str, set[str]]:
    """For each variant of two seeds or more those that are better beyond noise; lower values are better.

    Two variants are told apart at a level of 5 %, two-sided, over all pairs together (Bonferroni).

    Args:
        kinds: of noise, by variant; without it that of all is of one kind.
    """
    known = estimates(badness, kinds)
    chance = LEVEL / 2 / max(1, math.comb(len(known), 2))
    return {
        variant: {name for name, other in known.items() if own.mean - other.mean > limit(own, other, chance)}
        for variant, own in known.items()
    }


def limit(one: Estimate, other: Estimate, chance: float) -> float:
    """What the difference of two means exceeds by noise alone with about this chance at most."""
    return math.hypot(one.half_width(chance), other.half_width(chance))


def estimates(
    values: Mapping[str, Sequence[float]], kinds: Mapping[str, str] | None = None
) -> dict[str, Estimate]:
    """What is known of the mean of each variant of two seeds or more.

    Args:
        values: one per finished seed, by variant, on the scale of comparison.
        kinds: of noise, by variant; without it that of all is of one kind.
    """
    several = {variant: each for variant, each in values.items() if len(each) > 1}
    known = posteriors({variant: Spread.of(each) for variant, each in several.items()}, kinds)
    return {
        variant: Estimate(statistics.fmean(each), math.sqrt(known[variant][0] / len(each)), known[variant][1])
        for variant, each in several.items()
    }
