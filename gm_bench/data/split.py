"""Seeded splits of labelled images that keep the share of every class, and seeded choices from them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gm_bench.reproducibility import derive


def stratified_split(labels: Tensor, n_test: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw a test set without replacement, each class in proportion to its size.

    Shares that are no whole numbers are rounded by largest remainder, the lower label first where two are
    equal, so a class differs from its exact share by less than one image. Images without labels (all of one
    value) make one class.

    Args:
        labels: int64, (N,).
        n_test: size of the test set, 1 to N − 1.
        seed: of the draw.

    Returns:
        Indices of the training and of the test images, each int64 and ascending: N − n_test and n_test.

    Raises:
        ValueError: `n_test` leaves no image for one of the splits.
    """
    n = len(labels)
    if not 0 < n_test < n:
        raise ValueError(f"a test set of {n_test} cannot be drawn from {n} images; allowed: 1 to {n - 1}")
    random = np.random.RandomState(seed)  # the one generator whose stream NumPy promises to keep
    classes, counts = np.unique(labels.numpy(), return_counts=True)
    shares, remainders = np.divmod(counts * n_test, n)
    shares[np.argsort(-remainders, kind="stable")[: n_test - shares.sum()]] += 1
    drawn = [
        random.permutation(np.flatnonzero(labels.numpy() == label))[:share]
        for label, share in zip(classes, shares, strict=True)
    ]
    is_test = np.zeros(n, dtype=bool)
    is_test[np.concatenate(drawn)] = True
    return torch.from_numpy(np.flatnonzero(~is_test)), torch.from_numpy(np.flatnonzero(is_test))


def keep_every_class(
    labels: Tensor, kept: Tensor, names: Sequence[str], drawn: str, remedy: str, lacks: str = "to train with"
) -> None:
    """Refuse a draw that takes every image of a class.

    Args:
        labels: of all images, int64, (N,).
        kept: places of those that were not drawn, int64.
        names: of the classes by label; without them the labels themselves are named.
        drawn: what was drawn, to begin the sentence.
        remedy: what else than more images would help.
        lacks: what the images that were not drawn are for.

    Raises:
        ValueError: a class has no image left.
    """
    found, counts = labels.unique(return_counts=True)
    lost = ~torch.isin(found, labels[kept])
    if lost.any():
        listed = ", ".join(
            f"{names[label] if names else f'number {label}'} ({n} image{'' if n == 1 else 's'})"
            for label, n in zip(found[lost].tolist(), counts[lost].tolist(), strict=True)
        )
        raise ValueError(
            f"{drawn} takes every image of a class and leaves none {lacks}: {listed}; add images of such a "
            f"class, take it away, or {remedy}"
        )


def hold_out(labels: Tensor, n_validation: int, names: Sequence[str] = ()) -> tuple[Tensor, Tensor]:
    """Rows of the training split that training sees, and those held back for learning curves.

    The same on every machine and for every cell of a dataset, so that curves can be compared.

    Args:
        labels: of the training split, int64, (N,).
        n_validation: images held back, 1 to N − 1.
        names: of the classes by label, for the sentence of a refusal.

    Raises:
        ValueError: `n_validation` leaves no image on one side, or no training image of a class.
    """
    n = len(labels)
    if not 0 < n_validation < n:
        raise ValueError(
            f"{n_validation} validation images cannot be held back from {n} training images: "
            "set datasets.<name>.n_validation lower in params.yaml"
        )
    seen, held_back = stratified_split(labels, n_validation, seed=0)
    remedy = "set datasets.<name>.n_validation lower in params.yaml"
    keep_every_class(labels, seen, names, f"the validation split of {n_validation}", remedy)
    return seen, held_back


def choose(places: Tensor, n: int, key: str, split: str) -> Tensor:
    """Places of images, int64 (n,), drawn without replacement, the same on every machine.

    The first k of n are those that are chosen where n is k.

    Args:
        places: to draw from, int64 (N,).
        key: in datasets of params.yaml, that says n.

    Raises:
        ValueError: there are fewer.
    """
    if len(places) < n:
        raise ValueError(
            f"datasets.{key} is {n} but the {split} split has {len(places)} images: "
            f"set it to at most {len(places)} in params.yaml"
        )
    generator = torch.Generator().manual_seed(derive(0, f"reference/{split}"))
    return places[torch.randperm(len(places), generator=generator)[:n]]
