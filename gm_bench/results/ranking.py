"""What may be said of an order: intervals of means over seeds, and ranks that rows share unless told apart.

Seeds are independent draws. Variances are moderated over the variants of a dataset (see `moderation`), so a
variant with one seed borrows the noise of the others. A metric whose spread grows with it is compared by its
logarithm.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gm_bench.results.moderation import Spread, fit_prior, quantile

CONFIDENCE = 0.95
LEVEL = 0.05


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds on the scale of comparison; `error` is its standard one, None without noise."""

    mean: float
    error: float | None
    degrees: float


def intervals(values: Mapping[str, Sequence[float]], ratio: bool) -> dict[str, tuple[float, float] | None]:
    """95 % intervals of the means by variant, from the moderated t distribution.

    Args:
        values: one per finished seed, by variant; at least one each.
        ratio: whether differences are relative; then the interval is that of the logarithm around the mean.

    Returns:
        (low, high); None for all where no variant has two seeds.
    """
    found: dict[str, tuple[float, float] | None] = {}
    for variant, estimate in _estimates(values, ratio).items():
        mean = statistics.fmean(values[variant])
        if estimate.error is None:
            found[variant] = None
            continue
        half = quantile((1 - CONFIDENCE) / 2, estimate.degrees) * estimate.error
        found[variant] = (
            (mean * math.exp(-half), mean * math.exp(half)) if ratio else (mean - half, mean + half)
        )
    return found


def ranks(badness: Mapping[str, Sequence[float]]) -> dict[str, int | None]:
    """Ranks of variants by values of which lower ones are better: 1 + how many are better beyond noise.

    Two variants are told apart by a moderated t-test, two-sided, at a level of 5 % over all pairs together
    (Bonferroni). None for all where no variant has two seeds.
    """
    estimates = _estimates(badness, ratio=False)
    n_pairs = math.comb(len(estimates), 2)
    found: dict[str, int | None] = {}
    for variant, own in estimates.items():
        if own.error is None:
            found[variant] = None
            continue
        n_better = 0
        for other in estimates.values():
            if other is own or other.error is None:
                continue
            limit = quantile(LEVEL / 2 / n_pairs, min(own.degrees, other.degrees))
            n_better += own.mean - other.mean > limit * math.hypot(own.error, other.error)
        found[variant] = 1 + n_better
    return found


def _estimates(values: Mapping[str, Sequence[float]], ratio: bool) -> dict[str, Estimate]:
    scaled = {v: [math.log(x) for x in xs] if ratio else list(xs) for v, xs in values.items()}
    spreads = {variant: Spread.of(each) for variant, each in scaled.items()}
    total = sum(spread.degrees for spread in spreads.values())
    if not total:
        return {variant: Estimate(statistics.fmean(each), None, 0) for variant, each in scaled.items()}
    prior = fit_prior(list(spreads.values()))
    found = {}
    for variant, each in scaled.items():
        variance, degrees = prior.posterior(spreads[variant])
        error = math.sqrt(variance / len(each))
        found[variant] = Estimate(statistics.fmean(each), error, min(degrees, total))
    return found
