"""The stages reference and evaluate on real digits: one path for floor and cells, and what they refuse."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gm_bench import device, io
from gm_bench.config import Params, load_params
from gm_bench.data.dataset import load, read_split, save
from gm_bench.extractors import load_extractor
from gm_bench.features import extract
from gm_bench.metrics.fidelity import classifier_score, fid, kid, precision_recall
from gm_bench.metrics.neighbours import leave_one_out_1nn
from gm_bench.protocol import same_protocol
from pipelines import evaluate, extractor, reference

CPU = torch.device("cpu")
PROTOCOL = load_params().dataset("digits").protocol
DRAWS, N = PROTOCOL.draws, PROTOCOL.n_samples
CELL = Path("runs", "digits", "vae", "0")
METRICS = {
    "fid",
    "kid",
    "classifier_score",
    "precision",
    "recall",
    "one_nn",
    "one_nn_real",
    "one_nn_fake",
    "one_nn_train",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """A repository whose digits were fetched and went through the stages extractor and reference."""
    path = tmp_path_factory.mktemp("repository")
    source = params.dataset("digits").source
    (path / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        save(load(source.loader, **source.options), Path("data", "digits"))
        extractor.main("digits", device="cpu")
        reference.main("digits", device="cpu")
    return path


@pytest.fixture(autouse=True)
def _inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)


def sample(images: Tensor, status: str = "ok", divergence: dict[str, Any] | None = None) -> None:
    cell = {"dataset": "digits", "variant": "vae", "seed": 0}
    metadata = {"status": status, "divergence": divergence, "cell": cell, "training_key": "c0ffee"}
    io.write_tensors(CELL / "samples.safetensors", {"images": images}, metadata)


def evaluated() -> dict[str, Any]:
    evaluate.main("digits", "vae", 0, device="cpu")
    return io.read_json(CELL / "metrics.json")


def split(name: str) -> Tensor:
    return read_split(Path("data", "digits"), name)[0]


def test_floor_is_every_metric_of_training_images_against_held_out_ones() -> None:
    floor = io.read_json(Path("reference/digits/floor.json"))
    kept, made = io.read_tensors(Path("reference/digits/features.safetensors"))
    assert {name: tuple(tensor.shape) for name, tensor in kept.items()} == {
        "test_features": (N, 128),
        "test_logits": (N, 10),
        "train_features": (N, 128),
        "train_logits": (N, 10),
    }
    train, test = kept["train_features"], kept["test_features"]
    nearest, both = leave_one_out_1nn(train, test), precision_recall(train, test, PROTOCOL.neighbours)
    assert floor["values"] == {
        "fid": fid(train, test),
        "kid": kid(train, test, PROTOCOL.kid_subsets, PROTOCOL.kid_subset_size),
        "classifier_score": classifier_score(kept["train_logits"], PROTOCOL.score_splits),
        "precision": both.precision,
        "recall": both.recall,
        "one_nn": nearest.overall,
        "one_nn_real": nearest.real,
        "one_nn_fake": nearest.fake,
        "one_nn_train": leave_one_out_1nn(test, train).overall,
    }
    assert (floor["schema"], floor["dataset"], floor["device"]) == (1, "digits", "cpu")
    assert floor["protocol"] == made["protocol"]


def test_floor_is_low_since_the_extractor_does_not_know_its_training_images_by_heart() -> None:
    values = io.read_json(Path("reference/digits/floor.json"))["values"]
    # 1,600 answers, in mutual pairs: a standard error of about 0.016
    assert values["one_nn"] == pytest.approx(0.5, abs=0.05)
    # 128 features of variance about 1: two unrelated sets are about 256 apart, these under a hundredth of it
    assert 0 < values["fid"] < 2.56


def test_reference_features_are_a_choice_without_repetition() -> None:
    chosen = reference.choose("digits", "train", N)
    assert torch.equal(chosen, reference.choose("digits", "train", N))
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
        "images_sha256": io.sha256_tensor(reference.choose("digits", "test", N)),
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
    }


def test_cell_gets_every_metric_for_every_draw_under_the_protocol_of_the_floor() -> None:
    train = split("train")
    noise = torch.randint(0, 256, (N, 1, 8, 8), dtype=torch.uint8)
    mirrored = train[:N].flip(3)
    images = torch.stack([reference.choose("digits", "train", N), mirrored, *[noise] * (DRAWS - 2)])
    sample(images)
    result = evaluated()
    assert {name: len(values) for name, values in result["values"].items()} == dict.fromkeys(METRICS, DRAWS)
    floor = io.read_json(Path("reference/digits/floor.json"))
    copied = {name: values[0] for name, values in result["values"].items()}
    # the very images of the floor, through the stage of the cells: the same numbers, but for the training
    # set, where every image lies on its own copy
    assert {**copied, "one_nn_train": floor["values"]["one_nn_train"]} == floor["values"]
    assert copied["one_nn_train"] < 0.01
    assert result["values"]["fid"][0] < result["values"]["fid"][1] < result["values"]["fid"][2]
    assert result["values"]["one_nn"][2] > 0.99
    assert result["values"]["precision"][2] < 0.01
    assert result["protocol"] == floor["protocol"]
    assert result["hashes"] == {"training_key": "c0ffee", "samples": io.sha256_tensor(images)}
    assert result["cell"] == {"dataset": "digits", "variant": "vae", "seed": 0}
    assert (result["schema"], result["status"], result["divergence"]) == (1, "ok", None)
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


def test_a_diverged_cell_is_a_record_without_values() -> None:
    divergence = {"step": 7, "player": "critic", "term": "penalty", "value": "nan"}
    sample(torch.empty(0, N, 1, 8, 8, dtype=torch.uint8), "diverged", divergence)
    result = evaluated()
    assert (result["status"], result["divergence"], result["values"]) == ("diverged", divergence, {})
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


def test_a_reference_of_another_protocol_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sample(torch.randint(0, 256, (DRAWS, N, 1, 8, 8), dtype=torch.uint8))
    params, other = load_params(), PROTOCOL.neighbours + 1
    digits = params.dataset("digits")
    protocol = digits.protocol.model_copy(update={"neighbours": other})
    changed = {"digits": digits.model_copy(update={"protocol": protocol})}
    monkeypatch.setattr(evaluate, "load_params", lambda: params.model_copy(update={"datasets": changed}))
    with pytest.raises(ValueError, match=rf"another protocol \(neighbours is {other} against {other - 1}\)"):
        evaluated()


def test_too_many_samples_name_the_key_and_the_maximum() -> None:
    with pytest.raises(
        ValueError, match=r"digits\.protocol\.n_samples is 801 but the test split has 800.* at most 800"
    ):
        reference.choose("digits", "test", 801)


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
