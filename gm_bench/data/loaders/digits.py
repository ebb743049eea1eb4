"""Optical digits: the 1,797 real 8×8 images that scikit-learn carries, so that no network is needed."""

import hashlib

import numpy as np
import torch

from gm_bench.data.dataset import Card, DataError, Dataset
from gm_bench.data.split import keep_every_class, stratified_split
from gm_bench.options import PositiveInt, Seed

SHA256 = {
    "images": "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3",
    "labels": "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0",
}


def read(*, n_test: PositiveInt, split_seed: Seed) -> Dataset:
    """Digits with a seeded split that keeps the share of every class.

    Args:
        n_test: images in the test split; the rest of the 1,797 is for training.
        split_seed: of that split.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    counts, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.uint8)
    for part, values in {"images": counts, "labels": labels}.items():
        got = hashlib.sha256(values.tobytes()).hexdigest()
        if got != SHA256[part]:
            raise DataError(
                f"the {part} of scikit-learn's digits have sha256 {got}, expected {SHA256[part]}: "
                "install a scikit-learn that carries the original data"
            )
    images = torch.from_numpy(_to_uint8(counts))[:, None]
    targets = torch.from_numpy(labels.astype(np.int64))
    train, test = stratified_split(targets, n_test, split_seed)
    keep_every_class(targets, train, "0123456789", "the test split", "set n_test lower")
    return Dataset(
        train_images=images[train],
        train_labels=targets[train],
        test_images=images[test],
        test_labels=targets[test],
        card=Card(
            source="Optical Recognition of Handwritten Digits (test part), as carried by scikit-learn",
            url="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
            licence="CC BY 4.0",
            citation="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine "
            "Learning Repository, 1998, doi:10.24432/C50P49",
            origin="embedded",
            classes=tuple("0123456789"),
            preprocessing="counts of 0 to 16 dark pixels per 4x4 block, scaled to 0 to 255 and rounded "
            "(halves up)",
            notes=(f"class-stratified random split, seed {split_seed}: the source has no split of its own",),
            sha256=SHA256,
        ),
        came_from="scikit-learn",
    )


def _to_uint8(counts: np.ndarray) -> np.ndarray:
    """0..16 → 0..255 in whole numbers: 8 → 128 on every machine."""
    return ((counts.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)
