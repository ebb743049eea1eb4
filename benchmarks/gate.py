"""How often the regression gate cries wolf, and what it sees: simulated runs of the board digits.

    python benchmarks/gate.py [--runs N] [--output FILE]

Each simulated run draws a baseline and a candidate and asks `regression.check` or, where more seeds may be
run, `regression.judge`: the code behind `gm-bench check` and `gm-bench check --resolve`. Means and spreads
between seeds are those of reports/digits/leaderboard.json; its variants are repeated until there are 8. What
a spread of three seeds says of the truth is uncertain, so three truths are simulated: every variant has the
pooled spread; every variant has the spread that was observed for it (which exaggerates how much they differ);
halfway between the two.
"""

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gm_bench.metrics.catalogue import IMAGES  # noqa: E402
from gm_bench.results.baseline import of_board  # noqa: E402
from gm_bench.results.leaderboard import Entry, Leaderboard, Score  # noqa: E402
from gm_bench.results.regression import Wanted, check, judge  # noqa: E402

GATED = IMAGES.gated()
N_VARIANTS = 8
N_FIRST = 3  # seeds of the board digits
DATASET = "digits"
TRUTHS = {"alike": 0.0, "halfway": 0.5, "as observed": 1.0}
FLOOR = dict.fromkeys(GATED, 1.0)


@dataclass(frozen=True)
class Truth:
    """What simulated variants are: mean and standard deviation of the badness of each metric."""

    means: dict[str, np.ndarray]
    spreads: dict[str, np.ndarray]


def truth(rows: list[dict[str, Any]], share_observed: float) -> Truth:
    """Means of the leaderboard's rows, and variances between the pooled and the observed ones."""
    means, spreads = {}, {}
    for metric in GATED:
        relative = IMAGES.is_relative(metric)
        values = [row["metrics"][metric]["values"] for row in rows]
        bad = [[IMAGES.badness(metric, v, relative=relative) for v in each] for each in values]
        variances = np.array([statistics.variance(values) for values in bad])
        repeats = [i % len(rows) for i in range(N_VARIANTS)]
        means[metric] = np.array([statistics.fmean(values) for values in bad])[repeats]
        mixed = share_observed * variances + (1 - share_observed) * variances.mean()
        spreads[metric] = np.sqrt(mixed)[repeats]
    return Truth(means, spreads)


def value(metric: str, bad: float) -> float:
    """The metric that has this badness; of the two distances from an ideal the upper one."""
    ideal = IMAGES[metric].ideal
    if ideal is not None:
        return ideal + bad
    return math.exp(bad) if IMAGES.is_relative(metric) else -bad


@dataclass(frozen=True)
class Case:
    """What a candidate is.

    Args:
        changed: places of the variants whose values are not the baseline's.
        worse: places of those whose FID is worse.
        factor: by which it is.
    """

    changed: Sequence[int]
    worse: Sequence[int] = ()
    factor: float = 1.0


EVERY = tuple(range(N_VARIANTS))


@dataclass(frozen=True)
class Simulation:
    """Draws leaderboards of one truth."""

    rng: np.random.Generator
    of: Truth

    def entry(self, i: int, seeds: Sequence[int], case: Case) -> Entry:
        """Fresh seeds of a variant."""
        scores = {}
        for metric in GATED:
            bad = self.of.means[metric][i] + self.of.spreads[metric][i] * self.rng.standard_normal(len(seeds))
            shift = math.log(case.factor) if metric == "fid" and i in case.worse else 0.0
            scores[metric] = Score(tuple(value(metric, b + shift) for b in bad))
        return Entry(DATASET, f"v{i}", "", "", tuple(seeds), len(seeds), scores, {"budget": 1})

    def baseline(self, n_seeds: int) -> Leaderboard:
        return board([self.entry(i, range(n_seeds), Case(())) for i in EVERY])

    def candidate(self, before: Leaderboard, n_seeds: int, case: Case) -> Leaderboard:
        """Fresh seeds of what changed, the baseline's own of the rest."""
        return board(
            [
                self.entry(i, range(n_seeds), case)
                if i in case.changed
                else shortened(before.entries[DATASET][i], n_seeds)
                for i in EVERY
            ]
        )

    def with_more(self, after: Leaderboard, wanted: Wanted, case: Case) -> Leaderboard:
        """The candidate with more seeds of some variants."""
        entries = []
        for i, old in enumerate(after.entries[DATASET]):
            seeds = wanted.get((DATASET, old.variant), ())
            entries.append(joined(old, self.entry(i, seeds, case)) if seeds else old)
        return board(entries)


def board(entries: list[Entry]) -> Leaderboard:
    return Leaderboard("", "", IMAGES, {DATASET: {}}, {DATASET: FLOOR}, {}, {DATASET: entries})


def shortened(entry: Entry, n: int) -> Entry:
    """The first seeds of an entry."""
    metrics = {name: Score(score.values[:n]) for name, score in entry.metrics.items()}
    return replace(entry, seeds=entry.seeds[:n], n_finished=n, metrics=metrics)


def joined(one: Entry, other: Entry) -> Entry:
    """An entry with the seeds of two."""
    seeds = (*one.seeds, *other.seeds)
    metrics = {m: Score((*one.metrics[m].values, *other.metrics[m].values)) for m in one.metrics}
    return replace(one, seeds=seeds, n_finished=len(seeds), metrics=metrics)


@dataclass(frozen=True)
class Rates:
    """Share of runs that failed, mean number of cells beyond those of the board, and number of runs."""

    failed: float
    n_more: float
    n: int


def rates(
    of: Truth, n_runs: int, case: Case, n_before: int, n_first: int = N_FIRST, most: int | None = None
) -> Rates:
    """What the gate says of `n_runs` runs.

    Args:
        n_before: seeds of the baseline.
        n_first: seeds of the candidate's board.
        most: of which it may be given more, up to this; None for a single look.
    """
    simulation = Simulation(np.random.default_rng(0), of)
    n_failed, n_more = 0, 0
    for _ in range(n_runs):
        before = simulation.baseline(n_before)
        accepted = of_board(before, "simulated", seeds=tuple(range(n_first)))
        after = [simulation.candidate(before, n_first, case)]
        if most is None:
            verdict = check(accepted, after[0])
        else:

            def run(wanted: Wanted, after: list[Leaderboard] = after) -> Leaderboard:
                after.append(simulation.with_more(after[-1], wanted, case))
                return after[-1]

            verdict = judge(accepted, after[0], run, most)
        n_failed += not verdict.passed
        n_more += sum(len(entry.seeds) - n_first for entry in after[-1].entries[DATASET])
    return Rates(n_failed / n_runs, n_more / n_runs, n_runs)
