import json
from pathlib import Path

import pytest
import torch

from gm_bench.data.dataset import Card, DataError, Dataset, known_loaders, load, read_split, save
from gm_bench.io import FileError, write_tensors


def card(classes: tuple[str, ...] = ("a", "b")) -> Card:
    return Card("source", "https://example.org", "MIT", "nobody", "embedded", classes, "none")


def make(**changes: object) -> Dataset:
    parts: dict[str, object] = {
        "train_images": torch.arange(3 * 4, dtype=torch.uint8).reshape(3, 1, 2, 2),
        "train_labels": torch.tensor([0, 1, 1]),
        "test_images": torch.zeros(2, 1, 2, 2, dtype=torch.uint8),
        "test_labels": torch.tensor([0, 0]),
        "card": card(),
        "came_from": "nowhere",
    }
    return Dataset(**(parts | changes))  # type: ignore[arg-type]


def test_saved_splits_are_read_back_as_they_were(tmp_path: Path) -> None:
    dataset = make()
    save(dataset, tmp_path / "mine")
    for split in ("train", "test"):
        images, labels = read_split(tmp_path / "mine", split)
        assert torch.equal(images, dataset.split(split)[0])
        assert images.dtype == torch.uint8
        assert torch.equal(labels, dataset.split(split)[1])
        assert labels.dtype == torch.int64


def test_the_card_counts_and_takes_the_folders_name(tmp_path: Path) -> None:
    save(make(), tmp_path / "mine")
    content = json.loads((tmp_path / "mine" / "card.json").read_text())
    assert content["name"] == "mine"
    assert content["shape"] == [1, 2, 2]
    assert content["counts"] == {"train": 3, "test": 2}
    assert content["counts_per_class"] == {"train": {"a": 1, "b": 2}, "test": {"a": 2, "b": 0}}
    assert {len(digest) for part in content["tensor_sha256"].values() for digest in part.values()} == {64}
    assert content["tensor_sha256"]["train"]["images"] != content["tensor_sha256"]["test"]["images"]


def test_the_place_the_data_came_from_is_no_part_of_what_is_saved(tmp_path: Path) -> None:
    save(make(came_from="mirror /somewhere"), tmp_path / "one" / "d")
    save(make(came_from="download from https://example.org"), tmp_path / "two" / "d")
    for name in ("train.safetensors", "test.safetensors", "card.json"):
        assert (tmp_path / "one" / "d" / name).read_bytes() == (tmp_path / "two" / "d" / name).read_bytes()


def test_images_without_labels_carry_minus_one(tmp_path: Path) -> None:
    nothing = {"train_labels": torch.full((3,), -1), "test_labels": torch.full((2,), -1)}
    save(make(card=card(()), **nothing), tmp_path / "mine")
    assert json.loads((tmp_path / "mine" / "card.json").read_text())["counts_per_class"] == {
        "train": {},
        "test": {},
    }
    with pytest.raises(DataError, match="run from -1 to -1; with 2 classes they must lie in 0 to 1"):
        make(**nothing)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_images": torch.zeros(3, 1, 2, 2)},
            r"train images must be uint8 \(N, C, H, H\), not torch.float32",
        ),
        ({"test_images": torch.zeros(2, 2, 2, dtype=torch.uint8)}, r"not torch.uint8 \(2, 2, 2\)"),
        ({"train_images": torch.zeros(3, 2, 2, 2, dtype=torch.uint8)}, r"have 2 channels; allowed: 1"),
        ({"train_images": torch.zeros(3, 1, 2, 3, dtype=torch.uint8)}, "are 2×3; they must be square"),
        (
            {"test_images": torch.zeros(2, 1, 4, 4, dtype=torch.uint8)},
            r"\(3, 1, 2, 2\) but the test images \(2, 1, 4",
        ),
        ({"test_images": torch.zeros(0, 1, 2, 2, dtype=torch.uint8)}, "test split is empty"),
        ({"train_labels": torch.tensor([0, 1])}, r"one for each of 3 images, not torch.int64 \(2,\)"),
        ({"train_labels": torch.tensor([0, 1, 1], dtype=torch.int32)}, "not torch.int32"),
        ({"test_labels": torch.tensor([0, 2])}, "test labels run from 0 to 2; with 2 classes"),
    ],
)
def test_what_is_no_dataset_is_refused(changes: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(**changes)


def test_every_loader_is_known_by_its_file_name() -> None:
    assert set(known_loaders()) >= {
        "celeba", "cifar10", "digits", "fashion_mnist", "folder", "kmnist", "mnist", "svhn",
    }  # fmt: skip
    assert not {"dataset", "originals", "idx", "pixels", "split"} & set(known_loaders())


@pytest.mark.parametrize("name", ["imagenet", "dataset", "../digits", "digits.read", ""])
def test_an_unknown_loader_lists_the_known(name: str) -> None:
    with pytest.raises(
        DataError, match=f"no dataset loader '{name}'; known: celeba, cifar10, digits, fashion_mnist"
    ):
        load(name)


@pytest.mark.parametrize(
    ("loader", "options", "message"),
    [
        (
            "digits",
            {"n_test": 8, "split_seed": 0, "size": 9},
            "'digits' has no option 'size'; allowed: n_test, split_",
        ),
        ("mnist", {"size": 32}, "'mnist' has no option 'size'; allowed: none"),
        ("digits", {"n_test": 8}, "'digits' needs the option 'split_seed'"),
        (
            "digits",
            {"n_test": "8", "split_seed": 0},
            "option 'n_test' of loader 'digits' is '8': Input should be a v",
        ),
        (
            "celeba",
            {"size": "64"},
            "option 'size' of loader 'celeba' is '64': Input should be a valid integer",
        ),
        ("digits", {"n_test": True, "split_seed": 0}, "'n_test' of loader 'digits' is True"),
        ("digits", {"n_test": 8, "split_seed": -1}, "'split_seed' of loader 'digits' is -1"),
        (
            "digits",
            {"n_test": 1797, "split_seed": 0},
            "1797 cannot be drawn from 1797 images; allowed: 1 to 1796",
        ),
        (
            "celeba",
            {"size": 161},
            "'size' of loader 'celeba' is 161: Input should be less than or equal to 160",
        ),
    ],
)
def test_a_wrong_option_is_one_sentence(loader: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        load(loader, **options)
    assert "\n" not in str(error.value)


def test_only_the_two_splits_can_be_read(tmp_path: Path) -> None:
    save(make(), tmp_path / "mine")
    with pytest.raises(DataError, match=r"no split '\.\./mine/train'; known: train, test"):
        read_split(tmp_path / "mine", "../mine/train")
    with pytest.raises(FileError, match="not found"):
        read_split(tmp_path / "other", "train")
    write_tensors(tmp_path / "train.safetensors", {"pixels": torch.zeros(1)})
    with pytest.raises(DataError, match="holds no images and labels"):
        read_split(tmp_path, "train")
