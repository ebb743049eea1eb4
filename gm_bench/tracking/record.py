"""What the stages left of a cell or a floor, as the run that stands for it in the tracking store.

A translation and nothing more: artefacts in, names and numbers out, so that the same artefacts always give
the same record, and the same record the same key.
"""

import hashlib
import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCHEMA = 2
FLOOR = "floor"
LEADERBOARD = "leaderboard"
SINGLE = 0  # the step at which MLflow shows a single value as a bar and a picture at first sight
Json = Mapping[str, Any]


class RecordError(ValueError):
    """Artefacts that do not belong together; the message says which."""


@dataclass(frozen=True)
class Point:
    """One value of a series; single values are series of one."""

    name: str
    value: float
    step: int
    timestamp_ms: int


@dataclass(frozen=True)
class Pictures:
    """Where the sample pictures of a cell are.

    Args:
        grid: samples of the finished model; None where the cell diverged.
        snapshots: samples at moments of the training.
        budget: real images that training shows in all.
    """

    grid: Path | None
    snapshots: Path
    budget: int


@dataclass(frozen=True)
class Record:
    """A run: `facts` are for the leaderboard, `tags` and `params` for people who filter and compare.

    Equal records have equal keys. `revision` does not count in that: it says who vouches for the run by now.
    """

    name: str
    run_name: str
    dataset: str
    key: str
    facts: dict[str, Any]
    tags: dict[str, str]
    params: dict[str, str]
    points: list[Point]
    began_ms: int
    ended_ms: int
    card: Json
    pictures: Pictures | None = None
    table: Mapping[str, Sequence[str]] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    revision: Mapping[str, str] = field(default_factory=dict)


def of_cell(
    dataset: str,
    variant: str,
    seed: int,
    *,
    family: str,
    source: str,
    metrics: Json,
    cost: Json,
    history: Sequence[Mapping[str, str]],
    card: Json,
    file_hashes: Sequence[str],
    grid: Path,
    snapshots: Path,
) -> Record:
    """The record of one cell of the grid.

    Args:
        dataset, variant, seed: the cell.
        family: what kind of model the variant says it is.
        source: where the variant says it was published.
        metrics: content of metrics.json.
        cost: content of cost.json.
        history: rows of history.csv.
        card: the dataset's card.
        file_hashes: sha256 of the files that the content was read from.
        grid: path of the finished model's sample grid.
        snapshots: path of the samples at moments of the training.

    Raises:
        RecordError: the metrics are another cell's, or of another training than the cost.
    """
    name = f"{dataset}/{variant}/{seed}"
    cell = {"dataset": dataset, "variant": variant, "seed": seed}
    if metrics["cell"] != cell:
        raise RecordError(
            f"runs/{name}/metrics.json is of cell {metrics['cell']}: delete it and run dvc repro"
        )
    if metrics["hashes"]["training_key"] != cost["training_key"]:
        raise RecordError(
            f"runs/{name}: metrics.json and cost.json are of two trainings; run dvc repro to evaluate again"
        )
    recipe, protocol = cost["recipe"], metrics["protocol"]
    points = curves(history)
    ended_ms = points[-1].timestamp_ms if points else 0
    facts = {
        "kind": "cell",
        **cell,
        "family": family,
        "source": source,
        "status": metrics["status"],
        "divergence": metrics["divergence"],
        "density": metrics["density"],
        "checkpoint": metrics["checkpoint"],
        "protocol": protocol,
        "network": cost["network"],
        "device": cost["device"],
        "budget": cost["budget"],
    }
    return Record(
        name=name,
        run_name=f"{variant} · {seed}",
        dataset=dataset,
        key=_key(name, family, source, *file_hashes),
        facts=facts,
        tags={
            "kind": "cell",
            "family": family,
            "source": source,
            "status": metrics["status"],
            **({"divergence": divergence_place(metrics["divergence"])} if metrics["divergence"] else {}),
            **_protocol_tags(protocol),
            "device": cost["device"],
            "evaluation_device": metrics["device"],
            "training_key": cost["training_key"],
            "samples": metrics["hashes"]["samples"],
        },
        params={
            "dataset": dataset,
            "variant": variant,
            "family": family,
            "seed": str(seed),
            "network": cost["network"],
            "budget": str(cost["budget"]),
            "batch_size": str(recipe["batch_size"]),
            **{f"lr/{player}": str(optimiser["lr"]) for player, optimiser in recipe["optimisers"].items()},
            **{f"updates/{player}": str(count) for player, count in recipe["updates"].items()},
        },
        points=[
            *_scores(metrics["values"], ended_ms),  # first: MLflow's compare page opens with the first metric
            *points,
            *_curve(metrics["curve"], ended_ms),
            *_costs(cost, ended_ms),
            *_divergence(metrics["divergence"], ended_ms),
        ],
        began_ms=points[0].timestamp_ms if points else 0,
        ended_ms=ended_ms,
        card=card,
        pictures=Pictures(grid if metrics["status"] == "ok" else None, snapshots, cost["budget"]),
    )


def of_floor(dataset: str, *, floor: Json, card: Json, file_hashes: Sequence[str]) -> Record:
    """The record of a dataset's floor: real images measured against real images."""
    name = f"{dataset}/{FLOOR}"
    if floor["dataset"] != dataset:
        raise RecordError(
            f"reference/{dataset}/floor.json is of {floor['dataset']}: delete it and run dvc repro"
        )
    facts = {"kind": FLOOR, "dataset": dataset, "status": "ok", "protocol": floor["protocol"]}
    return Record(
        name=name,
        run_name="real images · floor",
        dataset=dataset,
        key=_key(name, *file_hashes),
        facts=facts,
        tags={"kind": FLOOR, "family": "real images", "status": "ok", **_protocol_tags(floor["protocol"])},
        params={"dataset": dataset, "variant": FLOOR, "family": "real images"},
        points=[
            Point(f"{prefix}/{metric}", value, SINGLE, 0)
            for prefix, values in (("eval", floor["values"]), ("eval_draw_sd", floor["sd"]))
            for metric, value in values.items()
        ],
        began_ms=0,
        ended_ms=0,
        card=card,
    )


def of_leaderboard(
    dataset: str,
    *,
    table: Sequence[Sequence[str]],
    files: Mapping[str, str],
    card: Json,
    ended_ms: int,
    revision: Mapping[str, str],
) -> Record:
    """The record of a dataset's leaderboard: what was made of all its cells.

    Args:
        dataset: whose.
        table: lines of cells, the header first.
        files: name → content of the reports.
        card: the dataset's card.
        ended_ms: when the last of its cells ended.
        revision: tags that say which state of code and data this is.
    """
    name = f"{dataset}/{LEADERBOARD}"
    header, *lines = table
    titles = [title.replace(".", "·") for title in header]  # MLflow's page takes a full stop for a path
    columns = {title: list(column) for title, column in zip(titles, zip(*lines, strict=True), strict=True)}
    return Record(
        name=name,
        run_name=LEADERBOARD,
        dataset=dataset,
        key=_key(name, json.dumps(columns), json.dumps(files, sort_keys=True)),
        facts={"kind": LEADERBOARD, "dataset": dataset},
        tags={"kind": LEADERBOARD},
        params={},
        points=[],
        began_ms=ended_ms,
        ended_ms=ended_ms,
        card=card,
        table=columns,
        files=files,
        revision=revision,
    )


def lock_digest(lock: str) -> str:
    """sha256 of the stages in a dvc.lock, in any order; the leaderboard's is left out, it comes after."""
    stages = re.findall(r"^  \S.*\n(?:    .*\n)*", lock, re.MULTILINE)
    counted = sorted(stage for stage in stages if not stage.startswith(f"  {LEADERBOARD}:"))
    return hashlib.sha256("".join(counted).encode()).hexdigest()


def divergence_place(divergence: Json) -> str:
    """Where a training broke off: step 412 (critic loss)."""
    return f"step {divergence['step']} ({divergence['player']} {divergence['term']})"


def _key(*parts: str) -> str:
    return hashlib.sha256(json.dumps([SCHEMA, *parts]).encode()).hexdigest()


def _protocol_tags(protocol: Json) -> dict[str, str]:
    extractor = protocol["extractor"]
    return {
        "extractor": f"{extractor['name']} {extractor['sha256'][:12]}",
        "n_samples": str(protocol["n_samples"]),
        "draws": str(protocol["draws"]),
        "split": protocol["split"],
    }


def curves(history: Sequence[Mapping[str, str | float]]) -> list[Point]:
    """Every finite value of history.csv, against images shown, at the time when it was measured."""
    points = []
    for row in history:
        step, timestamp_ms = int(float(row["images"])), int(float(row["timestamp_ms"]))
        for column, text in row.items():
            measured = column not in ("images", "round", "timestamp_ms") and text != ""
            if measured and math.isfinite(float(text)):
                points.append(Point(f"train/{column}", float(text), step, timestamp_ms))
    return points


def _scores(values: Mapping[str, Sequence[float]], timestamp_ms: int) -> list[Point]:
    """Each metric as the mean over its draws, their spread, and draw by draw as a series of its own."""
    points = []
    for metric, draws in values.items():
        points.append(Point(f"eval/{metric}", statistics.fmean(draws), SINGLE, timestamp_ms))
        if len(draws) > 1:
            points.append(Point(f"eval_draw_sd/{metric}", statistics.stdev(draws), SINGLE, timestamp_ms))
        points += [Point(f"eval_draws/{metric}", value, i, timestamp_ms) for i, value in enumerate(draws)]
    return points


def _curve(curve: Json, timestamp_ms: int) -> list[Point]:
    """Validation metrics of the snapshots, against images shown."""
    names = [name for name in curve if name != "images"]
    return [
        Point(f"curve/{name}", value, step, timestamp_ms)
        for name in names
        for step, value in zip(curve["images"], curve[name], strict=True)
    ]


def _costs(cost: Json, timestamp_ms: int) -> list[Point]:
    names = ("images", "rounds", "seconds", "images_per_second", "flops", "peak_memory_bytes")
    amounts = {name: cost[name] for name in names}
    for name in ("parameters", "updates"):
        amounts |= {f"{name}/{player}": amount for player, amount in cost[name].items()}
    return [
        Point(f"cost/{name}", float(amount), SINGLE, timestamp_ms)
        for name, amount in amounts.items()
        if amount is not None
    ]


def _divergence(divergence: Json | None, timestamp_ms: int) -> list[Point]:
    return [Point("divergence/step", float(divergence["step"]), SINGLE, timestamp_ms)] if divergence else []
