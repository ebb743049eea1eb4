"""Every column of every table by its title: no two values are alike, so that metrics exchanged are seen.

The charts have the same test in test_shown_marks.py.
"""

import csv
import io
import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from cell_results import DISPLAY, cell_result
from unequal import METRICS, SEEDS, VARIANTS, board, floor_sd, floor_value, mean, results, spread

from gm_bench.metrics.catalogue import IMAGES
from gm_bench.report import tables
from gm_bench.report.cell_page import render as render_cell
from gm_bench.report.page import render
from gm_bench.results import leaderboard_file
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.tracks.generation import pages
from gm_bench.tracks.generation.track import TRACK

TITLES = {IMAGES.title(metric): metric for metric in METRICS}
MAIN = {title for title, metric in TITLES.items() if IMAGES.is_main(metric)}
# What a number loses by the decimals of its column.
ROUNDING = 6e-5


def numbers(text: str) -> list[float]:
    return [float(found.replace("−", "-")) for found in re.findall(r"[−-]?\d+\.\d+", text)]


def check_row(cells: dict[str, str], variant: str) -> None:
    """The cells of a row by column title, against the variant's values."""
    for title, metric in TITLES.items():
        if title in cells:
            assert numbers(cells[title]) == pytest.approx(
                [mean(metric, variant), spread(metric)], abs=ROUNDING
            ), (title, variant)


def check_floor(cells: dict[str, str]) -> None:
    for title, metric in TITLES.items():
        if title in cells:
            expected = [floor_value(metric), floor_sd(metric)]
            assert numbers(cells[title]) == pytest.approx(expected, abs=ROUNDING), title


def check_facts(cells: dict[str, str], variant: str) -> None:
    """What a row says besides metrics."""
    i = VARIANTS.index(variant)
    assert cells["family"] == f"F{i}"
    assert cells["seeds"] == "3"
    assert cells["time"] == f"{11 + 10 * i:.1f} s"
    assert cells["parameters"] == f"{1300 + i:,}"
    low, high = board().by_key["digits", variant].metrics["fid"].interval or (0.0, 0.0)
    assert numbers(cells["95 %"]) == pytest.approx([low, high], abs=ROUNDING)


def markdown_tables(text: str) -> list[list[dict[str, str]]]:
    """The tables of a text: a dictionary by column title for each row."""
    found: list[list[dict[str, str]]] = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        header, _, *lines = [[c.strip() for c in line.split(" | ")] for line in block.strip("\n").split("\n")]
        header, *lines = [[c.strip("| ") for c in line] for line in (header, *lines)]
        found.append([dict(zip(header, line, strict=True)) for line in lines])
    return found


def test_every_column_of_the_markdown_tables() -> None:
    main, rest = markdown_tables(tables.to_markdown(board(), TRACK))
    assert TITLES.keys() & main[0].keys() == MAIN
    assert TITLES.keys() & rest[0].keys() == TITLES.keys() - MAIN
    for table in (main, rest):
        check_floor(table[0])
        assert [cells["variant"] for cells in table] == ["floor", *VARIANTS]
        for cells in table[1:]:
            check_row(cells, cells["variant"])
    for cells in main[1:]:
        check_facts(cells, cells["variant"])


def test_every_column_in_the_terminal() -> None:
    (table,) = tables.rich_tables(board(), TRACK)
    columns = {str(column.header): [str(cell) for cell in column.cells] for column in table.columns}
    rows = [dict(zip(columns, line, strict=True)) for line in zip(*columns.values(), strict=True)]
    assert TITLES.keys() & columns.keys() == MAIN
    check_floor(rows[0])
    assert [cells["variant"] for cells in rows[1:]] == list(VARIANTS)
    for cells in rows[1:]:
        check_row(cells, cells["variant"])
        check_facts(cells, cells["variant"])


class Cells(HTMLParser):
    """The rows of all tables as texts, with the attributes of rows and buttons."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.row_attributes: list[dict[str, str | None]] = []
        self.buttons: list[dict[str, str | None]] = []
        self.circles: list[list[float]] = []
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
            self.row_attributes.append(dict(attrs))
            self.circles.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True
        elif tag == "button":
            self.buttons.append(dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "circle":
            self.circles[-1].append(float(dict(attrs)["cx"] or 0))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside and self.rows:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def page() -> Cells:
    return Cells(render(board(), results(), DISPLAY, {}))


def test_every_column_of_the_page(page: Cells) -> None:
    header, floor, *rows = page.rows[: 2 + len(VARIANTS)]
    assert set(TITLES) <= set(header), "the page shows all metrics"
    check_floor(dict(zip(header, floor, strict=True)))
    for variant, row in zip(VARIANTS, rows, strict=True):
        cells = dict(zip(header, row, strict=True))
        i = VARIANTS.index(variant)
        assert cells["variant"].split() == [variant, f"F{i}"]
        assert (cells["time"], cells["parameters"]) == (f"{11 + 10 * i:.1f} s", f"{1300 + i:,}")
        assert cells["seeds"].split() == ["3", "0", "·", "1", "·", "2"]
        for title, metric in TITLES.items():
            score = board().by_key["digits", variant].metrics[metric]
            expected = [score.mean, spread(metric), *(score.interval or ())]
            assert numbers(cells[title].replace("…", " ")) == pytest.approx(expected, abs=ROUNDING), title


def test_every_column_of_the_page_is_sorted_by_its_own_values(page: Cells) -> None:
    """Its button names the place of its key; a metric that is best in between is sorted by its distance."""
    keys = [json.loads(given["data-keys"] or "") for given in page.row_attributes if "data-keys" in given]
    place = {b["title"]: int(b["data-key"] or 0) for b in page.buttons if b.get("title")}
    first = {b["title"]: b["data-first"] for b in page.buttons if b.get("title")}
    header = page.rows[0]
    for title, metric in TITLES.items():
        sentence = IMAGES[metric].sentence
        button = [b for b in page.buttons if "data-key" in b][header_place(header, title)]
        assert button["title"] == sentence, "what the column's title explains"
        ideal = IMAGES[metric].ideal
        for variant, row in zip(VARIANTS, keys, strict=True):
            value = mean(metric, variant)
            expected = value if ideal is None else abs(value - ideal)
            assert row[place[sentence]] == pytest.approx(expected, rel=1e-12), title
        assert first[sentence] == ("descending" if IMAGES.direction(metric) == "↑" else "ascending")


def test_the_other_columns_of_the_page_are_sorted_by_their_own_values(page: Cells) -> None:
    keys = [json.loads(given["data-keys"] or "") for given in page.row_attributes if "data-keys" in given]
    buttons = [button for button in page.buttons if "data-key" in button]
    expected = {
        "rank": [board().by_key["digits", variant].rank for variant in VARIANTS],
        "variant": list(VARIANTS),
        "seeds": [3, 3, 3],
        "time": [11.0, 21.0, 31.0],
        "parameters": [1300, 1301, 1302],
    }
    for title, values in expected.items():
        place = int(buttons[header_place(page.rows[0], title)]["data-key"] or 0)
        assert [row[place] for row in keys] == values, title


def header_place(header: list[str], title: str) -> int:
    """Place of a column among those with a button: the strip of seeds has none."""
    return [text for text in header if not text.startswith("each seed")].index(title)


def test_strips_of_the_page_hold_the_seeds_of_their_row(page: Cells) -> None:
    """Equal ratios are equal distances: of three variants the places are one straight line in log FID."""
    rows = [
        circles
        for circles, given in zip(page.circles, page.row_attributes, strict=True)
        if "data-keys" in given
    ]
    points = [
        (math.log(board().by_key["digits", variant].metrics["fid"].values[seed]), rows[i][seed])
        for i, variant in enumerate(VARIANTS)
        for seed in SEEDS
    ]
    (x0, y0), (x1, y1) = points[0], points[-1]
    for x, y in points:
        assert y == pytest.approx(y0 + (x - x0) * (y1 - y0) / (x1 - x0), abs=0.11)  # one decimal
    assert y1 > y0


def test_every_column_of_csv_and_json() -> None:
    lines = {line["variant"]: line for line in csv.DictReader(io.StringIO(leaderboard_file.to_csv(board())))}
    content = leaderboard_file.to_json(board())
    rows = {row["variant"]: row for row in content["rows"]}
    for metric in METRICS:
        assert (
            float(lines["floor"][f"{metric}_mean"])
            == content["floors"]["digits"][metric]
            == floor_value(metric)
        )
        assert content["floor_sd"]["digits"][metric] == floor_sd(metric)
        for variant in VARIANTS:
            assert float(lines[variant][f"{metric}_mean"]) == pytest.approx(mean(metric, variant), rel=1e-12)
            assert rows[variant]["metrics"][metric]["mean"] == pytest.approx(mean(metric, variant), rel=1e-12)
            assert rows[variant]["metrics"][metric]["sd"] == pytest.approx(spread(metric), rel=1e-9)


# The page of a cell


def cell_tables(html: str) -> dict[str, list[str]]:
    """Rows of the metrics' table by title; facts by their term."""
    table = {row[0]: row[1:] for row in Cells(html).rows}
    facts = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html)
    return table | {term: [text] for term, text in facts}


def test_every_row_of_a_cells_page() -> None:
    values = {
        metric: tuple(0.1 + 0.03 * i + 0.001 * j * j for j in range(3)) for i, metric in enumerate(METRICS)
    }
    shown = replace(cell_result("gan", 0), values=values)
    floors, sds = {m: floor_value(m) for m in METRICS}, {m: floor_sd(m) for m in METRICS}
    html = render_cell(shown, DISPLAY, floor=floors, floor_sd=sds, siblings=[shown.cell])
    rows = cell_tables(html)
    assert rows["metric"] == ["mean", "draw 0", "draw 1", "draw 2", "floor"]
    for title, metric in TITLES.items():
        a, b, c = values[metric]
        expected = [(a + b + c) / 3, a, b, c, floor_value(metric), floor_sd(metric)]
        assert numbers(" ".join(rows[title])) == pytest.approx(expected, rel=6e-3, abs=ROUNDING), title


def test_every_fact_of_a_cells_page_stands_at_its_term() -> None:
    shown = cell_result("gan", 0)
    cost = {
        "seconds": 12.5,
        "images": 1001,
        "budget": 1002,
        "images_per_second": 43.0,
        "rounds": 27,
        "updates": {"critic": 53, "generator": 11},
        "parameters": {"critic": 107, "generator": 127},
        "flops": 1.25e12,
        "peak_memory_bytes": 3 * 2**20,
        "device": "a device",
        "training_key": "the key",
    }
    changed = replace(shown, cost=shown.cost | cost)
    rows = cell_tables(render_cell(changed, DISPLAY, floor={}, floor_sd={}, siblings=[]))
    expected = {
        "time": "12.5 s",
        "images": "1,001 of 1,002",
        "images per second": "43",
        "rounds": "27",
        "updates": "critic 53, generator 11",
        "parameters": "critic 107, generator 127",
        "floating-point operations": "1.25e+12",
        "peak memory": "3 MiB",
        "device": "a device",
        "budget": "1,002 real images",
        "training key": "the key",
        "sha256 of the samples": "ef",
    }
    assert {term: rows[term] for term in expected} == {term: [text] for term, text in expected.items()}


# The protocol in words

UNEQUAL_PROTOCOL = {
    "n_samples": 801,
    "n_train": 1207,
    "draws": 3,
    "floor_splits": 11,
    "score_splits": 2,
    "kid_subsets": 101,
    "kid_subset_size": 401,
    "fid_subsets": 6,
    "neighbours": 4,
    "duplicate_quantile": 0.02,
    "bound_images": 703,
    "bound_codes": 67,
}


def test_every_number_of_the_protocol_stands_in_its_sentence() -> None:
    shown: Leaderboard = board()
    shown = replace(shown, protocols={"digits": shown.protocols["digits"] | UNEQUAL_PROTOCOL})
    said = {line.partition(": ")[0]: line for line in pages.protocol_in_words(shown, "digits")}
    assert said["N = 801"] == (
        "N = 801: each value compares 801 generated images with 801 real ones of the test split and is the "
        "mean over 3 independent draws per seed."
    )
    assert "over 11 random splits of the same 2,008 training and held-out images" in said["floor"]
    assert said["Estimates"] == (
        "Estimates: Inception Score over 2 splits; KID over 101 subsets of 401; precision, recall, density "
        "and coverage with 4 neighbours; FID∞ through 6 sizes of subsets."
    )
    assert said["Memorisation"].startswith("Memorisation: against 1,207 images that")
    assert "nearer to one of them than 2% of" in said["Memorisation"]
    assert "over 703 test images with 67 codes each" in said["Likelihood"]
    assert "84 features" in said["Extractor"]
    assert pages.summary(shown, "digits") == "N = 801, features of lenet"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), ""),
        (("inception_score",), "Inception Score over 2 splits and the classes of lenet, not the data's; "),
        (("classifier_score", "classes_hit"), "classifier score over 2 splits; "),
    ],
)
def test_only_a_score_that_is_there_is_spoken_of(names: tuple[str, ...], said: str) -> None:
    """An extractor that tells no classes apart has none."""
    of_classes = {"inception_score", "classifier_score", "classes_hit", "class_kl", "class_accuracy"}

    def kept(values: Mapping[str, Any]) -> dict[str, Any]:
        shown = {name: value for name, value in values.items() if name not in of_classes}
        return shown | dict.fromkeys(names, values["recall"])

    whole = board()
    shown = replace(
        whole,
        protocols={"digits": whole.protocols["digits"] | UNEQUAL_PROTOCOL},
        floors={"digits": kept(whole.floors["digits"])},
        entries={"digits": [replace(e, metrics=kept(e.metrics)) for e in whole.entries["digits"]]},
    )
    (line,) = [line for line in pages.protocol_in_words(shown, "digits") if line.startswith("Estimates")]
    assert line.startswith(f"Estimates: {said}KID over 101 subsets of 401; precision")
    titles = {title for table in markdown_tables(tables.to_markdown(shown, TRACK)) for title in table[0]}
    assert titles & {IMAGES.title(name) for name in of_classes} == {IMAGES.title(name) for name in names}
