"""A dataset: checked images in a training and a test split, how it is loaded and how it lies on disk.

A loader is a module of the package `loaders` with a function `read`, whose keyword arguments are the options
that params.yaml may give under `source`. The file name is the registry: a new file is a new loader.
"""

import inspect
import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, ValidationError, validate_call
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gm_bench.io import read_tensors, sha256_tensor, write_json, write_tensors

SPLITS = ("train", "test")
CARD = "card.json"
FILES = (*(f"{split}.safetensors" for split in SPLITS), CARD)  # all that is written to data/NAME
UNLABELLED = -1


class DataError(ValueError):
    """Data that cannot be had or cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Card:
    """What a reader must know of the images besides the images.

    Nothing here depends on the machine or on the day, so the same data always has the same card.

    Args:
        origin: "embedded" (in an installed package), "original files" (from a mirror or the network, checked
            by content) or "folder" (files of one's own).
        sha256: hex digest per source file.
        classes: name of each label, in the order of the labels; empty where there are no labels.
    """

    source: str
    url: str
    licence: str
    citation: str
    origin: str
    classes: tuple[str, ...]
    preprocessing: str
    notes: tuple[str, ...] = ()
    sha256: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """Images in two splits.

    Args:
        train_images: uint8, (N, C, H, H), C 1 or 3.
        train_labels: int64, (N,), below the number of classes; all -1 where the data has no labels.
        test_images: as `train_images`, with its own N.
        test_labels: as `train_labels`, with the N of `test_images`.
        came_from: where this machine found the data, for the log; no part of what is saved.
        warnings: those of the card's notes that the user must see at once, such as files that were not read.

    Raises:
        DataError: shapes, types or labels are not as said.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    card: Card
    came_from: str
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for split in SPLITS:
            _check_split(split, *self.split(split), n_classes=len(self.card.classes))
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataError(
                f"the training images are {_shape(self.train_images)} but the test images "
                f"{_shape(self.test_images)}: both splits need one size"
            )

    def split(self, split: str) -> tuple[Tensor, Tensor]:
        """Images and labels of "train" or "test"."""
        if split == "train":
            return self.train_images, self.train_labels
        return self.test_images, self.test_labels


def load(loader: str, /, **options: Any) -> Dataset:
    """The dataset that a loader makes of its options.

    Args:
        loader: name of a module of this package.
        options: keyword arguments of that module's `read`.

    Raises:
        DataError: no such loader or option, a wrong value, or data that cannot be had.
    """
    read = _reader(loader)
    if read is None:
        raise DataError(f"there is no dataset loader '{loader}'; known: {', '.join(known_loaders())}")
    allowed = list(inspect.signature(read).parameters)
    try:
        return validate_call(config=ConfigDict(strict=True))(read)(**options)
    except ValidationError as error:
        raise DataError(_sentence(loader, allowed, error)) from None
    except DataError:
        raise
    except ValueError as error:  # of what a loader calls, such as a split that cannot be drawn
        raise DataError(str(error)) from error


def known_loaders() -> list[str]:
    """Names of the modules of this package that read a dataset."""
    return [name for name in _modules() if _reader(name)]


def save(dataset: Dataset, folder: Path) -> None:
    """Write train.safetensors, test.safetensors and card.json; the folder's name is the dataset's name.

    Raises:
        DataError: one of the three is there and somebody else's, or the folder is (see `check_target`).
    """
    check_target(folder)
    for split in SPLITS:
        images, labels = dataset.split(split)
        write_tensors(folder / f"{split}.safetensors", {"images": images, "labels": labels})
    write_json(folder / CARD, _describe(dataset, folder.resolve().name))


def check_target(folder: Path) -> None:
    """Refuse to write a dataset where that would touch what is not ours.

    Originals may lie in the folder beside the three files of `save`, but must not carry their names.

    Raises:
        DataError: one of the files is there and was not written by `save`, or the folder is a symbolic link,
            or lies behind one beside somebody's files.
    """
    if folder.is_symlink() or (folder.parent.is_symlink() and _others(folder)):
        raise DataError(
            f"{folder} leads through a symbolic link to {folder.resolve()}, and the fetched files would land "
            f"there: make {folder} a folder of this repository and name the other as the source's path"
        )
    for name in FILES:
        if (folder / name).is_dir() or ((folder / name).exists() and not _is_ours(folder / name)):
            raise DataError(
                f"{folder / name} is there and is no file of the fetch stage, which writes one of this name: "
                "move or rename it"
            )


def read_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images (uint8, (N, C, H, H)) and labels (int64, (N,)) of a saved split, "train" or "test"."""
    if split not in SPLITS:
        raise DataError(f"there is no split '{split}'; known: {', '.join(SPLITS)}")
    path = folder / f"{split}.safetensors"
    tensors, _ = read_tensors(path)
    if not {"images", "labels"} <= set(tensors):
        raise DataError(f"{path} holds no images and labels: delete it and run the fetch stage again")
    return tensors["images"], tensors["labels"]


def own_name(name: str) -> bool:
    """Whether a file in data/NAME is called like one of `save`, or like what a killed save or DVC leave."""
    return name in (*FILES, ".gitignore") or any(name.startswith(f".{own}.") for own in FILES)


def _others(folder: Path) -> bool:
    """Whether there is anything in a folder that `save` did not write."""
    return folder.is_dir() and not all(own_name(path.name) for path in folder.iterdir())


def _is_ours(path: Path) -> bool:
    """Whether a file is such as `save` writes."""
    try:
        if path.name == CARD:
            content = json.loads(path.read_text(encoding="utf-8"))
            return isinstance(content, dict) and {"schema", "tensor_sha256"} <= set(content)
        with safe_open(path, framework="pt") as file:
            return set(file.keys()) == {"images", "labels"} and "gm_bench" in (file.metadata() or {})
    except (OSError, ValueError, SafetensorError):
        return False


def _modules() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / "loaders")]))


def _reader(name: str) -> Callable[..., Dataset] | None:
    if name not in _modules():
        return None
    return getattr(import_module(f"gm_bench.data.loaders.{name}"), "read", None)


def _sentence(loader: str, allowed: list[str], error: ValidationError) -> str:
    """The first complaint about a loader's options as one sentence."""
    first = error.errors()[0]
    option = str(first["loc"][0])
    if first["type"] == "unexpected_keyword_argument":
        return f"loader '{loader}' has no option '{option}'; allowed: {', '.join(allowed) or 'none'}"
    if first["type"] == "missing_keyword_only_argument":
        return f"loader '{loader}' needs the option '{option}'"
    return f"option '{option}' of loader '{loader}' is {first['input']!r}: {first['msg']}"


def _check_split(split: str, images: Tensor, labels: Tensor, n_classes: int) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise DataError(f"the {split} images must be uint8 (N, C, H, H), not {images.dtype} {_shape(images)}")
    n, channels, height, width = images.shape
    if n == 0 or height == 0:
        raise DataError(f"the {split} split is empty: {_shape(images)}")
    if channels not in (1, 3):
        raise DataError(f"the {split} images have {channels} channels; allowed: 1 (grey) or 3 (colour)")
    if height != width:
        raise DataError(f"the {split} images are {height}×{width}; they must be square")
    if labels.dtype != torch.int64 or labels.shape != (n,):
        raise DataError(
            f"the {split} labels must be int64, one for each of {n} images, "
            f"not {labels.dtype} {_shape(labels)}"
        )
    lowest, highest = (0, n_classes - 1) if n_classes else (UNLABELLED, UNLABELLED)
    if labels.min() < lowest or labels.max() > highest:
        raise DataError(
            f"the {split} labels run from {int(labels.min())} to {int(labels.max())}; "
            f"with {n_classes} classes they must lie in {lowest} to {highest}"
        )


def _describe(dataset: Dataset, name: str) -> dict[str, Any]:
    card = dataset.card
    content: dict[str, Any] = {
        "schema": 1,
        "name": name,
        "source": card.source,
        "url": card.url,
        "licence": card.licence,
        "citation": card.citation,
        "origin": card.origin,
        "shape": list(dataset.train_images.shape[1:]),
        "preprocessing": card.preprocessing,
        "notes": list(card.notes),
        "classes": list(card.classes),
        "source_sha256": dict(card.sha256),
        "counts": {},
        "counts_per_class": {},
        "tensor_sha256": {},
    }
    for split in SPLITS:
        images, labels = dataset.split(split)
        content["counts"][split] = len(images)
        content["counts_per_class"][split] = {
            label: int((labels == index).sum()) for index, label in enumerate(card.classes)
        }
        content["tensor_sha256"][split] = {"images": sha256_tensor(images), "labels": sha256_tensor(labels)}
    return content


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
