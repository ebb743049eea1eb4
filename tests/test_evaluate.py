"""The stages reference and evaluate on real digits: one path for floor and cells, and what they refuse."""

import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from gm_bench import io
from gm_bench import reproducibility as device
from gm_bench.cell import Cell
from gm_bench.config import load_params
from gm_bench.data.dataset import read_split
from gm_bench.data.split import choose as choose_places
from gm_bench.data.split import hold_out
from gm_bench.metrics.copying import share_of_copies
from gm_bench.metrics.distances import nearest_squared, within
from gm_bench.metrics.extractors.features import Features, extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.metrics.fidelity import classifier_score, kid
from gm_bench.metrics.frechet import fid, fid_infinity
from gm_bench.metrics.memorisation import duplicate_limit, memorisation
from gm_bench.metrics.modes import mode_coverage
from gm_bench.metrics.neighbours import density_coverage, leave_one_out_1nn, precision_recall
from gm_bench.metrics.repeats import distinct_share
from gm_bench.metrics.sharpness import laplacian_variance
from gm_bench.reproducibility import derive
from gm_bench.results.protocol import SEED, same_protocol
from gm_bench.running import resolve
from gm_bench.tracks.generation import drawing, evaluation, measuring, trained
from gm_bench.training import sampling
from gm_bench.training.job import Job
from gm_bench.training.state import build
from gm_bench.variants.base.contract import Variant
from pipelines import evaluate
from pipelines import sample as sample_stage

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[1]
PROTOCOL = load_params().dataset("digits").protocol
DRAWS, N, N_TRAIN = PROTOCOL.draws, PROTOCOL.n_samples, PROTOCOL.n_train
N_VALIDATION = load_params().dataset("digits").n_validation
ADDRESS = Cell("board", "digits", "vae", 0)
CELL = ADDRESS.folder
MEMORISATION = (
    "one_nn_train",
    "one_nn_gap",
    "train_distance_ratio",
    "duplicates",
    "duplicates_exact",
    "copied",
    "copied_held_out",
)
METRICS = {
    *MEMORISATION,
    "fid",
    "kid",
    "classifier_score",
    "precision",
    "recall",
    "one_nn",
    "one_nn_real",
    "one_nn_fake",
    "fid_infinity",
    "fid_infinity_error",
    "density",
    "coverage",
    "sharpness",
    "distinct",
    "classes_hit",
    "class_kl",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, digits_with_reference: Path) -> Path:
    """A repository whose digits were fetched and went through the stages extractor and reference."""
    path = Path(
        shutil.copytree(digits_with_reference, tmp_path_factory.mktemp("repository"), dirs_exist_ok=True)
    )
    params = load_params()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        resolve.board(params.model_copy(update={"boards": {"board": params.board("digits")}}), "board")
    return path


@pytest.fixture(autouse=True)
def _inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)


def sample(
    images: Tensor,
    status: str = "ok",
    divergence: dict[str, Any] | None = None,
    labels: Tensor | None = None,
    snapshots: Tensor | None = None,
    bounds: dict[str, Tensor] | None = None,
    density: str = "",
) -> None:
    metadata = {"status": status, "divergence": divergence, "training_key": "c0ffee"}
    metadata |= {"density": density, "checkpoint": {"rule": "last"}}
    io.write_tensors(
        CELL / "samples.safetensors",
        {"images": images} | ({} if labels is None else {"labels": labels}) | (bounds or {}),
        metadata,
    )
    seen = {"images": torch.empty(0, 0, 1, 8, 8).byte() if snapshots is None else snapshots}
    shown = {"images_shown": [64 * (i + 1) for i in range(len(seen["images"]))]}
    io.write_tensors(CELL / "snapshots.safetensors", seen, shown)


def evaluated() -> dict[str, Any]:
    evaluate.main("board", "digits", "vae", 0, device="cpu")
    return io.read_json(CELL / "metrics.json")


def choose(split: str, n: int) -> Tensor:
    images, labels = read_split(Path("data", "digits"), split)
    places = hold_out(labels, N_VALIDATION)[0] if split == "train" else torch.arange(len(images))
    return images[choose_places(places, n, "digits.protocol.n_samples", split)]


def split(name: str) -> Tensor:
    return read_split(Path("data", "digits"), name)[0]


def test_floor_is_every_metric_of_training_images_against_held_out_ones() -> None:
    floor = io.read_json(Path("reference/digits/floor.json"))
    kept, made = io.read_tensors(Path("reference/digits/features.safetensors"))
    assert {name: tuple(tensor.shape) for name, tensor in kept.items()} == {
        "test_features": (N, 128),
        "test_logits": (N, 10),
        "train_features": (N_TRAIN, 128),
        "train_logits": (N_TRAIN, 10),
        "train_places": (N_TRAIN,),
        "test_sharpness": (),
        "test_mean": (128,),
        "test_factor": (128, 128),
        "test_within_squared": (N, PROTOCOL.neighbours),
        "test_within_ties": (N,),
        "train_within_squared": (N, 1),
        "train_within_ties": (N,),
        "test_to_train_squared": (N,),
        "class_counts": (10,),
        "validation_features": (N_VALIDATION, 128),
        "validation_logits": (N_VALIDATION, 10),
    }
    images, labels = read_split(Path("data", "digits"), "train")
    chosen = images[kept["train_places"]]
    shown, held_back = hold_out(labels, N_VALIDATION)
    assert torch.equal(kept["class_counts"], torch.bincount(labels[shown]))
    assert not set(kept["train_places"].tolist()) & set(held_back.tolist())
    train, test = kept["train_features"][:N], kept["test_features"]
    line = fid_infinity(train, test, PROTOCOL.fid_subsets, SEED)
    balls = density_coverage(train, test, PROTOCOL.neighbours)
    modes = mode_coverage(kept["train_logits"][:N], kept["class_counts"])
    held_out = nearest_squared(test, kept["train_features"])
    near = memorisation(held_out, held_out, PROTOCOL.duplicate_quantile)
    assert near.duplicates == pytest.approx(PROTOCOL.duplicate_quantile, abs=1 / N)
    own = within(test, 1).squared[:, 0]
    limit = duplicate_limit(held_out, PROTOCOL.duplicate_quantile)
    nearest, both = leave_one_out_1nn(train, test), precision_recall(train, test, PROTOCOL.neighbours)
    assert floor["values"] == {
        "fid": fid(train, test),
        "kid": kid(train, test, PROTOCOL.kid_subsets, PROTOCOL.kid_subset_size),
        "classifier_score": classifier_score(kept["train_logits"][:N], PROTOCOL.score_splits),
        "precision": both.precision,
        "recall": both.recall,
        "one_nn": nearest.overall,
        "one_nn_real": nearest.real,
        "one_nn_fake": nearest.fake,
        "one_nn_train": leave_one_out_1nn(test, train).overall,
        "one_nn_gap": 0.0,
        "train_distance_ratio": 1.0,
        "duplicates": near.duplicates,
        "duplicates_exact": near.exact,
        "copied": share_of_copies(held_out, own, limit),
        "copied_held_out": share_of_copies(own, held_out, limit),
        "fid_infinity": line.value,
        "fid_infinity_error": line.error,
        "density": balls.density,
        "coverage": balls.coverage,
        "sharpness": laplacian_variance(chosen[:N]) / laplacian_variance(choose("test", N)),
        "distinct": distinct_share(chosen[:N]),
        "classes_hit": modes.hit,
        "class_kl": modes.divergence,
    }
    assert (floor["schema"], floor["dataset"], floor["device"]) == (2, "digits", "cpu")
    assert floor["protocol"] == made["protocol"]


def test_floor_is_low_since_the_extractor_does_not_know_its_training_images_by_heart() -> None:
    values = io.read_json(Path("reference/digits/floor.json"))["values"]
    # 1,600 answers, in mutual pairs: a standard error of about 0.016
    assert values["one_nn"] == pytest.approx(0.5, abs=0.05)
    # 128 features of variance about 1: two unrelated sets are about 256 apart, these under a hundredth of it
    assert 0 < values["fid"] < 2.56


def test_reference_features_are_a_choice_without_repetition() -> None:
    chosen = choose("train", N)
    assert torch.equal(chosen, choose("train", N))
    assert torch.equal(choose("train", N_TRAIN)[:N], chosen)  # the first n of n_train are those of n_samples
    places = choose_places(torch.arange(10, 910), 800, "", "train")
    assert len(places.unique()) == 800
    assert (int(places.min()), int(places.max())) == (10, 909)
    assert places.tolist() != sorted(places.tolist())
    rows = [row.numpy().tobytes() for row in chosen]
    available = [row.numpy().tobytes() for row in split("train")]
    assert all(rows.count(row) <= available.count(row) for row in set(rows))


def test_protocol_is_the_whole_of_it() -> None:
    protocol = io.read_json(Path("reference/digits/floor.json"))["protocol"]
    info = io.read_json(Path("extractors/digits/extractor.json"))
    versions = protocol.pop("versions")
    assert set(versions) == {"torch", "torch_fidelity", "numpy"}
    assert versions["torch"] == torch.__version__.partition("+")[0]
    assert protocol == {
        "dataset": "digits",
        "n_samples": N,
        "draws": DRAWS,
        "split": "test",
        "n_train": N_TRAIN,
        "images_sha256": {
            "test": io.sha256_tensor(choose("test", N)),
            "train": io.sha256_tensor(choose("train", N_TRAIN)),
        },
        "extractor": {
            "name": "lenet",
            "sha256": info["sha256"],
            "features": 128,
            "comparable": "everywhere",
        },
        "preprocessing": "uint8 at native size, x / 127.5 - 1",
        "dtype": "features float32, metrics float64",
        "tf32": False,
        "score_splits": PROTOCOL.score_splits,
        "kid_subsets": PROTOCOL.kid_subsets,
        "kid_subset_size": PROTOCOL.kid_subset_size,
        "neighbours": PROTOCOL.neighbours,
        "fid_subsets": PROTOCOL.fid_subsets,
        "duplicate_quantile": PROTOCOL.duplicate_quantile,
        "bound_images": PROTOCOL.bound_images,
        "bound_codes": PROTOCOL.bound_codes,
        "floor_splits": PROTOCOL.floor_splits,
        "seed": 2020,
    }


def test_cell_gets_every_metric_for_every_draw_under_the_protocol_of_the_floor() -> None:
    train = split("train")
    noise = torch.randint(0, 256, (N, 1, 8, 8), dtype=torch.uint8)
    mirrored = train[:N].flip(3)
    images = torch.stack([choose("train", N), mirrored, *[noise] * (DRAWS - 2)])
    sample(images)
    result = evaluated()
    assert {name: len(values) for name, values in result["values"].items()} == dict.fromkeys(METRICS, DRAWS)
    floor = io.read_json(Path("reference/digits/floor.json"))
    copied = {name: values[0] for name, values in result["values"].items()}
    # the very images of the floor, through the stage of the cells: the same numbers, but for the training
    # set, where every image lies on its own copy
    memorised = {name: copied.pop(name) for name in MEMORISATION}
    # FID reads the moments that were kept, sums are made in the same order: equal to the bit
    assert copied == {name: value for name, value in floor["values"].items() if name not in MEMORISATION}
    assert memorised["one_nn_train"] < 0.01
    assert memorised["one_nn_gap"] == memorised["one_nn_train"] - copied["one_nn"]
    assert (memorised["duplicates"], memorised["duplicates_exact"]) == (1, 1)
    assert memorised["train_distance_ratio"] == 0
    assert (memorised["copied"], memorised["copied_held_out"]) == (1, 0)
    assert result["values"]["duplicates_exact"][1:] == [0] * (DRAWS - 1)
    assert result["values"]["fid"][0] < result["values"]["fid"][1] < result["values"]["fid"][2]
    assert result["values"]["one_nn"][2] > 0.99
    assert result["values"]["precision"][2] < 0.01
    assert result["protocol"] == floor["protocol"]
    assert result["hashes"] == {"training_key": "c0ffee", "samples": io.sha256_tensor(images)}
    assert result["cell"] == {"board": "board", "dataset": "digits", "variant": "vae", "seed": 0}
    assert (result["schema"], result["status"], result["divergence"]) == (2, "ok", None)
    assert set(result) == {
        *(
            "schema",
            "cell",
            "status",
            "divergence",
            "protocol",
            "values",
            "curves",
            "details",
            "device",
            "hashes",
        )
    }
    assert result["device"] == "cpu"


def test_values_are_those_of_the_metrics_on_extracted_features_and_repeat_bit_for_bit() -> None:
    images = torch.stack([split("train")[i : i + N] for i in range(DRAWS)])
    sample(images)
    result = evaluated()["values"]
    kept, _ = io.read_tensors(Path("reference/digits/features.safetensors"))
    _, lenet = load_extractor(Path("extractors/digits"), (1, 8, 8))
    seen = [extract(lenet, draw, CPU) for draw in images]
    assert result["fid"] == [fid(each.features, kept["test_features"]) for each in seen]
    assert result["classifier_score"] == [
        classifier_score(each.logits, PROTOCOL.score_splits) for each in seen
    ]
    nearest = [leave_one_out_1nn(each.features, kept["test_features"]) for each in seen]
    assert result["one_nn_real"] == [each.real for each in nearest]
    assert result["one_nn_fake"] == [each.fake for each in nearest]
    before = (CELL / "metrics.json").read_bytes()
    evaluated()
    assert (CELL / "metrics.json").read_bytes() == before


def test_bounds_of_the_likelihood_are_averaged_over_images() -> None:
    images = torch.stack([split("train")[:N]] * DRAWS)
    bounds = {"elbo": torch.tensor([-4.0, -1.0]).double(), "iw_bound": torch.tensor([-2.0, -1.0]).double()}
    sample(images, bounds=bounds, density="of something")
    result = evaluated()
    assert (result["values"]["elbo"], result["values"]["iw_bound"]) == ([-2.5], [-1.5])
    assert set(result["values"]) == METRICS | {"elbo", "iw_bound"}
    assert result["details"]["density"] == "of something"


def test_the_floors_spread_is_that_of_random_splits_of_the_pool() -> None:
    floor = io.read_json(Path("reference/digits/floor.json"))
    fixed = {"one_nn_gap", "train_distance_ratio", "duplicates"}
    assert set(floor["sd"]) == METRICS - fixed
    kept, _ = io.read_tensors(Path("reference/digits/features.safetensors"))
    train, test = (read_split(Path("data", "digits"), name)[1] for name in ("train", "test"))
    order = choose_places(torch.arange(N), N, "", "test")
    labels = torch.cat([train[kept["train_places"]], test[order]])
    pool = torch.cat([kept["train_features"], kept["test_features"]])
    generator = torch.Generator().manual_seed(SEED)
    values = []
    for _ in range(PROTOCOL.floor_splits):
        a, b = evaluation._deal(labels, N, generator)
        assert len(set(a.tolist()) | set(b.tolist())) == len(a) + len(b) == 2 * N
        assert torch.equal(labels[a].bincount(), labels[:N].bincount())
        assert torch.equal(labels[b].bincount(), labels[-N:].bincount())
        values.append(fid(pool[a], pool[b]))
    assert len(set(values)) == PROTOCOL.floor_splits
    assert floor["sd"]["fid"] == pytest.approx(stdev(values), rel=1e-6)
    # the floor itself is one such split: within what chance allows of the mean of the others
    assert abs(floor["values"]["fid"] - mean(values)) < 4 * stdev(values)
    # 1,600 answers in mutual pairs: a standard deviation of about 0.016
    assert 0.004 < floor["sd"]["one_nn"] < 0.04
    assert floor["sd"]["one_nn_train"] == floor["sd"]["one_nn"]


def test_a_diverged_cell_is_a_record_without_values() -> None:
    divergence = {"step": 7, "player": "critic", "term": "penalty", "value": "nan"}
    sample(torch.empty(0, N, 1, 8, 8, dtype=torch.uint8), "diverged", divergence)
    result = evaluated()
    assert (result["status"], result["divergence"], result["values"]) == ("diverged", divergence, {})
    assert result["curves"] == {"fid": [], "one_nn": []}
    assert result["details"] == {
        "density": "",
        "checkpoint": {"rule": "last"},
        "missing_classes": [],
        "closest_pairs": [],
    }
    assert result["protocol"]["dataset"] == "digits"


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((DRAWS + 1, N, 1, 8, 8), rf"{DRAWS + 1} draws .* datasets\.digits\.protocol says {DRAWS} of {N}"),
        ((DRAWS, 10, 1, 8, 8), f"{DRAWS} draws of 10 images"),
        ((DRAWS, N, 1, 9, 9), "not those of a LeNet for images of 1×9×9"),
        ((DRAWS, N, 3, 8, 8), "not those of a LeNet for images of 3×8×8"),
    ],
)
def test_samples_that_do_not_fit_are_refused(shape: tuple[int, ...], message: str) -> None:
    sample(torch.randint(0, 256, shape, dtype=torch.uint8))
    with pytest.raises(ValueError, match=message):
        evaluated()


def test_images_of_zeros_and_ones_are_refused() -> None:
    sample(torch.randint(0, 2, (DRAWS, N, 1, 8, 8), dtype=torch.uint8))
    with pytest.raises(ValueError, match="no value but 0 and 1"):
        evaluated()


def test_a_reference_of_another_protocol_is_refused() -> None:
    sample(torch.randint(0, 256, (DRAWS, N, 1, 8, 8), dtype=torch.uint8))
    other = PROTOCOL.neighbours + 1
    protocol = PROTOCOL.model_copy(update={"neighbours": other})
    with pytest.raises(ValueError, match=rf"another protocol \(neighbours is {other} against {other - 1}\)"):
        measuring.measure(ADDRESS, protocol, CPU)


def test_too_many_samples_name_the_key_and_the_maximum() -> None:
    with pytest.raises(
        ValueError, match=r"digits\.protocol\.n_samples is 801 but the test split has 800.* at most 800"
    ):
        choose("test", 801)


def test_memorisation_looks_at_all_chosen_training_images() -> None:
    """Copies of images beyond the first n of them, which alone 1-NN against training images reads."""
    beyond = choose("train", N_TRAIN)[N:]
    assert len(beyond) > 0
    images = torch.stack([choose("test", N)] * DRAWS)
    images[:, : len(beyond)] = beyond
    sample(images)
    result = evaluated()
    share = len(beyond) / N
    assert result["values"]["duplicates_exact"] == pytest.approx([share] * DRAWS, abs=1e-12)
    assert result["values"]["duplicates"][0] == pytest.approx(share + 0.01 * (1 - share), abs=0.01)
    assert result["values"]["copied"][0] == share
    assert (
        result["values"]["copied_held_out"][0] == 1 - share
    )  # the others are the held-out images themselves
    for pair in result["details"]["closest_pairs"][0][: len(beyond)]:
        assert pair["distance_ratio"] == 0
        assert torch.equal(split("train")[pair["train"]], images[0, pair["sample"]])


def test_pairs_are_the_nearest_ones_in_units_of_held_out_distances() -> None:
    kept, _ = io.read_tensors(Path("reference/digits/features.safetensors"))
    real = evaluation.Reference.from_tensors(kept)
    squared = torch.cdist(kept["test_features"].double(), kept["train_features"].double())
    pairs = evaluation.closest_pairs(Features(kept["test_features"], kept["test_logits"]), real, 5)
    least = squared.amin(dim=1)
    middle = float(torch.quantile(least, 0.5))
    assert [pair["sample"] for pair in pairs] == least.argsort()[:5].tolist()
    assert [pair["train"] for pair in pairs] == squared[least.argsort()[:5]].argmin(dim=1).tolist()
    assert [pair["distance_ratio"] for pair in pairs] == pytest.approx(
        (least.sort().values[:5] / middle).tolist(), rel=1e-6
    )


def test_the_best_snapshot_is_picked_by_validation_images_and_is_what_is_drawn_from() -> None:
    """Of three snapshots one is validation images, the others are images that training sees, and test."""
    images, labels = read_split(Path("data", "digits"), "train")
    shown, held_back = hold_out(labels, N_VALIDATION)
    recipe = load_params().recipe("vae", "tiny").model_copy(update={"checkpoint": "best"})
    jobs = [Job(Cell("digits", "digits", "vae", seed), recipe, 192) for seed in range(3)]
    moments = [64, 128, 192]
    candidates = [build(job, (1, 8, 8), 10, CPU) for job in jobs]
    stored = {
        f"{moment}.{name}": weights
        for moment, candidate in zip(moments, candidates, strict=True)
        for name, weights in candidate.state_dict().items()
    }
    metadata = {
        "cell": ADDRESS.as_dict(),
        "status": "ok",
        "divergence": None,
        "image_shape": (1, 8, 8),
        "class_counts": [80] * 10,
        "recipe": recipe.model_dump(mode="json"),
        "training_key": "c0ffee",
    }
    io.write_tensors(CELL / "model.safetensors", candidates[2].state_dict(), metadata)
    drawn = torch.stack([images[shown[:N_VALIDATION]], images[held_back], split("test")[:N_VALIDATION]])
    io.write_tensors(CELL / "snapshots.safetensors", {"images": drawn, **stored}, {"images_shown": moments})

    sample_stage.main("board", "digits", "vae", 0, device="cpu")
    samples, made = io.read_tensors(CELL / "samples.safetensors")
    assert made["checkpoint"] == {"rule": "best", "images": 128}
    expected = sampling.draw(candidates[1].eval(), None, N, derive(0, "sample", 0), CPU)
    assert torch.equal(samples["images"][0], expected)
    loaded = trained.load(ADDRESS, CPU).model.state_dict()
    assert all(torch.equal(loaded[name], w) for name, w in candidates[1].state_dict().items())
    assert evaluated()["details"]["checkpoint"] == {"rule": "best", "images": 128}

    # the same files without the option: the last model
    io.write_tensors(
        CELL / "model.safetensors",
        candidates[2].state_dict(),
        metadata | {"recipe": metadata["recipe"] | {"checkpoint": "last"}},
    )
    sample_stage.main("board", "digits", "vae", 0, device="cpu")
    samples, made = io.read_tensors(CELL / "samples.safetensors")
    assert made["checkpoint"] == {"rule": "last"}
    expected = sampling.draw(candidates[2].eval(), None, N, derive(0, "sample", 0), CPU)
    assert torch.equal(samples["images"][0], expected)
    assert samples["elbo"].shape == samples["iw_bound"].shape == (PROTOCOL.bound_images,)
    assert bool((samples["elbo"] < samples["iw_bound"]).all())


def untrained(variant: str, seed: int) -> tuple[Cell, Variant, dict[str, Any]]:
    """A cell whose model was never trained, as the stage train leaves one, with classes in unequal shares."""
    cell = Cell("board", "digits", variant, seed)
    recipe = load_params().recipe(variant, "tiny").model_copy(update={"checkpoint": "last"})
    model = build(Job(cell, recipe, 64), (1, 8, 8), 10, CPU).eval()
    metadata = {
        "cell": cell.as_dict(),
        "status": "ok",
        "divergence": None,
        "image_shape": (1, 8, 8),
        "class_counts": list(range(1, 11)),
        "recipe": recipe.model_dump(mode="json"),
        "training_key": "c0ffee",
    }
    io.write_tensors(cell.folder / "model.safetensors", model.state_dict(), metadata)
    return cell, model, metadata


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("variant", ["gan", "cgan"])
def test_every_draw_has_its_own_seed_and_its_own_labels(variant: str, seed: int) -> None:
    cell, model, metadata = untrained(variant, seed)
    assert drawing.draw(cell, PROTOCOL, N_VALIDATION, CPU) == DRAWS > 1
    tensors, made = io.read_tensors(cell.folder / "samples.safetensors")
    assert set(tensors) == {"images", "labels"} if model.conditional else {"images"}
    assert tensors["images"].shape == (DRAWS, N, 1, 8, 8)
    for i in range(DRAWS):
        labels = None
        if model.conditional:
            labels = sampling.draw_labels(metadata["class_counts"], N, seed, i)
            assert torch.equal(tensors["labels"][i], labels)
        expected = sampling.draw(model, labels, N, derive(seed, "sample", i), CPU)
        assert torch.equal(tensors["images"][i], expected)
    for i, j in combinations(range(DRAWS), 2):
        for name, drawn in tensors.items():
            assert not torch.equal(drawn[i], drawn[j]), name
    assert made["cell"] == cell.as_dict()


def test_a_diverged_cell_has_no_samples_and_a_black_grid() -> None:
    cell, model, metadata = untrained("gan", 5)
    divergence = {"step": 7, "player": "critic", "term": "loss", "value": "nan"}
    metadata |= {"status": "diverged", "divergence": divergence}
    io.write_tensors(cell.folder / "model.safetensors", model.state_dict(), metadata)
    assert drawing.draw(cell, PROTOCOL, N_VALIDATION, CPU) == 0
    tensors, made = io.read_tensors(cell.folder / "samples.safetensors")
    assert tensors["images"].shape == (0, N, 1, 8, 8)
    assert (made["status"], made["divergence"], made["training_key"]) == ("diverged", divergence, "c0ffee")
    with Image.open(cell.folder / "grid.png") as grid:
        assert grid.getpixel((16, 16)) == 0
    with pytest.raises(ValueError, match="digits/gan/5 diverged in training: there is nothing to draw from"):
        trained.load(cell, CPU)


def test_a_trained_cell_draws_what_its_samples_hold() -> None:
    for variant in ("gan", "cgan"):
        cell, model, _ = untrained(variant, 4)
        drawing.draw(cell, PROTOCOL, N_VALIDATION, CPU)
        tensors, _ = io.read_tensors(cell.folder / "samples.safetensors")
        loaded = trained.load(cell, CPU)
        assert torch.equal(loaded.sample(N, seed=4), tensors["images"][0])
        assert not torch.equal(loaded.sample(N, seed=5), tensors["images"][0])
        assert loaded.n_classes == 10
    expected = sampling.draw(model, torch.full((6,), 3), 6, derive(4, "sample"), CPU)
    assert torch.equal(loaded.sample(6, seed=4, label=3), expected)
    with pytest.raises(ValueError, match="label is 10; digits/cgan/4 knows the classes 0 to 9"):
        loaded.sample(6, seed=4, label=10)
    with pytest.raises(ValueError, match="gan is not conditional"):
        trained.load(Cell("board", "digits", "gan", 4), CPU).sample(6, seed=4, label=3)
    with pytest.raises(ValueError, match="ask for a whole number from 1"):
        loaded.sample(0, seed=4)
    with pytest.raises(
        ValueError, match=r"digits/lsgan/0 is not trained yet .* gm-bench run --board board does it, if"
    ):
        trained.load(Cell("board", "digits", "lsgan", 0), CPU)


def test_classes_that_are_missing_are_named_and_labels_asked_for_are_compared() -> None:
    images, labels = read_split(Path("data", "digits"), "train")
    kept = (labels != 3) & (labels != 8)
    chosen = torch.arange(N) % int(kept.sum())
    images, labels = images[kept][chosen], labels[kept][chosen]
    asked = torch.stack([labels, (labels + 1) % 10, *[labels] * (DRAWS - 2)])
    sample(torch.stack([images] * DRAWS), labels=asked)
    result = evaluated()
    # the classifier takes about one image in a hundred for another class
    missing = result["details"]["missing_classes"][0]
    assert set(missing) <= {"3", "8"}
    assert result["values"]["classes_hit"][0] == 10 - len(missing)
    # two classes of ten are gone: ln(10/8), were all of them equally frequent
    assert result["values"]["class_kl"][0] == pytest.approx(0.223, abs=0.05)
    assert result["values"]["class_accuracy"][0] > 0.97
    assert result["values"]["class_accuracy"][1] < 0.03
    assert set(result["values"]) == METRICS | {"class_accuracy"}


def test_the_curve_is_read_from_validation_images() -> None:
    images, labels = read_split(Path("data", "digits"), "train")
    _, held_back = hold_out(labels, N_VALIDATION)
    noise = torch.randint(0, 256, (N_VALIDATION, 1, 8, 8), dtype=torch.uint8)
    sample(torch.stack([choose("train", N)] * DRAWS), snapshots=torch.stack([noise, images[held_back]]))
    curves = evaluated()["curves"]
    assert {name: [n for n, _ in points] for name, points in curves.items()} == {
        "fid": [64, 128],
        "one_nn": [64, 128],
    }
    values = {name: [value for _, value in points] for name, points in curves.items()}
    # the validation images themselves: no distance, and each has its own copy at distance 0
    assert values["fid"][1] == pytest.approx(0, abs=1e-6)
    assert values["one_nn"][1] == 0
    assert values["fid"][0] > 10
    assert values["one_nn"][0] > 0.95


def test_a_reference_is_the_same_after_it_was_written() -> None:
    tensors, made = io.read_tensors(Path("reference/digits/features.safetensors"))
    real = evaluation.Reference.from_tensors(tensors)
    again = real.tensors()
    assert {name: again[name].tolist() for name in again} == {name: tensors[name].tolist() for name in again}
    assert made["classes"] == [str(i) for i in range(10)]
    del tensors["test_factor"]
    with pytest.raises(ValueError, match=r"holds no 'test_factor': .* run the reference stage again"):
        evaluation.Reference.from_tensors(tensors)


def test_without_labels_there_is_no_mode_coverage_and_a_poor_reference_is_refused() -> None:
    tensors, _ = io.read_tensors(Path("reference/digits/features.safetensors"))
    test = Features(tensors["test_features"], tensors["test_logits"])
    train = Features(tensors["train_features"], tensors["train_logits"])
    images = choose("test", N)
    real = evaluation.make_reference(images, test, train, PROTOCOL, CPU)
    assert set(evaluation.all_metrics(test, images, real, PROTOCOL, CPU)) == METRICS - {
        "classes_hit",
        "class_kl",
    }
    assert evaluation.missing_classes(test, real) == []
    with pytest.raises(ValueError, match="799 held-out images but features of 800"):
        evaluation.make_reference(images[1:], test, train, PROTOCOL, CPU)
    few = Features(train.features[: N - 1], train.logits[: N - 1])
    with pytest.raises(ValueError, match="799 training images are fewer than the 800 held-out ones"):
        evaluation.make_reference(images, test, few, PROTOCOL, CPU)
    with pytest.raises(ValueError, match="all of one colour"):
        evaluation.make_reference(torch.zeros_like(images), test, train, PROTOCOL, CPU)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({"n": 1, "e": {"x": 2}}, {"e": {"x": 2}, "n": 1}, None),
        ({"n": 1}, {"n": 2}, "n is 1 against 2"),
        ({"n": 1, "e": {"x": 2, "y": 3}}, {"n": 1, "e": {"x": 2, "y": 4}}, "e.y is 3 against 4"),
        ({"n": 1}, {"n": 1, "e": {"x": 2}}, "e.x is absent against 2"),
        ({"n": 1, "e": {"x": 2}}, {"n": 1}, "e.x is 2 against absent"),
    ],
)
def test_same_protocol_names_the_first_difference(a: dict, b: dict, expected: str | None) -> None:
    assert same_protocol(a, b) == expected


def test_what_measures_depends_on_no_report_and_no_reader_of_params() -> None:
    """Whatever a stage imports makes its cells stale when it changes."""
    modules = (f"gm_bench.tracks.generation.{name}" for name in ("measuring", "reference", "extraction"))
    code = f"import {', '.join(modules)}, sys; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).split()
    assert "gm_bench.results.protocol" in loaded
    assert [
        name
        for name in loaded
        if name.startswith(
            ("gm_bench.config", "gm_bench.report", "gm_bench.metrics.catalogue", "typer", "rich")
        )
    ] == []


def tf32() -> tuple[bool, bool]:
    """Whether a GPU may round in products and in convolutions."""
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_a_block_that_is_deterministic_leaves_torch_as_it_was() -> None:
    torch.set_num_threads(2)
    torch.set_deterministic_debug_mode("default")
    torch.set_flush_denormal(False)
    device.set_precision(tf32=True)
    small = torch.tensor([1e-310], dtype=torch.float64)
    with device.deterministic():
        assert torch.get_num_threads() == 1
        assert torch.get_deterministic_debug_mode() == 2
        assert float(small * 0.5) == 0
        assert tf32() == (False, False)
    assert torch.get_num_threads() == 2
    assert tf32() == (True, True)
    assert torch.get_deterministic_debug_mode() == 0
    assert float(small * 0.5) > 0
    device.make_deterministic()
    with device.deterministic():
        pass
    assert tf32() == (False, False)
    assert torch.get_deterministic_debug_mode() == 2
    assert float(small * 0.5) == 0


def test_device_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.resolve("auto") == device.resolve("cpu") == CPU
    assert device.describe(CPU) == "cpu"
    with pytest.raises(ValueError, match="no CUDA GPU here: use cpu or auto"):
        device.resolve("cuda")
    with pytest.raises(ValueError, match="unknown device 'gpu'; choose auto, cpu or cuda"):
        device.resolve("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.resolve("auto") == device.resolve("cuda") == torch.device("cuda")
