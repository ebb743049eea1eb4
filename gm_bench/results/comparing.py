"""Two sides of a leaderboard, metric by metric: how far they are apart, and how far noise alone puts them.

How a metric is compared. Values are turned into a *badness*, larger is worse (`Catalogue.badness`): the value
or its negative, the distance from an ideal where there is one, the logarithm where differences are ratios. A
variant's shift is the difference of the means over its seeds. Its noise follows from spreads between seeds,
which hold the noise of the draws: the variant's own spread, in baseline and candidate, is drawn towards the
spread of all variants of the dataset with noise of its kind, as far as these agree about it (`moderation`).

Source: Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression", §3
(moderated t) and §6.2 (the prior's scale and degrees of freedom).

    s_v² ~ s0² F(d_v, d0),   s̃_v² = (d0 s0² + Σ squares) / (d0 + d_v),   t = shift / (s̃_v √(1/n + 1/m))

A shift is a regression where t exceeds the quantile of Student's t at a chance that is shared out among all
comparisons of the run (Bonferroni with weights: half is for the metric that tables are ordered by), and where
the shift also exceeds the metric's margin: a difference that is certain may still be too small to matter. The
mean shift of all variants of a dataset is one comparison more, which sees a small harm that is done to every
variant.

Where a run is looked at again with more seeds, the share of a comparison is spent over its looks
(`results/spending.py`).

Deviates from the paper: variants without spread do not count in the prior.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gm_bench.metrics.catalogue import Catalogue, MetricError
from gm_bench.results.leaderboard import Entry, Key, Score
from gm_bench.results.moderation import Spread, posteriors, quantile
from gm_bench.results.spending import level

ALL_VARIANTS = "all variants"
# A share of the margin. A variant whose shift is larger looks worse: it is worth more seeds.
LOOKS_WORSE = 0.5
Pair = tuple[Key, Entry, Entry]  # (dataset, variant), its entry before and after
SpreadKey = tuple[str, str, str]  # dataset, variant, metric
Outcome = Literal["worse", "better", "same"]


class NotComparable(ValueError):
    """Two leaderboards, or a file that is none, of which no verdict can be given; the message says why."""


@dataclass(frozen=True)
class Looks:
    """At which numbers of a candidate's seeds a variant is looked at, ascending; the last is the bound."""

    sizes: tuple[int, ...]

    def fractions(self, n_before: float, n: float) -> list[float]:
        """Of the information at the bound, what the looks up to this one have.

        Args:
            n_before: seeds of the other side.
            n: seeds at this look; not one of `sizes` where some diverged.
        """
        sizes = [*(size for size in self.sizes if size < n), min(n, self.sizes[-1])]
        at_bound = 1 / n_before + 1 / self.sizes[-1]
        return [at_bound / (1 / n_before + 1 / size) for size in sizes]


@dataclass(frozen=True)
class Comparison:
    """One metric of one variant, or of all of them together, before and after.

    `before` and `after` are means of the metric itself (for all variants: of their means); `shift`, `noise`
    (its standard deviation), `limit` and `margin` are in badness, where more than `limit` is a regression.
    `seeds` are how many finished ones stand on either side.
    """

    dataset: str
    variant: str
    metric: str
    before: float
    after: float
    shift: float
    noise: float
    limit: float
    margin: float = 0.0
    seeds: tuple[int, int] = (0, 0)

    @property
    def outcome(self) -> Outcome:
        return "worse" if self.shift > self.limit else "better" if self.shift < -self.limit else "same"

    @property
    def is_unclear(self) -> bool:
        """Whether it looks worse but cannot be told from noise."""
        return self.outcome == "same" and self.shift > LOOKS_WORSE * self.margin


@dataclass(frozen=True)
class Verdict:
    """What came out of a comparison: `failures` and `remarks` are sentences about cells, not numbers.

    `unchanged` are the variants whose cells have the values of before to the last bit: they are not compared.
    """

    comparisons: Sequence[Comparison]
    failures: Sequence[str] = field(default_factory=tuple)
    remarks: Sequence[str] = field(default_factory=tuple)
    unchanged: Sequence[Key] = field(default_factory=tuple)

    @property
    def worse(self) -> list[Comparison]:
        return [c for c in self.comparisons if c.outcome == "worse"]

    @property
    def better(self) -> list[Comparison]:
        return [c for c in self.comparisons if c.outcome == "better"]

    @property
    def unclear(self) -> list[Key]:
        """The variants of which a metric looks worse but cannot be told from noise."""
        found = [(c.dataset, c.variant) for c in self.comparisons if c.is_unclear]
        return [key for key in dict.fromkeys(found) if key[1] != ALL_VARIANTS]

    @property
    def passed(self) -> bool:
        return not self.failures and not self.worse


@dataclass(frozen=True)
class Side:
    """One variant in one metric: the scores of before and after."""

    variant: str
    old: Score
    new: Score


def compare(
    pairs: Sequence[Pair],
    spreads: Mapping[SpreadKey, Spread],
    metrics: Sequence[str],
    catalogue: Catalogue,
    false_alarm_rate: float,
    kinds: Mapping[Key, str],
    margins: bool = True,
    looks: Looks | None = None,
) -> tuple[list[Comparison], list[tuple[str, str]]]:
    """Every metric of every pair, and of all pairs of a dataset together where there are two or more.

    Where nothing has changed, both sides are draws of one distribution: both together tell the noise. So a
    candidate whose seeds differ far more than before may be called worse though its mean is the same.

    Args:
        pairs: (dataset, variant), its entry before and after.
        spreads: what is known of the noise before, by (dataset, variant, metric).
        metrics: those to compare.
        catalogue: says how.
        false_alarm_rate: chance that any of the comparisons, at any of the looks, calls noise a regression.
        kinds: of noise, by (dataset, variant) of `pairs` and `spreads`.
        margins: whether a difference must also exceed the metric's margin.
        looks: where the run may be looked at again with more seeds; None where this look is the only one.

    Returns:
        The comparisons, and the datasets and metrics that are left out, since neither side tells their noise.
    """
    groups = _groups(pairs, metrics)
    known = {key: _known(*key, group, spreads, catalogue) for key, group in groups.items()}
    unknown = [key for key, noise in known.items() if not any(spread.degrees for spread in noise.values())]
    groups = {key: group for key, group in groups.items() if key not in unknown}
    shares = shares_of({key: len(group) + (len(group) > 1) for key, group in groups.items()}, catalogue)
    found = []
    for (dataset, metric), group in groups.items():
        chance, noise = false_alarm_rate * shares[dataset, metric], known[dataset, metric]
        of = {variant: kinds[dataset, variant] for variant in noise if (dataset, variant) in kinds}
        found += _Group(dataset, metric, group, noise, of, catalogue, margins, chance, looks).comparisons()
    return found, unknown


def unknown_noise(dataset: str, metric: str) -> NotComparable:
    """Why it cannot be compared."""
    return NotComparable(
        f"the noise of {metric} on {dataset} is not known: it takes two seeds or more of a variant"
    )


def _known(
    dataset: str,
    metric: str,
    group: Sequence[Side],
    spreads: Mapping[SpreadKey, Spread],
    catalogue: Catalogue,
) -> dict[str, Spread]:
    """What tells the noise, before and after, by variant; those of one seed have no degrees of freedom."""
    known = {v: s for (d, v, m), s in spreads.items() if d == dataset and m == metric}
    for side in group:
        of_new = spread_of(metric, side.new.values, catalogue)
        known[side.variant] = known.get(side.variant, Spread(0.0, 0)) + of_new
    return known


def _groups(pairs: Sequence[Pair], metrics: Sequence[str]) -> dict[tuple[str, str], list[Side]]:
    """Dataset and metric → the variants that have it on both sides."""
    groups: dict[tuple[str, str], list[Side]] = {}
    for metric in metrics:
        for (dataset, variant), before, after in pairs:
            if count(before, metric) and count(after, metric):
                side = Side(variant, before.metrics[metric], after.metrics[metric])
                groups.setdefault((dataset, metric), []).append(side)
    return groups


def shares_of(sizes: Mapping[tuple[str, str], int], catalogue: Catalogue) -> dict[tuple[str, str], float]:
    """The share of the chance that each comparison has, by dataset and metric; over all they sum to 1.

    Half of it goes to the metric that tables are ordered by, where there are others to share the other half.

    Args:
        sizes: how many comparisons are made of a dataset in a metric.
    """
    first = sum(n for (_, metric), n in sizes.items() if metric == catalogue.order_by)
    others = sum(sizes.values()) - first
    of_first = 0.5 if others else 1.0
    of_others = 1 - of_first if first else 1.0
    return {
        (dataset, metric): of_first / first if metric == catalogue.order_by else of_others / others
        for dataset, metric in sizes
    }


@dataclass(frozen=True)
class _Group:
    """One metric of the variants of one dataset; by variant what tells its noise, and its kind."""

    dataset: str
    metric: str
    sides: Sequence[Side]
    known: Mapping[str, Spread]
    kinds: Mapping[str, str]
    catalogue: Catalogue
    margins: bool
    chance: float
    looks: Looks | None

    def comparisons(self) -> list[Comparison]:
        """Each variant, then all together."""
        noise = posteriors(self.known, self.kinds)
        total = sum(spread.degrees for spread in self.known.values())
        found, variances = [], []
        for side in self.sides:
            before, after = (badness(self.metric, s.values, self.catalogue) for s in (side.old, side.new))
            shift = statistics.fmean(after) - statistics.fmean(before)
            variance, degrees = noise[side.variant]
            variances.append(variance * (1 / side.old.n + 1 / side.new.n))
            seeds = (side.old.n, side.new.n)
            means = (side.old.mean, side.new.mean)
            limits = (math.sqrt(variances[-1]), degrees, self._level(*seeds))
            found.append(self._judged(side.variant, means, shift, limits, seeds))
        return [*found, self._together(found, variances, total)] if len(found) > 1 else found

    def _together(
        self, found: Sequence[Comparison], variances: Sequence[float], degrees: float
    ) -> Comparison:
        """The mean shift of all variants.

        Those that were looked at less often have fewer seeds: their harmonic mean counts.
        """
        noise = math.sqrt(math.fsum(variances)) / len(found)
        shift = statistics.fmean(c.shift for c in found)
        means = statistics.fmean(c.before for c in found), statistics.fmean(c.after for c in found)
        n_old, n_new = (statistics.harmonic_mean([c.seeds[side] for c in found]) for side in (0, 1))
        of_all = sum(c.seeds[0] for c in found), sum(c.seeds[1] for c in found)
        return self._judged(ALL_VARIANTS, means, shift, (noise, degrees, self._level(n_old, n_new)), of_all)

    def _level(self, n_old: float, n_new: float) -> float:
        if self.looks is None:
            return self.chance
        return level(self.chance, self.looks.fractions(n_old, n_new))

    def _judged(
        self,
        variant: str,
        means: tuple[float, float],
        shift: float,
        limits: tuple[float, float, float],
        seeds: tuple[int, int],
    ) -> Comparison:
        """`limits` are the noise, its degrees of freedom, and the level of this look."""
        noise, degrees, chance = limits
        margin = self.catalogue.margin(self.metric) if self.margins else 0.0
        limit = max(margin, quantile(chance, degrees) * noise)
        return Comparison(self.dataset, variant, self.metric, *means, shift, noise, limit, margin, seeds)


def spreads_of(
    entries: Mapping[Key, Entry], metrics: Sequence[str], catalogue: Catalogue
) -> dict[SpreadKey, Spread]:
    """The spread between seeds of every variant and metric that two seeds or more have finished."""
    return {
        (dataset, variant, metric): spread_of(metric, score.values, catalogue)
        for (dataset, variant), entry in entries.items()
        for metric, score in entry.metrics.items()
        if metric in metrics and score.n > 1
    }


def spread_of(metric: str, values: Sequence[float], catalogue: Catalogue) -> Spread:
    """The spread of one variant's seeds about their mean, in badness."""
    return Spread.of(badness(metric, values, catalogue))


def seeds_of(
    entries: Iterable[Entry], metric: str, catalogue: Catalogue
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Badness of every seed, and the kind of noise, by variant: what `ranking` judges.

    Args:
        entries: of one dataset; those that lack the metric are passed over.

    Raises:
        NotComparable: a value has no place on the scale.
    """
    found = [entry for entry in entries if metric in entry.metrics]
    values = {entry.variant: badness(metric, entry.metrics[metric].values, catalogue) for entry in found}
    return values, {entry.variant: entry.kind_of_noise for entry in found}


def badness(metric: str, values: Sequence[float], catalogue: Catalogue) -> list[float]:
    """Values on the scale that they are compared on.

    Raises:
        NotComparable: one of them has no place on it.
    """
    relative = catalogue.is_relative(metric)
    try:
        return [catalogue.badness(metric, value, relative=relative) for value in values]
    except MetricError as error:
        raise NotComparable(str(error)) from None


def count(entry: Entry, metric: str) -> int:
    """How many seeds have a metric."""
    return entry.metrics[metric].n if metric in entry.metrics else 0
