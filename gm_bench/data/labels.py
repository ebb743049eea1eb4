"""Labels of an array: what is unambiguous is taken, everything else is refused in a sentence."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gm_bench.data.dataset import UNLABELLED, DataError

LARGEST_WHOLE = 2.0**53  # up to here every whole number is a float64
REMEDY = "save one whole number from 0 up, or one name, for each image"


def read_labels(
    array: NDArray[Any], n: int, where: str, n_draws: int = 1
) -> tuple[Tensor | None, tuple[str, ...]]:
    """Class of each image, and the classes' names.

    Taken are whole numbers from 0 up in any numeric type, truth values and names, (N,) or (N, 1), and exact
    one-hot rows (N, K). Where the images keep draws apart, so may the labels: (draws, N / draws, …).

    Args:
        n: number of images, N.
        where: the array's name, for errors.
        n_draws: how many draws the images keep apart by an axis in front.

    Returns:
        Places of the labels among the distinct ones, int64 (N,), and the distinct ones in ascending order;
        (None, ()) where all are −1, which is how images without labels are saved.

    Raises:
        DataError: anything else.
    """
    values = _one_each(array, n, where, n_draws)
    if values.dtype.kind in "US":
        values = _names(values, where)
    elif values.dtype.kind != "b":
        values = _whole(values, where)
        if (values == UNLABELLED).all():
            return None, ()
        if values.min() < 0:
            raise DataError(
                f"{where} run from {values.min()} to {values.max()}, and a negative number could be a class "
                f"or mean that there is none: {REMEDY}"
            )
    distinct, places = np.unique(values, return_inverse=True)
    return torch.from_numpy(places.reshape(-1).astype(np.int64)), tuple(map(str, distinct))


def _one_each(array: NDArray[Any], n: int, where: str, n_draws: int) -> NDArray[Any]:
    """(N,) from (N,), (N, 1) or one-hot rows (N, K), with or without an axis of draws in front."""
    if array.dtype.kind not in "biufUS":
        raise DataError(f"{where} are of type {array.dtype}, which names no classes: {REMEDY}")
    fronts = [(n,), (n_draws, n // n_draws)] if n_draws > 1 else [(n,)]
    if array.shape in [shape for front in fronts for shape in (front, (*front, 1))]:
        return array.reshape(n)
    if array.shape[:-1] not in fronts:
        raise DataError(f"{where} have the shape {array.shape} but there are {n} images: {REMEDY}")
    rows = array.reshape(n, -1)
    if rows.dtype.kind in "US" or not (((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all()):
        raise DataError(
            f"{where} have the shape {array.shape}, but not every row is one 1 among zeros: {REMEDY}"
        )
    return rows.argmax(axis=1)


def _names(values: NDArray[Any], where: str) -> NDArray[Any]:
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{where} are names that are not UTF-8: {REMEDY}") from None
    if (np.char.strip(values) == "").any():
        raise DataError(f"{where} hold an empty name: {REMEDY}")
    return values


def _whole(values: NDArray[Any], where: str) -> NDArray[Any]:
    if values.dtype.kind != "f":
        return values
    wrong = ~np.isfinite(values) | (np.abs(values) > LARGEST_WHOLE) | (values != np.trunc(values))
    if wrong.any():
        raise DataError(f"{where} hold {values[wrong][0]}, which is no class: {REMEDY}")
    return values.astype(np.int64)
