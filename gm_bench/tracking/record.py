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

from gm_bench.results.schema import FLOOR, OK, REAL, CellResult, Floor, divergence_place

SCHEMA = 3
LEADERBOARD = "leaderboard"
FACTS = "gm_bench.facts"  # tag; what it has no room for follows in those with .1, .2, … behind the name
TAG_LENGTH = 5000  # what MLflow has room for: it cuts off the rest without a word, at 8,000 since version 3
SINGLE = 0  # the step at which MLflow shows a single value as a bar and a picture at first sight
Json = Mapping[str, Any]
READ_BACK = ("eval/", "eval_draw_sd/", "cost/")  # how metrics begin that rows of a leaderboard are made of


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
        snapshots: samples at several times of the training.
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
    board: str
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

    @property
    def experiment(self) -> str:
        """Whose runs it stands among: BOARD/DATASET."""
        return f"{self.board}/{self.dataset}"

    @property
    def facts_text(self) -> str:
        """The facts as the tags hold them together."""
        return json.dumps(self.facts, allow_nan=False)

    @property
    def facts_tags(self) -> dict[str, str]:
        """The facts as tags hold them."""
        text = self.facts_text
        parts = [text[start : start + TAG_LENGTH] for start in range(0, len(text), TAG_LENGTH)]
        return {f"{FACTS}.{i}" if i else FACTS: part for i, part in enumerate(parts)}

    def is_told(self, metrics: Mapping[str, float], tags: Mapping[str, str]) -> bool:
        """Whether the tags hold its kind and facts, and the metrics the last values of all of its series.

        Others that rows of a leaderboard would be read from (somebody logged them) are none of its.
        """
        last = {point.name: point.value for point in sorted(self.points, key=lambda point: point.step)}
        same = all(metrics.get(name) == value for name, value in last.items())
        other = any(name.startswith(READ_BACK) and name not in last for name in metrics)
        is_kind = tags.get("kind") == self.tags["kind"]
        return same and not other and is_kind and _facts_text(tags) == self.facts_text


def of_cell(
    result: CellResult, card: Json, row_details: Sequence[str] = (), pictures: Pictures | None = None
) -> Record:
    """The record of one cell.

    Args:
        card: the dataset's card.
        row_details: keys of the cell's details that a row of the leaderboard needs.
        pictures: where its sample pictures are; None where samples are no pictures.
    """
    cell, cost, origin = result.cell, result.cost, result.origin
    details = {key: result.details[key] for key in row_details if key in result.details}
    recipe = cost["recipe"]
    points = curves(result.history)
    ended_ms = points[-1].timestamp_ms if points else 0
    facts = {
        "kind": "cell",
        **cell.as_dict(),
        "family": origin.family,
        "source": origin.source,
        "status": result.status,
        "divergence": result.divergence,
        "details": details,
        "protocol": result.protocol,
        "network": cost["network"],
        "device": cost["device"],
        "budget": cost["budget"],
    }
    return Record(
        name=str(cell),
        run_name=f"{cell.variant} · {cell.seed}",
        board=cell.board,
        dataset=cell.dataset,
        key=_key(cell.board, str(cell), origin.family, origin.source, *row_details, *result.file_hashes),
        facts=facts,
        tags={
            "kind": "cell",
            "family": origin.family,
            "source": origin.source,
            "status": result.status,
            **({"divergence": divergence_place(result.divergence)} if result.divergence else {}),
            **_protocol_tags(result.protocol),
            "device": cost["device"],
            "evaluation_device": result.device,
            **result.hashes,
        },
        params={
            "dataset": cell.dataset,
            "variant": cell.variant,
            "family": origin.family,
            "seed": str(cell.seed),
            "network": cost["network"],
            "budget": str(cost["budget"]),
            "batch_size": str(recipe["batch_size"]),
            **{f"lr/{player}": str(optimiser["lr"]) for player, optimiser in recipe["optimisers"].items()},
            **{f"updates/{player}": str(count) for player, count in recipe["updates"].items()},
        },
        points=[
            *_scores(result.values, ended_ms),  # first: MLflow's compare page opens with the first metric
            *points,
            *(
                Point(f"curve/{metric}", value, images, ended_ms)
                for metric, curve in result.curves.items()
                for images, value in curve
            ),
            *_costs(cost, ended_ms),
            *_divergence(result.divergence, ended_ms),
        ],
        began_ms=points[0].timestamp_ms if points else 0,
        ended_ms=ended_ms,
        card=card,
        pictures=pictures,
    )


def of_floor(board: str, floor: Floor, card: Json) -> Record:
    """The record of a dataset's floor: real data measured against real data."""
    dataset = floor.dataset
    name = f"{dataset}/{FLOOR}"
    return Record(
        name=name,
        run_name=f"{REAL} · {FLOOR}",
        board=board,
        dataset=dataset,
        key=_key(board, name, floor.file_hash),
        facts={"kind": FLOOR, "dataset": dataset, "status": OK, "protocol": floor.protocol},
        tags={"kind": FLOOR, "family": REAL, "status": OK, **_protocol_tags(floor.protocol)},
        params={"dataset": dataset, "variant": FLOOR, "family": REAL},
        points=[
            Point(f"{prefix}/{metric}", value, SINGLE, 0)
            for prefix, values in (("eval", floor.values), ("eval_draw_sd", floor.sd))
            for metric, value in values.items()
        ],
        began_ms=0,
        ended_ms=0,
        card=card,
    )


def of_leaderboard(
    board: str,
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
        board, dataset: whose.
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
        board=board,
        dataset=dataset,
        key=_key(board, name, json.dumps(columns), json.dumps(files, sort_keys=True)),
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


def facts_of(tags: Mapping[str, str]) -> dict[str, Any] | None:
    """The facts that the tags of a run hold; None where they are damaged, or were cut off by MLflow."""
    try:
        facts: dict[str, Any] = json.loads(_facts_text(tags))
    except ValueError:
        return None
    return facts


def _facts_text(tags: Mapping[str, str]) -> str:
    parts = [tags.get(FACTS, "")]
    while (name := f"{FACTS}.{len(parts)}") in tags:
        parts.append(tags[name])
    return "".join(parts)


def lock_digest(lock: str) -> str:
    """sha256 of the stages in a dvc.lock, in any order; the leaderboard's is left out, it comes after."""
    stages = re.findall(r"^  \S.*\n(?:    .*\n)*", lock, re.MULTILINE)
    counted = sorted(stage for stage in stages if not stage.startswith(f"  {LEADERBOARD}:"))
    return hashlib.sha256("".join(counted).encode()).hexdigest()


def _key(*parts: str) -> str:
    return hashlib.sha256(json.dumps([SCHEMA, *parts]).encode()).hexdigest()


def _protocol_tags(protocol: Json) -> dict[str, str]:
    """What people filter by, of what a protocol says; those of a track without an extractor lack its tag."""
    tags = {name: str(protocol[name]) for name in ("n_samples", "draws", "split") if name in protocol}
    if "extractor" in protocol:
        tags["extractor"] = f"{protocol['extractor']['name']} {protocol['extractor']['sha256'][:12]}"
    return tags


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
