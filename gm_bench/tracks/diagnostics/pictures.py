"""The pictures of claims: curves of the seeds with their band, closed forms dashed beside them."""

import math
import statistics
from collections.abc import Sequence

from gm_bench.cell import in_file_name
from gm_bench.report.charts import Chart, csv_of
from gm_bench.report.charts import Panel as Picture
from gm_bench.report.drawing import (
    FAMILY_INKS,
    INK,
    SOFT,
    WIDTH,
    Band,
    draw_band,
    figure_of,
    logarithmic,
    to_svg,
)
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.schema import CellResult
from gm_bench.tracks.diagnostics.claim import Claim, Panel, find

HEIGHT = 260
CAPTION = "Line: mean over seeds; band: from the lowest to the highest seed; dashed: closed form."


def charts(board: Leaderboard, dataset: str, results: Sequence[CellResult]) -> list[Chart]:
    """The charts of all claims of a group, in the order of the board."""
    drawn = []
    for name in dict.fromkeys(result.variant for result in results):
        drawn += of_claim(name, find(name), [result for result in results if result.variant == name])
    return drawn


def names_of(claim_name: str, claim: Claim) -> list[str]:
    """Names of the charts of a claim, one for each of its panels."""
    return [f"{in_file_name(claim_name)}-{i + 1}" for i in range(len(claim.panels))]


def of_claim(name: str, claim: Claim, seeds: Sequence[CellResult]) -> list[Chart]:
    """A chart for each panel of a claim, from the cells of its seeds, at least one."""
    return [
        _chart(chart_name, panel, seeds)
        for chart_name, panel in zip(names_of(name, claim), claim.panels, strict=True)
    ]


def band_of(curve: str, seeds: Sequence[CellResult]) -> Band:
    """A curve over the seeds: (x, mean, lowest, highest) where all of them are finite."""
    at: dict[float, list[float]] = {}
    for seed in seeds:
        for x, y in seed.details["curves"].get(curve, ()):
            at.setdefault(float(x), []).append(float(y))
    return [
        (x, statistics.fmean(ys), min(ys), max(ys)) for x, ys in at.items() if all(map(math.isfinite, ys))
    ]


def _chart(name: str, panel: Panel, seeds: Sequence[CellResult]) -> Chart:
    bands = {curve: band_of(curve, seeds) for curve in (*panel.measured, *panel.exact)}
    figure, axes = figure_of(WIDTH, HEIGHT)
    inks = (*FAMILY_INKS, INK)
    for i, curve in enumerate(panel.measured):
        draw_band(axes, bands[curve], inks[i % len(inks)], "solid")
    for i, curve in enumerate(panel.exact):
        xs, ys = [point[0] for point in bands[curve]], [point[1] for point in bands[curve]]
        axes.plot(xs, ys, color=(INK, SOFT)[i % 2], linewidth=1.2, linestyle=(0, (4, 2)))
    for line, curve in zip(axes.get_lines(), bands, strict=True):
        line.set_label(curve)
    points = [point for band in bands.values() for point in band]
    if panel.log_x:
        logarithmic(axes, "x", [x for x, *_ in points])
    if panel.log_y:
        logarithmic(axes, "y", [y for _, *ys in points for y in ys])
    axes.set_xlabel(panel.x + (", log scale" if panel.log_x else ""))
    axes.set_ylabel(panel.y + (", log scale" if panel.log_y else ""))
    axes.legend(frameon=False, labelcolor=SOFT, fontsize=10)
    lines = [(curve, *point) for curve, band in bands.items() for point in band]
    table = csv_of(("curve", "x", "mean", "low", "high"), lines)
    return Chart(name, panel.title, CAPTION, _alt(panel, bands), (Picture("", to_svg(figure, name)),), table)


def _alt(panel: Panel, bands: dict[str, Band]) -> str:
    """Where each curve begins and ends, for those who do not see the picture."""
    said = [
        f"{curve} from {band[0][1]:.3g} at {band[0][0]:.3g} to {band[-1][1]:.3g} at {band[-1][0]:.3g}"
        for curve, band in bands.items()
        if band
    ]
    return f"{panel.y} against {panel.x}: {'; '.join(said)}."
