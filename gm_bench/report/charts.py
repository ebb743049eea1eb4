"""Charts of the leaderboard as SVG, with the numbers that they are drawn from."""

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.ticker import FuncFormatter, MaxNLocator

from gm_bench.report.drawing import (
    FAMILY_INKS,
    FLOOR_INK,
    INK,
    LINE,
    PAGE,
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
    key,
    logarithmic,
    names_on_y,
    scatter,
    short,
    to_svg,
    vertical,
)
from gm_bench.report.exhibit import Exhibit, in_file_name, page_name
from gm_bench.report.tables import number, title
from gm_bench.results.leaderboard import ORDER_BY, Entry, Leaderboard, Score

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


def charts(board: Leaderboard, dataset: str, exhibits: Sequence[Exhibit]) -> list[Chart]:
    """All charts of a dataset that there is something to draw for.

    Args:
        exhibits: the dataset's cells.
    """
    drawn = [
        ranking(board, dataset),
        one_nn(board, dataset),
        precision_recall(board, dataset),
        cost(board, dataset, exhibits, "seconds"),
        cost(board, dataset, exhibits, "images"),
        curves(board, dataset, exhibits, "fid"),
        curves(board, dataset, exhibits, "one_nn"),
        losses(board, dataset, exhibits),
    ]
    return [chart for chart in drawn if chart is not None]


def family_colours(board: Leaderboard) -> dict[str, str]:
    """Family → the colour it is drawn in, the same for all datasets; six, then from the start again."""
    families = sorted({entry.family for entries in board.entries.values() for entry in entries})
    return {family: FAMILY_INKS[i % len(FAMILY_INKS)] for i, family in enumerate(families)}


def ranking(board: Leaderboard, dataset: str) -> Chart | None:
    """FID of every variant with its interval, each seed, and the floor, on a logarithmic scale."""
    entries = _with(board, dataset, ORDER_BY)
    if not entries:
        return None
    colours, base = family_colours(board), board.floors[dataset].get(ORDER_BY)
    figure, axes = figure_of(WIDTH, 46 + 20 * len(entries))
    if base is not None:
        vertical(axes, base, "floor")
    for y, entry in enumerate(entries):
        score = entry.metrics[ORDER_BY]
        dots(axes, y, _extent(score), score.values, colours[entry.family])
    names_on_y(axes, [entry.variant for entry in entries])
    values = [v for e in entries for v in e.metrics[ORDER_BY].values] + ([base] if base is not None else [])
    logarithmic(axes, "x", values)
    axes.set_xlabel(f"{title(ORDER_BY)}, log scale")
    return Chart(
        f"{in_file_name(dataset)}-fid",
        f"{title(ORDER_BY)} by variant",
        "Large dot: mean over seeds; small dots: seeds; bar: 95 % interval of the mean; dashed: the floor.",
        f"FID on {dataset}, lower is better: {_told(entries, ORDER_BY)}"
        f"{_told_floor(board, dataset, ORDER_BY)}.",
        (Panel("", to_svg(figure, f"{in_file_name(dataset)}-fid")),),
        _table_of_scores(board, dataset, (ORDER_BY,)),
    )


def one_nn(board: Leaderboard, dataset: str) -> Chart | None:
    """1-NN accuracy, overall, on real and on generated images, with the line at one half."""
    entries = _with(board, dataset, "one_nn")
    if not entries:
        return None
    colours = family_colours(board)
    figure, axes = figure_of(WIDTH, 62 + 30 * len(entries))
    vertical(axes, 0.5, "50 %")
    for y, entry in enumerate(entries):
        score = entry.metrics["one_nn"]
        dots(axes, y, _extent(score), score.values, colours[entry.family])
        for name, sign, shift in (("one_nn_real", "^", 0.28), ("one_nn_fake", "v", -0.28)):
            if name in entry.metrics:
                extent = _extent(entry.metrics[name])
                axes.errorbar(
                    extent.value,
                    y + shift,
                    xerr=extent.bar,
                    fmt=sign,
                    elinewidth=0.8,
                    color=colours[entry.family],
                    markersize=4.5,
                    markerfacecolor=PAGE,
                )
    names_on_y(axes, [entry.variant for entry in entries])
    low, high = axes.get_xlim()
    axes.set_xlim(max(min(low, 0.45), 0.0), min(max(high, 0.55), 1.02))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.0f} %"))
    axes.set_xlabel(f"{title('one_nn')}: accuracy of telling real from generated")
    key(axes, (("o", "overall"), ("^", "real"), ("v", "generated")))
    return Chart(
        f"{in_file_name(dataset)}-one-nn",
        "1-NN accuracy",
        "At 50 % a nearest neighbour cannot tell real from generated. Triangles: of real and of generated "
        "images alone; generated above real: samples lie nearer to one another than real images do. "
        "Bars: 95 % intervals.",
        f"1-NN accuracy on {dataset}, best 0.5: {_told(entries, 'one_nn')}"
        f"{_told_floor(board, dataset, 'one_nn')}.",
        (Panel("", to_svg(figure, f"{in_file_name(dataset)}-one-nn")),),
        _table_of_scores(board, dataset, ("one_nn", "one_nn_real", "one_nn_fake")),
    )


def precision_recall(board: Leaderboard, dataset: str) -> Chart | None:
    """Precision against recall, a cross of intervals for each variant, and the floor."""
    entries = [e for e in _with(board, dataset, "precision") if "recall" in e.metrics]
    if not entries:
        return None
    points = [
        Point(e.variant, e.family, _extent(e.metrics["recall"]), _extent(e.metrics["precision"]))
        for e in entries
    ]
    floor = board.floors[dataset]
    mark = (floor["recall"], floor["precision"]) if {"recall", "precision"} <= set(floor) else None
    figure, axes = figure_of(WIDTH, 320)
    axes.set_xlabel("Recall ↑: real images that the variant reaches")
    axes.set_ylabel("Precision ↑: samples that look real")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    scatter(axes, points, family_colours(board), mark)
    told = "; ".join(f"{p.label} {p.y.value:.2f} and {p.x.value:.2f}" for p in points)
    end = f"; floor {mark[1]:.2f} and {mark[0]:.2f}" if mark else ""
    return Chart(
        f"{in_file_name(dataset)}-precision-recall",
        "Precision against recall",
        "Upper left: good samples, few kinds; lower right: all kinds, poor samples. Crosses: 95 % intervals.",
        f"Precision and recall on {dataset}: {told}{end}.",
        (Panel("", to_svg(figure, f"{in_file_name(dataset)}-precision-recall")),),
        _table_of_scores(board, dataset, ("precision", "recall")),
    )


def cost(board: Leaderboard, dataset: str, exhibits: Sequence[Exhibit], unit: str) -> Chart | None:
    """FID against what training cost, with the way there where it was measured.

    Args:
        unit: a count in cost.json: seconds, or images (real ones shown).
    """
    entries = _with(board, dataset, ORDER_BY)
    if not entries:
        return None
    finished = _finished(entries, exhibits)
    points: list[Point] = []
    lines: list[tuple[Entry, list[tuple[float, float]]]] = []
    for entry in entries:
        cells = finished[entry.variant]
        spent = tuple(float(cell.cost[unit]) for cell in cells)
        if not spent or not min(spent):  # a closed-form fit is shown no image: no place on a log scale
            continue
        along = Extent(statistics.fmean(spent), min(spent), max(spent))
        points.append(Point(entry.variant, entry.family, along, _extent(entry.metrics[ORDER_BY])))
        measured = _band([cell.curve(ORDER_BY) for cell in cells])
        images_shown = statistics.fmean([float(cell.cost["images"]) for cell in cells])
        share = along.value / images_shown if images_shown else 0.0  # then there is no way there either
        lines.append((entry, [(images * share, mean) for images, mean, _, _ in measured]))
    if not points:
        return None
    colours, base = family_colours(board), board.floors[dataset].get(ORDER_BY)
    figure, axes = figure_of(WIDTH, 320)
    for entry, way in lines:
        x, y = [point[0] for point in way], [point[1] for point in way]
        axes.plot(x, y, color=colours[entry.family], linewidth=0.8, alpha=0.5)
    values = [v for p in points for v in (p.y.low, p.y.high)] + [y for _, way in lines for _, y in way]
    logarithmic(axes, "y", values + ([base] if base is not None else []))
    spent_all = [v for p in points for v in (p.x.low, p.x.high)] + [
        x for _, way in lines for x, _ in way if x > 0
    ]
    logarithmic(axes, "x", spent_all)
    if base is not None:
        axes.axhline(base, color=FLOOR_INK, linestyle=(0, (2, 2)), linewidth=1.2)
    scatter(axes, points, colours, None)
    words = {"seconds": "seconds of training, one seed", "images": "real images shown"}[unit]
    axes.set_xlabel(f"{words}, log scale")
    axes.set_ylabel(f"{title(ORDER_BY)}, log scale")
    told = "; ".join(f"{p.label} {p.y.value:.3g} after {number(p.x.value, 0)}" for p in points)
    drawn = any(way for _, way in lines)
    return Chart(
        f"{in_file_name(dataset)}-cost-{unit}",
        f"Quality against {unit}",
        "Lower left is better. Bars: upright the 95 % interval, lying the range of costs over seeds; "
        "dashed: the floor."
        + (
            " Lines: the way there, on a few validation images, so that their level is not that of the dots."
            if drawn
            else ""
        ),
        f"FID against {words} on {dataset}: {told}.",
        (Panel("", to_svg(figure, f"{in_file_name(dataset)}-cost-{unit}")),),
        _csv(
            ("variant", "family", "part", "seed", unit, "fid"),
            [
                *(
                    (entry.variant, entry.family, "end", cell.seed, cell.cost[unit], _mean(cell, ORDER_BY))
                    for entry in entries
                    for cell in finished[entry.variant]
                ),
                *((entry.variant, entry.family, "way", "", *point) for entry, way in lines for point in way),
            ],
        ),
    )


def curves(board: Leaderboard, dataset: str, exhibits: Sequence[Exhibit], metric: str) -> Chart | None:
    """A metric on validation images while each variant trains, one panel a variant, the others in grey."""
    cells = _by_variant(board, dataset, exhibits)
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
        if metric == ORDER_BY:
            logarithmic(axes, "y", values)
        else:
            axes.axhline(0.5, color=FLOOR_INK, linestyle=(0, (2, 2)), linewidth=1)
            axes.set_ylim(min(0.45, *values), max(1.0, *values))
        images_on_x(axes)
        panels.append(Panel(variant, to_svg(figure, f"{in_file_name(dataset)}-curve-{metric}-{variant}")))
    last = "; ".join(f"{variant} {band[-1][1]:.3g}" for variant, band in bands.items())
    return Chart(
        f"{in_file_name(dataset)}-curve-{metric.replace('_', '-')}",
        f"{title(metric)} while training",
        "Against real images shown, on a few validation images: to be compared with each other, not with the "
        "table. Line: mean; band: from the lowest to the highest seed; grey: the other variants.",
        f"{title(metric)} on validation images of {dataset} at the end of training: {last}.",
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


def losses(board: Leaderboard, dataset: str, exhibits: Sequence[Exhibit]) -> Chart | None:
    """The losses of each variant's players while it trains, one panel a variant."""
    cells = _by_variant(board, dataset, exhibits)
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


def losses_of_cell(exhibit: Exhibit) -> Chart | None:
    """The losses of one cell."""
    by_term = _loss_bands([exhibit])
    if not by_term:
        return None
    name = f"{page_name(exhibit.cell)}-loss"
    lines = [(term, *point) for term, curve in exhibit.terms().items() for point in curve]
    return Chart(
        name,
        "Losses while training",
        "Against real images shown.",
        "; ".join(f"{term} ends at {band[-1][1]:.3g}" for term, band in by_term.items()),
        (Panel("", _loss_panel(by_term, name, WIDTH, 200)),),
        _csv(("term", "images", "value"), lines),
    )


def _band(series: Sequence[Sequence[tuple[int, float]]]) -> Band:
    """Mean, lowest and highest over seeds where a seed was measured; what is not finite is left out."""
    at: dict[int, list[float]] = {}
    for curve in series:
        for images, value in curve:
            if math.isfinite(value):
                at.setdefault(images, []).append(value)
    return [(images, statistics.fmean(v), min(v), max(v)) for images, v in sorted(at.items())]


def _loss_bands(seeds: Sequence[Exhibit]) -> dict[str, Band]:
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


def _with(board: Leaderboard, dataset: str, metric: str) -> list[Entry]:
    return [entry for entry in board.entries[dataset] if metric in entry.metrics]


def _by_variant(board: Leaderboard, dataset: str, exhibits: Sequence[Exhibit]) -> dict[str, list[Exhibit]]:
    """The exhibits of each variant of the table, in the table's order, by seed."""
    return {
        entry.variant: sorted((e for e in exhibits if e.cell[:2] == (dataset, entry.variant)), key=_seed)
        for entry in board.entries[dataset]
    }


def _finished(entries: Sequence[Entry], exhibits: Sequence[Exhibit]) -> dict[str, list[Exhibit]]:
    """Cells of each entry in the order of its values: those that did not diverge, by seed."""
    return {
        entry.variant: sorted(
            (
                e
                for e in exhibits
                if e.cell[:2] == (entry.dataset, entry.variant) and e.seed not in entry.divergences
            ),
            key=_seed,
        )
        for entry in entries
    }


def _seed(exhibit: Exhibit) -> int:
    return exhibit.seed


def _colours_of_variants(board: Leaderboard, dataset: str) -> dict[str, str]:
    colours = family_colours(board)
    return {entry.variant: colours[entry.family] for entry in board.entries[dataset]}


def _extent(score: Score) -> Extent:
    low, high = score.interval or (score.mean, score.mean)
    return Extent(score.mean, low, high)


def _mean(exhibit: Exhibit, metric: str) -> float:
    return statistics.fmean(exhibit.metrics["values"][metric])


def _told(entries: Sequence[Entry], metric: str) -> str:
    parts = []
    for entry in entries:
        score = entry.metrics[metric]
        span = f" ({score.interval[0]:.3g} to {score.interval[1]:.3g})" if score.interval else ""
        parts.append(f"{entry.variant} {score.mean:.3g}{span}")
    return "; ".join(parts)


def _told_floor(board: Leaderboard, dataset: str, metric: str) -> str:
    value = board.floors[dataset].get(metric)
    return "" if value is None else f"; floor {value:.3g}"


def _table_of_scores(board: Leaderboard, dataset: str, metrics: Sequence[str]) -> str:
    """A line for each metric of each variant, and of the floor."""
    lines: list[tuple[Any, ...]] = [
        ("floor", "real images", metric, board.floors[dataset][metric], "", "", "", "")
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


def _csv(header: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return buffer.getvalue()
