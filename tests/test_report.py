"""The page: what stands on it, that nothing on it is executed or fetched, and that it sorts."""

import base64
import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from test_leaderboard import board_of, cell, floor

from gm_bench.leaderboard import build
from gm_bench.report import STRIP_MARGIN, STRIP_WIDTH, render

HOSTILE = "<script>alert('x')</script>\" onload=\"alert(1)"


class Page(HTMLParser):
    """Elements with their attributes, and all text outside of style and script."""

    VOID = frozenset({"meta", "img", "line", "circle", "br", "link"})

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

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def example(**changes):
    rows = [cell("gan", s, v, **changes) for s, v in enumerate((10.0, 12.0, 14.0))]
    return board_of(floor(), *rows, cell("vae", 0, 20.0), cell("wgan", 0, None))


def pngs(board) -> dict:
    return {
        (e.dataset, e.variant, s): f"{e.variant}{s}".encode()
        for e in board.entries["digits"]
        for s in e.seeds
    }


def test_what_stands_on_the_page():
    board = example()
    page = Page(render(board, pngs(board), {"digits": b"real"}))
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
    pictures = {image["alt"]: base64.b64decode(image["src"].partition(",")[2]) for image in page.all("img")}
    assert pictures == {
        "real images of digits": b"real",
        "samples of gan on digits, seed 0": b"gan0",
        "samples of gan on digits, seed 1": b"gan1",
        "samples of gan on digits, seed 2": b"gan2",
        "samples of vae on digits, seed 0": b"vae0",
    }, "every finished cell; none of the diverged one"


def test_each_row_says_what_it_is_sorted_by():
    board = board_of(
        floor(),
        cell("gan", 0, 10.0, **{"eval/one_nn": 0.4}),
        cell("vae", 0, 20.0, **{"eval/one_nn": 0.9}),
        cell("wgan", 0, None),
    )
    page = Page(render(board, pngs(board), {}))
    keys = [json.loads(row["data-keys"]) for row in page.all("tr") if "data-keys" in row]
    # variant, FID, precision, distance of 1-NN from one half, seeds, seconds, parameters
    assert keys[0] == ["gan", 10.0, 0.5, pytest.approx(0.1), 1, 10.0, 220]
    assert keys[1] == ["vae", 20.0, 0.5, pytest.approx(0.4), 1, 10.0, 220]
    assert keys[2] == ["wgan", None, None, None, 0, 10.0, 220]
    buttons = page.all("button")
    assert [int(button["data-key"]) for button in buttons] == list(range(7))
    first = [button["data-first"] for button in buttons]
    assert first == [*["ascending"] * 2, "descending", "ascending", "descending", *["ascending"] * 2]
    assert [head.get("aria-sort") for head in page.all("th") if "aria-sort" in head] == ["ascending"]


def test_hostile_names_are_text():
    board = example(family=HOSTILE, source=HOSTILE)
    page = Page(render(board, pngs(board), {}))
    assert HOSTILE in page.text
    assert len(page.all("script")) == 1, "the page's own"
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    rows = [cell(HOSTILE, 0, 5.0)]
    board = build(pd.DataFrame([floor(), *rows]), [("digits", HOSTILE, 0)])
    page = Page(render(board, pngs(board), {}))
    assert len(page.all("script")) == 1
    (row,) = [row for row in page.all("tr") if "data-keys" in row]
    assert json.loads(row["data-keys"])[0] == HOSTILE


def test_nothing_is_fetched():
    html = render(example(), pngs(example()), {"digits": b"real"})
    page = Page(html)
    for _, attributes in page.elements:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith(("data:", "#"))
    assert not re.search(r"https?://|@import|url\(", html)
    assert "default-src 'none'" in html


def test_the_strip_is_logarithmic_from_floor_to_worst():
    board = board_of(floor(fid=1.0), cell("gan", 0, 10.0), cell("gan", 1, 100.0))
    page = Page(render(board, pngs(board), {}))
    places = [float(circle["cx"]) for circle in page.all("circle")]
    assert places == [STRIP_WIDTH / 2, STRIP_WIDTH - STRIP_MARGIN]
    marks = {float(line["x1"]) for line in page.all("line") if line.get("class") == "mark"}
    assert marks == {STRIP_MARGIN}


def test_the_page_is_the_same_each_time_and_small():
    board = example()
    html = render(board, pngs(board), {})
    assert html == render(board, pngs(board), {})
    assert len(html) < 30_000
