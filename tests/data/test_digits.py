import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from gm_bench.data.dataset import DataError, load
from gm_bench.data.loaders import digits
from gm_bench.io import sha256_tensor


def test_counts_of_dark_pixels_become_grey_levels() -> None:
    # 255/16 = 15.9375 per count: 1 → 15.94, 2 → 31.875, 8 → 127.5 (up), 15 → 239.06
    assert digits._to_uint8(np.array([0, 1, 2, 8, 15, 16], dtype=np.uint8)).tolist() == [
        0,
        16,
        32,
        128,
        239,
        255,
    ]


def test_images_and_labels_are_scikit_learns() -> None:
    dataset = load("digits", n_test=800, split_seed=0)
    assert dataset.train_images.shape == (997, 1, 8, 8)
    assert dataset.test_images.shape == (800, 1, 8, 8)
    bunch = load_digits()
    expected = {
        (np.floor(image * 255 / 16 + 0.5).astype(np.uint8).tobytes(), int(label))
        for image, label in zip(bunch.images, bunch.target, strict=True)
    }
    got = [
        (image.numpy().tobytes(), int(label))
        for split in ("train", "test")
        for image, label in zip(*dataset.split(split), strict=True)
    ]
    assert len(got) == 1797
    assert set(got) == expected


def test_every_class_keeps_its_share() -> None:
    dataset = load("digits", n_test=800, split_seed=0)
    whole = np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    test = torch.bincount(dataset.test_labels).numpy()
    assert np.abs(test - whole * 800 / 1797).max() < 1  # largest remainder: less than one image from exact
    assert (torch.bincount(dataset.train_labels).numpy() == whole - test).all()


def test_the_default_split_never_changes() -> None:
    # what every committed number and the pinned classifier were made with
    dataset = load("digits", n_test=800, split_seed=0)
    assert (
        sha256_tensor(dataset.test_images)
        == "5fa52fae0ce852aaca97e03024e4e3d3e1eca63906841bf2f7177ec1da4b18b3"
    )
    assert (
        sha256_tensor(dataset.train_images)
        == "dc4f546a2078dadd9e299e1b2a360817bf5e35713e74a2b0af550a6c8d93c326"
    )


def test_other_content_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(digits.SHA256, "labels", "0" * 64)
    with pytest.raises(
        DataError, match=r"the labels of scikit-learn's digits have sha256 8ba4f891.*expected 000"
    ):
        load("digits", n_test=800, split_seed=0)
