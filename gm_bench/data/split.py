"""A seeded split of labelled images that keeps the share of every class."""

import numpy as np
import torch
from torch import Tensor

from gm_bench.data.dataset import DataError


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
        DataError: `n_test` leaves no image for one of the splits.
    """
    n = len(labels)
    if not 0 < n_test < n:
        raise DataError(f"a test set of {n_test} cannot be drawn from {n} images; allowed: 1 to {n - 1}")
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
