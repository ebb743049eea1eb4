"""How often the regression gate cries wolf, and what it sees: simulated runs of the board digits.

    python benchmarks/gate.py [--runs N] [--output FILE]

Each simulated run draws a baseline and a candidate and asks `regression.check`, the code behind
`gm-bench check`. Means and spreads between seeds are those of reports/digits/leaderboard.json; its variants
are repeated until there are 8. What a spread of three seeds says of the truth is uncertain, so three truths
are simulated: every variant has the pooled spread; every variant has the spread that was observed for it
(which exaggerates how much they differ); halfway between the two.
"""

import argparse
import functools
import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gm_bench.metrics.catalogue import IMAGES  # noqa: E402
from gm_bench.results import regression  # noqa: E402
from gm_bench.results.leaderboard import Entry, Leaderboard, Score  # noqa: E402
from gm_bench.results.regression import ALL_VARIANTS, of_board  # noqa: E402

GATED = IMAGES.gated()
N_VARIANTS = 8
DATASET = "digits"
TRUTHS = {"alike": 0.0, "halfway": 0.5, "as observed": 1.0}


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


def draw(rng: np.random.Generator, of: Truth, n_seeds: int, shift: np.ndarray) -> Leaderboard:
    """A board whose FID is worse by `shift` (n_variants,), in badness."""
    entries = []
    for i in range(N_VARIANTS):
        scores = {}
        for metric in GATED:
            bad = of.means[metric][i] + of.spreads[metric][i] * rng.standard_normal(n_seeds)
            worse = shift[i] if metric == "fid" else 0
            scores[metric] = Score(tuple(value(metric, b + worse) for b in bad))
        seeds = tuple(range(n_seeds))
        entries.append(Entry(DATASET, f"v{i}", "", "", seeds, n_seeds, scores, {"budget": 1}))
    floor = dict.fromkeys(GATED, 1.0)
    return Leaderboard("", "", IMAGES, {DATASET: {}}, {DATASET: floor}, {}, {DATASET: entries})


@dataclass(frozen=True)
class Rates:
    """Shares of runs that failed for any reason, for a variant's comparison, and for the suite-wide one."""

    any: float
    variant: float
    suite: float
    n: int


def rates(
    of: Truth,
    n_runs: int,
    *,
    shift: np.ndarray,
    n_seeds: int = 3,
    n_baseline: int = 3,
    n_earlier: int = 0,
    gated: Sequence[str] = GATED,
) -> Rates:
    """What the gate says of `n_runs` runs with `n_earlier` accepted baselines behind them."""
    rng = np.random.default_rng(0)
    nothing = np.zeros(N_VARIANTS)
    counts = np.zeros(3)
    for _ in range(n_runs):
        baseline = of_board(draw(rng, of, n_baseline, nothing), "simulated")
        for _ in range(n_earlier):
            baseline = of_board(draw(rng, of, n_baseline, nothing), "simulated", baseline)
        # More seeds in the baseline than in the candidate: no fault of the candidate here.
        candidate = draw(rng, of, n_seeds, shift)
        worse = regression.check(baseline, candidate, gated).worse
        suite = [c for c in worse if c.variant == ALL_VARIANTS]
        counts += [bool(worse), len(suite) < len(worse), bool(suite)]
    return Rates(*(float(c) / n_runs for c in counts), n_runs)


def percent(rate: float, n: int) -> str:
    """A rate with its standard error."""
    return f"{100 * rate:.1f} ± {100 * math.sqrt(rate * (1 - rate) / n):.1f} %"


def report(rows: list[dict[str, Any]], n_runs: int) -> str:
    truths = {name: truth(rows, share) for name, share in TRUTHS.items()}
    nothing = np.zeros(N_VARIANTS)
    lines = [
        "# What the regression gate sees",
        "",
        f"`python benchmarks/gate.py --runs {n_runs}` wrote this file.",
        "",
        f"Simulated runs of the board digits, {N_VARIANTS} variants on {DATASET}: means and spreads between "
        f"seeds are those of `reports/digits/leaderboard.json` ({len(rows)} variants there, repeated); "
        f"judged are {', '.join(GATED)}; the gate's own chance of a false alarm is set to "
        f"{100 * regression.FALSE_ALARM_RATE:g} % per run. *alike*: all variants have the pooled spread. "
        "*as observed*: each has the spread that its three seeds happened to show, which exaggerates how "
        "different they are. Every rate ± its standard error.",
        "",
        "Spread between seeds (standard deviation; of FID relative): "
        + "; ".join(f"{m} {_range(truths['as observed'].spreads[m])}" for m in GATED)
        + ".",
        "",
        "## False alarms: nothing has changed, the gate fails all the same",
        "",
        "| baseline | " + " | ".join(truths) + " |",
        "| --- |" + " ---: |" * len(truths),
    ]
    for label, n_earlier in (("3 seeds, the first baseline", 0), ("3 seeds, 4 earlier ones pooled", 4)):
        found = [rates(t, n_runs, shift=nothing, n_earlier=n_earlier) for t in truths.values()]
        lines.append(f"| {label} | " + " | ".join(percent(r.any, r.n) for r in found) + " |")
    lines += [
        "",
        "## Power: FID is worse, the gate fails",
        "",
        "Truth: halfway. *One*: in one variant alone (each in turn). *All*: in every variant.",
        "",
        "| seeds | baseline | FID worse by | one variant | all variants |",
        "| ---: | --- | ---: | ---: | ---: |",
    ]
    half = truths["halfway"]
    for n_seeds, n_baseline, n_earlier in ((3, 3, 0), (3, 3, 4), (3, 10, 0), (10, 10, 0)):
        for worse in (1.1, 1.2, 1.5, 2.0):
            run = functools.partial(rates, half, n_seeds=n_seeds, n_baseline=n_baseline, n_earlier=n_earlier)
            n = max(n_runs // 8, N_VARIANTS)
            each = [
                run(n // N_VARIANTS, shift=math.log(worse) * (np.arange(N_VARIANTS) == i)).any
                for i in range(N_VARIANTS)
            ]
            everywhere = run(n, shift=np.full(N_VARIANTS, math.log(worse)))
            earlier = f", {n_earlier} earlier" if n_earlier else ""
            lines.append(
                f"| {n_seeds} | {n_baseline} seeds{earlier} | {100 * (worse - 1):.0f} % | "
                f"{percent(statistics.fmean(each), n)} | {percent(everywhere.any, n)} |"
            )
    lines += ["", "## The same with other sets of judged metrics", "", *_metric_sets(half, n_runs // 8)]
    return "\n".join(lines) + "\n"


def _range(spreads: np.ndarray) -> str:
    return f"{spreads.min():.2g} to {spreads.max():.2g}"


def _metric_sets(of: Truth, n_runs: int) -> list[str]:
    """False alarms and power where fewer metrics are judged: what each one costs."""
    lines = ["| judged | false alarms | FID 20 % worse in all |", "| --- | ---: | ---: |"]
    for names in (["fid"], ["fid", "one_nn"], GATED):
        null, power = (
            rates(of, n_runs, shift=np.full(N_VARIANTS, math.log(worse)), gated=names) for worse in (1.0, 1.2)
        )
        lines.append(f"| {', '.join(names)} | {percent(null.any, n_runs)} | {percent(power.any, n_runs)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=4000, help="simulated runs per figure")
    parser.add_argument("--leaderboard", type=Path, default=ROOT / "reports/digits/leaderboard.json")
    parser.add_argument("--output", type=Path, default=ROOT / "reports/gate/simulation.md")
    options = parser.parse_args()
    rows = json.loads(options.leaderboard.read_text(encoding="utf-8"))["rows"]
    text = report([row for row in rows if row["dataset"] == DATASET], options.runs)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
