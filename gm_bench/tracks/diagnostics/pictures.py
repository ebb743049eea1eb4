"""The pictures of claims: a line for each seed, what it is held against dashed beside them.

Seeds are not averaged: where they end in two places, the mean is a curve that none of them had.
"""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

from gm_bench.cell import in_file_name
from gm_bench.report.charts import Chart, csv_of
from gm_bench.report.charts import Panel as Picture
from gm_bench.report.drawing import FAMILY_INKS, INK, SOFT, WIDTH, figure_of, logarithmic, to_svg
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.schema import CellResult
from gm_bench.tracks.diagnostics.claim import Claim, Curve, Panel, find

HEIGHT, ROW = 250, 17  # without its legend, and of a row of that
SHORT = 28  # letters of a name of which two fit in a row
CAPTION, DASHED = "A line for each seed.", " Dashed: what it is held against."
FEW = 12  # points of a curve, each of which is marked: what lies between was not measured
MEASURED: list[dict[str, Any]] = [
    {"color": ink, "linewidth": 1.1, "alpha": 0.75} for ink in (*FAMILY_INKS, INK)
]
EXACT: list[dict[str, Any]] = [
    {"color": ink, "linewidth": 1.2, "linestyle": (0, (4, 2))} for ink in (INK, SOFT)
]


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


def _points(curve: str, seed: CellResult) -> Curve:
    return [(float(x), float(y)) for x, y in seed.details["curves"].get(curve, ())]


def _chart(name: str, panel: Panel, seeds: Sequence[CellResult]) -> Chart:
    drawn = {curve: [_points(curve, seed) for seed in seeds] for curve in (*panel.measured, *panel.exact)}
    n_columns = 2 if max(map(len, drawn)) <= SHORT else 1
    n_rows = -(-len(drawn) // n_columns)
    figure, axes = figure_of(WIDTH, HEIGHT + n_rows * ROW)
    looks = [*zip(panel.measured, cycle(MEASURED)), *zip(panel.exact, cycle(EXACT))]
    for curve, look in looks:
        for i, points in enumerate(drawn[curve]):
            xs, ys = [x for x, _ in points], [y for _, y in points]
            marker = "." if len(points) <= FEW else ""
            axes.plot(xs, ys, label=None if i else curve, marker=marker, markersize=4, **look)
    points = [point for of_seeds in drawn.values() for of_seed in of_seeds for point in of_seed]
    if panel.log_x:
        logarithmic(axes, "x", [x for x, _ in points])
    if panel.log_y:
        logarithmic(axes, "y", [y for _, y in points])
    axes.set_xlabel(panel.x + (", log scale" if panel.log_x else ""))
    axes.set_ylabel(panel.y + (", log scale" if panel.log_y else ""))
    # Below, where no line is: seeds of five curves leave no corner free.
    figure.legend(loc="outside lower left", ncols=n_columns, frameon=False, labelcolor=SOFT, fontsize=10)
    lines = [
        (curve, seed.seed, *point)
        for curve, of_seeds in drawn.items()
        for seed, points in zip(seeds, of_seeds, strict=True)
        for point in points
    ]
    table = csv_of(("curve", "seed", "x", "y"), lines)
    caption = CAPTION + DASHED * bool(panel.exact)
    return Chart(name, panel.title, caption, _alt(panel, drawn), (Picture("", to_svg(figure, name)),), table)


def _alt(panel: Panel, drawn: dict[str, list[Curve]]) -> str:
    """Where each curve begins and ends, for those who do not see the picture."""
    said = []
    for curve, of_seeds in drawn.items():
        known = [points for points in of_seeds if points]
        if known:
            first, last = (f"{_range([p[at][1] for p in known])} at {known[0][at][0]:.3g}" for at in (0, -1))
            said.append(f"{curve} from {first} to {last}")
    return f"{panel.y} against {panel.x}: {'; '.join(said)}."


def _range(values: Sequence[float]) -> str:
    """The lowest and highest of the seeds, or the one value that they share."""
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} … {high}"
