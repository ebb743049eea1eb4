"""How often the regression gate cries wolf, and what it sees: simulated runs of the board digits.

    python benchmarks/gate.py [--runs N] [--output FILE]

Each simulated run draws a baseline and a candidate and asks `regression.check` or, where more seeds may be
run, `regression.judge`: the code behind `gm-bench check` and `gm-bench check --resolve`. Means and spreads
between seeds are those of reports/digits/leaderboard.json; its variants are repeated until there are 8. What
a spread of three seeds says of the truth is uncertain, so three truths are simulated: every variant has the
pooled spread; every variant has the spread that was observed for it (which exaggerates how much they differ);
halfway between the two.
"""

import argparse
import json
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
from gm_bench.results import regression  # noqa: E402
from gm_bench.results.baseline import of_board  # noqa: E402
from gm_bench.results.leaderboard import Entry, Leaderboard, Score  # noqa: E402
from gm_bench.results.regression import MOST_SEEDS, Wanted, check, judge  # noqa: E402

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


def percent(rate: float, n: int) -> str:
    """A rate with its standard error."""
    return f"{100 * rate:.1f} ± {100 * math.sqrt(rate * (1 - rate) / n):.1f} %"


def in_turn(
    of: Truth, n_runs: int, factor: float, everywhere: bool, n_before: int, most: int | None
) -> Rates:
    """FID is worse in one variant, each in turn; the others are unchanged, or all are run anew."""
    each = [
        rates(of, n_runs // N_VARIANTS, Case(EVERY if everywhere else [i], [i], factor), n_before, most=most)
        for i in EVERY
    ]
    failed, n_more = (statistics.fmean(getattr(r, name) for r in each) for name in ("failed", "n_more"))
    return Rates(failed, n_more, sum(r.n for r in each))


def report(rows: list[dict[str, Any]], n_runs: int) -> str:
    truths = {name: truth(rows, share) for name, share in TRUTHS.items()}
    return "\n".join([*_introduction(rows, truths, n_runs), *_false_alarms(truths, n_runs),
                      *_power(truths, n_runs), *_bounds(truths["halfway"], n_runs)]) + "\n"  # fmt: skip


def _introduction(rows: list[dict[str, Any]], truths: dict[str, Truth], n_runs: int) -> list[str]:
    spreads = truths["as observed"].spreads
    return [
        "# What the regression gate sees",
        "",
        f"`python benchmarks/gate.py --runs {n_runs}` wrote this file.",
        "",
        f"Simulated runs of the board digits, {N_VARIANTS} variants on {DATASET} with {N_FIRST} seeds: means "
        f"and spreads between seeds are those of `reports/digits/leaderboard.json` ({len(rows)} variants "
        f"there, repeated); judged are {', '.join(GATED)}. The gate's own chance of a false alarm is set to "
        f"{100 * regression.FALSE_ALARM_RATE:g} % a run "
        f"({100 * regression.FALSE_ALARM_RATE_OF_FEW_SEEDS:g} % with fewer than {MOST_SEEDS} seeds in the "
        f"baseline), of which half is for {IMAGES.order_by}. *alike*: "
        "all variants have the pooled spread. *as observed*: each has the spread that its three seeds "
        "happened to show, which exaggerates how different they are. Rates ± their standard error; in "
        "brackets the mean number of cells beyond those of the board that a run takes. `--resolve` goes up "
        f"to {MOST_SEEDS} seeds of a variant.",
        "",
        "Spread between seeds (standard deviation; of FID relative): "
        + "; ".join(f"{m} {spreads[m].min():.2g} to {spreads[m].max():.2g}" for m in GATED)
        + ".",
        "",
    ]


def _table(truths: dict[str, Truth], first: str, lines: Sequence[tuple[str, Any]]) -> list[str]:
    """One column a truth: what each line's function says of it."""
    head = ["", f"| {first} | " + " | ".join(truths) + " |", "| --- |" + " ---: |" * len(truths)]
    for label, ask in lines:
        found = [ask(of) for of in truths.values()]
        cells = [percent(r.failed, r.n) + (f" ({r.n_more:.1f})" if r.n_more else "") for r in found]
        head.append(f"| {label} | " + " | ".join(cells) + " |")
    return [*head, ""]


def _false_alarms(truths: dict[str, Truth], n_runs: int) -> list[str]:
    every, one, n = Case(EVERY), Case([0]), MOST_SEEDS
    return [
        "## False alarms: nothing is worse, the gate fails all the same",
        "",
        "A variant that did not change is not tested. So chance has most room where a change touches every "
        "variant without making any worse.",
        *_table(
            truths,
            "what changed, how it is checked",
            [
                (
                    "every variant, `--resolve`",
                    lambda of: rates(of, n_runs, every, n, most=n),
                ),
                ("one variant, `--resolve`", lambda of: rates(of, n_runs, one, n, most=n)),
                ("every variant, one look", lambda of: rates(of, n_runs, every, n)),
                ("every variant, one look, 3 seeds in the baseline", lambda of: rates(of, n_runs, every, 3)),
            ],
        ),
    ]


def _power(truths: dict[str, Truth], n_runs: int) -> list[str]:
    lines: list[tuple[str, Any]] = []
    for everywhere, others in ((False, "the others unchanged"), (True, "the others changed")):
        for factor in (1.1, 1.2, 1.5):
            for most, how in ((MOST_SEEDS, "`--resolve`"), (None, "one look")):

                def ask(of: Truth, f: float = factor, e: bool = everywhere, m: int | None = most) -> Rates:
                    return in_turn(of, n_runs, f, e, MOST_SEEDS, m)

                lines.append((f"{100 * (factor - 1):.0f} %, {others}, {how}", ask))
    return [
        f"## Power: FID is worse in one variant of {N_VARIANTS}, the gate fails",
        "",
        f"Each variant in turn; {MOST_SEEDS} seeds in the baseline.",
        *_table(truths, "FID worse by", lines),
    ]


def _bounds(of: Truth, n_runs: int) -> list[str]:
    """What other bounds would reach, with as many seeds in the baseline."""
    lines = [
        "## Other bounds",
        "",
        "Truth: halfway; the others unchanged, as many seeds in the baseline as the bound.",
        "",
        "| seeds of a variant at most | FID worse by 10 % | by 20 % |",
        "| ---: | ---: | ---: |",
    ]
    for most in (6, 12, 18, 24):
        found = [in_turn(of, n_runs // 2, factor, False, most, most) for factor in (1.1, 1.2)]
        cells = [f"{percent(r.failed, r.n)} ({r.n_more:.1f})" for r in found]
        lines.append(f"| {most} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2000, help="simulated runs per figure")
    parser.add_argument("--leaderboard", type=Path, default=ROOT / "reports/digits/leaderboard.json")
    parser.add_argument("--output", type=Path, default=ROOT / "reports/gate/simulation.md")
    options = parser.parse_args()
    if options.runs < 2 * N_VARIANTS:
        parser.error(f"--runs is {options.runs}: at least {2 * N_VARIANTS}, a run of each variant, twice")
    rows = json.loads(options.leaderboard.read_text(encoding="utf-8"))["rows"]
    text = report([row for row in rows if row["dataset"] == DATASET], options.runs)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
