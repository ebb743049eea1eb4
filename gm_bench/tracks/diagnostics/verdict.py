"""Whether a claim holds: by an interval over seeds, against a region that was fixed before.

    holds            the whole 95 % interval of the mean lies in the region
    does not hold    the whole interval lies outside
    cannot be told   it reaches over an end of the region, or there is one seed only

The interval is Student's t of the seeds, and reaches to either side as far at least as the least difference
that there can be between two seeds (`Expected.step`). A claim of several quantities holds where each does,
and does not hold where one does not; nothing is corrected for their number.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gm_bench.results.moderation import quantile
from gm_bench.tracks.diagnostics.claim import Claim, Expected

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be told"
ROUNDING = 1e-9  # of a step: a share is rounded, and its step often ends at an end of the region
CHANCE = 0.025  # of the mean lying beyond each end of the interval


@dataclass(frozen=True)
class Finding:
    """What the seeds say of one quantity; `interval` is None where there is one seed."""

    expected: Expected
    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None
    verdict: str

    @property
    def n_within(self) -> int:
        """How many seeds lie in the region each by itself."""
        return sum(map(self.expected.contains, self.values))


def judge(expected: Expected, values: Sequence[float]) -> Finding:
    """The verdict on one quantity, from a value for each seed, at least one."""
    mean = statistics.fmean(values)
    interval = mean_interval(values, expected.step)
    verdict = OPEN
    if interval is not None:
        hair = ROUNDING * expected.step
        low, high = interval[0] - hair, interval[1] + hair
        if expected.contains(low) and expected.contains(high):
            verdict = HOLDS
        elif high < expected.low or low > expected.high:
            verdict = FAILS
    return Finding(expected, tuple(values), mean, interval, verdict)


def mean_interval(values: Sequence[float], least: float = 0.0) -> tuple[float, float] | None:
    """95 % interval of the mean, which reaches at least so far to either side; None for a single value."""
    n = len(values)
    if n < 2:
        return None
    half = max(least, quantile(CHANCE, n - 1) * statistics.stdev(values) / math.sqrt(n))
    mean = statistics.fmean(values)
    return mean - half, mean + half


def findings(claim: Claim, values: Mapping[str, Sequence[float]]) -> list[Finding]:
    """One for each quantity of a claim, from key → a value for each seed."""
    return [judge(expected, values[expected.key]) for expected in claim.expected]


def of_claim(found: Sequence[Finding]) -> str:
    """The verdict on a claim from those on its quantities."""
    verdicts = {finding.verdict for finding in found}
    if FAILS in verdicts:
        return FAILS
    return OPEN if OPEN in verdicts else HOLDS
