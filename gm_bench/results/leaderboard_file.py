"""A leaderboard's files: leaderboard.json, which is read back, csv, and numbers for `dvc metrics`."""

import csv
import io
import math
from collections.abc import Mapping
from typing import Any

from gm_bench.cell import parse_cell
from gm_bench.metrics.catalogue import Catalogue
from gm_bench.results.leaderboard import Entry, Json, Key, Leaderboard, LeaderboardError, Score
from gm_bench.results.schema import FLOOR, OK, REAL

SCHEMA = 1


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
        **({"missing": list(map(str, board.missing))} if board.missing else {}),
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
        protocols = {dataset: dict(protocol) for dataset, protocol in content["protocol"].items()}
        floors = dict(content["floors"])
        entries: dict[str, list[Entry]] = {dataset: [] for dataset in protocols}
        for row in content["rows"]:
            entries[row["dataset"]].append(_entry_of(row))
        sds = dict(content.get("floor_sd", {}))
        name_of_board, track = _text(content.get("board", "")), _text(content.get("track", ""))
        missing = tuple(parse_cell([cell], name_of_board) for cell in content.get("missing", ()))
        board = Leaderboard(name_of_board, track, catalogue, protocols, floors, sds, entries, missing)
        _check_finite(board, name)
    except LeaderboardError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        raise LeaderboardError(f"{name} is no leaderboard: give a leaderboard.json of reports/") from None
    return board


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
        variant=_text(row["variant"]),
        family=row.get("family", ""),
        source="",
        seeds=seeds,
        n_finished={OK: len(seeds), "diverged": 0}.get(str(status), longest),
        metrics=metrics,
        cost={"budget": row["cost"]["budget"]} | row["cost"],
        divergences={int(seed): {} for seed in row.get("diverged", ())},
        rank=row.get("rank"),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no name")
    return value


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
                f"{name}: {metric} of {where} is {value}: gm-bench run --board {board.name} writes it again"
            )


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
