"""Numbers that params.yaml leaves open: one rule each, and a sentence that says where each comes from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gm_bench import derived
from gm_bench.config import ConfigError, NotFetchedError, Params, parse_params
from gm_bench.derived import Facts
from gm_bench.metrics import extractors
from gm_bench.results.protocol import Protocol
from gm_bench.running import resolve
from gm_bench.tracks.generation.stages import of_cell, of_dataset
from gm_bench.yaml_text import dump_yaml, load_yaml

RAW = load_yaml(Path("params.yaml").read_text(encoding="utf-8"))
SIGNS = Facts(3000, 1000, (3, 32, 32), (1500, 1000, 500))


def with_signs(board: dict[str, Any] | None = None, **entry: Any) -> str:
    """params.yaml with a dataset and a board of the fewest keys."""
    raw = {key: dict(value) if isinstance(value, dict) else value for key, value in RAW.items()}
    source = {"loader": "folder", "path": "signs", "n_test": 1000, "split_seed": 0}
    raw["datasets"]["signs"] = {"source": source, **entry}
    raw["boards"]["signs"] = {"datasets": ["signs"], "variants": ["vae", "wgan_gp"], "seeds": [0]} | (
        board or {}
    )
    return dump_yaml(raw)


@pytest.fixture
def signs() -> Params:
    return parse_params(with_signs(), {"signs": SIGNS})


def test_a_source_alone_makes_a_whole_protocol(signs: Params) -> None:
    config = signs.dataset("signs")
    assert config.n_validation == 300
    assert config.protocol == Protocol(
        extractor="efficientnet_lite0",
        n_samples=1000,
        n_train=2700,
        draws=3,
        score_splits=1,
        kid_subsets=100,
        kid_subset_size=500,
        fid_subsets=5,
        neighbours=3,
        duplicate_quantile=0.01,
        bound_images=1000,
        bound_codes=64,
        floor_splits=10,
    )
    assert list(signs.numbers("signs")) == ["n_validation", *Protocol.model_fields]


def test_every_number_says_where_it_comes_from() -> None:
    params = parse_params(with_signs(protocol={"n_samples": 500}), {"signs": SIGNS})
    origins = {key: each.origin for key, each in params.numbers("signs").items()}
    assert all(origins.values())
    assert origins["n_samples"] == "datasets.signs.protocol.n_samples"
    assert origins["n_train"] == "all of 2,700 training images that are shown, at most 10,000 or N"
    assert origins["n_validation"] == "a tenth of 3,000 training images, 2 to 500"
    assert params.dataset("signs").protocol.kid_subset_size == 250, "follows what is given"


@pytest.mark.parametrize("facts", [
    SIGNS,
    Facts(60_000, 60_000, (1, 28, 28), (6000,) * 10),
    Facts(30, 10, (3, 64, 64), ()),
    Facts(200_000, 50, (1, 16, 16), ()),
    Facts(50, 40_000, (3, 32, 32), (25, 25)),
])  # fmt: skip
def test_derived_numbers_fit_the_splits_that_they_are_derived_from(facts: Facts) -> None:
    from gm_bench.tracks.generation.refusals import of_protocol

    params = parse_params(with_signs(), {"signs": facts})
    assert list(of_protocol(params.dataset("signs"), facts, "datasets.signs")) == []


def test_a_whole_entry_is_taken_as_it_stands_whatever_the_splits_are(params: Params) -> None:
    """No number of the main track's boards that are there follows from anything."""
    for name, entry in params.datasets.items():
        assert entry.complete, name
        assert params.dataset(name).protocol.model_dump() == RAW["datasets"][name]["protocol"]
        assert params.dataset(name).n_validation == RAW["datasets"][name]["n_validation"]
    boards = {name: grid for name, grid in params.boards.items() if grid.track == "generation"}
    for name, grid in boards.items():
        raw = RAW["boards"][name]
        plan = params.plan(name, grid.datasets[0])
        assert (plan.recipe, plan.n_images, plan.n_snapshots) == (
            raw["recipe"],
            raw["n_images"],
            raw["n_snapshots"],
        )
        assert plan.layers == ()


def test_before_fetch_only_fetch_is_resolved() -> None:
    params = parse_params(with_signs(), {})
    assert list(of_dataset(params, "signs")) == ["fetch"]
    with pytest.raises(NotFetchedError, match=r"leaves numbers of datasets\.signs open.*fetch it first"):
        params.dataset("signs")
    with pytest.raises(NotFetchedError):
        params.plan("signs", "signs")


def test_a_board_is_resolved_as_far_as_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = with_signs({"datasets": ["signs", "digits"], "recipe": "tiny", "n_images": 640, "n_snapshots": 1})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFetchedError):
        resolve.board(parse_params(with_signs(), {}), "signs")
    resolve.board(parse_params(text, {}), "signs")
    found = {path.parent for path in Path("resolved/boards/signs").rglob("train.json")}
    assert found == {Path("resolved/boards/signs/digits", variant) for variant in ("vae", "wgan_gp")}
    resolve.board(parse_params(text, {"signs": SIGNS}), "signs")
    assert len(list(Path("resolved/boards/signs").rglob("train.json"))) == 4


def test_what_is_resolved_after_fetch_are_the_derived_numbers(signs: Params) -> None:
    needs = of_cell(signs, "signs", "signs", "vae")
    assert needs["train"].settings["n_images"] == 135_000
    assert needs["train"].settings["n_validation"] == 300
    assert needs["train"].settings["recipe"]["network"]["width"] == 48
    assert of_dataset(signs, "signs")["reference"].settings["protocol"]["n_samples"] == 1000


@pytest.mark.parametrize(
    ("n_classes", "shape", "name"),
    [
        *((10, (1, side, side), "lenet") for side in (8, 28, 64)),
        *((10, (1, side, side), "efficientnet_lite0") for side in (7, 65, 96)),
        (10, (1, 64, 65), "efficientnet_lite0"),
        *((n, (c, 28, 28), "efficientnet_lite0") for n, c in ((1, 1), (0, 1), (0, 3), (10, 3))),
    ],
)
def test_the_extractor_follows_from_labels_and_shape(n_classes: int, shape: tuple, name: str) -> None:
    found, reason = derived.extractor_for(n_classes, shape)
    assert (found, found in extractors.names()) == (name, True)
    assert ("grey" if shape[0] == 1 else "colour") in reason
    if n_classes > 1 and shape[0] == 1 and name != "lenet":
        assert f"of {shape[1]}×{shape[2]} pixels, which a LeNet does not read" in reason


@pytest.mark.parametrize(
    ("shape", "name", "width"),
    [((1, 28, 28), "scaled", 32), ((1, 32, 32), "scaled", 32), ((3, 32, 32), "scaled", 48),
     ((3, 64, 64), "scaled", 24), ((1, 16, 16), "scaled", 64), ((3, 128, 128), "scaled", 24)],
)  # fmt: skip
def test_the_scaled_recipe_follows_from_side_and_channels(shape: tuple, name: str, width: int) -> None:
    facts = replace(SIGNS, shape=shape)
    assert derived.recipe(facts).value == name
    params = parse_params(with_signs(), {"signs": facts})
    recipe = params.recipe_of("signs", "signs", "wgan_gp")
    assert recipe.network.options["width"] == width
    like = params.recipe("wgan_gp", "grey_cpu")
    assert recipe.optimisers == like.optimisers
    assert (recipe.updates, recipe.model) == (like.updates, like.model)


@pytest.mark.parametrize("side", [8, 12, 33])
def test_small_and_odd_sides_get_connected_networks(side: int) -> None:
    assert derived.recipe(replace(SIGNS, shape=(1, side, side))).value == "tiny"


def test_every_variant_can_be_built_for_every_even_side_from_16() -> None:
    from gm_bench.tracks.generation.refusals import of_variant

    board = {"variants": list(RAW["variants"])}
    for shape in ((1, 16, 16), (3, 20, 20), (3, 64, 64)):
        facts = replace(SIGNS, shape=shape)
        params = parse_params(with_signs(board), {"signs": facts})
        for variant in RAW["variants"]:
            assert list(of_variant(params, "signs", "signs", variant, facts)) == [], (shape, variant)


def test_one_key_of_the_board_gives_width_or_budget() -> None:
    params = parse_params(with_signs({"width": 8, "n_images": 777}), {"signs": SIGNS})
    plan = params.plan("signs", "signs")
    assert params.recipe_of("signs", "signs", "vae").network.options["width"] == 8
    assert (plan.n_images, plan.origins["n_images"]) == (777, "boards.signs.n_images")
    origins = params.origins("vae", plan.recipe, plan.layers)
    assert origins["network.width"] == "boards.signs.width"
    assert origins["optimisers.model.lr"] == "variants.vae.grey_cpu.optimiser.lr"


@pytest.mark.parametrize(("n_train", "size"), [(30, 8), (260, 32), (10_000, 128)])
def test_the_batch_of_the_tiny_recipe_is_its_own_unless_there_are_too_few_images(
    n_train: int, size: int
) -> None:
    """vq_vae has 128 there."""
    facts = replace(SIGNS, shape=(1, 8, 8), n_train=n_train)
    params = parse_params(with_signs({}), {"signs": facts})
    assert params.plan("signs", "signs").recipe == "tiny"
    assert params.recipe_of("signs", "signs", "vq_vae").batch_size == size


def test_a_recipe_that_a_board_misspells_is_named_by_its_place() -> None:
    params = parse_params(with_signs({"recipe": "tinny"}), {"signs": SIGNS})
    with pytest.raises(
        ConfigError, match=r"boards\.signs\.recipe is 'tinny', which vae does not have; known: tiny"
    ):
        params.recipe_of("signs", "signs", "vae")


@pytest.mark.parametrize(("n_train", "size"), [(30, 8), (100, 16), (260, 32), (10_000, 64)])
def test_a_batch_is_at_most_a_quarter_of_what_is_shown(n_train: int, size: int) -> None:
    facts = replace(SIGNS, n_train=n_train)
    assert derived.batch_size(facts, n_train // 10).value == size


def test_a_wrong_key_of_a_protocol_in_part_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'datasets\.signs\.protocol\.n_sample'"):
        parse_params(with_signs(protocol={"n_sample": 3}), {})
    with pytest.raises(
        ConfigError, match=r"'datasets\.signs\.protocol\.draws' is 0: input should be greater"
    ):
        parse_params(with_signs(protocol={"draws": 0}), {})


def test_a_card_says_what_the_splits_are() -> None:
    card = {
        "shape": [3, 32, 32],
        "counts": {"train": 30, "test": 10},
        "counts_per_class": {"train": {"a": 20, "b": 10}, "test": {"a": 6, "b": 4}},
    }
    assert Facts.of_card(card) == Facts(30, 10, (3, 32, 32), (20, 10))


def test_a_constructor_without_annotations_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from gm_bench.tracks.generation.refusals import of_variant
    from gm_bench.variants.vae import VAE

    def constructor(self: VAE, network: object, z_dim, sigma) -> None:  # type: ignore[no-untyped-def]
        raise AssertionError

    monkeypatch.setattr(VAE, "__init__", constructor)
    params = parse_params(with_signs({}), {"signs": SIGNS})
    (said,) = of_variant(params, "signs", "signs", "vae", SIGNS)
    assert said == "boards.signs.variants has vae: the argument 'z_dim' of its class has no annotation"
