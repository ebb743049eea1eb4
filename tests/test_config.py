"""params.yaml is read once, and a wrong key or value is one sentence that says which."""

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gm_bench.cell import Cell
from gm_bench.config import ConfigError, Params, load_params, merged

RAW = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))


def load(tmp_path: Path, change) -> Params:
    raw = copy.deepcopy(RAW)
    change(raw)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return load_params(path)


def test_the_repositorys_own_file_is_valid(params: Params) -> None:
    for name, grid in params.boards.items():
        cells = params.cells(name)
        assert len(cells) == len(grid.datasets) * len(grid.variants) * len(grid.seeds)
        assert cells[0] == Cell(name, grid.datasets[0], grid.variants[0], grid.seeds[0])
    assert params.default_board == "digits"
    assert params.boards["all"].variants == list(params.variants)


def test_every_variant_has_every_recipe(params: Params) -> None:
    for variant in params.variants:
        assert params.recipes_of(variant) == ["tiny", "grey", "grey_cpu", "colour"]
        for recipe in params.recipes_of(variant):
            assert params.recipe(variant, recipe).batch_size > 1


def test_layers_are_joined_key_by_key_and_what_has_another_name_is_replaced() -> None:
    adam = {"name": "adam", "lr": 1.0, "betas": [0.5, 0.9]}
    assert merged({"o": adam, "n": 1}, {"o": {"lr": 2.0}}) == {"o": adam | {"lr": 2.0}, "n": 1}
    assert merged({"o": adam}, {"o": {"name": "adam", "lr": 2.0}}) == {"o": adam | {"lr": 2.0}}
    other = {"name": "rmsprop", "lr": 3.0}
    assert merged({"o": adam}, {"o": other}) == {"o": other}
    assert adam["lr"] == 1.0, "a layer is not changed"


def test_a_recipe_is_composed_and_says_where_each_value_stands(params: Params) -> None:
    recipe = params.recipe("wgan_gp", "tiny").model_dump(mode="json")
    critic = {"name": "adam", "lr": 5.0e-4, "betas": [0.5, 0.9], "decay": "none"}
    assert recipe["optimisers"] == {"critic": critic, "generator": critic}
    assert list(recipe["updates"].items()) == [("critic", 5), ("generator", 1)]
    assert recipe["network"] == {"name": "mlp", "width": 256, "critic_norm": "none"}
    places = params.origins("wgan_gp", "tiny")
    assert places["optimisers.critic.lr"] == "variants.wgan_gp.tiny.optimiser.lr"
    assert places["optimisers.generator.decay"] == "bases.tiny.adversarial.optimiser.decay"
    assert places["network.critic_norm"] == "variants.wgan_gp.all.network.critic_norm"
    assert places["network.width"] == "bases.tiny.all.network.width"
    own = params.origins("gan", "grey_cpu")
    assert own["optimisers.critic.lr"] == "variants.gan.grey_cpu.optimisers.critic.lr"
    assert own["optimisers.generator.lr"] == "bases.grey_cpu.adversarial.optimiser.lr"


def test_a_rate_set_for_one_variant_changes_that_variant_alone(tmp_path: Path, params: Params) -> None:
    changed = load(tmp_path, lambda p: p["variants"]["lsgan"].update(tiny={"optimiser": {"lr": 9.0e-4}}))
    differing = [
        (variant, recipe)
        for variant in params.variants
        for recipe in params.recipes_of(variant)
        if params.recipe(variant, recipe) != changed.recipe(variant, recipe)
    ]
    assert differing == [("lsgan", "tiny")]
    assert changed.recipe("lsgan", "tiny").optimisers["critic"].lr == 9.0e-4


WRONG = {
    "unknown key at the top": (
        lambda p: p.update(gird={}),
        "unknown key 'gird'; allowed here: boards, datasets",
    ),
    "unknown key in a board": (
        lambda p: p["boards"]["digits"].update(seed=[1]),
        "unknown key 'boards.digits.seed'; allowed here",
    ),
    "unknown key in a protocol": (
        lambda p: p["datasets"]["digits"]["protocol"].update(n_sample=3),
        "unknown key 'datasets.digits.protocol.n_sample'; allowed here: extractor, n_samples",
    ),
    "unknown key in a recipe": (
        lambda p: p["variants"]["gan"].update(tiny={"batchsize": 3}),
        "unknown key 'variants.gan.tiny.batchsize'; allowed here: batch_size",
    ),
    "unknown key in an optimiser": (
        lambda p: p["bases"]["tiny"]["adversarial"]["optimiser"].update(momentum=0.9),
        "unknown key 'bases.tiny.adversarial.optimiser.momentum'; allowed here: name, lr, betas, decay",
    ),
    "unknown optimiser": (
        lambda p: p["variants"]["gan"].update(tiny={"optimisers": {"critic": {"name": "lion"}}}),
        "'variants.gan.tiny.optimisers.critic' is .*'lion'",
    ),
    "missing key": (
        lambda p: p["datasets"]["digits"]["protocol"].pop("draws"),
        "'datasets.digits.protocol.draws' is missing",
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
        "is 'vgg': input should be 'inception' or 'lenet'",
    ),
    "negative learning rate": (
        lambda p: p["variants"]["gan"].update(tiny={"optimiser": {"lr": -1.0}}),
        "'variants.gan.tiny.optimiser.lr' is -1.0: input should be greater than 0",
    ),
    "unknown dataset on a board": (
        lambda p: p["boards"]["digits"].update(datasets=["minst"]),
        "datasets has no entry 'minst'; known: celeba, cifar10, digits",
    ),
    "unknown variant on a board": (
        lambda p: p["boards"]["digits"].update(variants=["vqgan"]),
        "variants has no entry 'vqgan'; known: acgan",
    ),
    "unknown recipe": (
        lambda p: p["boards"]["digits"].update(recipe="huge"),
        "variants.vae has no entry 'huge'; known: ",
    ),
    "unknown kind": (
        lambda p: p["variants"]["gan"].update(kind="duel"),
        "variants.gan.kind is 'duel': choose one of adversarial, single, fitted",
    ),
    "a layer that is no mapping": (
        lambda p: p["variants"]["gan"].update(tiny=3),
        "variants.gan.tiny is 3: it must be a mapping",
    ),
    "a seed twice": (
        lambda p: p["boards"]["digits"].update(seeds=[1, 1]),
        "boards.digits.seeds names a value twice",
    ),
    "unknown claim on a board": (
        lambda p: p["boards"]["claims"].update(variants=["gans_are_nice"]),
        "claims has no entry 'gans_are_nice'; known: dual_value",
    ),
    "unknown recipe of a claim": (
        lambda p: p["boards"]["claims"].update(recipe="hours"),
        "claims.optimal_discriminator has no entry 'hours'; known: minutes",
    ),
    "unknown mixture on a board": (
        lambda p: p["boards"]["mode_collapse"].update(datasets=["spiral"]),
        "mode_collapse.mixtures has no entry 'spiral'; known: grid, ring",
    ),
    "a variant without an entry for points": (
        lambda p: p["boards"]["mode_collapse"].update(variants=["vae"]),
        "mode_collapse.variants has no entry 'vae'; known: dragan",
    ),
    "a wrong rate for points": (
        lambda p: p["mode_collapse"]["variants"]["wgan"].update(optimisers={"critic": {"lr": -1.0}}),
        "mode_collapse .wgan.: optimisers.critic.lr' is -1.0: input should be greater than 0",
    ),
    "a board of mode_collapse without its entry": (
        lambda p: p.pop("mode_collapse"),
        "mode_collapse.mixtures has no entry 'ring'; known: ",
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


def numbers(tree: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The place of every number of params.yaml."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from numbers(value, (*path, key))
    if isinstance(tree, int | float) and not isinstance(tree, bool):
        yield path


def kind_of(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The same for keys that differ only in the board, dataset, recipe, variant or place in a list."""
    named = tuple(key for key in path if isinstance(key, str))
    return (named[0], *named[2:]) if named[0] != "audit" else named


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
        load(tmp_path, spoil)
    said = str(caught.value)
    assert "'many'" in said
    assert "\n" not in said
    assert str(path[-1] if isinstance(path[-1], str) else path[-2]) in said
