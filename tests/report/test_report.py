"""The page: what stands on it, that nothing on it is executed or fetched, and what it sorts by."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch
from cell_results import DISPLAY, TIMES, cell_result, pairs_of, samples_of
from fake_cells import noise
from PIL import Image
from test_leaderboard import board_of, cell, cell_of, floor

from gm_bench.metrics.catalogue import IMAGES
from gm_bench.report.figures import image_grid
from gm_bench.report.page import STRIP_MARGIN, STRIP_WIDTH, render
from gm_bench.report.tables import to_markdown
from gm_bench.results.aggregation import build
from gm_bench.tracks.generation.charts import charts
from gm_bench.tracks.generation.nearest import nearest_of_variants

HOSTILE = "<script>alert('x')</script>\" onload=\"alert(1)"
VIEWBOX = re.compile(r"\d+ \d+ [\d.]+ [\d.]+")


class Page(HTMLParser):
    """Elements with their attributes, and all text outside of style and script."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th", "dt", "dd"):
            self.text += " "

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def rows(self):
        return [row for row in self.all("tr") if "data-keys" in row]


def page_of(board, *cells, real=None, bare=("vae", "wgan")) -> str:
    """The page of results; those of vae and wgan left no snapshots."""
    drawn = {dataset: charts(board, dataset, cells) for dataset in board.datasets}
    samples = {each.cell: samples_of(each, snapshots=each.variant not in bare) for each in cells}
    return render(board, cells, DISPLAY, drawn, samples, real)


def example(**changes):
    rows = [cell("gan", s, v, **changes) for s, v in enumerate((10.0, 12.0, 14.0))]
    return board_of(floor(), *rows, cell("vae", 0, 20.0), cell("wgan", 0, None))


CELLS = (
    *(cell_result("gan", s, v) for s, v in enumerate((10.0, 12.0, 14.0))),
    cell_result("vae", 0, 20.0),
    cell_result("wgan", 0, None),
)


def pixels(source: str) -> np.ndarray:
    kind, _, content = source.partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        return np.array(picture.convert("L"))


def test_what_stands_on_the_page():
    page = Page(page_of(example(), *CELLS))
    text = " ".join(page.text.split())
    assert "12.0 ± 2.0" in text
    assert "diverged at step 7 (critic loss)" in text
    assert "standard deviation between seeds" in text
    assert (
        text.index("floor real images")
        < text.index("gan GAN")
        < text.index("vae GAN")
        < text.index("wgan GAN")
    )


def test_intervals_are_those_of_the_leaderboard():
    board = example()
    low, high = board.entries["digits"][0].metrics["fid"].interval
    assert f"{low:.1f}…{high:.1f}" in page_of(board, *CELLS)


def test_frames_hold_every_time_of_the_first_seed_that_finished():
    page = Page(page_of(example(), *CELLS, real={"digits": noise(5, 64, 1, 8, 8)}))
    frames = [a for a in page.all("div") if a.get("class") == "frames"]
    real, gan, vae = [image for image in page.all("img") if "nearest" not in image["alt"]]
    # 36 images in 6 columns, each pixel four times as large, two pixels between them
    expected = torch.cat([image_grid(frame[:36], 6, 4) for frame in samples_of(CELLS[0]).snapshots])[
        :, :, 0
    ].numpy()
    assert np.array_equal(pixels(gan["src"]), expected)
    assert gan["alt"] == "samples of gan on digits, seed 0"
    assert json.loads(frames[1]["data-times"]) == list(TIMES)
    assert frames[1]["style"] == "--frame: 3; aspect-ratio: 202 / 202"
    assert np.array_equal(
        pixels(vae["src"]), image_grid(samples_of(CELLS[3]).images[:36], 6, 4)[:, :, 0].numpy()
    )
    assert json.loads(frames[2]["data-times"]) == [400], "without snapshots the samples of the trained model"
    assert np.array_equal(pixels(real["src"]), image_grid(noise(5, 64, 1, 8, 8)[:36], 6, 4)[:, :, 0].numpy())
    (slider,) = [each for each in page.all("input") if each["type"] == "range"]
    assert json.loads(slider["data-times"]) == list(TIMES)


def test_a_diverged_variant_shows_what_it_drew_before():
    board = board_of(floor(), cell("gan", 0, 10.0), cell("wgan", 0, None))
    page = Page(page_of(board, cell_result("gan", 0), cell_result("wgan", 0, None), bare=()))
    assert "samples of wgan on digits, seed 0" in [image["alt"] for image in page.all("img")]


def test_each_row_says_what_it_is_sorted_by():
    board = board_of(
        floor(),
        cell("gan", 0, 10.0, **{"eval/one_nn": 0.4}),
        cell("gan", 1, 12.0, **{"eval/one_nn": 0.4}),
        cell("vae", 0, 200.0, **{"eval/one_nn": 0.9, "eval/density": 0.7}),
        cell("wgan", 0, None),
    )
    page = Page(page_of(board, cell_result("gan", 0)))
    keys = [json.loads(row["data-keys"]) for row in page.rows()]
    # rank, variant, FID, precision, distance of density from one and of 1-NN from one half, seeds, …
    assert keys[0] == [1, "gan", 11.0, 0.5, None, pytest.approx(0.1), 2, 10.5, 220]
    assert keys[1] == [None, "vae", 200.0, 0.5, pytest.approx(0.3), pytest.approx(0.4), 1, 10.0, 220]
    assert keys[2] == [None, "wgan", None, None, None, None, 0, 10.0, 220]
    buttons = [button for button in page.all("button") if "data-key" in button]
    assert sorted(int(button["data-key"]) for button in buttons) == list(range(9))
    first = {int(button["data-key"]): button["data-first"] for button in buttons}
    assert [key for key, order in sorted(first.items()) if order == "descending"] == [3, 6]
    assert [head.get("aria-sort") for head in page.all("th") if "aria-sort" in head] == ["ascending"]


def test_rows_lead_to_the_pages_of_their_cells():
    page = Page(page_of(example(), *CELLS))
    links = [link["href"] for link in page.all("a") if link["href"].startswith("cells/")]
    assert links == [
        "cells/digits-gan-0.html",
        "cells/digits-gan-1.html",
        "cells/digits-gan-2.html",
        "cells/digits-vae-0.html",
        "cells/digits-wgan-0.html",
    ]


def test_pairs_stand_one_above_the_other():
    page = Page(page_of(example(), *CELLS))
    picture = next(image for image in page.all("img") if "nearest" in image["alt"])
    pairs = pairs_of(CELLS[0])
    expected = image_grid(torch.stack([p.sample for p in pairs] + [p.train for p in pairs]), 3, 4)
    assert np.array_equal(pixels(picture["src"]), expected[:, :, 0].numpy())
    assert "nearest 0.25" in page.text


def test_hostile_names_are_text():
    page = Page(page_of(example(family=HOSTILE, source=HOSTILE), *CELLS))
    assert HOSTILE in page.text
    assert len(page.all("script")) == 1, "the page's own"
    rows = [cell(HOSTILE, 0, 5.0), cell("../../etc", 0, 6.0)]
    board = build(pd.DataFrame([floor(), *rows]), [cell_of(HOSTILE, 0), cell_of("../../etc", 0)], IMAGES)
    page = Page(page_of(board, cell_result(HOSTILE, 0), cell_result("../../etc", 0)))
    assert len(page.all("script")) == 1
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert json.loads(page.rows()[0]["data-keys"])[1] == HOSTILE
    links = [link["href"] for link in page.all("a") if link["href"].startswith("cells/")]
    assert all(re.fullmatch(r"cells/[A-Za-z0-9_~.-]+\.html", link) and ".." not in link for link in links)


def test_nothing_is_fetched():
    html = page_of(example(), *CELLS, real={"digits": noise(5, 64, 1, 8, 8)})
    page = Page(html)
    for name, attributes in page.elements:
        if name != "a":
            for reference in ("src", "href", "xlink:href"):
                assert attributes.get(reference, "#").startswith(("data:", "#"))
        assert re.match(r"#|cells/|figures/", attributes.get("href", "#"))
    assert not re.search(r"@import|url\((?!#)", html)
    addresses = set(re.findall(r"https?://[^\"' ]+", html))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}, "names, not places"
    assert "default-src 'none'" in html


def test_every_picture_and_chart_is_described():
    page = Page(page_of(example(), *CELLS))
    assert all(image["alt"] for image in page.all("img"))
    described = [a for a in page.all("div") if a.get("role") == "img"]
    assert len(described) == sum(
        VIEWBOX.fullmatch(svg.get("viewbox", "")) is not None for svg in page.all("svg")
    )
    assert all(a["aria-label"] for a in described)


def test_no_two_elements_share_an_id():
    ids = [
        attributes["id"] for _, attributes in Page(page_of(example(), *CELLS)).elements if "id" in attributes
    ]
    assert len(ids) == len(set(ids)) > 0


def test_the_strip_is_logarithmic_from_floor_to_worst():
    board = board_of(floor(fid=1.0), cell("gan", 0, 10.0), cell("gan", 1, 100.0))
    page = Page(render(board, [], DISPLAY, {}))
    places = [float(circle["cx"]) for circle in page.all("circle")]
    assert places == [STRIP_WIDTH / 2, STRIP_WIDTH - STRIP_MARGIN]
    marks = {float(line["x1"]) for line in page.all("line") if line.get("class") == "mark"}
    assert marks == {STRIP_MARGIN}


def test_the_page_is_the_same_each_time():
    assert page_of(example(), *CELLS) == page_of(example(), *CELLS)


def test_pictures_keep_to_their_budget():
    variants = [f"v{i}" for i in range(12)]
    board = board_of(floor(), *(cell(variant, 0, 10.0) for variant in variants))
    cells = [cell_result(variant, 0) for variant in variants]
    samples = {each.cell: samples_of(each, (3, 32, 32)) for each in cells}
    pairs = [(each, pairs_of(each, (3, 32, 32))) for each in cells]
    display = replace(DISPLAY, galleries=lambda _, n_bytes: nearest_of_variants(pairs, n_bytes))
    html = render(board, cells, display, {}, samples, {"digits": noise(0, 64, 3, 32, 32)})
    # Without a budget: 12 pictures of 4 × 36 images of 3,072 random bytes, as text a third longer: 7.1 MB.
    assert 2_000_000 < len(html) < 3_300_000
    assert "Pictures are compressed" in html


def test_what_the_rows_say_in_words_stands_on_the_page_and_under_the_table():
    numbers = {"eval/one_nn": 0.9, "eval/sharpness": 0.6, "eval/class_kl": 0.1, "eval/classes_hit": 8.0}
    details = {"density": "", "checkpoint": {"rule": "last"}, "missing_classes": [["3", "5"], ["5"]]}
    rows = [cell("vae", seed, 10.0, details=details, **numbers) for seed in (0, 1)]
    of_floor = floor(**{"eval/one_nn": 0.5, "eval/sharpness": 1.0, "eval/classes_hit": 10.0})
    board = board_of(of_floor, *rows, cell("gan", 0, None))
    said = (
        "Missing classes: none of 4,800 samples is taken for 5 (1 of 10 that real images show). "
        "Blurred: sharpness 0.60 (real images 1.00). "
        "Told from real images at N = 800: 1-NN 0.90 (real images 0.50), FID 10.00 (real images 1.50 ± 0.25)."
    )
    page = Page(page_of(board, cell_result("vae", 0)))
    assert f"vae {said}" in " ".join(page.text.split())
    assert f"- vae: {said}" in to_markdown(board, DISPLAY)
    assert "- gan: " not in to_markdown(board, DISPLAY), "nothing is said of what diverged"


def test_what_is_true_of_several_rows_is_said_once():
    shares = {f"eval/{name}": 0.8 for name in ("precision", "recall", "coverage")}
    alike = {"eval/one_nn": 0.5, "eval/fid": 1.5, "eval/sharpness": 1.0} | shares
    sharp, blurred = (alike | {"eval/one_nn": 0.9, "eval/sharpness": value} for value in (1.0, 0.6))
    sharp["eval/fid"] = blurred["eval/fid"] = 10.0
    rows = [cell(name, 0, 10.0, **values) for name, values in (("vae", blurred), ("gan", sharp))]
    of_floor = floor(**alike)
    board = board_of(of_floor, *rows)
    assert DISPLAY.verdicts(board, "digits") == {
        "all": [
            "Told from real images at N = 800, by one at least of 1-NN, FID, precision, recall and coverage."
        ],
        "vae": ["Blurred: sharpness 0.60 (real images 1.00)."],
    }
    both = DISPLAY.verdicts(board_of(of_floor, *rows, cell("copy", 0, 1.5, **alike)), "digits")
    assert list(both) == ["all but copy", "copy", "vae"]
    assert both["copy"][0].startswith("Indistinguishable from real images at N = 800: 1-NN 0.50")
