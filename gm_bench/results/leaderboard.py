"""From the runs of the cells to the table: mean and spread over seeds, the best first, the floor before all.

The one model in memory of a leaderboard: the stage builds it from rows (a DataFrame, one row per cell and per
floor), the gate and the scoring read it from leaderboard.json; pages, tables and csv are made of it.
"""

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from gm_bench.cell import Cell
from gm_bench.metrics.catalogue import Catalogue
from gm_bench.results.protocol import same_protocol
from gm_bench.results.ranking import intervals, ranks
from gm_bench.results.schema import FLOOR, OK, REAL

SCHEMA = 1
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
        interval: 95 % interval of the mean over seeds; None where no noise is known.
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
        rank: by the ordering metric, shared with rows that cannot be told apart; None where no noise is
            known or no seed finished.
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
    def status(self) -> str:
        if not self.n_diverged:
            return OK
        return "partly diverged" if self.n_finished else "diverged"

    @property
    def finished(self) -> tuple[int, ...]:
        """The seeds that did not diverge."""
        return tuple(seed for seed in self.seeds if seed not in self.divergences)


@dataclass(frozen=True)
class Leaderboard:
    """Per dataset its protocol, floor, the floor's standard deviation, and entries, the best first.

    `name` and `track` are those of the board; empty where it was read from a file that has none.
    """

    name: str
    track: str
    catalogue: Catalogue
    protocols: Mapping[str, Json]
    floors: Mapping[str, Mapping[str, float]]
    floor_sds: Mapping[str, Mapping[str, float]]
    entries: Mapping[str, Sequence[Entry]]

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


def build(rows: pd.DataFrame, cells: Sequence[Cell], catalogue: Catalogue, track: str = "") -> Leaderboard:
    """The leaderboard of the cells of one board; rows of other cells are left out.

    Args:
        rows: as `tracking.Store.rows` gives them: kind, dataset, variant, seed, family, source, status,
            divergence, details, protocol, network, device, budget, and `eval/…` and `cost/…` as floats.
        cells: all of one board.

    Raises:
        LeaderboardError: a cell or a floor is missing or stands there twice, a finished cell lacks a metric
            that it should have, or two protocols differ.
    """
    records = _clean(rows)
    by_cell = _index([r for r in records if r["kind"] == "cell"], ("dataset", "variant", "seed"))
    by_floor = _index([r for r in records if r["kind"] == FLOOR], ("dataset",))
    protocols, floors, floor_sds, entries = {}, {}, {}, {}
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        floor = _one(by_floor, (dataset,))
        protocols[dataset] = floor["protocol"]
        floors[dataset] = _with_prefix(floor, "eval/")
        floor_sds[dataset] = _with_prefix(floor, "eval_draw_sd/")
        seeds: dict[str, list[int]] = {}
        for cell in (cell for cell in cells if cell.dataset == dataset):
            _check_protocol(_one(by_cell, (dataset, cell.variant, cell.seed)), floor)
            seeds.setdefault(cell.variant, []).append(cell.seed)
        found = []
        for variant, chosen in seeds.items():
            of_variant = [by_cell[dataset, variant, seed][0] for seed in sorted(chosen)]
            _check_complete(of_variant, floors[dataset], catalogue.order_by)
            found.append(_entry(of_variant, catalogue))
        entries[dataset] = sorted(_judged(found, catalogue), key=lambda entry: _order(entry, catalogue))
    name = cells[0].board if cells else ""
    return Leaderboard(name, track, catalogue, protocols, floors, floor_sds, entries)


def to_json(board: Leaderboard, facts: Mapping[Key, Json] | None = None) -> dict[str, Any]:
    """The content of leaderboard.json.

    Args:
        facts: what the track adds to rows.
    """
    return {
        "schema": SCHEMA,
        "board": board.name,
        "track": board.track,
        "protocol": dict(board.protocols),
        "rows": [
            {
                "dataset": entry.dataset,
                "variant": entry.variant,
                "family": entry.family,
                "rank": entry.rank,
                "seeds": list(entry.seeds),
                "status": entry.status,
                "diverged": sorted(entry.divergences),
                **((facts or {}).get((dataset, entry.variant), {})),
                "metrics": {
                    name: {
                        "mean": score.mean,
                        "sd": score.sd,
                        "n": score.n,
                        "values": list(score.values),
                        "draw_sd": score.draw_sd,
                        "interval": list(score.interval) if score.interval else None,
                    }
                    for name, score in entry.metrics.items()
                },
                "cost": dict(entry.cost),
            }
            for dataset in board.datasets
            for entry in board.entries[dataset]
        ],
        "floors": {dataset: dict(values) for dataset, values in board.floors.items()},
        "floor_sd": {dataset: dict(values) for dataset, values in board.floor_sds.items()},
    }


def from_json(content: Any, name: str, catalogue: Catalogue) -> Leaderboard:
    """The leaderboard in the content of a leaderboard.json called `name`.

    What a baseline leaves out (families, costs other than the budget) may be missing.

    Raises:
        LeaderboardError: the content is of another kind or version, or a value is not finite.
    """
    try:
        if content["schema"] != SCHEMA:
            raise LeaderboardError(f"{name} has schema {content['schema']}, this version reads {SCHEMA}")
        protocols, floors = dict(content["protocol"]), dict(content["floors"])
        entries: dict[str, list[Entry]] = {dataset: [] for dataset in protocols}
        for row in content["rows"]:
            entries[row["dataset"]].append(_entry_of(row))
        sds = dict(content.get("floor_sd", {}))
        name_of_board, track = content.get("board", ""), content.get("track", "")
        board = Leaderboard(name_of_board, track, catalogue, protocols, floors, sds, entries)
        _check_finite(board, name)
    except LeaderboardError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError):
        raise LeaderboardError(f"{name} is no leaderboard: give the leaderboard.json of make repro") from None
    return board


def to_csv(board: Leaderboard) -> str:
    """One line per floor and per variant, full precision; empty where there is no value."""
    metrics = list(dict.fromkeys(name for dataset in board.datasets for name in board.metrics(dataset)))
    costs = ("seconds", "images", "images_per_second", "flops", "peak_memory_bytes", "device", "network")
    fixed = ["dataset", "variant", "family", "status", "seeds", "n_finished"]
    statistics_ = [f"{name}_{statistic}" for name in metrics for statistic in ("mean", "sd")]
    buffer = io.StringIO()
    writer = csv.DictWriter(
        buffer, [*fixed, *statistics_, *costs, "n_parameters"], restval="", lineterminator="\n"
    )
    writer.writeheader()
    for dataset in board.datasets:
        floor = {f"{name}_mean": value for name, value in board.floors[dataset].items()}
        floor |= {f"{name}_sd": value for name, value in board.floor_sds[dataset].items()}
        fixed_of_floor = {"dataset": dataset, "variant": FLOOR, "family": REAL, "status": OK}
        writer.writerow(fixed_of_floor | floor)
        for entry in board.entries[dataset]:
            line: dict[str, Any] = {
                "dataset": dataset,
                "variant": entry.variant,
                "family": entry.family,
                "status": entry.status,
                "seeds": " ".join(map(str, entry.seeds)),
                "n_finished": entry.n_finished,
                **{name: entry.cost[name] for name in costs if entry.cost.get(name) is not None},
                "n_parameters": sum(entry.cost["parameters"].values()),
            }
            for name, score in entry.metrics.items():
                line |= {f"{name}_mean": score.mean, f"{name}_sd": "" if score.sd is None else score.sd}
            writer.writerow(line)
    return buffer.getvalue()


def to_metrics(board: Leaderboard) -> dict[str, dict[str, dict[str, float]]]:
    """{dataset: {variant: {metric: mean}}} of the main metrics, for `dvc metrics`; the floor is a variant."""
    return {
        dataset: {FLOOR: {m: board.floors[dataset][m] for m in names if m in board.floors[dataset]}}
        | {
            entry.variant: {name: entry.metrics[name].mean for name in names if name in entry.metrics}
            for entry in board.entries[dataset]
        }
        for dataset in board.datasets
        for names in [board.main_metrics(dataset)]
    }


def _clean(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts without the columns that a row does not have."""
    records: list[dict[str, Any]] = rows.astype(object).to_dict("records")  # type: ignore[assignment]
    return [{k: v for k, v in record.items() if not _is_missing(v)} for record in records]


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _index(
    records: list[dict[str, Any]], keys: tuple[str, ...]
) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    index: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in records:
        name = tuple(int(record[key]) if key == "seed" else record[key] for key in keys)
        index.setdefault(name, []).append(record)
    return index


def _one(index: Mapping[tuple[Any, ...], list[dict[str, Any]]], name: tuple[Any, ...]) -> dict[str, Any]:
    found = index.get(name, [])
    what = f"cell {'/'.join(map(str, name))}" if len(name) > 1 else f"floor of {name[0]}"
    if not found:
        raise LeaderboardError(f"the {what} is missing from the tracking store: run dvc repro to publish it")
    if len(found) > 1:
        raise LeaderboardError(
            f"the {what} stands {len(found)} times in the tracking store: publish it again"
        )
    return found[0]


def _check_protocol(row: Json, floor: Json) -> None:
    difference = same_protocol(row["protocol"], floor["protocol"])
    if difference:
        raise LeaderboardError(
            f"cell {_named(row)} cannot be compared with the floor of {row['dataset']}: {difference}; "
            "run dvc repro to evaluate both under one protocol"
        )


def _check_complete(rows: Sequence[Json], floor: Mapping[str, float], order_by: str) -> None:
    """Refuse a finished cell of a variant that lacks a metric which another seed or the floor has."""
    finished = [row for row in rows if row["status"] == OK]
    wanted = {order_by: "tables are ordered by it"} | dict.fromkeys(floor, "the floor has it")
    for row in finished:
        wanted |= dict.fromkeys(_with_prefix(row, "eval/"), f"{_named(row)} has it")
    for row in finished:
        for metric, why in wanted.items():
            if f"eval/{metric}" not in row:
                name = _named(row)
                raise LeaderboardError(
                    f"cell {name} finished without {metric}, but {why}: evaluate it again with "
                    f"dvc repro --force --single-item evaluate@{name.replace('/', '-')}"
                )


def _check_finite(board: Leaderboard, name: str) -> None:
    """Refuse values that nothing can be compared with."""
    found = [
        (f"{dataset}/{entry.variant}", metric, value)
        for (dataset, _), entry in board.by_key.items()
        for metric, score in entry.metrics.items()
        for value in score.values
    ]
    found += [
        (f"the floor of {dataset}", metric, value)
        for floors in (board.floors, board.floor_sds)
        for dataset, values in floors.items()
        for metric, value in values.items()
    ]
    for where, metric, value in found:
        if not math.isfinite(value):
            raise LeaderboardError(
                f"{name}: {metric} of {where} is {value}: run make repro to write it again"
            )


def _named(row: Json) -> str:
    return f"{row['dataset']}/{row['variant']}/{int(row['seed'])}"


def _entry(rows: Sequence[Json], catalogue: Catalogue) -> Entry:
    """The rows of one variant's seeds as one entry."""
    first = rows[0]
    finished = [row for row in rows if row["status"] == OK]
    names = catalogue.ordered(name for row in finished for name in _with_prefix(row, "eval/"))
    return Entry(
        dataset=first["dataset"],
        variant=first["variant"],
        family=first["family"],
        source=first["source"],
        seeds=tuple(int(row["seed"]) for row in rows),
        n_finished=len(finished),
        metrics={name: _score(finished, name) for name in names},
        cost=_mean_cost(finished or rows),
        divergences={int(row["seed"]): row["divergence"] for row in rows if row["status"] != OK},
        details={int(row["seed"]): row["details"] for row in rows},
    )


def _entry_of(row: Json) -> Entry:
    """A row of leaderboard.json; one that does not tell how many seeds finished is taken by its values."""
    metrics = {
        name: Score(
            tuple(map(float, score["values"])),
            score.get("draw_sd"),
            tuple(score["interval"]) if score.get("interval") else None,
        )
        for name, score in row["metrics"].items()
    }
    seeds, status = tuple(row["seeds"]), row.get("status")
    longest = max((score.n for score in metrics.values()), default=0)
    return Entry(
        dataset=row["dataset"],
        variant=row["variant"],
        family=row.get("family", ""),
        source="",
        seeds=seeds,
        n_finished={OK: len(seeds), "diverged": 0}.get(str(status), longest),
        metrics=metrics,
        cost={"budget": row["cost"]["budget"]} | row["cost"],
        divergences={int(seed): {} for seed in row.get("diverged", ())},
        rank=row.get("rank"),
    )


def _score(rows: Sequence[Json], name: str) -> Score:
    spreads = [row[f"eval_draw_sd/{name}"] for row in rows if f"eval_draw_sd/{name}" in row]
    pooled = math.sqrt(statistics.fmean(sd**2 for sd in spreads)) if spreads else None
    return Score(tuple(row[f"eval/{name}"] for row in rows), pooled)


def _mean_cost(rows: Sequence[Json]) -> dict[str, Any]:
    """Means over seeds, `parameters` and `updates` by player; counts are rounded."""
    cost: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in _with_prefix(row, "cost/")):
        values = [row[f"cost/{name}"] for row in rows if f"cost/{name}" in row]
        mean = statistics.fmean(values)
        amount = round(mean, 3) if name in ("seconds", "images_per_second") else round(mean)
        group, _, player = name.partition("/")
        if player:
            cost.setdefault(group, {})[player] = amount
        else:
            cost[name] = amount
    cost["budget"] = int(rows[0]["budget"])
    cost["device"] = " and ".join(sorted({row["device"] for row in rows}))
    cost["network"] = rows[0]["network"]
    return {name: cost[name] for name in sorted(cost)} | {
        group: dict(sorted(cost.get(group, {}).items())) for group in ("parameters", "updates")
    }


def _judged(entries: Sequence[Entry], catalogue: Catalogue) -> list[Entry]:
    """The entries of a dataset with what they say about one another: intervals and ranks."""
    names = dict.fromkeys(name for entry in entries for name in entry.metrics)
    scores: dict[str, dict[str, Score]] = {entry.variant: dict(entry.metrics) for entry in entries}
    places: dict[str, int | None] = {}
    for name in names:
        values = {entry.variant: entry.metrics[name].values for entry in entries if name in entry.metrics}
        ratio = catalogue.is_relative(name) and all(v > 0 for each in values.values() for v in each)
        for variant, interval in intervals(values, ratio).items():
            scores[variant][name] = replace(scores[variant][name], interval=interval)
        if name == catalogue.order_by:
            bad = {
                variant: [catalogue.badness(name, value, relative=ratio) for value in each]
                for variant, each in values.items()
            }
            places = ranks(bad)
    return [replace(e, metrics=scores[e.variant], rank=places.get(e.variant)) for e in entries]


def _order(entry: Entry, catalogue: Catalogue) -> tuple[float, str]:
    score = entry.metrics.get(catalogue.order_by)
    return (catalogue.badness(catalogue.order_by, score.mean) if score else math.inf, entry.variant)


def _with_prefix(row: Json, prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): row[name] for name in row if name.startswith(prefix)}
