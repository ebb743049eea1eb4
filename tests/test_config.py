"""params.yaml is read once, and a wrong key or value is one sentence that says which."""

import copy
from pathlib import Path

import pytest
import yaml

from gm_bench.config import ConfigError, Params, load_params

RAW = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))


def load(tmp_path: Path, change) -> Params:
    raw = copy.deepcopy(RAW)
    change(raw)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return load_params(path)


def test_the_repositorys_own_file_is_valid(params: Params) -> None:
    grid = params.grid
    assert len(params.cells()) == len(grid.datasets) * len(grid.variants) * len(grid.seeds)
    assert params.cells()[0] == (grid.datasets[0], grid.variants[0], grid.seeds[0])


def test_every_variant_has_a_recipe_for_grey_images(params: Params) -> None:
    """Colour only where a published recipe is known: asking for another is one sentence (below)."""
    for dataset in ("digits", "mnist", "fashion_mnist", "kmnist"):
        for variant in params.variants:
            assert params.recipe(variant, dataset).batch_size > 1
    assert all("grey_cpu" in recipes for recipes in params.variants.values())


WRONG = {
    "unknown key at the top": (
        lambda p: p.update(gird={}),
        "unknown key 'gird'; allowed here: grid, datasets",
    ),
    "unknown key in a grid": (lambda p: p["grid"].update(seed=[1]), "unknown key 'grid.seed'; allowed here"),
    "unknown key in a protocol": (
        lambda p: p["datasets"]["digits"]["protocol"].update(n_sample=3),
        "unknown key 'datasets.digits.protocol.n_sample'; allowed here: extractor, n_samples",
    ),
    "unknown key in a recipe": (
        lambda p: p["variants"]["gan"]["tiny"].update(batchsize=3),
        "unknown key 'variants.gan.tiny.batchsize'; allowed here: batch_size",
    ),
    "unknown key in an optimiser": (
        lambda p: p["variants"]["gan"]["tiny"]["optimisers"]["critic"].update(momentum=0.9),
        "unknown key 'variants.gan.tiny.optimisers.critic.momentum'; allowed here: name, lr, betas, decay",
    ),
    "unknown optimiser": (
        lambda p: p["variants"]["gan"]["tiny"]["optimisers"]["critic"].update(name="lion"),
        "'variants.gan.tiny.optimisers.critic' is .*'lion'",
    ),
    "missing key": (
        lambda p: p["datasets"]["digits"]["protocol"].pop("draws"),
        "'datasets.digits.protocol.draws' is missing",
    ),
    "zero budget": (
        lambda p: p["datasets"]["digits"]["training"].update(n_images=0),
        "'datasets.digits.training.n_images' is 0: input should be greater than 0",
    ),
    "text for a number": (
        lambda p: p["variants"]["gan"]["tiny"].update(batch_size="many"),
        "'variants.gan.tiny.batch_size' is 'many': input should be a valid integer",
    ),
    "unknown extractor": (
        lambda p: p["datasets"]["digits"]["protocol"].update(extractor="vgg"),
        "is 'vgg': input should be 'inception' or 'lenet'",
    ),
    "negative learning rate": (
        lambda p: p["variants"]["gan"]["tiny"]["optimisers"]["critic"].update(lr=-1.0),
        "lr' is -1.0: input should be greater than 0",
    ),
    "unknown dataset in the grid": (
        lambda p: p["grid"].update(datasets=["minst"]),
        "datasets has no entry 'minst'; known: celeba, cifar10, digits",
    ),
    "unknown variant in the grid": (
        lambda p: p["grid"].update(variants=["vqgan"]),
        "variants has no entry 'vqgan'; known: acgan",
    ),
    "no recipe for the dataset's network": (
        lambda p: p["variants"]["gan"].pop("tiny"),
        "variants.gan has no entry 'tiny'; known: colour, grey, grey_cpu",
    ),
    "a seed twice": (lambda p: p["grid"].update(seeds=[1, 1]), "grid.seeds names a value twice"),
    "an empty axis": (lambda p: p["grid"].update(seeds=[]), "'grid.seeds' is \\[\\]"),
    "a name that is no file name": (
        lambda p: p["grid"].update(datasets=["../x"]),
        "'grid.datasets.0' is '../x'",
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
    with pytest.raises(ConfigError, match="must hold a mapping with the keys grid, datasets, variants"):
        load_params(tmp_path / "params.yaml")
