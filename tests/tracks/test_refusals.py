"""What does not fit the fetched data is refused before training: all of it, with keys, in one sentence."""

from pathlib import Path
from typing import Any

import pytest
import torch

from gm_bench.config import Params, parse_params
from gm_bench.derived import Facts
from gm_bench.metrics.sharpness import laplacian_variance
from gm_bench.results.protocol import Protocol
from gm_bench.tracks.generation.refusals import RefusalError, faults, refuse
from gm_bench.yaml_text import dump_yaml, load_yaml

RAW = load_yaml(Path("params.yaml").read_text(encoding="utf-8"))
FACTS = Facts(800, 200, (1, 16, 16), (400, 300, 100))


def params_of(
    facts: Facts = FACTS,
    variants: tuple[str, ...] = ("vae",),
    board: dict[str, Any] | None = None,
    **entry: Any,
) -> Params:
    raw = {key: dict(value) if isinstance(value, dict) else value for key, value in RAW.items()}
    raw["datasets"]["own"] = {"source": {"loader": "folder", "path": "own"}, **entry}
    raw["boards"]["own"] = {"datasets": ["own"], "variants": list(variants), "seeds": [0]} | (board or {})
    return parse_params(dump_yaml(raw), {"own": facts})


# A value of each number of the protocol that does not fit, and the clause that refuses it.
WRONG = {
    "n_samples": (201, "n_samples is 201 but the test split has 200 images: at most 200"),
    "n_train": (721, "n_train is 721 but 720 training images are left beside n_validation: at most 720"),
    "score_splits": (201, "score_splits is 201, more than n_samples: at most 200"),
    "kid_subset_size": (201, "kid_subset_size is 201, more than n_samples: at most 200"),
    "fid_subsets": (101, "fid_subsets is 101, and FID∞ needs 2 of n_samples for each: at most 100"),
    "neighbours": (200, "neighbours is 200, not fewer than n_samples: at most 199"),
    "bound_images": (201, "bound_images is 201 but the test split has 200 images: at most 200"),
}
# These fit whatever the splits are: how often something is repeated, and a share.
WITHOUT_BOUND = {"draws", "kid_subsets", "bound_codes", "floor_splits", "duplicate_quantile"}


def test_every_number_of_a_protocol_is_checked_or_fits_any_splits() -> None:
    assert {*WRONG, *WITHOUT_BOUND, "extractor"} == set(Protocol.model_fields)


@pytest.mark.parametrize("key", WRONG)
def test_a_number_that_does_not_fit_is_refused_with_its_key_and_the_bound(key: str) -> None:
    value, clause = WRONG[key]
    (found,) = faults(params_of(protocol={key: value}), "own")
    assert found == f"datasets.own.protocol.{clause}"
    assert faults(params_of(protocol={key: value - 1}), "own") == [], "the bound itself fits"


@pytest.mark.parametrize("key", sorted(WITHOUT_BOUND))
def test_a_number_without_bound_fits(key: str) -> None:
    value = 0.5 if key == "duplicate_quantile" else 100_000
    assert faults(params_of(protocol={key: value}), "own") == []


def test_fewer_training_than_held_out_images_are_refused() -> None:
    (found,) = faults(params_of(protocol={"n_train": 150}), "own")
    assert found == "datasets.own.protocol.n_train is 150, fewer than n_samples: at least 200"


@pytest.mark.parametrize(("n_train", "n_test", "fits"), [(12, 10, True), (11, 10, False), (12, 9, False)])
def test_too_few_images_are_one_fault_with_how_many_are_needed(n_train: int, n_test: int, fits: bool) -> None:
    found = faults(params_of(facts=Facts(n_train, n_test, (1, 16, 16), ())), "own")
    expected = (
        f"own has {n_test} test images, and {n_train - 2} training images beside the 2 that are held back: "
        "at least 10 of each are needed, so add images or change what share of them is held out "
        "(datasets.own.source: test_fraction or n_test)"
    )
    assert found == ([] if fits else [expected])


@pytest.mark.parametrize("side", [1, 2, 3])
def test_images_that_sharpness_cannot_measure_are_refused(side: int) -> None:
    found = faults(params_of(facts=Facts(800, 200, (1, side, side), ())), "own")
    expected = (
        f"the images of own have {side}×{side} pixels: at least 3×3 are needed, so take larger images or set "
        "datasets.own.source.size"
    )
    images = torch.zeros(2, 1, side, side, dtype=torch.uint8)
    if side < 3:
        assert found == [expected]
        with pytest.raises(ValueError, match="at least 3×3"):
            laplacian_variance(images)
    else:
        assert found == []
        assert laplacian_variance(images) == 0.0


def test_all_faults_are_in_one_sentence() -> None:
    params = params_of(
        facts=Facts(800, 200, (1, 28, 28), ()),
        variants=("vae", "cgan"),
        board={"recipe": "grey", "n_images": 100, "n_snapshots": 1},
        n_validation=100,
        protocol={"extractor": "lenet", "n_samples": 900, "n_train": 900, "kid_subset_size": 100},
    )
    with pytest.raises(RefusalError) as caught:
        refuse(params, "own")
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith("params.yaml does not fit the data of board own, and nothing was trained: (1) ")
    for clause in (
        "datasets.own.protocol.n_samples is 900 but the test split has 200 images",
        "datasets.own.protocol.n_train is 900 but 700 training images are left",
        "datasets.own.protocol.extractor is lenet, which is trained on labels of two classes or more, but "
        "the images of own have no labels: set efficientnet_lite0 or inception",
        "boards.own.variants has cgan: cgan learns a distribution for each class, but these images have no",
    ):
        assert clause in said
    assert said.count("; (") == 3


@pytest.mark.parametrize("side", [64, 66])
def test_a_lenet_is_held_against_the_shape(side: int) -> None:
    facts = Facts(800, 200, (1, side, side), (400, 300, 100))
    found = faults(params_of(facts=facts, protocol={"extractor": "lenet"}), "own")
    sentence = (
        "datasets.own.protocol.extractor is lenet, which reads 8 to 64 pixels a side, but the images of own "
        "have 66×66: set efficientnet_lite0 or inception, or another datasets.own.source.size"
    )
    assert found == ([] if side == 64 else [sentence])
    assert faults(params_of(facts=facts), "own") == [], "the derived one reads them"


def test_a_recipe_is_held_against_the_shape() -> None:
    (found,) = faults(
        params_of(
            facts=Facts(800, 200, (1, 18, 18), (400, 300, 100)),
            board={"recipe": "grey", "n_images": 100, "n_snapshots": 1},
        ),
        "own",
    )
    assert found.startswith(
        "boards.own.variants has vae: network infogan needs square images with a side that 4"
    )


def test_a_batch_is_held_against_the_images_that_are_shown() -> None:
    params = params_of(
        facts=Facts(60, 30, (1, 16, 16), (30, 30)),
        board={"recipe": "grey_cpu", "n_images": 100, "n_snapshots": 1},
    )
    assert faults(params, "own") == ["batch_size of vae is 64 but 54 images of own are shown: at most 54"]


def test_what_is_fitted_has_no_batch_to_fill() -> None:
    params = params_of(
        facts=Facts(60, 30, (1, 16, 16), (30, 30)),
        board={"recipe": "grey_cpu", "n_images": 100, "n_snapshots": 1, "variants": ["pca"]},
    )
    assert faults(params, "own") == []


def test_validation_images_that_leave_nothing_are_refused() -> None:
    found = faults(params_of(n_validation=800, protocol={"n_train": 200, "n_samples": 200}), "own")
    assert found[0] == "datasets.own.n_validation is 800 but there are 800 training images: at most 799"


def test_validation_images_that_take_all_of_a_class_are_refused() -> None:
    facts = Facts(800, 200, (1, 16, 16), (798, 2))
    found = faults(
        params_of(facts=facts, n_validation=650, protocol={"n_train": 100, "n_samples": 100}), "own"
    )
    assert len(found) == 1
    assert "takes every image of a class and leaves none to train with" in found[0]


def test_the_repositorys_boards_fit_their_data() -> None:
    digits = Facts(997, 800, (1, 8, 8), (99,) * 10)
    text = Path("params.yaml").read_text(encoding="utf-8")
    for board in ("digits", "quick", "all"):
        assert faults(parse_params(text, {"digits": digits}), board) == []
