"""Charts that any leaderboard has, as SVG, with the numbers that they are drawn from."""

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes

from gm_bench.cell import in_file_name
from gm_bench.report.drawing import (
    FAMILY_INKS,
    FLOOR_INK,
    WIDTH,
    Band,
    Extent,
    Point,
    dots,
    figure_of,
    logarithmic,
    names_on_y,
    scatter,
    to_svg,
    vertical,
)
from gm_bench.report.formatting import number
from gm_bench.results.leaderboard import Entry, Leaderboard, Score
from gm_bench.results.schema import FLOOR, REAL, CellResult

FAMILIES = ("GAN", "LSGAN", "VAE", "WGAN", "baselines")  # whose colours stay from one board to another


@dataclass(frozen=True)
class Panel:
    """One picture of a chart; `label` is empty where there is only one."""

    label: str
    svg: str


@dataclass(frozen=True)
class Chart:
    """A chart and its numbers.

    Args:
        name: fit for a file name.
        title: what is shown.
        caption: how to read it.
        alt: what a reader who does not see it should know.
        panels: pictures, one or one for each variant.
        table: the numbers, as csv with a header.
    """

    name: str
    title: str
    caption: str
    alt: str
    panels: tuple[Panel, ...]
    table: str


def family_colours(board: Leaderboard) -> dict[str, str]:
    """Family → its colour, the suite's own families the same on every board; six, then from the start."""
    here = {entry.family for entries in board.entries.values() for entry in entries}
    families = [*FAMILIES, *sorted(here.difference(FAMILIES))]
    return {family: FAMILY_INKS[i % len(FAMILY_INKS)] for i, family in enumerate(families) if family in here}


def ranking(board: Leaderboard, dataset: str) -> Chart | None:
    """The ordering metric of every variant with its interval, each seed, and the floor."""
    order = board.order_by
    entries = board.with_metric(dataset, order)
    if not entries:
        return None
    colours, base = family_colours(board), board.floors[dataset].get(order)
    figure, axes = figure_of(WIDTH, 46 + 20 * len(entries))
    if base is not None:
        vertical(axes, base, "floor")
    for y, entry in enumerate(entries):
        score = entry.metrics[order]
        dots(axes, y, extent_of(score), score.values, colours[entry.family])
    names_on_y(axes, [entry.variant for entry in entries])
    values = [v for e in entries for v in e.metrics[order].values] + ([base] if base is not None else [])
    axes.set_xlabel(board.catalogue.title(order) + _scaled(board, order, axes, "x", values))
    name = chart_name(dataset, order)
    return Chart(
        name,
        f"{board.catalogue.title(order)} by variant",
        "Large dot: mean over seeds; small dots: seeds; bar: 95 % interval of the mean; dashed: the floor.",
        f"{board.catalogue.name(order)} on {dataset}, {better(board, order)}: {told(entries, order)}"
        f"{told_floor(board, dataset, order)}.",
        (Panel("", to_svg(figure, name)),),
        table_of_scores(board, dataset, (order,)),
    )


def cost(board: Leaderboard, dataset: str, results: Sequence[CellResult], unit: str) -> Chart | None:
    """The ordering metric against what training cost; None where that is the same of several variants.

    Args:
        unit: a count in cost.json: seconds, or images (real ones shown).
    """
    order = board.order_by
    entries = board.with_metric(dataset, order)
    if not entries:
        return None
    finished = _finished(entries, results)
    points: list[Point] = []
    for entry in entries:
        cells = finished[entry.variant]
        spent = tuple(float(cell.cost[unit]) for cell in cells)
        if not spent or not min(spent):  # a closed-form fit is shown no image: no place on a log scale
            continue
        along = Extent(statistics.fmean(spent), min(spent), max(spent))
        points.append(Point(entry.variant, entry.family, along, extent_of(entry.metrics[order])))
    if len({point.x for point in points}) < min(2, len(entries)):
        return None
    colours, base = family_colours(board), board.floors[dataset].get(order)
    figure, axes = figure_of(WIDTH, 320)
    values = [v for p in points for v in (p.y.low, p.y.high)]
    label = board.catalogue.title(order)
    label += _scaled(board, order, axes, "y", values + ([base] if base is not None else []))
    logarithmic(axes, "x", [v for p in points for v in (p.x.low, p.x.high)])
    if base is not None:
        axes.axhline(base, color=FLOOR_INK, linestyle=(0, (2, 2)), linewidth=1.2)
    scatter(axes, points, colours, None)
    words = {"seconds": "seconds of training, one seed", "images": "real images shown"}[unit]
    axes.set_xlabel(f"{words}, log scale")
    axes.set_ylabel(label)
    said = "; ".join(f"{p.label} {p.y.value:.4g} after {number(p.x.value, 0)}" for p in points)
    corner = "Upper left" if board.catalogue.direction(order) == "↑" else "Lower left"
    name = f"{in_file_name(dataset)}-cost-{unit}"
    return Chart(
        name,
        f"Quality against {unit}",
        f"{corner} is better. Vertical bars: 95 % intervals; horizontal ones: the range of costs over seeds; "
        "dashed: the floor.",
        f"{board.catalogue.name(order)} against {words} on {dataset}: {said}.",
        (Panel("", to_svg(figure, name)),),
        csv_of(
            ("variant", "family", "seed", unit, order),
            [
                (entry.variant, entry.family, cell.seed, cell.cost[unit], cell.mean(order))
                for entry in entries
                for cell in finished[entry.variant]
            ],
        ),
    )


def extent_of(score: Score) -> Extent:
    """A mean and the ends of its interval."""
    low, high = score.interval or (score.mean, score.mean)
    return Extent(score.mean, low, high)


def chart_name(dataset: str, what: str) -> str:
    """A chart's name, fit for a file name: digits-one-nn."""
    return f"{in_file_name(dataset)}-{what.replace('_', '-')}"


def better(board: Leaderboard, metric: str) -> str:
    """Where better values lie, in words."""
    direction = board.catalogue.direction(metric)
    words = {"↓": "lower is better", "↑": "higher is better", "": "neither side is better"}
    return words.get(direction, f"best {direction[1:]}")


def told(entries: Sequence[Entry], metric: str) -> str:
    """Every entry's mean and interval, for those who do not see the chart."""
    parts = []
    for entry in entries:
        score = entry.metrics[metric]
        span = f" ({score.interval[0]:.4g} to {score.interval[1]:.4g})" if score.interval else ""
        parts.append(f"{entry.variant} {score.mean:.4g}{span}")
    return "; ".join(parts)


def told_floor(board: Leaderboard, dataset: str, metric: str) -> str:
    value = board.floors[dataset].get(metric)
    return "" if value is None else f"; floor {value:.4g}"


def table_of_scores(board: Leaderboard, dataset: str, metrics: Sequence[str]) -> str:
    """csv: a line for each metric of each variant, and of the floor."""
    lines: list[tuple[Any, ...]] = [
        (FLOOR, REAL, metric, board.floors[dataset][metric], "", "", "", "")
        for metric in metrics
        if metric in board.floors[dataset]
    ]
    for entry in board.entries[dataset]:
        for metric in metrics:
            if metric in entry.metrics:
                score = entry.metrics[metric]
                ends = score.interval or ("", "")
                seeds = " ".join(map(repr, score.values))
                lines.append((entry.variant, entry.family, metric, score.mean, *ends, score.n, seeds))
    return csv_of(("variant", "family", "metric", "mean", "low_95", "high_95", "n_seeds", "seeds"), lines)


def band_of(series: Sequence[Sequence[tuple[int, float]]]) -> Band:
    """Mean, lowest and highest over seeds where a seed was measured; what is not finite is left out."""
    at: dict[int, list[float]] = {}
    for curve in series:
        for images, value in curve:
            if math.isfinite(value):
                at.setdefault(images, []).append(value)
    return [(images, statistics.fmean(v), min(v), max(v)) for images, v in sorted(at.items())]


def _scaled(
    board: Leaderboard, metric: str, axes: Axes, which: Literal["x", "y"], values: Sequence[float]
) -> str:
    """Make an axis logarithmic where the metric's differences are ratios; what its label says of that."""
    if not board.catalogue.is_relative(metric):
        return ""
    logarithmic(axes, which, values)
    return ", log scale"


def by_variant(
    board: Leaderboard, dataset: str, results: Sequence[CellResult]
) -> dict[str, list[CellResult]]:
    """The cells of each variant of the table, in the table's order, by seed."""
    return {
        entry.variant: sorted(
            (r for r in results if (r.dataset, r.variant) == (dataset, entry.variant)), key=_seed
        )
        for entry in board.entries[dataset]
    }


def _finished(entries: Sequence[Entry], results: Sequence[CellResult]) -> dict[str, list[CellResult]]:
    """Cells of each entry in the order of its values: those that did not diverge, by seed."""
    return {
        entry.variant: sorted(
            (
                r
                for r in results
                if (r.dataset, r.variant) == (entry.dataset, entry.variant) and r.seed in entry.finished
            ),
            key=_seed,
        )
        for entry in entries
    }


def _seed(result: CellResult) -> int:
    return result.seed


def colours_of_variants(board: Leaderboard, dataset: str) -> dict[str, str]:
    colours = family_colours(board)
    return {entry.variant: colours[entry.family] for entry in board.entries[dataset]}


def csv_of(header: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """Numbers of a chart or a table, with a header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return buffer.getvalue()
