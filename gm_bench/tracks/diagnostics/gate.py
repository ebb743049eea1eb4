"""The gate on claims: those that take seconds are run with one seed and held against the accepted report.

An experiment is deterministic, so that code that means the same gives the same values, but for rounding on
another machine. A value that differs is a failure of the gate where it

    leaves the region that is expected, of a quantity that held by all seeds and by this one, or
    is farther from the mean of the accepted seeds than another seed would be by chance.

For the second, a new seed lies within t s √(1 + 1/n) of the mean of n, with Student's t of n − 1 degrees of
freedom; its chance is that of a false alarm shared out among all quantities. Where seeds differ by nothing
or by rounding alone, a small share of the value, or of its way to the end of the region, is allowed.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

from gm_bench.config import Params
from gm_bench.reproducibility import make_deterministic
from gm_bench.results.leaderboard import Entry, Leaderboard
from gm_bench.results.moderation import quantile
from gm_bench.results.regression import FALSE_ALARM_RATE
from gm_bench.tracks.diagnostics.claim import Expected, find, run
from gm_bench.tracks.diagnostics.stages import budget
from gm_bench.tracks.diagnostics.verdict import HOLDS, judge

# Together 41 CPU seconds on a slow core; none that trains on images, none that measures time.
WATCHED = (
    "metrics_see",
    "elbo_and_bounds",
    "optimal_discriminator",
    "kde_in_high_dimension",
    "ascent_from_noise",
    "penalty_bias",
)
SEED = 0
ROUNDING = 1e-6  # relative; below it a value is the accepted one
OF_VALUE, OF_WAY = 0.01, 0.05  # what may differ where seeds do not: of the value, of its way to an end


def changes(params: Params, board: str, accepted: Leaderboard) -> Iterator[tuple[str, list[str]]]:
    """Each watched claim of a board, run when it is asked for, with a sentence for each thing that changed.

    Args:
        accepted: the committed leaderboard of the board.
    """
    make_deterministic()
    claims = [claim for claim in WATCHED if claim in params.board(board).variants]
    n_quantities = sum(len(find(claim).expected) for claim in claims)
    chance = FALSE_ALARM_RATE / 2 / max(n_quantities, 1)
    by_claim = {variant: entry for (_, variant), entry in accepted.by_key.items()}
    for claim in claims:
        entry = by_claim.get(claim)
        if entry is None or SEED not in entry.finished:
            yield claim, [f"{claim} has no values of seed {SEED} in reports/{board}{_remedy(board)}"]
            continue
        try:
            values = run(claim, SEED, budget(params, board, claim)).values
        except ValueError as error:
            yield claim, [f"{claim} broke down: {error}"]
            continue
        found = different(find(claim).expected, entry, values, chance)
        yield claim, [f"{claim}: {sentence}{_remedy(board)}" for sentence in found]


def different(
    quantities: Sequence[Expected], entry: Entry, values: Mapping[str, float], chance: float
) -> list[str]:
    """What differs from an entry of the accepted leaderboard, a sentence each.

    Args:
        values: of the seed SEED, a value for each quantity.
        chance: of a value beyond each end of what is called chance, were it another seed's.
    """
    found = []
    for each in quantities:
        new = values[each.key]
        if each.key not in entry.metrics:
            found.append(f"{each.title} is not among the accepted values")
            continue
        seeds = entry.metrics[each.key].values
        old = seeds[entry.finished.index(SEED)]
        if math.isclose(new, old, rel_tol=ROUNDING, abs_tol=ROUNDING * abs(statistics.fmean(seeds))):
            continue
        was = f"{each.title} is {new:.4g} and was {old:.4g} with seed {SEED}"
        held = judge(each, seeds).verdict == HOLDS and each.contains(old)
        if held and not each.contains(new):
            found.append(f"{was}: it does not hold any more, {each.region} is expected")
        elif abs(new - statistics.fmean(seeds)) > _reach(each, seeds, chance):
            span = f"{min(seeds):.4g} to {max(seeds):.4g} over {len(seeds)} seeds"
            found.append(f"{was}, {span}: that is more than chance")
    return found


def _reach(expected: Expected, seeds: Sequence[float], chance: float) -> float:
    """How far from their mean another seed may lie."""
    n, mean = len(seeds), statistics.fmean(seeds)
    ends = [abs(end - mean) for end in (expected.low, expected.high) if math.isfinite(end)]
    least = max(OF_VALUE * abs(mean), OF_WAY * min(ends, default=0.0))
    if n < 2:
        return least
    return max(least, quantile(chance, n - 1) * statistics.stdev(seeds) * math.sqrt(1 + 1 / n))


def _remedy(board: str) -> str:
    return f"; if that is meant, run gm-bench run --board {board} and accept reports/{board}"
