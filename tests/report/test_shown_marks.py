"""Every mark of every chart stands at its numbers, under the name of its axis: no two numbers are alike.

What is looked at are the axes before they become SVG; that SVG keeps places is test_charts.py's.
"""

import csv
import io
from collections.abc import Callable, Sequence

import pytest
from cell_results import TIMES
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection, LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from unequal import SEEDS, TERMS, VARIANTS, board, curve_value, floor_value, loss_value, mean, results

from gm_bench.report import charts as any_charts
from gm_bench.report import training_charts
from gm_bench.report.charts import Chart, cost, ranking
from gm_bench.report.drawing import FLOOR_INK, LINE, to_svg
from gm_bench.report.training_charts import curves, losses, losses_of_cell
from gm_bench.tracks.generation import charts
from gm_bench.tracks.generation.charts import one_nn, precision_recall

Draw = Callable[..., tuple[Chart, list[Axes]]]


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Draws a chart: what comes of it, and the axes of its panels."""
    seen: list[Figure] = []

    def keep(figure: Figure, name: str) -> str:
        seen.append(figure)
        return to_svg(figure, name)

    monkeypatch.setattr(any_charts, "to_svg", keep)
    monkeypatch.setattr(training_charts, "to_svg", keep)
    monkeypatch.setattr(charts, "to_svg", keep)

    def drawn(function: Callable[..., Chart | None], *arguments: object) -> tuple[Chart, list[Axes]]:
        seen.clear()
        chart = function(*arguments)
        assert chart is not None
        return chart, [figure.axes[0] for figure in seen]

    return drawn


def marks(axes: Axes, sign: str, size: float | None = None) -> list[Line2D]:
    """Marks with data, in the order in which they were drawn."""
    found = [line for line in axes.lines if line.get_marker() == sign and len(line.get_xdata())]
    return [line for line in found if size is None or line.get_markersize() == size]


def place(line: Line2D) -> tuple[float, float]:
    (x,), (y,) = line.get_xdata(), line.get_ydata()
    return float(x), float(y)


def bars(axes: Axes) -> list[list[tuple[float, float]]]:
    """Error bars as their two ends."""
    return [
        [(float(x), float(y)) for x, y in segment]
        for each in axes.collections
        if isinstance(each, LineCollection)
        for segment in each.get_segments()
    ]


def interval(metric: str, variant: str) -> tuple[float, float]:
    found = board().by_key["digits", variant].metrics[metric].interval
    assert found is not None
    return found


def near(*values: float) -> object:
    return pytest.approx(values, rel=1e-9)


def seeds_of(metric: str, variant: str) -> Sequence[float]:
    return board().by_key["digits", variant].metrics[metric].values


def lines_of(chart: Chart) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(chart.table)))


@pytest.mark.parametrize(("function", "metric"), [(ranking, "fid"), (one_nn, "one_nn")])
def test_rows_of_dots(draw: Draw, function: Callable, metric: str) -> None:
    """In the row of the variant a large dot at the mean, small ones at the seeds, a bar over the interval."""
    chart, (axes,) = draw(function, board(), "digits")
    assert [text.get_text() for text in axes.get_yticklabels()] == list(VARIANTS)
    assert axes.get_xlabel().startswith(board().catalogue.title(metric))
    large, small = marks(axes, "o", 6), marks(axes, "o", 2.6)
    colours = any_charts.family_colours(board())
    for row, variant in enumerate(VARIANTS):
        assert place(large[row]) == near(mean(metric, variant), row)
        assert list(small[row].get_xdata()) == near(*seeds_of(metric, variant))
        assert list(small[row].get_ydata()) == [row] * 3
        assert large[row].get_color() == small[row].get_color() == colours[f"F{row}"]
    spans = [line for line in axes.lines if line.get_marker() == "None" and len(set(line.get_ydata())) == 1]
    assert [tuple(line.get_xdata()) for line in spans] == [near(*interval(metric, v)) for v in VARIANTS]
    (line,) = [line for line in axes.lines if line.get_color() == FLOOR_INK]
    assert list(line.get_xdata()) == near(*[floor_value("fid") if metric == "fid" else 0.5] * 2)
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first on top"
    assert f"{VARIANTS[2]} {mean(metric, VARIANTS[2]):.3g}" in chart.alt
    assert f"floor {floor_value(metric):.3g}" in chart.alt


def test_triangles_of_1_nn_are_of_real_and_of_generated_images(draw: Draw) -> None:
    chart, (axes,) = draw(one_nn, board(), "digits")
    legend = axes.get_legend()
    assert legend is not None
    words = {
        handle.get_marker(): text.get_text()
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True)
    }
    assert words == {"o": "overall", "^": "real", "v": "generated"}
    drawn_bars = bars(axes)
    for sign, metric, up in (("^", "one_nn_real", 0.28), ("v", "one_nn_fake", -0.28)):
        triangles = marks(axes, sign)
        for row, variant in enumerate(VARIANTS):
            assert place(triangles[row]) == near(mean(metric, variant), row + up)
            ends = [(end, row + up) for end in interval(metric, variant)]
            assert any(bar == [near(*end) for end in ends] for bar in drawn_bars), (metric, variant)
    for line in lines_of(chart):
        expected = floor_value if line["variant"] == "floor" else mean
        arguments = (line["metric"],) if line["variant"] == "floor" else (line["metric"], line["variant"])
        assert float(line["mean"]) == pytest.approx(expected(*arguments), rel=1e-9)
    assert {line["metric"] for line in lines_of(chart)} == {"one_nn", "one_nn_real", "one_nn_fake"}


def test_precision_stands_upright_and_recall_lies(draw: Draw) -> None:
    chart, (axes,) = draw(precision_recall, board(), "digits")
    assert axes.get_xlabel().startswith("Recall")
    assert axes.get_ylabel().startswith("Precision")
    drawn_bars = bars(axes)
    for dot, variant in zip(marks(axes, "o"), VARIANTS, strict=True):
        x, y = mean("recall", variant), mean("precision", variant)
        assert place(dot) == near(x, y)
        lying, upright = interval("recall", variant), interval("precision", variant)
        assert any(bar == [near(end, y) for end in lying] for bar in drawn_bars), variant
        assert any(bar == [near(x, end) for end in upright] for bar in drawn_bars), variant
        assert f"{variant} {y:.2f} and {x:.2f}" in chart.alt
    (star,) = marks(axes, "*")
    assert place(star) == near(floor_value("recall"), floor_value("precision"))
    assert f"floor {floor_value('precision'):.2f} and {floor_value('recall'):.2f}" in chart.alt
    labels = {text.get_text(): text.xy for text in axes.texts}
    assert labels["floor"] == near(floor_value("recall"), floor_value("precision"))
    for variant in VARIANTS:
        assert labels[variant] == near(mean("recall", variant), mean("precision", variant))
    for line in lines_of(chart):
        if line["variant"] != "floor":
            assert float(line["mean"]) == pytest.approx(mean(line["metric"], line["variant"]), rel=1e-9)


@pytest.mark.parametrize(
    ("unit", "words", "low", "high"),
    [
        ("seconds", "seconds of training", lambda i: 10 + 10 * i, lambda i: 12 + 10 * i),
        ("images", "real images shown", lambda i: 400 + 100 * i, lambda i: 400 + 100 * i),
    ],
)
def test_quality_stands_over_what_it_cost(
    draw: Draw, unit: str, words: str, low: Callable[[int], float], high: Callable[[int], float]
) -> None:
    chart, (axes,) = draw(cost, board(), "digits", results(), unit)
    assert axes.get_xlabel().startswith(words)
    assert axes.get_ylabel().startswith("FID ↓")
    drawn_bars = bars(axes)
    for i, (dot, variant) in enumerate(zip(marks(axes, "o"), VARIANTS, strict=True)):
        x, y = (low(i) + high(i)) / 2, mean("fid", variant)
        assert place(dot) == near(x, y)
        assert any(bar == [near(low(i), y), near(high(i), y)] for bar in drawn_bars), variant
        assert any(bar == [near(x, end) for end in interval("fid", variant)] for bar in drawn_bars), variant
    (base,) = [line for line in axes.lines if line.get_color() == FLOOR_INK]
    assert list(base.get_ydata()) == near(*[floor_value("fid")] * 2)
    ends = lines_of(chart)
    assert [(line["variant"], int(line["seed"])) for line in ends] == [
        (v, s) for v in VARIANTS for s in SEEDS
    ]
    for line in ends:
        assert float(line["fid"]) == pytest.approx(
            seeds_of("fid", line["variant"])[int(line["seed"])], rel=1e-9
        )


@pytest.mark.parametrize("metric", ["fid", "one_nn"])
def test_curves_are_of_the_metric_that_they_are_named_after(draw: Draw, metric: str) -> None:
    """In the panel of a variant its own band in its colour, the others in grey."""
    chart, panels = draw(curves, board(), "digits", results(), metric)
    assert chart.title.startswith(board().catalogue.title(metric))
    assert [panel.label for panel in chart.panels] == list(VARIANTS)
    for i, (axes, variant) in enumerate(zip(panels, VARIANTS, strict=True)):
        own = any_charts.family_colours(board())[f"F{i}"]
        for line in axes.lines:
            if line.get_color() != FLOOR_INK:
                whose = [variant] if line.get_color() == own else [v for v in VARIANTS if v != variant]
                assert line.get_color() in (own, LINE)
                expected = [near(*(curve_value(metric, v, 1, t) for t in TIMES)) for v in whose]
                assert list(line.get_ydata()) in expected
                assert list(line.get_xdata()) == list(TIMES)
        assert [line.get_color() for line in axes.lines].count(own) == 1
        (band,) = [each for each in axes.collections if isinstance(each, FillBetweenPolyCollection)]
        y = band.get_datalim(axes.transData).intervaly
        assert list(y) == near(
            curve_value(metric, variant, 0, TIMES[-1]), curve_value(metric, variant, 2, TIMES[0])
        )
        assert f"{variant} {curve_value(metric, variant, 1, TIMES[-1]):.3g}" in chart.alt
    for line in lines_of(chart):
        seed, images = int(line["seed"]), int(line["images"])
        assert float(line[metric]) == pytest.approx(
            curve_value(metric, line["variant"], seed, images), rel=1e-9
        )


def test_losses_stand_in_the_colour_of_their_name(draw: Draw) -> None:
    chart, panels = draw(losses, board(), "digits", results())
    assert [panel.label for panel in chart.panels] == list(VARIANTS)
    for axes, variant in zip(panels, VARIANTS, strict=True):
        names = {text.get_color(): text.get_text() for text in axes.texts}
        assert sorted(names.values()) == ["critic", "generator"]
        for line in axes.lines:
            term = f"{names[line.get_color()]}/loss"
            assert list(line.get_ydata()) == near(*(loss_value(term, variant, 1, t) for t in TIMES))
            assert list(line.get_xdata()) == list(TIMES)
        assert len(axes.lines) == len(TERMS)
    for line in lines_of(chart):
        middle = loss_value(line["term"], line["variant"], 1, int(line["images"]))
        assert [float(line[part]) for part in ("mean", "low", "high")] == near(
            middle, middle - 0.1, middle + 0.1
        )


def test_losses_of_one_cell_are_its_own(draw: Draw) -> None:
    (result,) = [r for r in results() if (r.variant, r.seed) == (VARIANTS[1], 2)]
    chart, (axes,) = draw(losses_of_cell, result, "images")
    names = {text.get_color(): text.get_text() for text in axes.texts}
    for line in axes.lines:
        term = f"{names[line.get_color()]}/loss"
        assert list(line.get_ydata()) == near(*(loss_value(term, VARIANTS[1], 2, t) for t in TIMES))
    for line in lines_of(chart):
        expected = loss_value(line["term"], VARIANTS[1], 2, int(line["images"]))
        assert float(line["value"]) == pytest.approx(expected, rel=1e-9)
    assert chart.alt == "; ".join(
        f"{t} ends at {loss_value(t, VARIANTS[1], 2, TIMES[-1]):.3g}" for t in TERMS
    )
