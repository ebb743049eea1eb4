"""From the runs of the cells to the table: mean and spread over seeds, in order of FID, floor first.

Pure functions: rows in (a DataFrame, one row per cell and per floor), plain data and csv out.
"""

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from gm_bench.results.protocol import same_protocol
from gm_bench.results.ranking import intervals, ranks
from gm_bench.tracking.record import FLOOR

SCHEMA = 1
ORDER_BY = "fid"
Cell = tuple[str, str, int]


@dataclass(frozen=True)
class Column:
    """How a metric is shown: its name in tables, and where better values lie."""

    title: str
    direction: str
    short: bool = True


COLUMNS = {
    "fid": Column("FID", "↓"),
    "fid_infinity": Column("FID∞", "↓", short=False),
    "fid_infinity_error": Column("FID∞ fit error", "↓", short=False),
    "kid": Column("KID", "↓"),
    "classifier_score": Column("Classifier score", "↑"),
    "inception_score": Column("Inception Score", "↑"),
    "precision": Column("Precision", "↑"),
    "recall": Column("Recall", "↑"),
    "density": Column("Density", "→1", short=False),
    "coverage": Column("Coverage", "↑", short=False),
    "one_nn": Column("1-NN", "→0.5"),
    "one_nn_real": Column("1-NN real", "→0.5", short=False),
    "one_nn_fake": Column("1-NN fake", "→0.5", short=False),
    "one_nn_train": Column("1-NN train", "→0.5", short=False),
    "one_nn_gap": Column("1-NN gap", "→0", short=False),
    "train_distance_ratio": Column("Train distance", "→1", short=False),
    "duplicates": Column("Duplicates", "↓", short=False),
    "duplicates_exact": Column("Exact duplicates", "↓", short=False),
    "classes_hit": Column("Classes", "↑", short=False),
    "class_kl": Column("Class KL", "↓", short=False),
    "class_accuracy": Column("Class accuracy", "↑", short=False),
    "sharpness": Column("Sharpness", "→1"),
    "elbo": Column("ELBO", "↑", short=False),
    "iw_bound": Column("IW bound", "↑", short=False),
}


class LeaderboardError(ValueError):
    """Rows that cannot stand in one table; the message names the first."""


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

    `metrics` are over the seeds that finished, in the order of `seeds`; `divergences` has the others. `rank`
    is by FID, shared with rows that cannot be told apart; None where no noise is known or no seed finished.
    `density` says what the ELBO is of; empty where the variant has none. `checkpoint` is the rule that the
    reported model follows, last or best on validation images; `picked` has the images shown before the best
    snapshot, by seed.
    """

    dataset: str
    variant: str
    family: str
    source: str
    seeds: tuple[int, ...]
    metrics: Mapping[str, Score]
    cost: Mapping[str, Any]
    divergences: Mapping[int, Mapping[str, Any]]
    rank: int | None = None
    density: str = ""
    checkpoint: str = "last"
    picked: Mapping[int, int] = field(default_factory=dict)

    @property
    def status(self) -> str:
        if not self.divergences:
            return "ok"
        return "diverged" if len(self.divergences) == len(self.seeds) else "partly diverged"


@dataclass(frozen=True)
class Leaderboard:
    """Per dataset its protocol, floor, the floor's standard deviation, and entries in order of FID."""

    protocols: Mapping[str, Mapping[str, Any]]
    floors: Mapping[str, Mapping[str, float]]
    floor_sds: Mapping[str, Mapping[str, float]]
    entries: Mapping[str, Sequence[Entry]]

    @property
    def datasets(self) -> list[str]:
        return list(self.protocols)

    def metrics(self, dataset: str) -> list[str]:
        """Names of the metrics of a dataset, in the order of the columns."""
        present = set(self.floors[dataset]).union(*(entry.metrics for entry in self.entries[dataset]))
        return [name for name in COLUMNS if name in present] + sorted(present - set(COLUMNS))


def build(rows: pd.DataFrame, cells: Sequence[Cell]) -> Leaderboard:
    """The leaderboard of the grid's cells; rows of other cells are left out.

    Args:
        rows: as `tracking.Store.rows` gives them: kind, dataset, variant, seed, family, source, status,
            divergence, density, protocol, network, device, budget, and `eval/…` and `cost/…` as floats.
        cells: (dataset, variant, seed) of the grid.

    Raises:
        LeaderboardError: a cell or a floor is missing or stands there twice, or two protocols differ.
    """
    records = _clean(rows)
    by_cell = _index([r for r in records if r["kind"] == "cell"], ("dataset", "variant", "seed"))
    by_floor = _index([r for r in records if r["kind"] == FLOOR], ("dataset",))
    protocols, floors, floor_sds, entries = {}, {}, {}, {}
    for dataset in dict.fromkeys(dataset for dataset, _, _ in cells):
        floor = _one(by_floor, (dataset,))
        protocols[dataset] = floor["protocol"]
        floors[dataset] = _with_prefix(floor, "eval/")
        floor_sds[dataset] = _with_prefix(floor, "eval_draw_sd/")
        seeds: dict[str, list[int]] = {}
        for _, variant, seed in (cell for cell in cells if cell[0] == dataset):
            _check_protocol(_one(by_cell, (dataset, variant, seed)), floor)
            seeds.setdefault(variant, []).append(seed)
        found = [_entry([by_cell[dataset, v, s][0] for s in sorted(chosen)]) for v, chosen in seeds.items()]
        entries[dataset] = sorted(_judged(found), key=_order)
    return Leaderboard(protocols, floors, floor_sds, entries)


def to_json(board: Leaderboard) -> dict[str, Any]:
    """The content of leaderboard.json."""
    return {
        "schema": SCHEMA,
        "protocol": dict(board.protocols),
        "rows": [
            {
                "dataset": entry.dataset,
                "variant": entry.variant,
                "family": entry.family,
                "rank": entry.rank,
                "seeds": list(entry.seeds),
                "status": entry.status,
                "density": entry.density,
                "checkpoint": {"rule": entry.checkpoint}
                | ({"images": list(entry.picked.values())} if entry.picked else {}),
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
        writer.writerow(
            {"dataset": dataset, "variant": FLOOR, "family": "real images", "status": "ok", **floor}
        )
        for entry in board.entries[dataset]:
            line: dict[str, Any] = {
                "dataset": dataset,
                "variant": entry.variant,
                "family": entry.family,
                "status": entry.status,
                "seeds": " ".join(map(str, entry.seeds)),
                "n_finished": len(entry.seeds) - len(entry.divergences),
                **{name: entry.cost[name] for name in costs if entry.cost.get(name) is not None},
                "n_parameters": sum(entry.cost["parameters"].values()),
            }
            for name, score in entry.metrics.items():
                line |= {f"{name}_mean": score.mean, f"{name}_sd": "" if score.sd is None else score.sd}
            writer.writerow(line)
    return buffer.getvalue()


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


def _check_protocol(row: Mapping[str, Any], floor: Mapping[str, Any]) -> None:
    difference = same_protocol(row["protocol"], floor["protocol"])
    if difference:
        name = f"{row['dataset']}/{row['variant']}/{int(row['seed'])}"
        raise LeaderboardError(
            f"cell {name} cannot be compared with the floor of {row['dataset']}: {difference}; "
            "run dvc repro to evaluate both under one protocol"
        )


def _entry(rows: Sequence[Mapping[str, Any]]) -> Entry:
    """The rows of one variant's seeds as one entry."""
    first = rows[0]
    finished = [row for row in rows if row["status"] == "ok"]
    names = list(dict.fromkeys(name for row in finished for name in _with_prefix(row, "eval/")))
    names.sort(key=lambda name: (list(COLUMNS).index(name) if name in COLUMNS else len(COLUMNS), name))
    return Entry(
        dataset=first["dataset"],
        variant=first["variant"],
        family=first["family"],
        source=first["source"],
        seeds=tuple(int(row["seed"]) for row in rows),
        metrics={name: _score([row for row in finished if f"eval/{name}" in row], name) for name in names},
        cost=_mean_cost(finished or rows),
        divergences={int(row["seed"]): row["divergence"] for row in rows if row["status"] != "ok"},
        density=first["density"],
        checkpoint=first["checkpoint"]["rule"],
        picked={
            int(row["seed"]): row["checkpoint"]["images"] for row in finished if "images" in row["checkpoint"]
        },
    )


def _score(rows: Sequence[Mapping[str, Any]], name: str) -> Score:
    spreads = [row[f"eval_draw_sd/{name}"] for row in rows if f"eval_draw_sd/{name}" in row]
    pooled = math.sqrt(statistics.fmean(sd**2 for sd in spreads)) if spreads else None
    return Score(tuple(row[f"eval/{name}"] for row in rows), pooled)


def _mean_cost(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
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


def _judged(entries: Sequence[Entry]) -> list[Entry]:
    """The entries of a dataset with what they say about one another: intervals and ranks."""
    names = dict.fromkeys(name for entry in entries for name in entry.metrics)
    scores: dict[str, dict[str, Score]] = {entry.variant: dict(entry.metrics) for entry in entries}
    places: dict[str, int | None] = {}
    for name in names:
        values = {entry.variant: entry.metrics[name].values for entry in entries if name in entry.metrics}
        ratio = name == ORDER_BY and all(value > 0 for each in values.values() for value in each)
        for variant, interval in intervals(values, ratio).items():
            scores[variant][name] = replace(scores[variant][name], interval=interval)
        if name == ORDER_BY:
            places = ranks(values, ratio)
    return [replace(e, metrics=scores[e.variant], rank=places.get(e.variant)) for e in entries]


def _order(entry: Entry) -> tuple[float, str]:
    score = entry.metrics.get(ORDER_BY)
    return (score.mean if score else math.inf, entry.variant)


def _with_prefix(row: Mapping[str, Any], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): row[name] for name in row if name.startswith(prefix)}
