"""The best recipe of a search as a recipe of params.yaml, and settings that are refused."""

import copy
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from refused import refused

from gm_bench import io
from gm_bench.cell import Cell
from gm_bench.config import ConfigError, Params, load_params
from gm_bench.running.entries import changing, with_additions
from gm_bench.tracks.search.adopting import adopt, with_recipe
from gm_bench.tracks.search.searching import recipe_of
from gm_bench.tracks.search.settings import Search
from gm_bench.tracks.search.stages import of_cell
from gm_bench.tracks.settings import check_board, check_boards, refuse_board, settings
from gm_bench.yaml_text import load_yaml

RAW = load_yaml(Path("params.yaml").read_text(encoding="utf-8"))
VALUES = {
    "wgan": {"lr": 0.004, "critic_updates": 1, "critic_norm": "none", "clip": 0.25},
    "ns_gan": {"lr": 0.001, "beta1": 0.125, "critic_updates": 1, "critic_norm": "batch"},
}


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Two cells whose second trial was best."""
    shutil.copy("params.yaml", tmp_path)
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    params = load_params()
    for variant, values in VALUES.items():
        needs = of_cell(params, "search", "digits", variant)["search"].settings
        trials = [{"number": 0, "values": {}}, {"number": 1, "values": values}]
        content = {"space": needs["space"], "recipe": needs["recipe"], "best": 1, "trials": trials}
        io.write_json(Cell("search", "digits", variant, 0).folder / "trials.json", content)
    return params


def test_what_another_one_adds_meanwhile_stays(searched: Params) -> None:
    with changing():
        text = Path("params.yaml").read_text(encoding="utf-8")
        thread = threading.Thread(target=adopt, args=(Cell("search", "digits", "ns_gan", 0),))
        thread.start()
        thread.join(1)
        text = with_recipe(text, searched, "wgan", "tiny", "own", searched.recipe("wgan", "tiny"))
        Path("params.yaml").write_text(text, encoding="utf-8")
    thread.join()
    variants = load_params().variants
    assert "own" in variants["wgan"]
    assert "tiny_searched" in variants["ns_gan"]


def test_the_best_recipe_is_one_beside_the_others(searched: Params) -> None:
    before = Path("params.yaml").read_text(encoding="utf-8").splitlines()
    for variant in VALUES:
        said = adopt(Cell("search", "digits", variant, 0))
        assert said.startswith(f"wrote params.yaml: variants.{variant}.tiny_searched, the best of 2 trials")
    params, after = load_params(), Path("params.yaml").read_text(encoding="utf-8").splitlines()
    added = [line for line in after if line not in before]
    assert added == [
        "  tiny_searched: {like: tiny}",
        "  ns_gan: {kind: adversarial, grey: {optimiser: {lr: 5.0e-5, betas: [0.0, 0.999]}}, tiny_searched: "
        "{optimisers: {critic: {lr: 0.001, betas: [0.125, 0.999]}, generator: {lr: 0.001, "
        "betas: [0.125, 0.999]}}}}",
        "    tiny_searched:",
        "      updates: {critic: 1}",
        "      optimisers: {critic: {lr: 0.004}, generator: {lr: 0.004}}",
        "      network: {critic_norm: none}",
        "      model: {clip: 0.25}",
    ]  # fmt: skip
    gone = [line for line in before if line not in after]
    assert [line.split(":")[0] for line in gone] == ["  ns_gan"], "which has its recipes in braces"
    kept = [line for line in before if line not in gone]
    assert [line for line in after if line not in added] == kept, "every other line as it was"
    for variant, values in VALUES.items():
        needs = of_cell(searched, "search", "digits", variant)["search"].settings
        assert params.recipe(variant, "tiny_searched") == recipe_of(
            needs["space"], needs["recipe"], 1, values
        )
        for recipe in ("tiny", "grey", "colour"):
            assert params.recipe(variant, recipe) == searched.recipe(variant, recipe)
    assert params.recipe("vae", "tiny_searched") == params.recipe("vae", "tiny")


def test_new_lines_end_as_those_of_the_file_and_no_other_changes(searched: Params) -> None:
    before = Path("params.yaml").read_text(encoding="utf-8")
    for variant in VALUES:
        adopt(Cell("search", "digits", variant, 0))
    expected = Path("params.yaml").read_bytes().replace(b"\n", b"\r\n")
    Path("params.yaml").write_bytes(before.encode().replace(b"\n", b"\r\n"))
    for variant in VALUES:
        adopt(Cell("search", "digits", variant, 0))
    assert Path("params.yaml").read_bytes() == expected


def test_what_cannot_be_adopted_is_one_sentence(searched: Params) -> None:
    cell = Cell("search", "digits", "wgan", 0)
    with pytest.raises(ConfigError, match=r"^params.yaml: variants.wgan has a recipe grey already: give"):
        adopt(cell, "grey")
    with pytest.raises(ConfigError, match=r"^params.yaml: bases.scaled is not like tiny: give --recipe"):
        adopt(cell, "scaled")
    with pytest.raises(ConfigError, match=r"^the board digits is no search"):
        adopt(Cell("digits", "digits", "wgan", 0))
    with pytest.raises(OSError, match=r"runs/search/digits/vae/0/trials.json not found"):
        adopt(Cell("search", "digits", "vae", 0))
    for name in ("all", "kind", "7", "true", "null", "1e3", "x: y", "Tiny", "tiny\n", ""):
        with pytest.raises(ConfigError, match=r"^'.*' is no name of a recipe: give --recipe"):
            adopt(cell, name)
    file = cell.folder / "trials.json"
    io.write_json(file, io.read_json(file) | {"best": 0})
    with pytest.raises(ConfigError, match=r"^no trial of digits/wgan/0 was better than the recipe there is"):
        adopt(cell)
    trials = io.read_json(Cell("search", "digits", "ns_gan", 0).folder / "trials.json")
    text = Path("params.yaml").read_text(encoding="utf-8")
    assert len(trials["trials"]) == 2
    assert "tiny_searched" not in text


@pytest.mark.parametrize(
    ("base", "board", "given", "name"),
    [
        ("shared", "mine", {"recipe": "shared"}, "shared"),
        ("below", "mine", {"recipe": "above"}, "above"),  # which is like the one that gets a layer
        ("scaled", "mine", {}, "scaled"),  # which boards without a recipe are given
    ],
)
def test_no_board_trains_by_another_recipe_afterwards(
    searched: Params, base: str, board: str, given: dict[str, Any], name: str
) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8").replace("  scaled: {like: grey_cpu}\n", "")
    bases = f"bases:\n  {base}: {{like: tiny}}\n" + ("  above: {like: below}\n" if name == "above" else "")
    grid = {"datasets": ["digits"], "variants": ["wgan", "vae"], "seeds": [0], **given}
    text = with_additions(text.replace("bases:\n", bases), {("boards",): {board: grid}})
    Path("params.yaml").write_text(text, encoding="utf-8")
    sentence = (
        f"^params.yaml: the board {board} trains wgan by the recipe {name}, which would be another one: "
    )
    with pytest.raises(ConfigError, match=sentence):
        adopt(Cell("search", "digits", "wgan", 0), base)
    assert Path("params.yaml").read_text(encoding="utf-8") == text
    adopt(Cell("search", "digits", "ns_gan", 0), base)  # which no board trains by it
    assert load_params().recipe("ns_gan", base) != load_params().recipe("ns_gan", "tiny")


def test_a_board_may_ask_for_a_recipe_that_is_adopted_afterwards(searched: Params) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    grid = {"datasets": ["digits"], "variants": ["wgan"], "seeds": [0], "recipe": "mine"}
    Path("params.yaml").write_text(with_additions(text, {("boards",): {"mine": grid}}), encoding="utf-8")
    adopt(Cell("search", "digits", "wgan", 0), "mine")
    assert load_params().recipe("wgan", "mine").model["clip"] == 0.25


def test_entries_go_to_the_end_of_their_own_mapping() -> None:
    text = "a:\n  b:\n    c: 1\n    # of c\n\n  # of d\n  d: {e: 2}\nf:\n  g: 3"
    assert with_additions(text, {("a", "b"): {"x": {"y": 1}}, ("f",): {"z": {"k": [1]}}}) == (
        "a:\n  b:\n    c: 1\n    # of c\n    x: {y: 1}\n\n  # of d\n  d: {e: 2}\nf:\n  g: 3\n  z: {k: [1]}\n"
    )
    assert with_additions("a:\r\n  b: {c: 1}", {("a",): {"x": {"y": 1}}}) == (
        "a:\r\n  b: {c: 1}\r\n  x: {y: 1}\r\n"
    )
    braces = with_additions(text, {("a", "d"): {"x": {"y": 1}}})
    assert braces == text.replace("{e: 2}", "{e: 2, x: {y: 1}}")
    with pytest.raises(ConfigError, match="laid out in a way"):
        with_additions(text.replace("{e: 2}", "{e:\n    2\n  }"), {("a", "d"): {"x": {"y": 1}}})


def edit(**changes: Any) -> Any:
    return lambda params: params["tracks"]["search"]["space"]["lr"].update(changes)


WRONG = {
    "no budget": (
        lambda p: p["boards"]["search"].pop("n_images"),
        "key 'boards.search.n_images' is missing: a search needs it",
    ),
    "one trial": (
        lambda p: p["tracks"]["search"].update(n_trials=1),
        "'tracks.search.n_trials' is 1: input should be greater than or equal to 2",
    ),
    "a range without an end": (
        lambda p: p["tracks"]["search"]["space"].update(lr={"key": "optimisers.*.lr", "low": 1.0}),
        "'tracks.search.space.lr' is {'key': 'optimisers.*.lr', 'low': 1.0}: it needs either low and high",
    ),
    "both kinds": (edit(choices=[1]), "'tracks.search.space.lr' is"),
    "ends in the wrong order": (edit(low=1.0), "'tracks.search.space.lr' is"),
    "no end": (edit(high=float("inf")), "'tracks.search.space.lr' is"),
    "a place that no recipe has": (
        edit(key="optimisers.*.lrr"),
        "tracks.search.space.lr.key is 'optimisers.*.lrr', which no recipe tiny of its variants has: gm",
    ),
    "a place in the middle": (
        edit(key="network.*.lr"),
        "tracks.search.space.lr.key is 'network.*.lr', which no recipe tiny of its variants has",
    ),
    "a place in a number": (
        edit(key="batch_size.*.lr"),
        "tracks.search.space.lr.key is 'batch_size.*.lr', which no recipe tiny of its variants has",
    ),
    "a variant of the space that is none": (
        edit(variants=["vaee"]),
        "tracks.search.space.lr.variants has no entry 'vaee'; known: kde",
    ),
    "values of another type": (
        edit(key="batch_size", low=10.5, high=100.0),
        "tracks.search.space.lr gives batch_size values such as 10.5, which a recipe refuses: input should",
    ),
    "values that are refused": (
        edit(low=-0.1, log=False),
        "tracks.search.space.lr gives optimisers.*.lr values such as -0.1, which a recipe refuses: input",
    ),
    "no logarithm": (edit(low=0.0), "'tracks.search.space.lr' is"),
    "an unknown key": (edit(step=1), "unknown key 'tracks.search.space.lr.step'; allowed here: key, low"),
    "nothing to search": (
        lambda p: p["boards"]["search"].update(variants=["kde"]),
        "boards.search.variants has kde, whose recipe has none of the keys of tracks.search.space",
    ),
    "a recipe outside": (
        edit(low=5.0e-4),
        "tracks.search.space.lr does not hold 0.0002, which the recipe of gan has, and so trial 0: widen it",
    ),
    "the best snapshot": (
        lambda p: p["variants"]["gan"].update(tiny={"checkpoint": "best"}),
        "boards.search.variants has gan, whose recipe asks for checkpoint best: a search judges the last",
    ),
    "a variant that is none": (
        lambda p: p["boards"]["search"].update(variants=["vqgan"]),
        "variants has no entry 'vqgan'; known: kde, pca",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_searched_is_one_sentence(case: str) -> None:
    change, sentence = WRONG[case]
    raw = copy.deepcopy(RAW)
    change(raw)
    with refused(sentence):
        params = Params.model_validate(raw)
        check_board(params, "search")
        refuse_board(params, "search")


@pytest.mark.parametrize("choices", [5, True, "word", []])
def test_choices_are_a_list(choices: object) -> None:
    raw = copy.deepcopy(RAW)
    raw["tracks"]["search"]["space"]["critic_updates"]["choices"] = choices
    given = {"key": "updates.critic", "choices": choices}
    with refused(f"'tracks.search.space.critic_updates' is {given}: choices should be a list of numbers or"):
        check_board(Params.model_validate(raw), "search")


def test_a_recipe_outside_of_the_space_is_refused_for_a_search_alone() -> None:
    raw = copy.deepcopy(RAW)
    raw["variants"]["wgan"]["tiny"]["optimiser"]["lr"] = 1.0e30
    check_boards(Params.model_validate(raw), "digits")


def test_a_number_without_a_point_is_one() -> None:
    """YAML reads 1e-5 as a text."""
    raw = copy.deepcopy(RAW)
    raw["tracks"]["search"]["space"]["lr"]["low"] = "1e-5"
    params = Params.model_validate(raw)
    assert settings(params, "search", Search).space["lr"].low == 1e-5
