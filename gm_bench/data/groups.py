"""Images that belong together (frames of one track, faces of one person) on one side of a drawn split."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gm_bench.data.dataset import DataError

N_NAMED = 3


def group_of(files: Sequence[Path], rule: int | str) -> list[str]:
    """The group of each file, named relative to the folder of images.

    Args:
        rule: how many levels of sub-folders name a group (2: class/track), or a regular expression that is
            searched for in the relative name; its first bracket, or all that it finds, names the group. A
            file in which it finds nothing is a group of its own.

    Raises:
        DataError: not so many sub-folders, no regular expression, or one that finds nothing in any name.
    """
    if isinstance(rule, int):
        shallow = [file for file in files if len(file.parts) <= rule]
        if rule < 1 or shallow:
            named = f", but {shallow[0]} lies less deep" if shallow else ""
            raise DataError(f"groups is {rule}: groups are named by the first {rule} sub-folders{named}")
        return ["/".join(file.parts[:rule]) for file in files]
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise DataError(f"groups is '{rule}', which is no regular expression ({error})") from None
    found = [pattern.search(file.as_posix()) for file in files]
    if not any(found):
        raise DataError(f"groups is '{rule}', which is found in no name such as {files[0].as_posix()}")
    return [
        (match[1] if match.groups() and match[1] else match[0]) if match else f"/{file.as_posix()}"
        for file, match in zip(files, found, strict=True)
    ]


def grouped_split(
    labels: Tensor, groups: Sequence[str], n_test: int, seed: int
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Draw a test set of whole groups, each class in proportion to its size as nearly as groups allow.

    A group counts as one of the class that most of its images have. The groups of a class are taken in random
    order, each that brings the class nearer to its share.

    Args:
        labels: int64, (N,).
        groups: the group of each image.
        n_test: images that the test set is to have, 1 to N − 1; it has about as many.
        seed: of the draw.

    Returns:
        Places of the training and of the test images, each int64 and ascending, and what a reader must know.

    Raises:
        DataError: `n_test` leaves no image for one of the splits, or groups cannot be parted so.
    """
    n = len(labels)
    if not 0 < n_test < n:
        raise DataError(f"a test set of {n_test} cannot be drawn from {n} images; allowed: 1 to {n - 1}")
    random = np.random.RandomState(seed)  # the one generator whose stream NumPy promises to keep
    names, places = np.unique(np.array(groups), return_inverse=True)
    sizes = np.bincount(places)
    classes, of_image = np.unique(labels.numpy(), return_inverse=True)
    counts = np.zeros((len(names), len(classes)), dtype=np.int64)
    np.add.at(counts, (places, of_image), 1)
    of_group = counts.argmax(axis=1)
    is_test = np.zeros(len(names), dtype=bool)
    for label in range(len(classes)):
        own = random.permutation(np.flatnonzero(of_group == label))
        wanted, drawn = sizes[own].sum() * n_test / n, 0
        for group in own:
            if abs(drawn + sizes[group] - wanted) < abs(drawn - wanted):
                is_test[group] = True
                drawn += sizes[group]
    chosen = is_test[places]
    if chosen.all() or not chosen.any():
        largest = names[sizes.argmax()]
        raise DataError(
            f"{len(names):,} groups of {n:,} images cannot be parted into about {n_test:,} test images and "
            f"the rest (the largest, {largest}, has {sizes.max():,}): name smaller groups, or another n_test"
        )
    mixed = int(((counts > 0).sum(axis=1) > 1).sum())
    notes = [f"{len(names):,} groups, {int(is_test.sum()):,} of them the test split, none on both sides"]
    if mixed:
        notes.append(f"{mixed:,} groups hold images of several classes")
    train, test = (torch.from_numpy(np.flatnonzero(part)) for part in (~chosen, chosen))
    return train, test, tuple(notes)
