"""Charts of generated images: those of any leaderboard, 1-NN accuracy, and precision against recall."""

from collections.abc import Sequence

from matplotlib.ticker import FuncFormatter

from gm_bench.report.charts import (
    Chart,
    Panel,
    better,
    chart_name,
    cost,
    extent_of,
    family_colours,
    ranking,
    table_of_scores,
    told,
    told_floor,
)
from gm_bench.report.drawing import (
    PAGE,
    WIDTH,
    Point,
    dots,
    figure_of,
    key,
    names_on_y,
    scatter,
    to_svg,
    vertical,
)
from gm_bench.report.training_charts import curves, losses
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.schema import CellResult


def charts(board: Leaderboard, dataset: str, results: Sequence[CellResult]) -> list[Chart]:
    """All charts of a dataset that there is something to draw for.

    Args:
        results: the dataset's cells.
    """
    drawn = [
        ranking(board, dataset),
        one_nn(board, dataset),
        precision_recall(board, dataset),
        cost(board, dataset, results, "seconds"),
        cost(board, dataset, results, "images"),
        curves(board, dataset, results, "fid"),
        curves(board, dataset, results, "one_nn"),
        losses(board, dataset, results),
    ]
    return [chart for chart in drawn if chart is not None]


def one_nn(board: Leaderboard, dataset: str) -> Chart | None:
    """1-NN accuracy, overall, on real and on generated images, with the line at one half."""
    entries = board.with_metric(dataset, "one_nn")
    if not entries:
        return None
    colours = family_colours(board)
    figure, axes = figure_of(WIDTH, 62 + 30 * len(entries))
    vertical(axes, 0.5, "50 %")
    for y, entry in enumerate(entries):
        score = entry.metrics["one_nn"]
        dots(axes, y, extent_of(score), score.values, colours[entry.family])
        for part, sign, shift in (("one_nn_real", "^", 0.28), ("one_nn_fake", "v", -0.28)):
            if part in entry.metrics:
                extent = extent_of(entry.metrics[part])
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
    axes.set_xlabel(f"{board.catalogue.title('one_nn')}: accuracy of telling real from generated")
    key(axes, (("o", "overall"), ("^", "real"), ("v", "generated")))
    name = chart_name(dataset, "one_nn")
    return Chart(
        name,
        "1-NN accuracy",
        "At 50 % a nearest neighbour cannot tell real from generated. Triangles: of real and of generated "
        "images alone; where that of generated lies to the right, samples are nearer to one another than "
        "real images are. Bars: 95 % intervals.",
        f"1-NN accuracy on {dataset}, {better(board, 'one_nn')}: {told(entries, 'one_nn')}"
        f"{told_floor(board, dataset, 'one_nn')}.",
        (Panel("", to_svg(figure, name)),),
        table_of_scores(board, dataset, ("one_nn", "one_nn_real", "one_nn_fake")),
    )


def precision_recall(board: Leaderboard, dataset: str) -> Chart | None:
    """Precision against recall, a cross of intervals for each variant, and the floor."""
    entries = [e for e in board.with_metric(dataset, "precision") if "recall" in e.metrics]
    if not entries:
        return None
    points = [
        Point(e.variant, e.family, extent_of(e.metrics["recall"]), extent_of(e.metrics["precision"]))
        for e in entries
    ]
    floor = board.floors[dataset]
    mark = (floor["recall"], floor["precision"]) if {"recall", "precision"} <= set(floor) else None
    figure, axes = figure_of(WIDTH, 320)
    axes.set_xlabel("Recall ↑: real images that the variant reaches")
    axes.set_ylabel("Precision ↑: samples that look real")
    of_floor = [[value] for value in mark] if mark else [[], []]
    axes.set_xlim(_limits([v for p in points for v in (p.x.low, p.x.high)] + of_floor[0]))
    axes.set_ylim(_limits([v for p in points for v in (p.y.low, p.y.high)] + of_floor[1]))
    scatter(axes, points, family_colours(board), mark)
    said = "; ".join(f"{p.label} {p.y.value:.2f} and {p.x.value:.2f}" for p in points)
    end = f"; floor {mark[1]:.2f} and {mark[0]:.2f}" if mark else ""
    name = chart_name(dataset, "precision_recall")
    return Chart(
        name,
        "Precision against recall",
        "Upper left: good samples, few kinds; lower right: all kinds, poor samples. Crosses: 95 % intervals.",
        f"Precision and recall on {dataset}: {said}{end}.",
        (Panel("", to_svg(figure, name)),),
        table_of_scores(board, dataset, ("precision", "recall")),
    )


def _limits(shares: Sequence[float]) -> tuple[float, float]:
    """Of an axis: from the lowest share that is shown to the highest, with a margin, within 0 and 1."""
    low, high = min(shares), max(shares)
    margin = max(0.05, 0.15 * (high - low))
    return max(low - margin, -0.03), min(high + margin, 1.03)
