"""A page for one cell: what it scored, what it was trained with, how to make it again, how it failed."""

import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gm_bench.cell import Cell
from gm_bench.report.display import Display, Samples
from gm_bench.report.formatting import NOT_AVAILABLE, duration, number
from gm_bench.report.pictures import data_uri, exact_grid
from gm_bench.report.template import templates
from gm_bench.report.training_charts import losses_of_cell
from gm_bench.results.schema import CellResult, divergence_place

COLUMNS_OF_GRID = 8


def render(
    result: CellResult,
    display: Display,
    *,
    floor: Mapping[str, float],
    floor_sd: Mapping[str, float],
    siblings: Sequence[Cell],
    samples: Samples | None = None,
) -> str:
    """The page as HTML; the same cell always gives the same page.

    Args:
        result: the cell.
        display: how its track shows it.
        floor, floor_sd: the floor of the cell's dataset and its standard deviation.
        siblings: cells of the same dataset and variant, this one among them.
        samples: what it drew; None where samples are no pictures.
    """
    cell, values, cost = result.cell, result.values, result.cost
    n_draws = max(map(len, values.values()), default=0)
    n_samples = result.protocol.get("n_samples")
    protocol = [*_flat(result.protocol), *display.cell_facts(result)]
    examples = display.examples(result.protocol)
    return (
        templates()
        .get_template("cell.html")
        .render(
            name=f"{cell.dataset} / {cell.variant} / seed {cell.seed}",
            dataset=cell.dataset,
            family=result.origin.family,
            source=result.origin.source,
            siblings=[(f"seed {other.seed}", None if other == cell else other.page) for other in siblings],
            failures=failures(result, display),
            verdict=display.cell_verdict(result, floor, floor_sd),
            of_samples=f"of {n_samples:,} generated {examples}" if n_samples else "",
            n_draws=n_draws,
            scores=[
                _score(
                    display.catalogue.title(metric),
                    values[metric],
                    n_draws,
                    floor.get(metric),
                    floor_sd.get(metric),
                )
                for metric in display.catalogue.ordered(values)
            ],
            samples=_samples(result, samples),
            galleries=display.cell_galleries(result),
            chart=losses_of_cell(result, examples),
            commands=commands(cell),
            lists=[
                ("Cost", _cost(cost, examples)),
                ("Parameters", [("budget", f"{cost['budget']:,} real {examples}"), *_flat(cost["recipe"])]),
                ("Protocol", protocol),
                ("Origin", _origin(result)),
            ],
        )
    )


def commands(cell: Cell) -> list[tuple[str, str]]:
    """What makes a cell again, in words and as a command, to be run from the top of the repository."""
    board, variant = shlex.quote(cell.board), shlex.quote(cell.variant)
    part = f"--datasets {shlex.quote(cell.dataset)} --variants {variant} --seeds {cell.seed}"
    return [
        ("up to date, with all it depends on", f"gm-bench run --board {board} {part}"),
        (
            "all that is known of it, and its stages",
            f"gm-bench show {shlex.quote(str(cell))} --board {board}",
        ),
    ]


def failures(result: CellResult, display: Display) -> list[str]:
    """What went wrong in one sentence each: divergence, and what the track finds."""
    said = []
    where = result.divergence
    if where:
        shown, budget = result.cost["images"], result.cost["budget"]
        said.append(
            f"Training diverged at {divergence_place(where)}: the value was {where['value']}. "
            f"It had been shown {shown:,} of {budget:,} {display.examples(result.protocol)}; there are no "
            "metrics."
        )
    return [*said, *display.failures(result)]


def _score(
    title: str, draws: Sequence[float], n_draws: int, floor: float | None, floor_sd: float | None
) -> dict[str, Any]:
    """A line of the table; a metric that knows no draws leaves their places empty."""
    spread = "" if floor_sd is None else f" ± {floor_sd:.2g}"
    return {
        "title": title,
        "mean": f"{statistics.fmean(draws):.4g}",
        "draws": [f"{value:.4g}" for value in draws] if len(draws) == n_draws else [""] * n_draws,
        "floor": NOT_AVAILABLE if floor is None else f"{floor:.4g}{spread}",
    }


def _samples(result: CellResult, samples: Samples | None) -> dict[str, str] | None:
    if samples is None or samples.images is None:
        return None
    cell = result.cell
    text = f"{len(samples.images)} samples of {cell.variant} on {cell.dataset}, seed {cell.seed}"
    return {"source": data_uri(exact_grid(samples.images, COLUMNS_OF_GRID)), "text": text}


def _cost(cost: Mapping[str, Any], examples: str) -> list[tuple[str, str]]:
    facts = [
        ("time", duration(cost["seconds"])),
        (examples, f"{cost['images']:,} of {cost['budget']:,}"),
        (f"{examples} per second", number(cost["images_per_second"], 0)),
        ("rounds", number(cost["rounds"], 0)),
    ]
    for name in ("updates", "parameters"):
        facts.append((name, ", ".join(f"{player} {number(n, 0)}" for player, n in cost[name].items())))
    if cost.get("flops") is not None:
        facts.append(("floating-point operations", f"{cost['flops']:.3g}"))
    if cost.get("peak_memory_bytes") is not None:
        facts.append(("peak memory", f"{number(cost['peak_memory_bytes'] / 2**20, 0)} MiB"))
    return [*facts, ("device", cost["device"])]


def _origin(result: CellResult) -> list[tuple[str, str]]:
    facts = [("folder", result.cell.folder.as_posix()), ("training key", result.cost["training_key"])]
    if "samples" in result.hashes:
        facts.append(("sha256 of the samples", result.hashes["samples"]))
    return facts + [(f"{name} in training", version) for name, version in result.cost["versions"].items()]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of a tree of mappings, their keys joined by dots."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
