"""Charts: the numbers that they are drawn from, what they say in words, and that they are safe in a page."""

import csv
import io
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from cell_results import TIMES, cell_result
from test_leaderboard import board_of, cell, floor

from gm_bench.report import drawing
from gm_bench.report.charts import family_colours
from gm_bench.report.drawing import standalone
from gm_bench.report.training_charts import losses_of_cell
from gm_bench.tracks.generation.charts import charts

HOSTILE = "<b>&$x$</b>"
NEIGHBOURS = {"eval/one_nn": 0.75, "eval/one_nn_real": 0.7, "eval/one_nn_fake": 0.8, "eval/recall": 0.25}


def board_and_cells(name: str = "gan"):
    rows = [cell(name, s, v, **NEIGHBOURS) for s, v in enumerate((10.0, 12.0, 14.0))]
    board = board_of(floor(), *rows, cell("vae", 0, 20.0, **NEIGHBOURS), cell("wgan", 0, None))
    results = [cell_result(name, s, v) for s, v in enumerate((10.0, 12.0, 14.0))]
    return board, [*results, cell_result("vae", 0, 20.0), cell_result("wgan", 0, None)]


@pytest.fixture(scope="module")
def drawn() -> dict:
    board, results = board_and_cells()
    return {chart.name: chart for chart in charts(board, "digits", results)}


def table(chart) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(chart.table)))


def places(svg: str, colour: str) -> list[tuple[float, float]]:
    """Where markers of a colour stand, in the order in which they were drawn."""
    found = re.findall(r'<use xlink:href="[^"]*" x="([\d.]+)" y="([\d.]+)" style="([^"]*)"', svg)
    return [(float(x), float(y)) for x, y, style in found if colour in style]


def test_which_charts_there_are(drawn):
    assert list(drawn) == [
        "digits-fid",
        "digits-one-nn",
        "digits-precision-recall",
        "digits-cost-seconds",
        "digits-curve-fid",
        "digits-loss",
    ], "no curve of 1-NN: nobody measured one; and all were shown the same number of images"


def test_nothing_is_drawn_of_nothing():
    board = board_of(floor(), cell("wgan", 0, None))
    assert charts(board, "digits", []) == []


def test_the_numbers_of_fid(drawn):
    board, _ = board_and_cells()
    low, high = board.entries["digits"][0].metrics["fid"].interval
    base, gan, vae = table(drawn["digits-fid"])
    assert (base["variant"], base["mean"]) == ("floor", "1.5")
    assert (gan["mean"], gan["n_seeds"], gan["seeds"]) == ("12.0", "3", "10.0 12.0 14.0")
    assert (float(gan["low_95"]), float(gan["high_95"])) == (low, high)
    assert (vae["variant"], vae["n_seeds"]) == ("vae", "1")


def test_marks_stand_where_the_numbers_are(drawn):
    """On a logarithmic axis equal ratios are equal distances: floor 1.5, seeds 10 to 14, mean 12, vae 20."""
    svg = drawn["digits-fid"].panels[0].svg
    dots = places(svg, "var(--family-0")
    assert len(dots) == 3 + 1 + 1 + 1, "seeds and mean of gan, the one seed of vae and its mean"
    x = {value: dots[i][0] for i, value in enumerate((10.0, 12.0, 14.0))}
    assert dots[3][0] == pytest.approx(x[12.0], abs=0.02), "the mean of gan; svg keeps two decimals"
    scale = (x[14.0] - x[10.0]) / math.log(14 / 10)
    assert dots[4][0] - x[10.0] == pytest.approx(scale * math.log(2), abs=0.2)
    assert dots[0][1] == dots[3][1] < dots[4][1], "one row a variant, the best on top"
    low, high = board_and_cells()[0].entries["digits"][0].metrics["fid"].interval
    (bar,) = re.findall(rf'd="M ([\d.]+) {dots[3][1]:g} L ([\d.]+) {dots[3][1]:g}', svg)[:1]
    assert float(bar[1]) - float(bar[0]) == pytest.approx(scale * math.log(high / low), abs=0.3)


def test_the_line_at_one_half_is_drawn(drawn):
    chart = drawn["digits-one-nn"]
    svg = chart.panels[0].svg
    ((tick, _), _) = re.findall(r'x="([\d.]+)" y="([\d.]+)">50 %</text>', svg)
    (line,) = re.findall(
        r'<path d="M ([\d.]+) [\d.]+ L ([\d.]+) [^"]*"[^>]*stroke-dasharray[^>]*--accent', svg
    )
    assert line == (tick, tick), "upright, at the tick of 50 %"
    lines = table(chart)
    gan = {line["metric"]: line["mean"] for line in lines if line["variant"] == "gan"}
    assert {name: float(mean) for name, mean in gan.items()} == pytest.approx(
        {"one_nn": 0.75, "one_nn_real": 0.7, "one_nn_fake": 0.8}
    )


def test_words_for_those_who_do_not_see_it(drawn):
    assert re.fullmatch(
        r"FID on digits, lower is better: "
        r"gan 12 \([\d.]+ to [\d.]+\); vae 20; floor 1\.5\.",
        drawn["digits-fid"].alt,
    )
    assert drawn["digits-cost-seconds"].alt == (
        "FID against seconds of training, one seed on digits: gan 12 after 11; vae 20 after 10."
    )


def test_what_each_seed_cost_stands_beside_what_it_reached(drawn):
    lines = [line for line in table(drawn["digits-cost-seconds"]) if line["variant"] == "gan"]
    assert [(float(line["seconds"]), float(line["fid"])) for line in lines] == [
        (10.0, 10.0),
        (11.0, 12.0),
        (12.0, 14.0),
    ]


def test_where_all_cost_the_same_there_is_no_chart_of_it(drawn):
    assert "digits-cost-seconds" in drawn
    assert "digits-cost-images" not in drawn


def test_a_closed_form_fit_costs_seconds_and_no_images():
    rows = [cell(name, 0, 10.0 * (i + 1)) for i, name in enumerate(("gan", "vae", "kde"))]
    shown = {"gan": 400, "vae": 800, "kde": 0}
    made = [cell_result(name, 0, 10.0 * (i + 1)) for i, name in enumerate(shown)]
    cells = [
        replace(each, cost={**each.cost, "images": shown[each.variant], "seconds": 10.0 + i})
        for i, each in enumerate(made)
    ]
    drawn = {chart.name: chart for chart in charts(board_of(floor(), *rows), "digits", cells)}
    assert {row["variant"] for row in table(drawn["digits-cost-seconds"])} == {"gan", "vae", "kde"}
    assert drawn["digits-cost-images"].alt == (
        "FID against real images shown on digits: gan 10 after 400; vae 20 after 800."
    )


def test_curves_are_of_every_seed(drawn):
    chart = drawn["digits-curve-fid"]
    lines = [line for line in table(chart) if line["variant"] == "gan"]
    expected = [
        (s, m, v * k)
        for s, v in enumerate((10.0, 12.0, 14.0))
        for m, k in zip(TIMES, (8, 4, 2, 1), strict=True)
    ]
    assert [(int(line["seed"]), int(line["images"]), float(line["fid"])) for line in lines] == expected
    assert [panel.label for panel in chart.panels] == ["gan", "vae", "wgan"], (
        "a diverged one as far as it came"
    )


def test_bands_reach_from_the_lowest_to_the_highest_seed(drawn):
    lines = [line for line in table(drawn["digits-loss"]) if line["variant"] == "gan"]
    assert [tuple(map(float, (line["mean"], line["low"], line["high"]))) for line in lines] == [
        (1.0, 0.0, 2.0),
        (2.0, 1.0, 3.0),
        (3.0, 2.0, 4.0),
        (4.0, 3.0, 5.0),
    ]
    assert {line["term"] for line in lines} == {"critic/loss"}, "no score, and no term without a value"


def test_losses_of_one_cell():
    chart = losses_of_cell(cell_result("gan", 2), "images")
    assert [float(line["value"]) for line in table(chart)] == [2.0, 3.0, 4.0, 5.0]
    assert chart.alt == "critic/loss ends at 5"


def test_names_are_text_in_a_chart():
    board, results = board_and_cells(HOSTILE)
    for chart in charts(board, "digits", results):
        for panel in chart.panels:
            root = ET.fromstring(panel.svg)  # well formed, and nothing in it but shapes and text
            kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
            assert kinds <= {"svg", "defs", "g", "path", "use", "text", "tspan", "clipPath", "rect"}
            if chart.name == "digits-fid":
                assert HOSTILE in ["".join(element.itertext()) for element in root.iter()]


def test_colours_are_the_pages_own(drawn):
    for chart in drawn.values():
        for panel in chart.panels:
            assert not re.search(r"#01\d{4}", panel.svg), "placeholders are replaced"
            outside = re.sub(r"var\([^)]*\)", "", panel.svg)
            assert not re.search(r"#[0-9a-fA-F]{6}", outside), "every colour follows the page"
            assert not re.search(r"\d\.\d{3}", panel.svg), "two decimals"
            assert "<style" not in panel.svg, "a rule would reach into the page"


def test_a_chart_of_its_own_brings_its_colours(drawn):
    text = standalone(drawn["digits-fid"].panels[0].svg)
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme:dark" in text
    assert all(text.count(f"{name}:") >= 2 for name, _, _ in drawing.COLOURS.values())


def test_the_same_each_time(drawn):
    board, results = board_and_cells()
    assert {chart.name: chart for chart in charts(board, "digits", results)} == drawn


def test_labels_keep_clear_of_one_another():
    """Eight variants at nearly one place: no two labels overlap."""
    rows = [cell(f"variant{i}", 0, 10.0 + 0.01 * i, **{"eval/recall": 0.5}) for i in range(8)]
    board = board_of(floor(), *rows)
    (chart,) = [c for c in charts(board, "digits", []) if c.name == "digits-precision-recall"]
    found = re.findall(
        r'<text style="[^"]*" transform="translate\(([\d.]+) ([\d.]+)\)[^>]*>(variant\d)<',
        chart.panels[0].svg,
    )
    found += re.findall(
        r'<text style="[^"]*" x="([\d.]+)" y="([\d.]+)"[^>]*>(variant\d)<', chart.panels[0].svg
    )
    boxes = {name: (float(x), float(y)) for x, y, name in found}
    assert len(boxes) == 8
    names = sorted(boxes)
    for i, one in enumerate(names):
        for other in names[:i]:
            apart = abs(boxes[one][1] - boxes[other][1]) >= 9 or abs(boxes[one][0] - boxes[other][0]) >= 44
            assert apart, (one, other, boxes)


def test_a_label_that_is_off_its_dot_is_tied_to_it() -> None:
    """Of twelve in one spot the first few stand beside the dot; the others have a line to it."""
    _, axes = drawing.figure_of(drawing.WIDTH, drawing.PANEL)
    spot = drawing.Extent(0.5, 0.5, 0.5)
    points = [drawing.Point(f"v{i}", "GAN", spot, spot) for i in range(12)]
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    drawing.scatter(axes, points, {"GAN": drawing.FAMILY_INKS[0]}, None)
    tied = {text.get_text() for text in axes.texts if text.arrow_patch is not None}
    near = {  # right, left, above, below
        text.get_text()
        for text in axes.texts
        if text.xyann[0] in (6.0, -6.0 - 6.8 * len(text.get_text())) or text.xyann[1] in (6.0, -6.0 - 11.0)
    }
    assert tied == {f"v{i}" for i in range(12)} - near
    assert "v0" in near
    assert "v11" in tied


def test_a_family_has_its_colour_on_every_board() -> None:
    one = family_colours(board_of(floor(), cell("wgan", 0, 1.0, family="WGAN")))
    two = family_colours(
        board_of(floor(), cell("gan", 0, 1.0, family="GAN"), cell("wgan", 0, 1.0, family="WGAN"))
    )
    assert one["WGAN"] == two["WGAN"] != two["GAN"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (2, "2"), (9999, "9999"), (20_000, "20k"), (1.5e6, "1.5M"), (-3e9, "-3G")],
)
def test_numbers_at_ticks(value, text):
    assert drawing.short(value) == text


def test_small_numbers_at_ticks_are_not_rounded() -> None:
    """Coordinates are cut to two decimals, what is read is not."""
    figure, axes = drawing.figure_of(drawing.WIDTH, drawing.PANEL)
    axes.plot([0.0001, 1.0], [0.0, 0.004])
    drawing.logarithmic(axes, "x", [0.0001, 1.0])
    svg = drawing.to_svg(figure, "small")
    root = ET.fromstring(svg)
    texts = {"".join(node.itertext()).strip() for node in root.iter() if node.tag.endswith("text")}
    assert {"0.0001", "0.001", "0.0015"} <= texts
    assert not re.search(r"<[^>]*\d\.\d{3}", svg)


@pytest.mark.parametrize(
    ("narrow", "ticks"),
    [(True, ["0.01", "0.1"]), (False, ["0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5"])],
)
def test_a_narrow_axis_has_a_tick_a_decade(narrow: bool, ticks: list[str]) -> None:
    _, axes = drawing.figure_of(drawing.WIDTH, drawing.PANEL)
    drawing.logarithmic(axes, "x", [0.004, 0.6], narrow)
    low, high = axes.get_xlim()
    assert [drawing.short(tick) for tick in axes.get_xticks() if low <= tick <= high] == ticks
