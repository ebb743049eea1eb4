"""The regression gate: a leaderboard against an earlier one → what got worse by more than noise explains.

Pure functions: contents of json files in, verdicts and contents of json files out.

How a metric is compared. Values are turned into a *badness*, larger is worse (`Catalogue.badness`): the value
or its negative, the distance from an ideal where there is one, the logarithm where differences are ratios. A
variant's shift is the difference of the means over its seeds. Its noise follows from spreads between seeds,
which hold the noise of the draws: the variant's own spread, in baseline and candidate, is drawn towards the
spread of all variants of the dataset as far as the variants agree about it.

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

from gm_bench.metrics.catalogue import Catalogue, MetricError
from gm_bench.results.leaderboard import SCHEMA as LEADERBOARD_SCHEMA
from gm_bench.results.leaderboard import Entry, Leaderboard, LeaderboardError, from_json
from gm_bench.results.moderation import Spread, fit_prior, quantile
from gm_bench.results.protocol import same_protocol

SCHEMA = 1
# Of a run, were spreads normal and well known. The simulation (benchmarks/gate.py) shows what comes of it.
FALSE_ALARM_RATE = 0.0025
ALL_VARIANTS = "all variants"
Pair = tuple[tuple[str, str], Entry, Entry]  # (dataset, variant), its entry before and after
Outcome = Literal["worse", "better", "same"]


class NotComparable(ValueError):
    """Two leaderboards, or a file that is none, of which no verdict can be given; the message says why."""


@dataclass(frozen=True)
class Baseline:
    """A leaderboard that was accepted, and the spreads of it and of those accepted before it.

    `spreads` are by dataset, variant and gated metric, in badness.
    """

    board: Leaderboard
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


def read_board(content: Any, name: str, catalogue: Catalogue) -> Leaderboard:
    """The leaderboard in the content of a leaderboard.json called `name`.

    Raises:
        NotComparable: the content is of another kind or version, or a value is not finite.
    """
    try:
        return from_json(content, name, catalogue)
    except LeaderboardError as error:
        raise NotComparable(str(error)) from None


def read_baseline(content: Any, name: str, catalogue: Catalogue) -> Baseline:
    """The baseline in the content of a file: one that `to_json` made, or a bare leaderboard.

    Raises:
        NotComparable: the content is neither.
    """
    if not isinstance(content, dict) or "leaderboard" not in content:
        return of_board(read_board(content, name, catalogue), revision=name)
    board = read_board(content["leaderboard"], name, catalogue)
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


def of_board(board: Leaderboard, revision: str, earlier: Baseline | None = None) -> Baseline:
    """A baseline from a leaderboard; spreads of an earlier one are added where they were measured alike.

    What has the same values as before adds nothing: it is the same measurement.

    Raises:
        NotComparable: a judged metric is missing of a finished seed, or of the floor.
    """
    gated = board.catalogue.gated()
    for dataset in board.datasets:
        _check_floor(board, dataset)
    for (dataset, variant), entry in board.by_key.items():
        for metric in gated:
            if metric in entry.metrics and entry.metrics[metric].n != entry.n_finished:
                raise NotComparable(f"{dataset}/{variant} {_lacks(entry, metric)}: evaluate it again")
    spreads = spreads_of(board, gated)
    for key, old in (earlier.spreads if earlier else {}).items():
        dataset, variant, metric = key
        if earlier is None or key not in spreads or _set_up_differs(earlier.board, board, dataset, variant):
            continue
        before, after = (each.by_key[dataset, variant].metrics for each in (earlier.board, board))
        same = metric in before and before[metric].values == after[metric].values
        spreads[key] = old if same else old + spreads[key]
    return Baseline(board, revision, spreads)


def to_json(baseline: Baseline) -> dict[str, Any]:
    """The content of baseline.json."""
    board = baseline.board
    rows = [
        {
            "dataset": dataset,
            "variant": variant,
            "seeds": list(entry.seeds),
            "status": entry.status,
            "metrics": {metric: {"values": list(score.values)} for metric, score in entry.metrics.items()},
            "cost": {"budget": entry.cost["budget"]},
        }
        for (dataset, variant), entry in board.by_key.items()
    ]
    spreads: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for (dataset, variant, metric), spread in baseline.spreads.items():
        of_variant = spreads.setdefault(dataset, {}).setdefault(variant, {})
        of_variant[metric] = {"sum_of_squares": spread.sum_of_squares, "degrees": spread.degrees}
    return {
        "schema": SCHEMA,
        "revision": baseline.revision,
        "leaderboard": {
            "schema": LEADERBOARD_SCHEMA,
            "board": board.name,
            "track": board.track,
            "protocol": dict(board.protocols),
            "floors": dict(board.floors),
            "rows": rows,
        },
        "spreads": spreads,
    }


def spreads_of(board: Leaderboard, metrics: Sequence[str]) -> dict[tuple[str, str, str], Spread]:
    """The spread between seeds of every variant and metric that two seeds or more have finished."""
    return {
        (dataset, variant, metric): spread_of(metric, score.values, board.catalogue)
        for (dataset, variant), entry in board.by_key.items()
        for metric, score in entry.metrics.items()
        if metric in metrics and score.n > 1
    }


def spread_of(metric: str, values: Sequence[float], catalogue: Catalogue) -> Spread:
    """The spread of one variant's seeds about their mean, in badness."""
    bad = _badness(metric, values, catalogue)
    mean = statistics.fmean(bad)
    return Spread(math.fsum((value - mean) ** 2 for value in bad), len(bad) - 1)


def check(baseline: Baseline, board: Leaderboard, gated: Sequence[str] | None = None) -> Verdict:
    """The gate: does `board` hold what `baseline` reached?

    Args:
        gated: the metrics to judge; all that the catalogue says where it is None.

    Raises:
        NotComparable: nothing can be said, because what measures or the budget has changed.
    """
    gated = board.catalogue.gated() if gated is None else gated
    failures, remarks, pairs = [], [], []
    for dataset in baseline.board.datasets:
        if dataset in board.protocols:
            _refuse_what_differs(baseline.board, board, dataset)
    before_by_key, after_by_key = baseline.board.by_key, board.by_key
    for key, before in before_by_key.items():
        name, after = "/".join(key), after_by_key.get(key)
        if after is None:
            failures.append(f"{name} is missing: the baseline has it with {len(before.seeds)} seeds.")
            continue
        gone = sorted(set(before.seeds) - set(after.seeds))
        if gone:
            failures.append(f"{name} is missing seed {', '.join(map(str, gone))} of the baseline.")
        if after.n_diverged > before.n_diverged:
            failures.append(f"{name}: {after.n_diverged} of {len(after.seeds)} seeds diverged.")
        elif after.n_diverged:
            remarks.append(
                f"{name}: {after.n_diverged} of {len(after.seeds)} seeds diverged, as in the baseline."
            )
        failures += [
            f"{name} {_lacks(after, metric)}, the baseline has."
            for metric in gated
            if metric in before.metrics and _count(after, metric) != after.n_finished
        ]
        pairs.append((key, before, after))
    remarks += [
        f"{'/'.join(key)} is new: the baseline does not have it."
        for key in after_by_key
        if key not in before_by_key
    ]
    comparisons = compare(pairs, baseline.spreads, gated, board.catalogue, FALSE_ALARM_RATE)
    return Verdict(comparisons, failures, remarks)


def contrast(before: Leaderboard, after: Leaderboard) -> Verdict:
    """Two leaderboards side by side, every metric whose direction is known; nothing fails.

    Raises:
        NotComparable: they share no variant of a dataset under one protocol and budget.
    """
    remarks, pairs = [], []
    after_by_key = after.by_key
    for key, entry in before.by_key.items():
        if key not in after_by_key:
            remarks.append(f"{'/'.join(key)} stands in the first only.")
        elif difference := _set_up_differs(before, after, *key):
            remarks.append(f"{'/'.join(key)} cannot be compared: {difference}.")
        else:
            pairs.append((key, entry, after_by_key[key]))
    others = [key for key in after_by_key if key not in before.by_key]
    remarks += [f"{'/'.join(key)} stands in the second only." for key in others]
    if not pairs:
        raise NotComparable(f"nothing to compare: {remarks[0] if remarks else 'both are empty.'}")
    return Verdict(_all_metrics(before, pairs), (), remarks)


def contrast_variants(board: Leaderboard, one: str, other: str) -> Verdict:
    """Two variants of one leaderboard, on every dataset that has both.

    Raises:
        NotComparable: there is no such dataset.
    """
    entries = board.by_key
    pairs = [
        ((dataset, f"{one} → {other}"), entries[dataset, one], entries[dataset, other])
        for dataset in board.datasets
        if (dataset, one) in entries and (dataset, other) in entries
    ]
    if not pairs:
        raise NotComparable(f"no dataset of the leaderboard has both {one} and {other}")
    return Verdict(_all_metrics(board, pairs))


def _all_metrics(board: Leaderboard, pairs: Sequence[Pair]) -> list[Comparison]:
    """Comparisons without margins in every metric of the pairs that the catalogue knows: for looking."""
    names = dict.fromkeys(metric for _, entry, _ in pairs for metric in entry.metrics)
    known = [metric for metric in names if metric in board.catalogue]
    spreads = spreads_of(board, known)
    return compare(pairs, spreads, known, board.catalogue, FALSE_ALARM_RATE, margins=False)


def compare(
    pairs: Sequence[Pair],
    spreads: Mapping[tuple[str, str, str], Spread],
    metrics: Sequence[str],
    catalogue: Catalogue,
    false_alarm_rate: float,
    margins: bool = True,
) -> list[Comparison]:
    """Every metric of every pair, and of all pairs of a dataset together where there are two or more.

    Args:
        pairs: (dataset, variant), its entry before and after.
        spreads: what is known of the noise before, by (dataset, variant, metric).
        metrics: those to compare.
        catalogue: says how.
        false_alarm_rate: chance that any of the comparisons calls noise a regression.
        margins: whether a difference must also exceed the metric's margin.

    Raises:
        NotComparable: no variant of a dataset has two finished seeds.
    """
    shared = [
        (key, metric, before.metrics[metric].values, after.metrics[metric].values)
        for metric in metrics
        for key, before, after in pairs
        if _count(before, metric) and _count(after, metric)
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
        margin = catalogue.margin(metric) if margins else 0.0
        found += _compare_group(dataset, metric, group, known, catalogue, margin, chance)
    return found


def _compare_group(
    dataset: str,
    metric: str,
    group: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    spreads: Mapping[str, Spread],
    catalogue: Catalogue,
    margin: float,
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
        known[variant] = known.get(variant, Spread(0.0, 0)) + spread_of(metric, new, catalogue)
    prior = fit_prior(list(known.values()))
    total = sum(spread.degrees for spread in known.values())
    comparisons, variances = [], []
    for variant, old, new in group:
        before, after = (_badness(metric, values, catalogue) for values in (old, new))
        shift = statistics.fmean(after) - statistics.fmean(before)
        variance, degrees = prior.posterior(known[variant])
        variances.append(variance * (1 / len(old) + 1 / len(new)))
        noise = math.sqrt(variances[-1])
        limit = max(margin, quantile(chance, min(degrees, total)) * noise)
        values = statistics.fmean(old), statistics.fmean(new)
        comparisons.append(Comparison(dataset, variant, metric, *values, shift, noise, limit))
    if len(group) > 1:
        noise = math.sqrt(math.fsum(variances)) / len(group)
        limit = max(margin, quantile(chance, total) * noise)
        shift, before_, after_ = (
            statistics.fmean(getattr(c, name) for c in comparisons) for name in ("shift", "before", "after")
        )
        comparisons.append(Comparison(dataset, ALL_VARIANTS, metric, before_, after_, shift, noise, limit))
    return comparisons


def _set_up_differs(one: Leaderboard, other: Leaderboard, dataset: str, variant: str) -> str | None:
    """Why a variant's results cannot be compared; None where they can."""
    if dataset not in other.protocols:
        return f"{dataset} is not there"
    difference = same_protocol(dict(one.protocols[dataset]), dict(other.protocols[dataset]))
    if difference:
        return difference
    before, after = (board.by_key.get((dataset, variant)) for board in (one, other))
    if before and after and before.cost["budget"] != after.cost["budget"]:
        return f"its budget is {before.cost['budget']:,} images against {after.cost['budget']:,}"
    return None


def _refuse_what_differs(before: Leaderboard, after: Leaderboard, dataset: str) -> None:
    """Raise where the numbers of a dataset mean another thing than they did."""
    for entry in before.entries[dataset]:
        difference = _set_up_differs(before, after, dataset, entry.variant)
        if difference:
            raise NotComparable(
                f"{dataset}/{entry.variant} cannot be compared with the baseline: {difference}; if that is "
                "meant, make a new baseline with gm-bench check --update"
            )
    catalogue = after.catalogue
    for metric in _check_floor(before, dataset):
        if metric not in after.floors.get(dataset, {}):
            raise NotComparable(
                f"{dataset} cannot be compared with the baseline: the floor lacks {metric}; run make repro "
                "to measure it again"
            )
        old, new = (board.floors[dataset][metric] for board in (before, after))
        (bad_old,), (bad_new,) = (_badness(metric, [value], catalogue) for value in (old, new))
        if abs(bad_old - bad_new) > catalogue.margin(metric):
            raise NotComparable(
                f"{dataset} cannot be compared with the baseline: {metric} of real images was {old:.4g} and "
                f"is {new:.4g} under the same protocol, so the measuring has changed; if that is meant, "
                "make a new baseline with gm-bench check --update"
            )


def _check_floor(board: Leaderboard, dataset: str) -> list[str]:
    """The judged metrics of a dataset; refuse a floor that lacks one of them."""
    judged = [m for m in board.catalogue.gated() if board.with_metric(dataset, m)]
    for metric in judged:
        if metric not in board.floors.get(dataset, {}):
            raise NotComparable(
                f"the floor of {dataset} lacks {metric}, so that nothing says whether the measuring has "
                "changed: run make repro to measure it again"
            )
    return judged


def _badness(metric: str, values: Sequence[float], catalogue: Catalogue) -> list[float]:
    """Values on the scale that they are compared on.

    Raises:
        NotComparable: one of them has no place on it.
    """
    relative = catalogue.is_relative(metric)
    try:
        return [catalogue.badness(metric, value, relative=relative) for value in values]
    except MetricError as error:
        raise NotComparable(str(error)) from None


def _count(entry: Entry, metric: str) -> int:
    """How many seeds have a metric."""
    return entry.metrics[metric].n if metric in entry.metrics else 0


def _lacks(entry: Entry, metric: str) -> str:
    n = _count(entry, metric)
    return f"has {metric} of {n} of {entry.n_finished} finished seeds" if n else f"has no {metric}"
