"""Charts that any leaderboard has, as SVG, with the numbers that they are drawn from."""

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gm_bench.cell import in_file_name
from gm_bench.report.drawing import (
    FAMILY_INKS,
    FLOOR_INK,
    INK,
    LINE,
    PANEL,
    SOFT,
    WIDTH,
    Band,
    Extent,
    Point,
    dots,
    draw_band,
    figure_of,
    images_on_x,
    logarithmic,
    names_on_y,
    scatter,
    short,
    to_svg,
    vertical,
)
from gm_bench.report.formatting import number
from gm_bench.results.leaderboard import Entry, Leaderboard, Score
from gm_bench.results.schema import FLOOR, REAL, CellResult

POINTS_PER_CURVE = 50


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
    """Family → the colour it is drawn in, the same for all datasets; six, then from the start again."""
    families = sorted({entry.family for entries in board.entries.values() for entry in entries})
    return {family: FAMILY_INKS[i % len(FAMILY_INKS)] for i, family in enumerate(families)}


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
    """The ordering metric against what training cost, with the way there where it was measured.

    Args:
        unit: a count in cost.json: seconds, or images (real ones shown).
    """
    order = board.order_by
    entries = board.with_metric(dataset, order)
    if not entries:
        return None
    finished = _finished(entries, results)
    points: list[Point] = []
    lines: list[tuple[Entry, list[tuple[float, float]]]] = []
    for entry in entries:
        cells = finished[entry.variant]
        spent = tuple(float(cell.cost[unit]) for cell in cells)
        if not spent or not min(spent):  # a closed-form fit is shown no image: no place on a log scale
            continue
        along = Extent(statistics.fmean(spent), min(spent), max(spent))
        points.append(Point(entry.variant, entry.family, along, extent_of(entry.metrics[order])))
        measured = _band([cell.curve(order) for cell in cells])
        images_shown = statistics.fmean([float(cell.cost["images"]) for cell in cells])
        share = along.value / images_shown if images_shown else 0.0  # then there is no way there either
        lines.append((entry, [(images * share, mean) for images, mean, _, _ in measured]))
    if not points:
        return None
    colours, base = family_colours(board), board.floors[dataset].get(order)
    figure, axes = figure_of(WIDTH, 320)
    for entry, way in lines:
        x, y = [point[0] for point in way], [point[1] for point in way]
        axes.plot(x, y, color=colours[entry.family], linewidth=0.8, alpha=0.5)
    values = [v for p in points for v in (p.y.low, p.y.high)] + [y for _, way in lines for _, y in way]
    label = board.catalogue.title(order)
    label += _scaled(board, order, axes, "y", values + ([base] if base is not None else []))
    spent_all = [v for p in points for v in (p.x.low, p.x.high)] + [
        x for _, way in lines for x, _ in way if x > 0
    ]
    logarithmic(axes, "x", spent_all)
    if base is not None:
        axes.axhline(base, color=FLOOR_INK, linestyle=(0, (2, 2)), linewidth=1.2)
    scatter(axes, points, colours, None)
    words = {"seconds": "seconds of training, one seed", "images": "real images shown"}[unit]
    axes.set_xlabel(f"{words}, log scale")
    axes.set_ylabel(label)
    said = "; ".join(f"{p.label} {p.y.value:.3g} after {number(p.x.value, 0)}" for p in points)
    drawn = any(way for _, way in lines)
    corner = "Upper left" if board.catalogue.direction(order) == "↑" else "Lower left"
    name = f"{in_file_name(dataset)}-cost-{unit}"
    return Chart(
        name,
        f"Quality against {unit}",
        f"{corner} is better. Bars: upright the 95 % interval, lying the range of costs over seeds; "
        "dashed: the floor."
        + (
            " Lines: the way there, on a few validation images, so that their level is not that of the dots."
            if drawn
            else ""
        ),
        f"{board.catalogue.name(order)} against {words} on {dataset}: {said}.",
        (Panel("", to_svg(figure, name)),),
        _csv(
            ("variant", "family", "part", "seed", unit, order),
            [
                *(
                    (entry.variant, entry.family, "end", cell.seed, cell.cost[unit], cell.mean(order))
                    for entry in entries
                    for cell in finished[entry.variant]
                ),
                *((entry.variant, entry.family, "way", "", *point) for entry, way in lines for point in way),
            ],
        ),
    )


def curves(board: Leaderboard, dataset: str, results: Sequence[CellResult], metric: str) -> Chart | None:
    """A metric on validation images while each variant trains, one panel a variant, the others in grey."""
    cells = _by_variant(board, dataset, results)
    bands = {v: _band([e.curve(metric) for e in seeds]) for v, seeds in cells.items()}
    bands = {variant: band for variant, band in bands.items() if band}
    if not bands:
        return None
    colours = _colours_of_variants(board, dataset)
    values = [v for band in bands.values() for _, _, low, high in band for v in (low, high)]
    panels = []
    for variant, own in bands.items():
        figure, axes = figure_of(PANEL, 150)
        for other, band in bands.items():
            if other != variant:
                axes.plot([b[0] for b in band], [b[1] for b in band], color=LINE, linewidth=0.8)
        draw_band(axes, own, colours[variant], "solid")
        ideal = board.catalogue[metric].ideal if metric in board.catalogue else None
        if board.catalogue.is_relative(metric):
            logarithmic(axes, "y", values)
        elif ideal is not None:
            axes.axhline(ideal, color=FLOOR_INK, linestyle=(0, (2, 2)), linewidth=1)
            axes.set_ylim(min(0.9 * ideal, *values), max(2 * ideal, *values))
        images_on_x(axes)
        panels.append(Panel(variant, to_svg(figure, f"{in_file_name(dataset)}-curve-{metric}-{variant}")))
    last = "; ".join(f"{variant} {band[-1][1]:.3g}" for variant, band in bands.items())
    return Chart(
        chart_name(dataset, f"curve-{metric}"),
        f"{board.catalogue.title(metric)} while training",
        "Against real images shown, on a few validation images: to be compared with each other, not with the "
        "table. Line: mean; band: from the lowest to the highest seed; grey: the other variants.",
        f"{board.catalogue.title(metric)} on validation images of {dataset} at the end of training: {last}.",
        tuple(panels),
        _csv(
            ("variant", "seed", "images", metric),
            [
                (v, cell.seed, *point)
                for v, seeds in cells.items()
                for cell in seeds
                for point in cell.curve(metric)
            ],
        ),
    )


def losses(board: Leaderboard, dataset: str, results: Sequence[CellResult]) -> Chart | None:
    """The losses of each variant's players while it trains, one panel a variant."""
    cells = _by_variant(board, dataset, results)
    panels, lines = [], []
    for variant, seeds in cells.items():
        by_term = _loss_bands(seeds)
        if by_term:
            panels.append(Panel(variant, _loss_panel(by_term, f"{in_file_name(dataset)}-loss-{variant}")))
        lines += [(variant, term, *point) for term, band in by_term.items() for point in band]
    if not panels:
        return None
    return Chart(
        f"{in_file_name(dataset)}-loss",
        "Losses while training",
        "Against real images shown; each variant has a loss and a scale of its own. Line: mean over seeds; "
        "band: from the lowest to the highest.",
        f"Losses of {', '.join(panel.label for panel in panels)} on {dataset} over the images shown.",
        tuple(panels),
        _csv(("variant", "term", "images", "mean", "low", "high"), lines),
    )


def losses_of_cell(result: CellResult) -> Chart | None:
    """The losses of one cell."""
    by_term = _loss_bands([result])
    if not by_term:
        return None
    name = f"{result.cell.page}-loss"
    lines = [(term, *point) for term, curve in result.terms().items() for point in curve]
    return Chart(
        name,
        "Losses while training",
        "Against real images shown.",
        "; ".join(f"{term} ends at {band[-1][1]:.3g}" for term, band in by_term.items()),
        (Panel("", _loss_panel(by_term, name, WIDTH, 200)),),
        _csv(("term", "images", "value"), lines),
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
        span = f" ({score.interval[0]:.3g} to {score.interval[1]:.3g})" if score.interval else ""
        parts.append(f"{entry.variant} {score.mean:.3g}{span}")
    return "; ".join(parts)


def told_floor(board: Leaderboard, dataset: str, metric: str) -> str:
    value = board.floors[dataset].get(metric)
    return "" if value is None else f"; floor {value:.3g}"


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
    return _csv(("variant", "family", "metric", "mean", "low_95", "high_95", "n_seeds", "seeds"), lines)


def _scaled(
    board: Leaderboard, metric: str, axes: Axes, which: Literal["x", "y"], values: Sequence[float]
) -> str:
    """Make an axis logarithmic where the metric's differences are ratios; what its label says of that."""
    if not board.catalogue.is_relative(metric):
        return ""
    logarithmic(axes, which, values)
    return ", log scale"


def _band(series: Sequence[Sequence[tuple[int, float]]]) -> Band:
    """Mean, lowest and highest over seeds where a seed was measured; what is not finite is left out."""
    at: dict[int, list[float]] = {}
    for curve in series:
        for images, value in curve:
            if math.isfinite(value):
                at.setdefault(images, []).append(value)
    return [(images, statistics.fmean(v), min(v), max(v)) for images, v in sorted(at.items())]


def _loss_bands(seeds: Sequence[CellResult]) -> dict[str, Band]:
    names = list(dict.fromkeys(name for cell in seeds for name in cell.terms()))
    bands = {name: _band([cell.terms().get(name, []) for cell in seeds]) for name in names}
    return {name: _thinned(band) for name, band in bands.items() if band}


def _thinned(band: Band) -> Band:
    """About fifty points of a curve, its last one among them."""
    step = max(1, math.ceil(len(band) / POINTS_PER_CURVE))
    return band[::-1][::step][::-1]


def _loss_panel(by_term: Mapping[str, Band], name: str, width: float = PANEL, height: float = 150) -> str:
    figure, axes = figure_of(width, height)
    styles = ((INK, "solid"), (FLOOR_INK, "solid"), (SOFT, "dashed"))
    for i, (term, band) in enumerate(by_term.items()):
        colour, style = styles[min(i, len(styles) - 1)]
        draw_band(axes, band, colour, style)
        axes.annotate(
            term.removesuffix("/loss"),
            (0, 1),
            xycoords="axes fraction",
            xytext=(2 + 62 * i, 2),
            textcoords="offset points",
            color=colour,
            fontsize=9,
            annotation_clip=False,
        )
    middle = sorted(v for band in by_term.values() for _, mean, _, _ in band for v in (mean,))
    low, high = middle[len(middle) // 50], middle[-1 - len(middle) // 50]
    margin = 0.15 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    images_on_x(axes)
    return to_svg(figure, name)


def _by_variant(
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


def _colours_of_variants(board: Leaderboard, dataset: str) -> dict[str, str]:
    colours = family_colours(board)
    return {entry.variant: colours[entry.family] for entry in board.entries[dataset]}


def _csv(header: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return buffer.getvalue()
