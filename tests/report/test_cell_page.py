"""The page of a cell: what it says of scores, parameters, failures, and how to make the cell again."""

import re
import shlex
from dataclasses import replace

from cell_results import DISPLAY, cell_result, samples_of
from test_report import HOSTILE, Page

from gm_bench.cell import Cell, in_file_name
from gm_bench.report.cell_page import commands, render
from gm_bench.results.schema import CellResult, Origin


def text_of(shown: CellResult, **changes) -> str:
    return " ".join(Page(page_of(shown, **changes)).text.split())


def page_of(shown: CellResult, **changes) -> str:
    facts = {
        "floor": {"fid": 1.5},
        "floor_sd": {"fid": 0.25},
        "siblings": [shown.cell, replace(shown.cell, seed=shown.seed + 1)],
        "samples": samples_of(shown),
    }
    return render(shown, DISPLAY, **(facts | changes))


def test_scores_draw_by_draw_beside_the_floor():
    text = text_of(cell_result("gan", 0, 10.0))
    assert "FID ↓ 10 9 11 1.5 ± 0.25" in text
    assert "Precision ↑ 0.6 0.5 0.7 –" in text


def test_the_numbers_are_said_in_words_where_they_are_beyond_noise():
    shown = replace(
        cell_result("gan", 0),
        values={"one_nn": (0.9, 0.8), "sharpness": (0.5, 0.7), "distinct": (0.01, 0.01)},
    )
    floor = {"one_nn": 0.5, "sharpness": 1.0, "distinct": 1.0}
    text = text_of(shown, floor=floor, floor_sd={"sharpness": 0.01})
    assert "Repeats: 8 distinct images among 800 (1.0%; of real images 100%)." in text
    assert "Blurred: sharpness 0.60 (real images 1.00 ± 0.01)." in text
    assert "Told from real images at N = 800: 1-NN 0.85 (real images 0.50)." in text
    assert "Blurred" not in text_of(cell_result("gan", 0)), "no 1-NN, no verdict"


def test_parameters_protocol_and_origin():
    text = text_of(cell_result("gan", 0))
    for fact in (
        "batch_size 16",
        "optimisers.critic.betas 0.5, 0.9",
        "n_samples 800",
        "extractor.name lenet",
        "time 10.0 s",
        "updates critic 50, generator 10",
        "peak memory 1 MiB",
        "torch in training 2.15.0",
        "folder runs/digits/digits/gan/0",
    ):
        assert fact in text
    assert "ema" not in text, "what a recipe leaves out is left out"


def test_failures_are_said():
    text = text_of(cell_result("gan", 0, None))
    assert "Training diverged at step 7 (critic loss): the value was nan" in text
    assert "400 of 400 images" in text
    assert "Metrics" not in text
    assert "No sample of draw 1 is taken for class 3." in text_of(cell_result("gan", 0))


def test_commands_name_the_cell():
    assert dict(commands(Cell("digits", "digits", "wgan_gp", 2)))["up to date, with all it depends on"] == (
        "gm-bench run --board digits --datasets digits --variants wgan_gp --seeds 2"
    )
    again, all_of_it = (command for _, command in commands(Cell("b;d", "a b", "$(touch x)", 0)))
    part = ["--datasets", "a b", "--variants", "$(touch x)", "--seeds", "0"]
    assert shlex.split(again) == ["gm-bench", "run", "--board", "b;d", *part]
    assert shlex.split(all_of_it) == ["gm-bench", "show", "a b/$(touch x)/0", "--board", "b;d"]
    for command in (again, all_of_it):  # all that a shell would act on stands in quotes
        assert not set("$;()") & set(re.sub("'[^']*'", "", command))


def test_pictures_and_links():
    page = Page(page_of(cell_result("gan", 0)))
    assert [image["alt"] for image in page.all("img")] == [
        "64 samples of gan on digits, seed 0",
        "the 3 samples of gan on digits, seed 0, that are nearest to a training image, above those images",
    ]
    assert [link["href"] for link in page.all("a")] == ["../leaderboard.html#digits", "digits-gan-1.html"]


def test_hostile_text_is_text():
    shown = replace(cell_result(HOSTILE, 0), origin=Origin(HOSTILE, HOSTILE))
    shown.cost["recipe"]["note"] = HOSTILE
    page = Page(page_of(shown))
    assert page.text.count(HOSTILE) >= 4
    assert page.all("script") == []
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


NAMES = ["../x", "a/b", "a b", "a~b", "a-b", "a_b", ".", "ä", "a\x00b", "a~2d.b", "a~2fb"]


def test_names_stay_in_their_folder_and_apart():
    made = [in_file_name(name) for name in NAMES]
    assert len(set(made)) == len(NAMES)
    for text in made:
        assert re.fullmatch(r"[A-Za-z0-9_~][A-Za-z0-9_~.]*", text)
        assert ".." not in text


def test_page_names():
    assert Cell("digits", "fashion_mnist", "wgan_gp", 2).page == "fashion_mnist-wgan_gp-2.html"
    assert Cell("digits", "a-b", "c", 1).page != Cell("digits", "a", "b-c", 1).page
