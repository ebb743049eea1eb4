"""Labels of arrays: what is unambiguous is taken, and nothing is dropped without a word."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gm_bench.data.dataset import DataError
from gm_bench.data.images import read_images
from gm_bench.data.wanted import Wanted

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 8, 8), dtype=np.uint8)
EXPECTED = [0, 1, 2] * 3
VALUES = np.arange(9) % 3
NAMES = np.array(["ant", "bee", "cat"])[VALUES]


def labels_of(
    path: Path, labels: np.ndarray, **images: np.ndarray
) -> tuple[list[int] | None, tuple[str, ...]]:
    np.savez(path / "a.npz", labels=labels, **(images or {"images": PIXELS}))
    found = read_images(path / "a.npz", Wanted())
    assert found.warnings == ()
    return (None if found.labels is None else found.labels.tolist()), found.classes


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (VALUES[:, None], ("0", "1", "2")),
        (np.eye(3)[VALUES], ("0", "1", "2")),
        (np.eye(3, dtype=bool)[VALUES], ("0", "1", "2")),
        (np.eye(9, dtype=np.uint8)[VALUES + 4], ("4", "5", "6")),
        (VALUES.astype(np.float32), ("0", "1", "2")),
        (VALUES.astype(np.float64)[:, None] * 5, ("0", "5", "10")),
        (VALUES.astype(np.uint64) + 2**63, tuple(str(2**63 + i) for i in range(3))),
        (NAMES, ("ant", "bee", "cat")),
        (NAMES[:, None], ("ant", "bee", "cat")),
        (np.char.encode(NAMES), ("ant", "bee", "cat")),
    ],
    ids=["column", "one-hot", "one-hot bool", "one-hot, unused", "float", "float column", "uint64", "names",
         "names column", "bytes"],
)  # fmt: skip
def test_unambiguous_labels_are_taken(tmp_path: Path, labels: np.ndarray, classes: tuple[str, ...]) -> None:
    assert labels_of(tmp_path, labels) == (EXPECTED, classes)


def test_truth_values_are_two_classes(tmp_path: Path) -> None:
    assert labels_of(tmp_path, VALUES == 1) == ([0, 1, 0] * 3, ("False", "True"))


def test_labels_of_draws_that_are_kept_apart(tmp_path: Path) -> None:
    draws = PIXELS.reshape(3, 3, 1, 8, 8)
    for labels in (VALUES.reshape(3, 3), VALUES.reshape(3, 3, 1), np.eye(4)[VALUES].reshape(3, 3, 4), VALUES):
        assert labels_of(tmp_path, labels, images=draws)[0] == EXPECTED
    pair = {"images": PIXELS[:8].reshape(2, 4, 1, 8, 8)}
    assert labels_of(tmp_path, VALUES[:8].reshape(2, 4), **pair)[0] == EXPECTED[:8]
    with pytest.raises(DataError, match=r"have the shape \(3, 3\) but there are 9 images"):
        labels_of(tmp_path, VALUES.reshape(3, 3))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.where(VALUES == 2, np.nan, VALUES), "hold nan, which is no class"),
        (np.where(VALUES == 2, np.inf, VALUES), "hold inf, which is no class"),
        (VALUES + 0.5, "hold 0.5, which is no class"),
        (VALUES * 1e300, "which is no class"),
        (VALUES * 2 + 2.0**53, "hold 9007199254740994.0, which is no class"),
        (VALUES[:8], r"have the shape \(8,\) but there are 9 images"),
        (np.array(3), r"have the shape \(\) but there are 9 images"),
        (VALUES[None], r"have the shape \(1, 9\) but there are 9 images"),
        (VALUES - 1, "run from -1 to 1, and a negative number could be a class or"),
        (np.eye(3)[VALUES] + np.eye(3)[VALUES - 1], r"have the shape \(9, 3\), but not every row is one 1"),
        (np.eye(3)[VALUES] * 0.9, "not every row is one 1 among zeros"),
        (np.zeros((9, 3)), "not every row is one 1 among zeros"),
        (np.stack([NAMES, NAMES], 1), "not every row is one 1 among zeros"),
        (np.where(NAMES == "bee", " ", NAMES), "hold an empty name"),
        (np.array([b"\xff"] * 9), "are names that are not UTF-8"),
        (VALUES.astype(complex), "are of type complex128, which names no classes"),
        (VALUES.astype("datetime64[D]"), r"are of type datetime64\[D\], which names no classes"),
        (NAMES.astype(object), "'labels' of .* holds Python objects, which may run code"),
    ],
)
def test_all_others_are_refused_in_a_sentence(tmp_path: Path, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message) as refusal:
        labels_of(tmp_path, labels)
    assert "\n" not in str(refusal.value)


def test_no_labels_are_none_however_they_are_saved(tmp_path: Path) -> None:
    """Splits of a dataset without labels, such as data/celeba/train.safetensors, carry −1."""
    images = torch.from_numpy(PIXELS[:, None])
    save_file({"images": images, "labels": torch.full((9,), -1)}, tmp_path / "train.safetensors")
    found = read_images(tmp_path / "train.safetensors", Wanted())
    assert (found.labels, found.classes) == (None, ())
    save_file({"images": images, "labels": torch.from_numpy(VALUES)}, tmp_path / "train.safetensors")
    labels = read_images(tmp_path / "train.safetensors", Wanted()).labels
    assert labels is not None
    assert labels.tolist() == EXPECTED


def test_each_split_of_a_file_has_its_own_labels(tmp_path: Path) -> None:
    arrays = {"train_images": PIXELS, "train_labels": VALUES[:, None], "val_images": PIXELS[:2]}
    np.savez(tmp_path / "a.npz", **arrays, val_labels=np.array([[1], [0]]))
    for split, expected in (("train", EXPECTED), ("val", [1, 0])):
        labels = read_images(tmp_path / "a.npz", Wanted(), key=f"{split}_images").labels
        assert labels is not None
        assert labels.tolist() == expected


def test_arrays_that_might_be_labels_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", PIXELS, VALUES)
    found = read_images(tmp_path / "a.npz", Wanted())
    assert found.labels is None
    assert found.warnings == (
        f"{tmp_path}/a.npz: not read: arr_1 (9,); labels are read from an array named labels",
    )


def test_labels_of_images_to_be_judged_do_not_matter(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=np.random.default_rng(0).random((9, 512)))
    found = read_images(tmp_path / "a.npz", Wanted(), labelled=False)
    assert (found.labels, found.warnings) == (None, ())
