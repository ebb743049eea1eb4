"""One cell of a board, all that is known of it, for the terminal."""

import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gm_bench import io
from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.metrics.catalogue import Catalogue
from gm_bench.report.formatting import duration, number
from gm_bench.results.schema import COST, METRICS, Origin, cell_result, check_cost, divergence_place
from gm_bench.running import taken
from gm_bench.running.boards import Step, address
from gm_bench.tracks.settings import explained_dataset

Json = Mapping[str, Any]


def describe(
    cell: Cell,
    state: str,
    settings: Json,
    origins: Mapping[str, str],
    file: Path,
    steps: Sequence[Step],
    catalogue: Catalogue,
) -> Group:
    """State, parameters, metrics draw by draw, cost, files and commands of a cell.

    Args:
        cell: which.
        state: fresh, stale, missing, or that it is not on the board.
        settings: what params.yaml says now; what the cell was trained with is marked where it differs.
        origins: where each of these values stands in params.yaml or comes from, by dotted key; empty where
            the track does not say.
        file: the dvc.yaml of the cell's stages.
        steps: these stages, in order.
        catalogue: of the metrics of its track.

    Raises:
        FileError: a file of the cell is damaged.
        ResultError: one of them lacks something.
    """
    metrics, cost = _read(cell.folder / METRICS), _read(cell.folder / COST)
    if metrics is not None:
        cell_result(cell, Origin("", ""), metrics, {}, (), str(cell.folder / METRICS))
    if cost is not None:
        check_cost(cost, str(cell.folder / COST))
    parts: list[RenderableType] = [Text(f"{cell}: {_state(state, metrics, cost)}", "bold")]
    parts.append(_parameters(settings, origins, cost))
    if metrics and metrics["values"]:
        parts.append(_metrics(metrics["values"], catalogue))
    if cost:
        parts.append(_costs(cost))
    parts.append(_files([out for step in steps for out in step.outs]))
    parts.append(_commands(cell, file, steps))
    return Group(*parts)


def numbers(params: Params, dataset: str, board: str) -> Table:
    """Every number of a dataset and of a board's training on it, and where it comes from."""
    table = _table("key", "value", "from")
    table.title, table.title_justify = Text(f"{dataset} on the board {board}"), "left"
    for key, each in explained_dataset(params, board, dataset).items():
        table.add_row(key, _shown(each.value), Text(each.origin))
    return table


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _read(path: Path) -> Json | None:
    if not path.exists():
        return None
    content: Json = io.read_json(path)
    return content


def _state(state: str, metrics: Json | None, cost: Json | None) -> str:
    """Fresh, stale or missing, and how its training ended."""
    record = metrics or cost
    if record and record["divergence"]:
        value = record["divergence"]["value"]
        return f"{state}, diverged at {divergence_place(record['divergence'])}: {value}"
    meanings = {
        "stale": "stale: code, data or parameters changed since",
        "missing": "missing: never finished",
        taken.UNPACKED: taken.UNPACKED_MEANS,
        "unknown": "fresh or stale, which DVC tells when the stage that is at work has ended",
    }
    return meanings.get(state, state)


def _parameters(now: Json, origins: Mapping[str, str], cost: Json | None) -> Table:
    table = _table("parameter", "value", "trained with", "from")
    is_training = bool(cost and cost["budget"] and origins)  # of a recipe: an experiment has none
    then = dict(_flat({"n_images": cost["budget"], **cost["recipe"]})) if cost and is_training else {}
    values = dict(_flat(now))
    for key in dict.fromkeys([*values, *then]):
        value = values.get(key, "absent")
        other = "" if not then or then.get(key) == value else then.get(key, "absent")
        table.add_row(
            key,
            value,
            Text(other, style="yellow"),
            origins.get(key, "a default" if origins else "the track"),
        )
    return table


def _flat(tree: Json, prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, str(list(value) if isinstance(value, tuple) else value)


def _metrics(values: Mapping[str, list[float]], catalogue: Catalogue) -> Table:
    n_draws = max(map(len, values.values()))
    table = _table("metric", "mean", "sd of draws", *(f"draw {i}" for i in range(n_draws)))
    for name, draws in values.items():
        sd = f"{statistics.stdev(draws):.3g}" if len(draws) > 1 else "–"
        table.add_row(
            catalogue.title(name), f"{statistics.fmean(draws):.4g}", sd, *(f"{value:.4g}" for value in draws)
        )
    return table


def _costs(cost: Json) -> Table:
    table = _table("cost", "")
    table.add_row("time", duration(cost["seconds"]))
    table.add_row("images", f"{number(cost['images'], 0)} of {number(cost['budget'], 0)}")
    for name in ("images_per_second", "flops", "rounds"):
        if cost.get(name) is not None:
            table.add_row(name.replace("_", " "), number(cost[name], 0))
    for name in ("updates", "parameters"):
        table.add_row(name, ", ".join(f"{player} {number(n, 0)}" for player, n in cost[name].items()))
    if cost.get("peak_memory_bytes") is not None:
        table.add_row("peak memory", f"{number(cost['peak_memory_bytes'] / 2**20, 0)} MiB")
    table.add_row("device", cost["device"])
    return table


def _files(paths: Sequence[Path]) -> Table:
    table = _table("file", "bytes")
    for path in paths:
        table.add_row(str(path), number(path.stat().st_size, 0) if path.exists() else "not there")
    return table


def _commands(cell: Cell, file: Path, steps: Sequence[Step]) -> Table:
    """What makes the cell again: with what it depends on, and stage by stage from scratch."""
    stages = [shlex.quote(address(file, cell.stage(step.name))) for step in steps]
    table = _table("to reproduce", "")
    table.add_row("up to date, with all it depends on", f"dvc repro {stages[-1]}")
    table.add_row("from scratch", f"dvc repro --single-item --force {' '.join(stages)}")
    for step in steps:
        table.add_row(f"{step.name} alone, without DVC", Text(step.command))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
