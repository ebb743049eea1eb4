"""What the stages leave of a cell and of a floor: read once, checked once, into one model in memory.

metrics.json, schema 2: {schema, cell, status, divergence, protocol, values: {metric: [one per draw]},
curves: {metric: [[images, value], …]}, details, device, hashes: {training_key, samples}}. `details` are the
track's own: nothing here looks into them.
"""

import csv
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gm_bench import io
from gm_bench.cell import DATA, REFERENCE, Cell

METRICS_SCHEMA, FLOOR_SCHEMA = 2, 2
FLOOR, REAL = "floor", "real images"  # the floor's name, and what stands in the place of its family
OK = "ok"
METRICS, COST, HISTORY = "metrics.json", "cost.json", "history.csv"
COST_AMOUNTS = ("budget", "images", "rounds", "seconds", "images_per_second")
COST_MAPPINGS = ("parameters", "updates", "recipe", "versions")
COST_KEYS = ("training_key", "network", "device", "flops", "peak_memory_bytes", *COST_AMOUNTS, *COST_MAPPINGS)
Json = Mapping[str, Any]


class ResultError(ValueError):
    """Files of a cell that do not belong together or cannot be read; the message says which."""


@dataclass(frozen=True)
class Origin:
    """What a variant says it is: its family, and where it was published."""

    family: str
    source: str


@dataclass(frozen=True)
class CellResult:
    """One cell.

    Args:
        origin: of its variant.
        status: "ok", or "diverged": then there are no values.
        divergence: step, player, term and value where training broke off; None where it did not.
        protocol: what the values depend on besides the samples.
        values: metric → one value per draw; all finite.
        curves: metric → (images shown, value) while it trained, against validation data.
        details: the track's own.
        device: of the evaluation.
        hashes: of the training (`training_key`) and of the samples.
        cost: content of cost.json.
        history: rows of history.csv.
        file_hashes: sha256 of the files that all this was read from.
    """

    cell: Cell
    origin: Origin
    status: str
    divergence: Json | None
    protocol: Json
    values: Mapping[str, tuple[float, ...]]
    curves: Mapping[str, tuple[tuple[int, float], ...]]
    details: Json
    device: str
    hashes: Json
    cost: Json
    history: Sequence[Mapping[str, str]]
    file_hashes: tuple[str, ...] = ()

    @property
    def dataset(self) -> str:
        return self.cell.dataset

    @property
    def variant(self) -> str:
        return self.cell.variant

    @property
    def seed(self) -> int:
        return self.cell.seed

    def mean(self, metric: str) -> float:
        """Over the draws."""
        return statistics.fmean(self.values[metric])

    def curve(self, metric: str) -> list[tuple[int, float]]:
        """(images shown, value) while the cell trained; empty where it was not measured."""
        return list(self.curves.get(metric, ()))

    def terms(self) -> dict[str, list[tuple[int, float]]]:
        """(images shown, value) of each term in history.csv that ends in /loss, less empty places."""
        names = [name for name in (self.history[0] if self.history else {}) if name.endswith("/loss")]
        return {
            name: [(int(float(row["images"])), float(row[name])) for row in self.history if row[name] != ""]
            for name in names
        }


@dataclass(frozen=True)
class Floor:
    """What the metrics say of real data in the place of generated ones.

    Args:
        values: metric → value.
        sd: metric → its standard deviation between random splits, where it has one.
        file_hash: sha256 of the file that it was read from.
    """

    dataset: str
    values: Mapping[str, float]
    sd: Mapping[str, float]
    protocol: Json
    file_hash: str = field(default="", compare=False)


def read_cell(cell: Cell, origin: Origin) -> CellResult:
    """What the stages left of a cell.

    Raises:
        FileError: a file is missing or damaged.
        ResultError: a file is of another version, cell or training, or a value is not finite.
    """
    files = [cell.folder / name for name in (METRICS, COST, HISTORY)]
    metrics, cost, history = io.read_json(files[0]), io.read_json(files[1]), _read_history(files[2])
    result = cell_result(cell, origin, metrics, cost, history, str(files[0]))
    check_cost(cost, str(files[1]))
    if result.hashes["training_key"] != cost["training_key"]:
        raise ResultError(f"{cell.folder}: {METRICS} and {COST} are of two trainings: run the board again")
    return replace(result, file_hashes=tuple(io.sha256_file(file) for file in files))


def cell_result(
    cell: Cell, origin: Origin, metrics: Any, cost: Any, history: Sequence[Mapping[str, str]], name: str
) -> CellResult:
    """The result in the content of the files of a cell; `name` is that of metrics.json in sentences.

    Raises:
        ResultError: the content is of another version or cell, or a value is not finite.
    """
    _check_schema(metrics, METRICS_SCHEMA, name)
    if metrics.get("cell") != cell.as_dict():
        raise ResultError(f"{name} is of cell {metrics.get('cell')}: delete it and rerun its board")
    try:
        values = {metric: tuple(map(float, draws)) for metric, draws in metrics["values"].items()}
        curves = {
            metric: tuple((int(images), float(value)) for images, value in points)
            for metric, points in metrics["curves"].items()
        }
        result = CellResult(
            cell=cell,
            origin=origin,
            status=metrics["status"],
            divergence=metrics["divergence"],
            protocol=metrics["protocol"],
            values=values,
            curves=curves,
            details=metrics["details"],
            device=metrics["device"],
            hashes={"training_key": metrics["hashes"]["training_key"]} | metrics["hashes"],
            cost=cost,
            history=history,
        )
    except KeyError as error:
        raise ResultError(f"{name} lacks {error}: delete it and rerun its board") from None
    except (TypeError, ValueError, AttributeError):
        raise ResultError(f"{name} is of another form: delete it and rerun its board") from None
    for metric, draws in values.items():
        for i, value in enumerate(draws):
            if not math.isfinite(value):
                raise ResultError(f"{name}: {metric} of draw {i} is {value}: delete it and rerun its board")
    return result


def _read_history(file: Path) -> list[dict[str, str]]:
    """The rows of history.csv, of which every place is a number or empty."""
    try:
        history = io.read_csv(file)
        for row in history:
            for column in ("images", "timestamp_ms"):
                int(float(row[column]))
            for text in row.values():
                if text != "":
                    float(text)
    except KeyError as error:
        raise ResultError(f"{file} lacks {error}: delete it and rerun its board") from None
    except (ValueError, TypeError, OverflowError, csv.Error) as error:
        raise io.damaged(file, error) from None
    return history


def check_cost(content: Any, name: str) -> None:
    """Refuse a cost.json of which something is missing; `name` is its own in sentences.

    Raises:
        ResultError: it lacks a key, or is of another form.
    """
    missing = [key for key in COST_KEYS if key not in content] if isinstance(content, dict) else []
    if missing:
        raise ResultError(f"{name} lacks '{missing[0]}': delete it and rerun its board")
    try:
        for amount in (
            *(content[key] for key in COST_AMOUNTS),
            *(content[key] or 0 for key in ("flops", "peak_memory_bytes")),  # null where not counted
            *(amount for key in ("parameters", "updates") for amount in content[key].values()),
        ):
            float(amount)
        for key in COST_MAPPINGS:
            content[key].items()
    except (TypeError, ValueError, AttributeError):
        raise ResultError(f"{name} is of another form: delete it and rerun its board") from None


def read_floor(dataset: str) -> Floor:
    """What the stage reference left of a dataset's floor.

    Raises:
        FileError: the file is missing or damaged.
        ResultError: it is of another version or dataset, or a value is not finite.
    """
    file = REFERENCE / dataset / "floor.json"
    content = io.read_json(file)
    _check_schema(content, FLOOR_SCHEMA, str(file))
    if content.get("dataset", dataset) != dataset:
        raise ResultError(f"{file} is of {content['dataset']}: delete it and rerun its board")
    try:
        values, sd = (
            {metric: float(value) for metric, value in content[key].items()} for key in ("values", "sd")
        )
        floor = Floor(dataset, values, sd, content["protocol"], io.sha256_file(file))
    except KeyError as error:
        raise ResultError(f"{file} lacks {error}: delete it and rerun its board") from None
    except (TypeError, ValueError, AttributeError):
        raise ResultError(f"{file} is of another form: delete it and rerun its board") from None
    for metric, value in (*floor.values.items(), *floor.sd.items()):
        if not math.isfinite(value):
            raise ResultError(f"{file}: {metric} is {value}: delete it and rerun its board")
    return floor


def read_card(dataset: str) -> Json:
    """The card of a dataset.

    Raises:
        FileError: the file is missing or damaged.
    """
    card: Json = io.read_json(DATA / dataset / "card.json")
    return card


def divergence_place(divergence: Json) -> str:
    """Where a training broke off: step 412 (critic loss)."""
    return f"step {divergence['step']} ({divergence['player']} {divergence['term']})"


def _check_schema(content: Any, expected: int, name: str) -> None:
    found = content.get("schema") if isinstance(content, dict) else None
    if found != expected:
        raise ResultError(f"{name} has schema {found}, this version reads {expected}: rerun its board")
