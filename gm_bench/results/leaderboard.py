"""The one model in memory of a leaderboard: pages, tables, charts and the gate are made of it.

It is built from the runs of cells (aggregation.py) or read from leaderboard.json (leaderboard_file.py).
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gm_bench.cell import Cell
from gm_bench.metrics.catalogue import Catalogue
from gm_bench.results.schema import OK

Json = Mapping[str, Any]
Key = tuple[str, str]  # dataset and variant


class LeaderboardError(ValueError):
    """Rows that cannot stand in one table, or a file that is none; the message names the first."""


@dataclass(frozen=True)
class Score:
    """A metric over the seeds of one variant.

    Args:
        values: one per finished seed, each the mean over its draws.
        draw_sd: standard deviation between the draws of one seed, pooled over seeds; None for a single draw.
        interval: 95 % interval of the mean over seeds; None of fewer than two.
    """

    values: tuple[float, ...]
    draw_sd: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def sd(self) -> float | None:
        """Sample standard deviation (n − 1); None for a single seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def n(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Entry:
    """One row of the table: a variant on a dataset.

    Args:
        seeds: all of them, ascending.
        n_finished: how many of them did not diverge.
        metrics: over the seeds that finished, in their order.
        cost: means over the seeds that finished, or over all where none did.
        divergences: where the others broke off, by seed; nothing of the place, or of the seeds of an old
            file, where the entry was read from one.
        rank: by the ordering metric, shared with rows that cannot be told apart; None where fewer than two
            seeds finished.
        details: what the track keeps of every cell, by seed; the track alone reads it.
    """

    dataset: str
    variant: str
    family: str
    source: str
    seeds: tuple[int, ...]
    n_finished: int
    metrics: Mapping[str, Score]
    cost: Mapping[str, Any]
    divergences: Mapping[int, Json] = field(default_factory=dict)
    rank: int | None = None
    details: Mapping[int, Json] = field(default_factory=dict)

    @property
    def n_diverged(self) -> int:
        return len(self.seeds) - self.n_finished

    @property
    def names_diverged(self) -> bool:
        """Whether it tells which of its seeds diverged, which an old file does not."""
        return len(self.divergences) == self.n_diverged

    @property
    def status(self) -> str:
        if not self.n_diverged:
            return OK
        return "partly diverged" if self.n_finished else "diverged"

    @property
    def kind_of_noise(self) -> str:
        """What its seeds differ by: training and draws, or the draws of a fit in closed form alone."""
        return "trained" if self.cost.get("updates") else "fitted"

    @property
    def finished(self) -> tuple[int, ...]:
        """The seeds that did not diverge."""
        return tuple(seed for seed in self.seeds if seed not in self.divergences)


@dataclass(frozen=True)
class Leaderboard:
    """Per dataset its protocol, floor, the floor's standard deviation, and entries, the best first.

    `name` and `track` are those of the board; empty where it was read from a file that has none. `missing`
    are the cells of the board that were not made yet.
    """

    name: str
    track: str
    catalogue: Catalogue
    protocols: Mapping[str, Json]
    floors: Mapping[str, Mapping[str, float]]
    floor_sds: Mapping[str, Mapping[str, float]]
    entries: Mapping[str, Sequence[Entry]]
    missing: Sequence[Cell] = ()

    @property
    def datasets(self) -> list[str]:
        return list(self.protocols)

    @property
    def order_by(self) -> str:
        return self.catalogue.order_by

    @property
    def by_key(self) -> dict[Key, Entry]:
        """(dataset, variant) → entry."""
        return {(e.dataset, e.variant): e for entries in self.entries.values() for e in entries}

    def metrics(self, dataset: str) -> list[str]:
        """Names of the metrics of a dataset, in the order of the columns."""
        return self.catalogue.ordered(
            set(self.floors[dataset]).union(*(entry.metrics for entry in self.entries[dataset]))
        )

    def main_metrics(self, dataset: str) -> list[str]:
        """Names of the metrics that a narrow table shows."""
        return self.catalogue.short(self.metrics(dataset))

    def with_metric(self, dataset: str, metric: str) -> list[Entry]:
        """The entries of a dataset that have a metric."""
        return [entry for entry in self.entries[dataset] if metric in entry.metrics]


def catalogue_of(*groups: Iterable[Entry], catalogue: Catalogue) -> Catalogue:
    """How metrics of these entries are compared: not by ratios where a value is not above 0."""
    without = {
        metric
        for group in groups
        for entry in group
        for metric, score in entry.metrics.items()
        if min(score.values, default=1.0) <= 0
    }
    return catalogue.by_differences(without)
