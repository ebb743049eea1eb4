"""Arrays of a .npz, .npy or .safetensors file, and which of them are images; nothing is unpickled."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gm_bench import io
from gm_bench.data.dataset import DataError
from gm_bench.data.wanted import WantedError, check_path

DAMAGE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
IMAGES_KEY = "images"
CHANNELS = (1, 3)
TOLERATED = 1e-3  # of the range: what rounding of half precision leaves outside


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays by name, without ever unpickling."""
    suffix = path.suffix.lower()
    try:
        check_path(path)
    except WantedError as error:
        raise DataError(str(error)) from None
    if suffix not in (".npz", ".npy", ".safetensors"):
        raise DataError(
            f"{path} is neither a folder of images nor a .npz, .npy or .safetensors file; "
            "a single image has no distribution to compare"
        )
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    arrays: dict[str, NDArray[Any]] = {}
    name = path.stem
    try:
        if suffix == ".safetensors":
            tensors, _ = io.read_tensors(path)
            return {key: as_numpy(tensor, f"'{key}' of {path}") for key, tensor in tensors.items()}
        if suffix == ".npy":
            return {name: np.load(path, allow_pickle=False)}
        with np.load(path, allow_pickle=False) as archive:
            for name in archive.files:
                arrays[name] = archive[name]
            return arrays
    except DataError:
        raise
    except DAMAGE as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"'{name}' of {path} holds Python objects, which may run code when they are opened: "
                "save it as plain numbers or as text"
            ) from None
        raise DataError(f"{path} is damaged or no {suffix} file: write it anew with what wrote it") from None


def choose(arrays: dict[str, NDArray[Any]], key: str | None, path: Path) -> str:
    """Name of the array of images: as asked for, else `images`, else the only one that can be."""
    if key is not None:
        if key not in arrays:
            raise DataError(f"{path} holds no array '{key}'; it has: {', '.join(arrays) or 'none'}")
        return key
    possible = [name for name, array in arrays.items() if array.ndim >= 3]
    if IMAGES_KEY in possible:
        return IMAGES_KEY
    if not possible:
        raise DataError(
            f"{path} holds no array of images (N, H, W), (N, H, W, C) or (N, C, H, W); "
            f"it has: {', '.join(f'{name} {array.shape}' for name, array in arrays.items()) or 'nothing'}"
        )
    if len(possible) > 1:
        raise DataError(f"{path} holds several arrays of images: choose with --key {' or '.join(possible)}")
    return possible[0]


def as_images(array: NDArray[np.uint8], where: str) -> tuple[NDArray[np.uint8], int]:
    """(N, C, H, W) from (N, H, W), (N, H, W, C) or (N, C, H, W); a fifth axis in front keeps draws apart.

    Raises:
        DataError: another number of axes, one image alone, no axis of 1 or 3 channels, or two that could be.
    """
    shape = array.shape
    n_draws = 1
    if array.ndim == 5:
        n_draws, array = shape[0], array.reshape(-1, *shape[2:])
    if array.ndim == 3:
        if shape[-1] in CHANNELS:
            raise DataError(f"{where} has the shape {shape}, one image: of several make (N, H, W, C)")
        array = array[:, None]
    if array.ndim != 4 or array.size == 0:
        raise DataError(
            f"{where} has the shape {shape}; images are (N, H, W), (N, H, W, C) or (N, C, H, W), none of it 0"
        )
    first, last = array.shape[1] in CHANNELS, array.shape[3] in CHANNELS
    if first and last:
        raise DataError(f"{where} has the shape {shape}, whose channels could be the second axis or the last")
    if not first and not last:
        raise DataError(
            f"{where} has the shape {shape}, in which neither the second axis nor the last has 1 (grey) or 3 "
            "(colour) channels: drop an alpha channel before saving"
        )
    return (array if first else array.transpose(0, 3, 1, 2)), n_draws


def from_floats(array: NDArray[Any], bounds: tuple[float, float], where: str) -> NDArray[np.uint8]:
    """Floats in a range that the user names → uint8, rounded to the nearest level.

    Args:
        bounds: what is black and what is white.

    Raises:
        DataError: no floats, or a value outside of the range by more than rounding.
    """
    low, high = bounds
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{where} is {array.dtype}, and --range is for floats: leave it away")
    least, most = (float(array.min()), float(array.max())) if array.size else (low, high)
    if not np.isfinite((least, most)).all():
        raise DataError(f"{where} holds values that are not finite: mend or leave out those images")
    slack = (high - low) * TOLERATED
    if not (least >= low - slack and most <= high + slack):
        raise DataError(
            f"{where} runs from {least:.6g} to {most:.6g}, but --range says {low:g} to {high:g}: clip it, or "
            "give its true range"
        )
    scaled = (array.astype(np.float64) - low) * (255 / (high - low))
    return scaled.round().clip(0, 255).astype(np.uint8)


def hint(array: NDArray[Any]) -> str:
    """How numbers of another type become uint8, judged by their range."""
    if array.dtype == bool:
        return "save x.astype('uint8') * 255"
    if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array) or array.size == 0:
        return "these are no pixels; choose another array with --key"
    if not np.isfinite(array).all():
        return "it holds NaN or inf, so the program that made it went wrong"
    low, high = array.min(), array.max()
    if low >= 0 and high <= 1:
        return "for values in 0 to 1 save (x * 255).round().astype('uint8'), or give --range 0,1"
    if low >= -1 and high <= 1:
        return "for values in -1 to 1 save (x * 127.5 + 127.5).round().astype('uint8'), or give --range -1,1"
    if low >= 0 and high <= 255:
        return "for values in 0 to 255 save x.round().astype('uint8')"
    return f"its values run from {low:.6g} to {high:.6g}; scale them to 0 to 255, round, and save as uint8"


def as_numpy(given: object, where: str) -> NDArray[Any]:
    """An array, or a tensor as one; bfloat16, which NumPy lacks, as float32.

    Raises:
        DataError: something else, or a tensor of a type or a layout that NumPy lacks.
    """
    if isinstance(given, np.ndarray):
        return given
    if not isinstance(given, Tensor):
        raise DataError(f"{where} is a {type(given).__name__}: give a NumPy array or a tensor")
    try:
        return (given.float() if given.dtype == torch.bfloat16 else given).numpy(force=True)
    except (TypeError, RuntimeError):
        layout = "" if given.layout == torch.strided else f" and {given.layout}"
        raise DataError(
            f"{where} is a tensor of {given.dtype}{layout}, which NumPy lacks: give it dense and as uint8"
        ) from None
