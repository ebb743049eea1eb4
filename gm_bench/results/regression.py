"""The regression gate: a leaderboard against an earlier one → what got worse by more than noise explains.

Pure functions: contents of json files in, verdicts and contents of json files out.

How a metric is compared. Values are turned into a *badness*, larger is worse: the logarithm for FID (its
spread grows with it), the value or its negative elsewhere, the distance from 0.5 for 1-NN. A variant's shift
is the difference of the means over its seeds. Its noise follows from spreads between seeds, which hold the
noise of the draws: the variant's own spread, in baseline and candidate, is drawn towards the spread of all
variants of the dataset as far as the variants agree about it.

Source: Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression", §3
(moderated t) and §6.2 (the prior's scale and degrees of freedom).

    s_v² ~ s0² F(d_v, d0),   s̃_v² = (d0 s0² + Σ squares) / (d0 + d),   t = shift / (s̃_v √(1/n + 1/m))

A shift is a regression where t exceeds the quantile of Student's t at a chance that is shared out among all
comparisons of the run (Bonferroni), and where the shift also exceeds the metric's margin: a difference that
is certain may still be too small to matter. The mean shift of all variants of a dataset is one comparison
more, which sees a small harm that is done to every variant.

Deviates from the paper: variants without spread do not count in the prior.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gm_bench.results.leaderboard import COLUMNS
from gm_bench.results.moderation import Spread, fit_prior, quantile
from gm_bench.results.protocol import same_protocol

SCHEMA = 1
# Of a run, were spreads normal and well known. The simulation (benchmarks/gate.py) shows what comes of it.
FALSE_ALARM_RATE = 0.0025
ALL_VARIANTS = "all variants"
Json = Mapping[str, Any]
Outcome = Literal["worse", "better", "same"]


class NotComparable(ValueError):
    """Two leaderboards, or a file that is none, of which no verdict can be given; the message says why."""


@dataclass(frozen=True)
class Gauge:
    """How a metric is judged.

    Args:
        margin: the smallest difference in badness that matters; the logarithm of a ratio where `ratio`.
        ratio: whether differences are relative.
    """

    margin: float
    ratio: bool = False


# What the gate judges. KID goes with FID, the other metrics with these, and each one more costs power.
GATED: Mapping[str, Gauge] = {
    "fid": Gauge(margin=math.log(1.05), ratio=True),
    "one_nn": Gauge(margin=0.01),
    "precision": Gauge(margin=0.02),
    "recall": Gauge(margin=0.02),
}


def judgeable(names: Sequence[str]) -> dict[str, Gauge]:
    """Gauges without margins for every metric whose direction is known: for looking, not for failing."""
    known = [name for name in names if name in COLUMNS and COLUMNS[name].direction[0] in "↑↓→"]
    return {name: Gauge(0.0, name in GATED and GATED[name].ratio) for name in known}


@dataclass(frozen=True)
class Result:
    """A variant on a dataset: values of finished seeds by metric; `seeds` also has those that diverged."""

    seeds: tuple[int, ...]
    budget: int
    values: Mapping[str, tuple[float, ...]]

    @property
    def n_finished(self) -> int:
        return max((len(values) for values in self.values.values()), default=0)


@dataclass(frozen=True)
class Board:
    """What a leaderboard.json says, as far as it is compared."""

    protocols: Mapping[str, Json]
    floors: Mapping[str, Mapping[str, float]]
    results: Mapping[tuple[str, str], Result]

    def variants(self, dataset: str) -> list[str]:
        return [variant for name, variant in self.results if name == dataset]


@dataclass(frozen=True)
class Baseline:
    """A leaderboard that was accepted, and the spreads of it and of those accepted before it.

    `spreads` are by dataset, variant and gated metric, in badness.
    """

    board: Board
    revision: str
    spreads: Mapping[tuple[str, str, str], Spread]


@dataclass(frozen=True)
class Comparison:
    """One metric of one variant, or of all of them together, before and after.

    `before` and `after` are means of the metric itself (for all variants: of their means); `shift`, `noise`
    (its standard deviation) and `limit` are in badness, where more than `limit` is a regression.
    """

    dataset: str
    variant: str
    metric: str
    before: float
    after: float
    shift: float
    noise: float
    limit: float

    @property
    def outcome(self) -> Outcome:
        return "worse" if self.shift > self.limit else "better" if self.shift < -self.limit else "same"


@dataclass(frozen=True)
class Verdict:
    """What came out of a comparison: `failures` and `remarks` are sentences about cells, not numbers."""

    comparisons: Sequence[Comparison]
    failures: Sequence[str] = field(default_factory=tuple)
    remarks: Sequence[str] = field(default_factory=tuple)

    @property
    def worse(self) -> list[Comparison]:
        return [c for c in self.comparisons if c.outcome == "worse"]

    @property
    def better(self) -> list[Comparison]:
        return [c for c in self.comparisons if c.outcome == "better"]

    @property
    def passed(self) -> bool:
        return not self.failures and not self.worse


def badness(metric: str, value: float, ratio: bool) -> float:
    """A metric's value on the scale on which larger is worse.

    Raises:
        NotComparable: the better direction is not known, or a value without a ratio is to be compared by one.
    """
    direction = COLUMNS[metric].direction if metric in COLUMNS else "none"
    if direction.startswith("→"):
        return abs(value - float(direction.removeprefix("→")))
    if direction not in ("↑", "↓"):
        raise NotComparable(f"{metric}: it is not known whether higher or lower is better")
    sign = 1 if direction == "↓" else -1
    if not ratio:
        return sign * value
    if value <= 0:
        raise NotComparable(f"{metric} is {value:g}: it is compared by ratios, so it must be above 0")
    return sign * math.log(value)


def read_board(content: Any, name: str) -> Board:
    """The board in the content of a leaderboard.json called `name`.

    Raises:
        NotComparable: the content is of another kind or version.
    """
    try:
        if content["schema"] != SCHEMA:
            raise NotComparable(f"{name} has schema {content['schema']}, this version reads {SCHEMA}")
        results = {
            (row["dataset"], row["variant"]): Result(
                seeds=tuple(row["seeds"]),
                budget=row["cost"]["budget"],
                values={metric: tuple(map(float, m["values"])) for metric, m in row["metrics"].items()},
            )
            for row in content["rows"]
        }
        return Board(dict(content["protocol"]), dict(content["floors"]), results)
    except (KeyError, TypeError, AttributeError):
        raise NotComparable(f"{name} is no leaderboard: give the leaderboard.json of make repro") from None


def read_baseline(content: Any, name: str) -> Baseline:
    """The baseline in the content of a file: one that `to_json` made, or a bare leaderboard.

    Raises:
        NotComparable: the content is neither.
    """
    if not isinstance(content, dict) or "leaderboard" not in content:
        return of_board(read_board(content, name), revision=name)
    board = read_board(content["leaderboard"], name)
    try:
        spreads = {
            (dataset, variant, metric): Spread(float(s["sum_of_squares"]), int(s["degrees"]))
            for dataset, variants in content["spreads"].items()
            for variant, metrics in variants.items()
            for metric, s in metrics.items()
        }
        return Baseline(board, str(content["revision"]), spreads)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise NotComparable(f"{name} is no baseline: make one with gm-bench check --update") from None


def of_board(board: Board, revision: str, earlier: Baseline | None = None) -> Baseline:
    """A baseline from a leaderboard; spreads of an earlier one are added where they were measured alike.

    What has the same values as before adds nothing: it is the same measurement.
    """
    spreads = spreads_of(board, GATED)
    for key, old in (earlier.spreads if earlier else {}).items():
        dataset, variant, metric = key
        if earlier is None or key not in spreads or _set_up_differs(earlier.board, board, dataset, variant):
            continue
        before, after = (each.results[dataset, variant].values for each in (earlier.board, board))
        spreads[key] = old if before.get(metric) == after[metric] else old + spreads[key]
    return Baseline(board, revision, spreads)


def to_json(baseline: Baseline) -> dict[str, Any]:
    """The content of baseline.json."""
    board = baseline.board
    rows = [
        {
            "dataset": dataset,
            "variant": variant,
            "seeds": list(result.seeds),
            "metrics": {metric: {"values": list(values)} for metric, values in result.values.items()},
            "cost": {"budget": result.budget},
        }
        for (dataset, variant), result in board.results.items()
    ]
    spreads: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for (dataset, variant, metric), spread in baseline.spreads.items():
        of_variant = spreads.setdefault(dataset, {}).setdefault(variant, {})
        of_variant[metric] = {"sum_of_squares": spread.sum_of_squares, "degrees": spread.degrees}
    return {
        "schema": SCHEMA,
        "revision": baseline.revision,
        "leaderboard": {
            "schema": SCHEMA,
            "protocol": dict(board.protocols),
            "floors": dict(board.floors),
            "rows": rows,
        },
        "spreads": spreads,
    }


def spreads_of(board: Board, gauges: Mapping[str, Gauge]) -> dict[tuple[str, str, str], Spread]:
    """The spread between seeds of every variant and metric that two seeds or more have finished."""
    spreads = {}
    for (dataset, variant), result in board.results.items():
        for metric, values in result.values.items():
            if metric in gauges and len(values) > 1:
                spreads[dataset, variant, metric] = spread_of(metric, values, gauges[metric])
    return spreads


def spread_of(metric: str, values: Sequence[float], gauge: Gauge) -> Spread:
    """The spread of one variant's seeds about their mean, in badness."""
    bad = [badness(metric, value, gauge.ratio) for value in values]
    mean = statistics.fmean(bad)
    return Spread(math.fsum((value - mean) ** 2 for value in bad), len(bad) - 1)


def check(baseline: Baseline, board: Board, gated: Mapping[str, Gauge] = GATED) -> Verdict:
    """The gate: does `board` hold what `baseline` reached?

    Raises:
        NotComparable: nothing can be said, because what measures or the budget has changed.
    """
    failures, remarks, pairs = [], [], []
    for dataset in baseline.board.protocols:
        if dataset in board.protocols:
            _refuse_what_differs(baseline.board, board, dataset)
    for key, before in baseline.board.results.items():
        name, after = "/".join(key), board.results.get(key)
        if after is None:
            failures.append(f"{name} is missing: the baseline has it with {len(before.seeds)} seeds.")
            continue
        gone = sorted(set(before.seeds) - set(after.seeds))
        if gone:
            failures.append(f"{name} is missing seed {', '.join(map(str, gone))} of the baseline.")
        n_bad = len(after.seeds) - after.n_finished
        if n_bad > len(before.seeds) - before.n_finished:
            failures.append(f"{name}: {n_bad} of {len(after.seeds)} seeds diverged.")
        elif n_bad:
            remarks.append(f"{name}: {n_bad} of {len(after.seeds)} seeds diverged, as in the baseline.")
        for metric in gated:
            if metric in before.values and after.n_finished and metric not in after.values:
                failures.append(f"{name} has no {metric}, the baseline has.")
        pairs.append((key, before, after))
    new = [key for key in board.results if key not in baseline.board.results]
    remarks += [f"{'/'.join(key)} is new: the baseline does not have it." for key in new]
    comparisons = compare(pairs, baseline.spreads, gated, FALSE_ALARM_RATE)
    return Verdict(comparisons, failures, remarks)


def contrast(before: Board, after: Board) -> Verdict:
    """Two leaderboards side by side, every metric whose direction is known; nothing fails.

    Raises:
        NotComparable: they share no variant of a dataset under one protocol and budget.
    """
    remarks, pairs = [], []
    for key, result in before.results.items():
        if key not in after.results:
            remarks.append(f"{'/'.join(key)} stands in the first only.")
        elif difference := _set_up_differs(before, after, *key):
            remarks.append(f"{'/'.join(key)} cannot be compared: {difference}.")
        else:
            pairs.append((key, result, after.results[key]))
    others = [key for key in after.results if key not in before.results]
    remarks += [f"{'/'.join(key)} stands in the second only." for key in others]
    if not pairs:
        raise NotComparable(f"nothing to compare: {remarks[0] if remarks else 'both are empty.'}")
    gauges = judgeable([metric for _, result, _ in pairs for metric in result.values])
    return Verdict(compare(pairs, spreads_of(before, gauges), gauges, FALSE_ALARM_RATE), (), remarks)


def contrast_variants(board: Board, one: str, other: str) -> Verdict:
    """Two variants of one leaderboard, on every dataset that has both.

    Raises:
        NotComparable: there is no such dataset.
    """
    pairs = [
        ((dataset, f"{one} → {other}"), board.results[dataset, one], board.results[dataset, other])
        for dataset in board.protocols
        if (dataset, one) in board.results and (dataset, other) in board.results
    ]
    if not pairs:
        raise NotComparable(f"no dataset of the leaderboard has both {one} and {other}")
    gauges = judgeable([metric for _, result, _ in pairs for metric in result.values])
    return Verdict(compare(pairs, spreads_of(board, gauges), gauges, FALSE_ALARM_RATE))


def compare(
    pairs: Sequence[tuple[tuple[str, str], Result, Result]],
    spreads: Mapping[tuple[str, str, str], Spread],
    gauges: Mapping[str, Gauge],
    false_alarm_rate: float,
) -> list[Comparison]:
    """Every metric of every pair, and of all pairs of a dataset together where there are two or more.

    Args:
        pairs: (dataset, variant), its result before and after.
        spreads: what is known of the noise before, by (dataset, variant, metric).
        gauges: the metrics to compare.
        false_alarm_rate: chance that any of the comparisons calls noise a regression.

    Raises:
        NotComparable: no variant of a dataset has two finished seeds.
    """
    shared = [
        (key, metric, before.values[metric], after.values[metric])
        for metric in gauges
        for key, before, after in pairs
        if before.values.get(metric) and after.values.get(metric)
    ]
    groups: dict[tuple[str, str], list[tuple[str, Sequence[float], Sequence[float]]]] = {}
    for (dataset, variant), metric, old, new in shared:
        groups.setdefault((dataset, metric), []).append((variant, old, new))
    n_comparisons = sum(len(group) + (len(group) > 1) for group in groups.values())
    if not n_comparisons:
        return []
    chance = false_alarm_rate / n_comparisons
    found = []
    for (dataset, metric), group in groups.items():
        known = {v: s for (d, v, m), s in spreads.items() if d == dataset and m == metric}
        found += _compare_group(dataset, metric, group, known, gauges[metric], chance)
    return found


def _compare_group(
    dataset: str,
    metric: str,
    group: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    spreads: Mapping[str, Spread],
    gauge: Gauge,
    chance: float,
) -> list[Comparison]:
    """One metric of the variants of one dataset: each, then all together.

    The noise is known from before and from the candidate: a change that makes seeds differ more is seen as
    such, not as a shift of the mean.
    """
    if not any(spread.degrees for spread in spreads.values()):
        raise NotComparable(
            f"the noise of {metric} on {dataset} is not known: it takes two seeds or more of a variant"
        )
    known = dict(spreads)
    for variant, _, new in group:
        known[variant] = known.get(variant, Spread(0.0, 0)) + spread_of(metric, new, gauge)
    prior = fit_prior(list(known.values()))
    total = sum(spread.degrees for spread in known.values())
    comparisons, variances = [], []
    for variant, old, new in group:
        before, after = ([badness(metric, value, gauge.ratio) for value in values] for values in (old, new))
        shift = statistics.fmean(after) - statistics.fmean(before)
        variance, degrees = prior.posterior(known[variant])
        variances.append(variance * (1 / len(old) + 1 / len(new)))
        noise = math.sqrt(variances[-1])
        limit = max(gauge.margin, quantile(chance, min(degrees, total)) * noise)
        values = statistics.fmean(old), statistics.fmean(new)
        comparisons.append(Comparison(dataset, variant, metric, *values, shift, noise, limit))
    if len(group) > 1:
        noise = math.sqrt(math.fsum(variances)) / len(group)
        limit = max(gauge.margin, quantile(chance, total) * noise)
        shift, before_, after_ = (
            statistics.fmean(getattr(c, name) for c in comparisons) for name in ("shift", "before", "after")
        )
        comparisons.append(Comparison(dataset, ALL_VARIANTS, metric, before_, after_, shift, noise, limit))
    return comparisons


def _set_up_differs(one: Board, other: Board, dataset: str, variant: str) -> str | None:
    """Why a variant's results cannot be compared; None where they can."""
    if dataset not in other.protocols:
        return f"{dataset} is not there"
    difference = same_protocol(dict(one.protocols[dataset]), dict(other.protocols[dataset]))
    if difference:
        return difference
    before, after = one.results.get((dataset, variant)), other.results.get((dataset, variant))
    if before and after and before.budget != after.budget:
        return f"its budget is {before.budget:,} images against {after.budget:,}"
    return None


def _refuse_what_differs(before: Board, after: Board, dataset: str) -> None:
    """Raise where the numbers of a dataset mean another thing than they did."""
    for variant in before.variants(dataset):
        difference = _set_up_differs(before, after, dataset, variant)
        if difference:
            raise NotComparable(
                f"{dataset}/{variant} cannot be compared with the baseline: {difference}; if that is meant, "
                "make a new baseline with gm-bench check --update"
            )
    for metric, gauge in GATED.items():
        old, new = (board.floors.get(dataset, {}).get(metric) for board in (before, after))
        if old is None or new is None:
            continue
        if abs(badness(metric, old, gauge.ratio) - badness(metric, new, gauge.ratio)) > gauge.margin:
            raise NotComparable(
                f"{dataset} cannot be compared with the baseline: {metric} of real images was {old:.4g} and "
                f"is {new:.4g} under the same protocol, so the measuring has changed; if that is meant, "
                "make a new baseline with gm-bench check --update"
            )
