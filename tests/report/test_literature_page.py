"""The page beside published numbers: columns and places worked by hand; FID in Inception's features."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from fake_cells import noise, protocol

from gm_bench import io
from gm_bench.cell import DATA, Cell
from gm_bench.config import load_params
from gm_bench.metrics.catalogue import IMAGES
from gm_bench.metrics.extractors.features import extract
from gm_bench.metrics.extractors.inception import InceptionExtractor
from gm_bench.metrics.extractors.lenet import LeNetExtractor
from gm_bench.metrics.extractors.pretrained import WeightFile
from gm_bench.metrics.frechet import fid
from gm_bench.nets.lenet import LeNet
from gm_bench.report.literature import Section, page
from gm_bench.results.aggregation import build
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.literature import places
from gm_bench.tracks.generation import published_features
from pipelines.literature import in_words

CPU = torch.device("cpu")
TABLE = {
    "title": "Somebody 2018",
    "protocol": "the best of many",
    "names": {"gan": "MM GAN", "ns_gan": "NS GAN", "vae": "VAE", "wgan": "WGAN"},
    "tested": {"digits": {"wgan": "its rate ([trials](t.md))"}},
    "fid": {"digits": {"gan": [9.8, 0.9], "ns_gan": [6.8, 0.5], "vae": [16.6, 0.4], "wgan": [6.7, 0.4]}},
}


RECIPES = {name: (f"{name} here", f"{name} there") for name in TABLE["names"]}


def board(**fids: list[float]) -> Leaderboard:
    rows = [{"kind": "floor", "dataset": "digits", "status": "ok", "protocol": protocol("digits")}]
    rows[0] |= {"eval/fid": 0.5, "eval_draw_sd/fid": 0.1}
    cells = []
    for variant, values in fids.items():
        for seed, value in enumerate(values):
            cells.append(Cell("digits", "digits", variant, seed))
            rows.append(
                {"kind": "cell", "dataset": "digits", "variant": variant, "seed": seed, "family": "GAN"}
                | {"source": "", "status": "ok", "divergence": None, "details": {}, "device": "cpu"}
                | {"protocol": protocol("digits"), "network": "mlp", "budget": 6400, "run_id": "0"}
                | {"cost/seconds": 1.0, "cost/images": 6400.0, "eval/fid": value}
            )
    return build(pd.DataFrame(rows), cells, IMAGES)


def test_rows_are_in_our_order_with_both_places() -> None:
    found = board(gan=[5.0, 7.0], ns_gan=[4.0, 4.0], vae=[30.0, 34.0], lsgan=[1.0, 1.0])
    text = page([Section("digits", "digits", found, {}, RECIPES)], TABLE)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[5:] == [
        "| variant | recipe here | default there, where the search began |",
        "| --- | --- | --- |",
        "| ns_gan | ns_gan here | ns_gan there |",
        "| gan | gan here | gan there |",
        "| vae | vae here | vae there |",
    ]
    assert "places apart" not in text
    assert rows[:5] == [
        "| variant | FID here | place | left open | published as | FID there | place there |",
        "| --- | ---: | ---: | ---: | --- | ---: | ---: |",
        "| ns_gan | 4.0 ±\u00a00.0 | 1 | 1 to 2 | NS GAN | 6.8 ± 0.5 | 1 |",
        "| gan | 6.0 ±\u00a01.4 | 2 | 1 to 2 | MM GAN | 9.8 ± 0.9 | 2 |",
        "| vae | 32.0 ±\u00a02.8 | 3 | 3 | VAE | 16.6 ± 0.4 | 3 |",
    ]
    assert "6,400 images shown, last checkpoint, 2 seeds; features of lenet, N = 800. Left open: the " in text


def test_nothing_in_a_cell_is_read_as_markup() -> None:
    table = TABLE | {"names": TABLE["names"] | {"gan": "A|B <i>*c*</i> & _d_"}}
    found = board(gan=[5.0, 5.001], ns_gan=[4.0], vae=[30.0])
    text = page([Section("digits", "digits", found, {}, RECIPES | {"gan": ("[a](b)", "`c`")})], table)
    name = r"A\|B \<i\>\*c\*\</i\> \& \_d\_"
    assert f"| gan | 5.0 ±\u00a0\\<\u00a00.1 | 2 | 1 to 3 | {name} | 9.8 ± 0.9 | 2 |" in text
    assert r"| gan | \[a\](b) | \`c\` |" in text


def test_a_cause_is_asked_where_places_lie_apart() -> None:
    found = board(gan=[5.0], ns_gan=[4.0], vae=[1.0], wgan=[50.0])
    text = page([Section("digits", "digits", found, {}, RECIPES)], TABLE)
    told = text[text.index("2 places apart or more") :].splitlines()[2:]
    assert told == ["- vae: not tested.", "- wgan: its rate ([trials](t.md))."]


def test_a_place_that_noise_leaves_open_needs_no_cause() -> None:
    found = board(gan=[4.5, 6.0], ns_gan=[4.0, 8.0], wgan=[5.0, 9.0], vae=[500.0, 520.0])
    text = page([Section("digits", "digits", found, {}, RECIPES)], TABLE)
    told = text[text.index("2 places apart or more") :].splitlines()[2:]
    assert told == [
        "- gan: noise leaves the places 1 to 3 open, theirs (3) among them.",
        "- wgan: noise leaves the places 1 to 3 open, theirs (1) among them.",
    ]
    elsewhere = page(
        [Section("mine", "digits", board(gan=[5.0], ns_gan=[4.0], wgan=[9.0]), {}, RECIPES)], TABLE
    )
    assert "- wgan: not tested." in elsewhere, "the cause was tested on another board"


def test_places_that_noise_leaves_open() -> None:
    """a and b are better than d; of c nothing is known, so that it may stand anywhere."""
    known = {"a": set(), "b": {"other"}, "d": {"a", "b", "other"}}
    assert places(known, ["a", "b", "c", "d"]) == {"a": (1, 3), "b": (1, 3), "d": (3, 4)}


def test_whether_the_orders_agree_comes_first() -> None:
    """Of three, the same order comes by chance with 1/6: nothing can be seen. Of four with 1/24."""
    three = board(gan=[5.0], ns_gan=[4.0], vae=[30.0])
    text = page([Section("digits", "digits", three, {}, RECIPES)], TABLE)
    assert "\n\n**That the orders agree cannot be seen**: Spearman's ρ over 3 variants is 1.00; an" in text
    assert text.index("**That") < text.index("| variant | FID here | place | left open |")
    four = board(gan=[5.0], ns_gan=[4.0], vae=[30.0], wgan=[1.0])
    text = page([Section("digits", "digits", four, {}, RECIPES)], TABLE)
    assert (
        "**The orders agree beyond chance**: Spearman's ρ over 4 variants is 1.00; an order at least as close"
        in text
    )
    assert "| 4.0 | 2 | – | NS GAN |" in text, "of one seed no noise is known"


def test_a_recipe_in_words() -> None:
    params = load_params()
    assert in_words(params.recipe("wgan", "grey")) == (
        "5 critic updates; adam 5e-05 betas (0.5, 0.999); infogan critic_norm batch; z_dim 64; "
        "prior uniform; clip 0.01"
    )
    assert in_words(params.recipe("gan", "grey_cpu")).startswith(
        "critic adam 0.00025 betas (0.5, 0.999) linear decay; generator adam 0.001 betas (0.5, 0.999) linear"
    )


def test_what_was_measured_in_their_features_is_a_column() -> None:
    found = board(gan=[5.0], ns_gan=[4.0], vae=[30.0])
    measured = {"ns_gan": [7.0, 8.0], "gan": [11.0]}
    text = page([Section("digits", "digits", found, measured, RECIPES)], TABLE)
    assert (
        "| variant | FID here | place | left open | FID here, Inception | published as | FID there |" in text
    )
    assert "| ns_gan | 4.0 | 1 | – | 7.5 ± 0.7 | NS GAN |" in text
    assert "| gan | 5.0 | 2 | – | 11.0 | MM GAN |" in text
    assert "| vae | 30.0 | 3 | – | – | VAE |" in text


def test_variants_may_have_different_numbers_of_seeds() -> None:
    text = page(
        [Section("digits", "digits", board(gan=[5.0], ns_gan=[4.0, 4.5], vae=[30.0]), {}, RECIPES)], TABLE
    )
    assert "last checkpoint, 1 to 2 seeds; features of lenet" in text


def test_two_variants_are_no_section() -> None:
    assert "##" not in page([Section("digits", "digits", board(gan=[1.0], vae=[2.0]), {}, RECIPES)], TABLE)


def test_fid_in_inceptions_features_is_the_mean_over_draws_against_as_many_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    extractor = LeNetExtractor.of_weights(LeNet((1, 8, 8), 10).state_dict(), (1, 8, 8))  # in its place
    monkeypatch.setattr(WeightFile, "find", lambda self: Path())
    monkeypatch.setattr(InceptionExtractor, "of_weights", lambda path, image_shape: extractor)
    test, draws = noise(0, 6, 1, 8, 8), noise(1, 2, 4, 1, 8, 8)
    cells = [Cell("digits", "digits", *of) for of in (("gan", 0), ("gan", 1), ("vae", 0))]
    io.write_tensors(DATA / "digits/test.safetensors", {"images": test, "labels": torch.zeros(6).long()})
    for cell, images in zip(cells, (draws, test[:4][None]), strict=False):
        io.write_tensors(cell.folder / "samples.safetensors", {"images": images})
    found = published_features.inception_fid(cells, CPU)
    real = extract(extractor, test[:4], CPU).features
    each = [fid(extract(extractor, draw, CPU).features, real) for draw in draws]
    assert each[0] != pytest.approx(each[1], rel=1e-3)
    assert set(found) == {"gan"}, "a cell without samples is passed over"
    assert found["gan"] == pytest.approx([sum(each) / 2, 0.0], rel=1e-9, abs=1e-6 * each[0])
