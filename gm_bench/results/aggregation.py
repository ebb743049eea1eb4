"""From the runs of the cells to the leaderboard: mean and spread over seeds, ranks, the best first.

It starts from rows (a DataFrame, one row per cell and per floor) and refuses what cannot stand in one table.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from gm_bench.cell import Cell
from gm_bench.metrics.catalogue import Catalogue
from gm_bench.results.comparing import seeds_of
from gm_bench.results.leaderboard import (
    Entry,
    Json,
    Leaderboard,
    LeaderboardError,
    Score,
    catalogue_of,
)
from gm_bench.results.protocol import same_protocol
from gm_bench.results.ranking import intervals, ranks
from gm_bench.results.schema import FLOOR, OK


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
    name = cells[0].board if cells else ""
    again = f"gm-bench run --board {name}"
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        floor = _one(by_floor, (dataset,), again)
        protocols[dataset] = floor["protocol"]
        floors[dataset] = _with_prefix(floor, "eval/")
        floor_sds[dataset] = _with_prefix(floor, "eval_draw_sd/")
        seeds: dict[str, list[int]] = {}
        for cell in (cell for cell in cells if cell.dataset == dataset):
            _check_protocol(_one(by_cell, (dataset, cell.variant, cell.seed), again), floor, again)
            seeds.setdefault(cell.variant, []).append(cell.seed)
        found = []
        for variant, chosen in seeds.items():
            of_variant = [by_cell[dataset, variant, seed][0] for seed in sorted(chosen)]
            _check_complete(of_variant, floors[dataset], catalogue.order_by, again)
            found.append(_entry(of_variant, catalogue))
        entries[dataset] = sorted(_judged(found, catalogue), key=lambda entry: _order(entry, catalogue))
    return Leaderboard(name, track, catalogue, protocols, floors, floor_sds, entries)


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


def _one(
    index: Mapping[tuple[Any, ...], list[dict[str, Any]]], name: tuple[Any, ...], again: str
) -> dict[str, Any]:
    """The row of that name; `again` is the command that publishes it."""
    found = index.get(name, [])
    what = f"cell {'/'.join(map(str, name))}" if len(name) > 1 else f"floor of {name[0]}"
    if not found:
        raise LeaderboardError(f"the {what} is missing from the tracking store: {again} publishes it")
    if len(found) > 1:
        raise LeaderboardError(
            f"the {what} stands {len(found)} times in the tracking store: {again} publishes it anew"
        )
    return found[0]


def _check_protocol(row: Json, floor: Json, again: str) -> None:
    difference = same_protocol(row["protocol"], floor["protocol"])
    if difference:
        packed = ", but for cells of a pack, whose floor must be made with their versions (docs/boards.md)"
        raise LeaderboardError(
            f"cell {_named(row)} cannot be compared with the floor of {row['dataset']}: {difference}; "
            f"{again} evaluates both under one protocol{packed if difference.startswith('versions.') else ''}"
        )


def _check_complete(rows: Sequence[Json], floor: Mapping[str, float], order_by: str, again: str) -> None:
    """Refuse a finished cell of a variant that lacks a metric which another seed or the floor has."""
    finished = [row for row in rows if row["status"] == OK]
    wanted = {order_by: "tables are ordered by it"} | dict.fromkeys(floor, "the floor has it")
    for row in finished:
        wanted |= dict.fromkeys(_with_prefix(row, "eval/"), f"{_named(row)} has it")
    for row in finished:
        for metric, why in wanted.items():
            if f"eval/{metric}" not in row:
                raise LeaderboardError(
                    f"cell {_named(row)} finished without {metric}, but {why}: delete its metrics.json, and "
                    f"{again} evaluates it again"
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
    kinds = {entry.variant: entry.kind_of_noise for entry in entries}
    compared = catalogue_of(entries, catalogue=catalogue)
    for name in names:
        values = {entry.variant: entry.metrics[name].values for entry in entries if name in entry.metrics}
        for variant, interval in intervals(values, compared.is_relative(name), kinds).items():
            inside = interval and catalogue.within(name, interval)
            scores[variant][name] = replace(scores[variant][name], interval=inside)
    places = ranks(*seeds_of(entries, catalogue.order_by, compared))
    return [replace(e, metrics=scores[e.variant], rank=places.get(e.variant)) for e in entries]


def _order(entry: Entry, catalogue: Catalogue) -> tuple[float, str]:
    score = entry.metrics.get(catalogue.order_by)
    return (catalogue.badness(catalogue.order_by, score.mean) if score else math.inf, entry.variant)


def _with_prefix(row: Json, prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): row[name] for name in row if name.startswith(prefix)}
