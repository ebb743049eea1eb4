"""Charts of training: a metric on validation images, and the losses, over the images shown."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.ticker import FuncFormatter, MaxNLocator

from gm_bench.cell import in_file_name
from gm_bench.report.charts import (
    Chart,
    Panel,
    band_of,
    by_variant,
    chart_name,
    colours_of_variants,
    csv_of,
)
from gm_bench.report.drawing import (
    FLOOR_INK,
    INK,
    LINE,
    PANEL,
    SOFT,
    WIDTH,
    Band,
    draw_band,
    figure_of,
    images_on_x,
    logarithmic,
    short,
    to_svg,
)
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.schema import CellResult

POINTS_PER_CURVE = 50


def curves(board: Leaderboard, dataset: str, results: Sequence[CellResult], metric: str) -> Chart | None:
    """A metric on validation images while each variant trains, one panel a variant, the others in grey."""
    cells = by_variant(board, dataset, results)
    bands = {v: band_of([e.curve(metric) for e in seeds]) for v, seeds in cells.items()}
    bands = {variant: band for variant, band in bands.items() if band}
    if not bands:
        return None
    colours = colours_of_variants(board, dataset)
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
    last = "; ".join(f"{variant} {band[-1][1]:.4g}" for variant, band in bands.items())
    return Chart(
        chart_name(dataset, f"curve-{metric}"),
        f"{board.catalogue.title(metric)} while training",
        "Against real images shown, on a few validation images: to be compared with each other, not with the "
        "table. Line: mean; band: from the lowest to the highest seed; grey: the other variants.",
        f"{board.catalogue.title(metric)} on validation images of {dataset} at the end of training: {last}.",
        tuple(panels),
        csv_of(
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
    cells = by_variant(board, dataset, results)
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
        csv_of(("variant", "term", "images", "mean", "low", "high"), lines),
    )


def losses_of_cell(result: CellResult, examples: str) -> Chart | None:
    """The losses of one cell, over the real `examples` that training was shown."""
    by_term = _loss_bands([result])
    if not by_term:
        return None
    name = f"{result.cell.page}-loss"
    lines = [(term, *point) for term, curve in result.terms().items() for point in curve]
    return Chart(
        name,
        "Losses while training",
        f"Against real {examples} shown.",
        "; ".join(f"{term} ends at {band[-1][1]:.4g}" for term, band in by_term.items()),
        (Panel("", _loss_panel(by_term, name, WIDTH, 200)),),
        csv_of(("term", "images", "value"), lines),
    )


def _loss_bands(seeds: Sequence[CellResult]) -> dict[str, Band]:
    names = list(dict.fromkeys(name for cell in seeds for name in cell.terms()))
    bands = {name: band_of([cell.terms().get(name, []) for cell in seeds]) for name in names}
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
    middle = sorted(v for band in by_term.values() for point in band for v in point[1:])
    low, high = middle[len(middle) // 50], middle[-1 - len(middle) // 50]
    margin = 0.15 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    images_on_x(axes)
    return to_svg(figure, name)
