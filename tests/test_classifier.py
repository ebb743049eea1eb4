"""The extractor's training, and the weights that are pinned with the package."""

import math
from pathlib import Path

import pytest
import torch

from gm_bench import io
from gm_bench.config import Params, load_params
from gm_bench.data.dataset import Dataset, load, save
from gm_bench.metrics.extractors import classifier, lenet
from gm_bench.metrics.extractors.classifier import accuracy, shift, train_classifier
from gm_bench.metrics.extractors.features import WeightsError
from gm_bench.nets.lenet import from_weights
from gm_bench.running import resolve
from pipelines import extractor as stage

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits(params: Params) -> Dataset:
    source = params.dataset("digits").source
    return load(source.loader, **source.options)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "EPOCHS", 3)
    monkeypatch.setattr(classifier, "LEAST_UPDATES", 1)
    torch.set_num_threads(1)


def test_training_learns_and_repeats_itself_bit_for_bit(short: None, digits: Dataset) -> None:
    splits = digits.split("train"), digits.split("test")
    first = train_classifier(*splits, seed=3, device=CPU)
    torch.manual_seed(99)  # whatever else was drawn in between
    second = train_classifier(*splits, seed=3, device=CPU)
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)
    other = train_classifier(*splits, seed=4, device=CPU)
    assert not torch.equal(first.weights["classify.weight"], other.weights["classify.weight"])
    # 21 updates: far from done, far from the 10 % of guessing
    assert first.test_accuracy > 0.7
    network = from_weights(first.weights, (1, 8, 8))
    assert accuracy(network, *digits.split("test"), CPU) == first.test_accuracy


def test_training_leaves_the_global_generator_alone(short: None, digits: Dataset) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train_classifier(digits.split("train"), digits.split("test"), seed=0, device=CPU)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("label", [0, -1])
def test_one_class_or_no_labels_are_refused(label: int) -> None:
    images = torch.randint(0, 256, (200, 1, 8, 8), dtype=torch.uint8)
    labels = torch.full((200,), label)
    with pytest.raises(ValueError, match=r"at least 2 classes .* inception"):
        train_classifier((images, labels), (images, labels), seed=0, device=CPU)


@pytest.mark.parametrize("n", [2, 100])
def test_fewer_images_than_a_batch_are_one_batch(
    n: int, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "LEAST_UPDATES", 30)
    images, labels = digits.split("train")
    few = torch.cat([(labels == label).nonzero()[: n // 2, 0] for label in (0, 1)])
    trained = train_classifier((images[few], labels[few]), digits.split("test"), seed=0, device=CPU)
    network = from_weights(trained.weights, (1, 8, 8))
    assert accuracy(network, images[few], labels[few], CPU) == 1


@pytest.mark.parametrize(("side", "reach"), [(8, 1), (28, 1), (32, 2), (64, 2)])
def test_shift_moves_each_image_by_whole_pixels_within_reach(side: int, reach: int) -> None:
    image = torch.randint(0, 256, (1, 2, side, side), dtype=torch.uint8)
    moved = shift(image.expand(200, -1, -1, -1), torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(image.float(), [reach] * 4, mode="replicate").byte()[0]
    offsets = [(y, x) for y in range(2 * reach + 1) for x in range(2 * reach + 1)]
    windows = torch.stack([padded[:, y : y + side, x : x + side] for y, x in offsets])
    hits = (moved[:, None] == windows).flatten(2).all(dim=2)
    assert bool((hits.sum(dim=1) == 1).all())
    # 200 draws of at most 25 places: one that is never drawn has a probability of 25·(24/25)^200 < 1 %
    assert bool(hits.any(dim=0).all())


RECORDS = io.read_json(lenet.FOLDER / lenet.RECORDS)
LEAST = {"digits": 0.985, "mnist": 0.992, "fashion_mnist": 0.91}


def test_all_three_small_datasets_are_pinned() -> None:
    assert set(RECORDS) == set(LEAST)


@pytest.mark.parametrize("dataset", RECORDS)
def test_pinned_weights_are_those_of_their_record(dataset: str) -> None:
    record = RECORDS[dataset]
    assert io.sha256_file(lenet.FOLDER / lenet.pinned_file(dataset)) == record["sha256"]
    assert record["test_accuracy"] >= LEAST[dataset]
    assert record["command"] == f"python -m pipelines.extractor {dataset} --pin"


def test_pinned_digits_have_the_recorded_accuracy(digits: Dataset) -> None:
    weights, _ = io.read_tensors(lenet.FOLDER / lenet.pinned_file("digits"))
    assert lenet.pinned_record("digits", io.sha256_tensor(digits.train_images))
    assert (
        accuracy(from_weights(weights, (1, 8, 8)), *digits.split("test"), CPU)
        == RECORDS["digits"]["test_accuracy"]
    )


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> Path:
    """An empty repository with params.yaml and the fetched digits."""
    (tmp_path / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    for dataset in ("digits", "cifar10"):
        resolve.dataset(load_params(), dataset)
    save(digits, Path("data", "digits"))
    return tmp_path


def test_stage_copies_the_pinned_weights(repository: Path) -> None:
    stage.main("digits", device="cpu")
    info = io.read_json(repository / "extractors/digits/extractor.json")
    assert info == {
        "schema": 1,
        "name": "lenet",
        "sha256": RECORDS["digits"]["sha256"],
        "features": 128,
        "logits": 10,
        "comparable": "everywhere",
        "test_accuracy": RECORDS["digits"]["test_accuracy"],
        "weights": "weights.safetensors",
    }
    assert io.sha256_file(repository / "extractors/digits/weights.safetensors") == info["sha256"]


def test_stage_refuses_damaged_pinned_weights(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = repository / "weights"
    monkeypatch.setattr(lenet.pinned_record, "__defaults__", (folder,))
    monkeypatch.setattr(lenet.read_pinned, "__defaults__", (folder,))
    io.write_json(folder / lenet.RECORDS, RECORDS)
    io.write_bytes(folder / lenet.pinned_file("digits"), b"something else")
    with pytest.raises(WeightsError, match="restore it with git checkout"):
        stage.main("digits", device="cpu")


def test_stage_trains_where_the_training_images_are_others(
    repository: Path, short: None, digits: Dataset
) -> None:
    swapped = Dataset(
        digits.test_images, digits.test_labels, digits.train_images, digits.train_labels, digits.card, ""
    )
    save(swapped, Path("data", "digits"))
    stage.main("digits", device="cpu")
    info = io.read_json(repository / "extractors/digits/extractor.json")
    assert info["comparable"] == "among themselves"
    assert info["sha256"] == io.sha256_file(repository / "extractors/digits/weights.safetensors")
    assert info["sha256"] != RECORDS["digits"]["sha256"]


def test_pin_records_what_it_trained(repository: Path, short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = repository / "weights"
    io.write_json(folder / lenet.RECORDS, {"other": {"sha256": "kept"}})
    monkeypatch.setattr(lenet.pin, "__defaults__", (folder,))
    stage.main("digits", pin=True)
    records = io.read_json(folder / lenet.RECORDS)
    record = records["digits"]
    assert records["other"] == {"sha256": "kept"}
    assert record["sha256"] == io.sha256_file(folder / "lenet-digits.safetensors")
    assert not math.isclose(record["test_accuracy"], RECORDS["digits"]["test_accuracy"])
    assert record["seed"] == 0
    info = io.read_json(repository / "extractors/digits/extractor.json")
    assert (info["comparable"], info["sha256"]) == ("everywhere", record["sha256"])


def test_what_is_published_is_not_trained_here(repository: Path) -> None:
    with pytest.raises(ValueError, match="efficientnet_lite0, whose weights are not trained here"):
        stage.main("cifar10", pin=True)
