"""params.yaml is read once, and a wrong key or value is one sentence that says which."""

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from gm_bench.cell import Cell
from gm_bench.config import ConfigError, Params, load_params, parse_params
from gm_bench.tracks.settings import check_boards
from gm_bench.yaml_text import dump_yaml, load_yaml

RAW = load_yaml(Path("params.yaml").read_text(encoding="utf-8"))


def load(tmp_path: Path, change) -> Params:
    raw = copy.deepcopy(RAW)
    change(raw)
    path = tmp_path / "params.yaml"
    path.write_text(dump_yaml(raw), encoding="utf-8")
    return load_params(path)


def test_the_repositorys_own_file_is_valid(params: Params) -> None:
    for name, grid in params.boards.items():
        cells = params.cells(name)
        assert len(cells) == len(grid.datasets) * len(grid.variants) * len(grid.seeds)
        assert cells[0] == Cell(name, grid.datasets[0], grid.variants[0], grid.seeds[0])
    assert params.default_board == "digits"
    assert params.boards["all"].variants == list(params.variants)


WRONG = {
    "unknown key at the top": (
        lambda p: p.update(gird={}),
        "unknown key 'gird'; allowed here: boards, datasets",
    ),
    "unknown key in a board": (
        lambda p: p["boards"]["digits"].update(seed=[1]),
        "unknown key 'boards.digits.seed'; allowed here",
    ),
    "a key that is misspelt, and so missing": (
        lambda p: p["boards"]["quick"].update(dataset=p["boards"]["quick"].pop("datasets")),
        r"unknown key 'boards.quick.dataset'; allowed here: .* \(and 1 more\)",
    ),
    "unknown key in a protocol": (
        lambda p: p["datasets"]["digits"]["protocol"].update(n_sample=3),
        "unknown key 'datasets.digits.protocol.n_sample'; allowed here: extractor, n_samples",
    ),
    "unknown key in a recipe": (
        lambda p: p["variants"]["gan"].update(tiny={"batchsize": 3}),
        "unknown key 'variants.gan.tiny.batchsize'; allowed here: batch_size, .*, optimisers, .*, optimiser$",
    ),
    "unknown key in an optimiser": (
        lambda p: p["bases"]["tiny"]["adversarial"]["optimiser"].update(momentum=0.9),
        "unknown key 'bases.tiny.adversarial.optimiser.momentum'; allowed here: name, lr, betas, decay",
    ),
    "unknown optimiser": (
        lambda p: p["variants"]["gan"].update(tiny={"optimisers": {"critic": {"name": "lion"}}}),
        "'variants.gan.tiny.optimisers.critic' is .*'lion'",
    ),
    "a track that is no mapping": (
        lambda p: p.update(tracks={"audit": 3}),
        "'tracks.audit' is 3: input should",
    ),
    "missing key": (
        lambda p: p["boards"]["digits"].pop("seeds"),
        "'boards.digits.seeds' is missing",
    ),
    "zero budget": (
        lambda p: p["boards"]["digits"].update(n_images=0),
        "'boards.digits.n_images' is 0: input should be greater than 0",
    ),
    "text for a number": (
        lambda p: p["bases"]["tiny"]["all"].update(batch_size="many"),
        "'bases.tiny.all.batch_size' is 'many': input should be a valid integer",
    ),
    "unknown extractor": (
        lambda p: p["datasets"]["digits"]["protocol"].update(extractor="vgg"),
        "is 'vgg': input should be 'clip' or 'dinov2' or 'efficientnet_lite0' or 'inception' or 'lenet' or "
        "'vgg16'",
    ),
    "negative learning rate": (
        lambda p: p["variants"]["gan"].update(tiny={"optimiser": {"lr": -1.0}}),
        "'variants.gan.tiny.optimiser.lr' is -1.0: input should be greater than 0",
    ),
    "a recipe like none": (
        lambda p: p["bases"]["scaled"].update(like="huge"),
        "bases.scaled.like leads to 'huge', which is none of tiny, grey, grey_cpu",
    ),
    "a recipe like itself": (
        lambda p: p["bases"]["grey_cpu"].update(like="scaled"),
        "bases.grey_cpu.like leads to 'scaled', which is none of .* or leads back",
    ),
    "unknown kind": (
        lambda p: p["variants"]["gan"].update(kind="duel"),
        "variants.gan.kind is 'duel': choose one of adversarial, single, fitted",
    ),
    "a layer that is no mapping": (
        lambda p: p["variants"]["gan"].update(tiny=3),
        "variants.gan.tiny is 3: it must be a mapping",
    ),
    "an optimiser that is no mapping": (
        lambda p: p["variants"]["vae"].update(tiny={"optimiser": "adam"}),
        "variants.vae.tiny.optimiser is 'adam': it must be a mapping",
    ),
    "an empty optimiser of a base": (
        lambda p: p["bases"]["tiny"]["single"].update(optimiser=None),
        "bases.tiny.single.optimiser is None: it must be a mapping",
    ),
    "optimisers that are no mapping": (
        lambda p: p["variants"]["vae"].update(tiny={"optimisers": "adam"}),
        "variants.vae.tiny.optimisers is 'adam': it must be a mapping",
    ),
    "a player's optimiser that is no mapping": (
        lambda p: p["variants"]["vae"].update(tiny={"optimisers": {"model": "adam"}}),
        "variants.vae.tiny.optimisers.model is 'adam': it must be a mapping",
    ),
    "no optimiser at all": (
        lambda p: p["bases"]["tiny"]["single"].pop("optimiser"),
        "'variants.*.tiny.optimisers.model' is {.*}: unable to",
    ),
    "updates that are no mapping": (
        lambda p: p["variants"]["vae"].update(tiny={"updates": 5}),
        "variants.vae.tiny.updates is 5: it must be a mapping",
    ),
    "empty updates": (
        lambda p: p["variants"]["vae"].update(tiny={"updates": None}),
        "variants.vae.tiny.updates is None: it must be a mapping",
    ),
    "a seed twice": (
        lambda p: p["boards"]["digits"].update(seeds=[1, 1]),
        "boards.digits.seeds names a value twice",
    ),
    "an empty axis": (lambda p: p["boards"]["digits"].update(seeds=[]), "'boards.digits.seeds' is \\[\\]"),
    "a name that is no file name": (
        lambda p: p["boards"]["digits"].update(datasets=["../x"]),
        "'boards.digits.datasets.0' is '../x'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_params_are_one_sentence(tmp_path: Path, case: str) -> None:
    change, sentence = WRONG[case]
    with pytest.raises(ConfigError, match=sentence) as caught:
        load(tmp_path, change)
    assert "\n" not in str(caught.value)


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run from the top of the repository"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("grid: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("- 1", encoding="utf-8")
    with pytest.raises(ConfigError, match="must hold a mapping with the keys boards, datasets, bases"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("old", "new", "key", "lines"),
    [
        ("boards:\n  digits:\n", "boards:\n  digits: {seeds: [7]}\n  digits:\n", "digits", (2, 3)),
        ("boards:\n  digits:\n", "boards:\n  own: {}\nboards:\n  digits:\n", "boards", (1, 3)),
        ("seeds: [0]", "seeds: [0], seeds: [1]", "seeds", (3, 3)),
    ],
)
def test_a_key_that_stands_twice_is_named_with_its_lines(
    tmp_path: Path, old: str, new: str, key: str, lines: tuple[int, int]
) -> None:
    text = "boards:\n  digits:\n    {datasets: [digits], variants: [vae], seeds: [0]}\n"
    first, second = lines
    sentence = f"key '{key}' stands in line {first} and again in line {second}: keep one"
    with pytest.raises(ConfigError, match=sentence):
        parse_params(text.replace(old, new), {})
    assert load_yaml(text)["boards"]["digits"]["seeds"] == [0]


def test_keys_that_only_look_alike_or_are_merged_are_no_key_twice() -> None:
    assert load_yaml("{1: a, '1': b, x: {1: c}}") == {1: "a", "1": "b", "x": {1: "c"}}
    merged = "a: {b: &one {<<: &zero {x: 0}, x: 1}}\nc: {<<: *one, x: 2}\nd: [*one, *one]"
    assert load_yaml(merged) == {"a": {"b": {"x": 1}}, "c": {"x": 2}, "d": [{"x": 1}, {"x": 1}]}
    looped = load_yaml("a: &a {b: *a}")["a"]
    assert looped["b"] is looped


def numbers(tree: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The place of every number of params.yaml."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from numbers(value, (*path, key))
    if isinstance(tree, int | float) and not isinstance(tree, bool):
        yield path


def kind_of(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The same for keys that differ only in the board, dataset, recipe, variant, claim or place in a list."""
    named = tuple(key for key in path if isinstance(key, str))
    return (*named[:3], named[-1]) if named[0] == "tracks" else (named[0], *named[2:])


# Those of constructors (source, model, network) are checked by who constructs, and tested there.
NUMBERS = {kind_of(path): path for path in numbers(RAW) if not {"source", "model", "network"} & set(path)}


@pytest.mark.parametrize("path", NUMBERS.values(), ids=lambda path: ".".join(map(str, path)))
def test_a_text_for_any_number_is_one_sentence_that_names_its_key(tmp_path: Path, path: tuple) -> None:
    def spoil(raw: dict) -> None:
        *parents, last = path
        for key in parents:
            raw = raw[key]
        raw[last] = "many"

    with pytest.raises(ConfigError) as caught:
        check_boards(load(tmp_path, spoil))
    said = str(caught.value)
    assert "'many'" in said
    assert "\n" not in said
    assert str(path[-1] if isinstance(path[-1], str) else path[-2]) in said
