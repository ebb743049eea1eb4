"""Images that another program made, or real ones to hold them against: read, checked, seldom converted.

A folder of image files, or one array of a .npz, .npy or .safetensors file. What would be measured, but not
for what it is, is refused with the option or the step that mends it; what can be measured but colours the
result is a warning. Nothing is unpickled and nothing is unpacked to disk.
"""

import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gm_bench import io
from gm_bench.data.dataset import DataError
from gm_bench.data.loaders.folder import list_images
from gm_bench.data.pixels import crop_centre, decode, resize, to_array

CHANNELS = {"grey": 1, "rgb": 3}
NAMES = {channels: name for name, channels in CHANNELS.items()}
# A set of images that uses less than a quarter of 0 … 255 has more likely been scaled wrongly than drawn so.
LEAST_RANGE = 64
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
IMAGES_KEY, LABELS_KEY = "images", "labels"


@dataclass(frozen=True)
class Wanted:
    """What the images are to be turned into; None leaves them as they are.

    Args:
        channels: 1 (ITU-R 601 luma) or 3 (grey repeated).
        size: side in pixels to which the central square of each is resized, bicubic with antialiasing.
    """

    channels: int | None = None
    size: int | None = None


@dataclass(frozen=True)
class Foreign:
    """Images as they will be measured.

    Args:
        images: uint8, (N, C, H, W), C 1 or 3, in the order of the file or of the names.
        labels: int64, (N,), 0 … K−1; None where neither sub-folders nor an array `labels` say.
        classes: the name of each label; empty without labels.
        n_draws: how many independent draws the file itself keeps apart, one after another; 1 for a plain set.
        conversions: what was done to them, in words.
        warnings: what a reader of the numbers must know.
    """

    images: Tensor
    labels: Tensor | None
    classes: tuple[str, ...]
    n_draws: int
    conversions: tuple[str, ...]
    warnings: tuple[str, ...]


def read_images(path: Path, wanted: Wanted, key: str | None = None, allow_low_range: bool = False) -> Foreign:
    """Images of a folder or a file.

    Args:
        key: the array to read where a file holds several; only for files.
        allow_low_range: take images that use less than a quarter of 0 … 255 for what they are.

    Raises:
        DataError: nothing there, a kind of file that is not read, not uint8, no images' shape, mixed or wrong
            sizes or channels, damaged content, or hardly any contrast. The sentence says what to do.
    """
    path = path.expanduser()
    if path.is_dir():
        if key is not None:
            raise DataError(f"--key names an array of a file, but {path} is a folder")
        found = _read_folder(path, wanted)
    else:
        found = _from_arrays(_load(path), wanted, key, path)
    return _check_range(found, path, allow_low_range)


def from_memory(
    images: NDArray[Any] | Tensor,
    labels: NDArray[Any] | Tensor | None,
    name: str,
    wanted: Wanted,
    allow_low_range: bool = False,
) -> Foreign:
    """Images of an array or tensor, checked as those of a file are.

    Args:
        images: uint8 (N, C, H, W), (N, H, W) or (N, H, W, C); a fifth axis in front keeps draws apart.
        labels: whole numbers (N,), or None.
        name: of the images in messages.

    Raises:
        DataError: as `read_images`.
    """
    given = {IMAGES_KEY: images} if labels is None else {IMAGES_KEY: images, LABELS_KEY: labels}
    arrays = {
        key: _numpy(each.detach().cpu()) if isinstance(each, Tensor) else each for key, each in given.items()
    }
    found = _from_arrays(arrays, wanted, IMAGES_KEY, Path(name))
    return _check_range(found, Path(name), allow_low_range)


def _check_range(found: Foreign, path: Path, allow_low_range: bool) -> Foreign:
    low, high = int(found.images.min()), int(found.images.max())
    if high - low < LEAST_RANGE and not allow_low_range:
        raise DataError(
            f"the images of {path} use only the values {low} to {high} of 0 to 255: scale them to the full "
            "range, or give --allow-low-range if they are meant to look so"
        )
    return found


def check_shape(found: Foreign, shape: tuple[int, int, int], path: Path, reference: str) -> None:
    """Refuse images that the extractor of the reference does not read, naming the option that converts them.

    Raises:
        DataError: other channels or another size than (C, H, W).
    """
    channels, height, width = found.images.shape[1:]
    if channels != shape[0]:
        same = channels == 3 and bool((found.images == found.images[:, :1]).all())
        loses = " (their three channels are equal, so nothing is lost)" if same else ""
        raise DataError(
            f"{path} holds {_colour(channels)} images but {reference} {_colour(shape[0])} ones: "
            f"give --channels {NAMES[shape[0]]} to convert them{loses}"
        )
    if (height, width) != shape[1:]:
        raise DataError(
            f"{path} holds images of {height}×{width} pixels but {reference} of {shape[1]}×{shape[2]}: "
            f"give --resize {shape[1]} to resize them with antialiasing"
        )


def _read_folder(root: Path, wanted: Wanted) -> Foreign:
    listing = list_images(root)
    arrays: list[NDArray[np.uint8]] = []
    n_lossy = n_transparent = n_reshaped = 0
    first: tuple[int, int, int] | None = None
    for file in listing.files:
        path = root / file
        content = path.read_bytes()
        n_lossy += _is_lossy(content)
        native, transparent = _header(content)
        decoded = decode(content, str(path), wanted.channels or native)
        n_transparent += transparent
        image = _fit(decoded, wanted)
        n_reshaped += image.size != decoded.size or (wanted.channels or native) != native
        array = to_array(image)
        first = first or array.shape
        if array.shape != first:
            raise DataError(_mixed(path, array.shape, root / listing.files[0], first))
        arrays.append(array)
    n = len(arrays)
    warnings = []
    if n_lossy:
        warnings.append(
            f"{n_lossy:,} of {n:,} files are stored lossily (JPEG or WebP): what is measured includes the "
            "compression; save as PNG to measure the images themselves"
        )
    if n_transparent:
        warnings.append(f"{n_transparent:,} of {n:,} images have transparent parts, which are laid on white")
    if listing.n_ignored:
        warnings.append(
            f"{listing.n_ignored:,} files in {root} are no images by their suffix and were ignored"
        )
    labels = None
    if listing.classes:
        labels = torch.tensor([listing.classes.index(file.parts[0]) for file in listing.files])
    images = torch.from_numpy(np.stack(arrays))
    return Foreign(images, labels, listing.classes, 1, _conversions(wanted, n_reshaped, n), tuple(warnings))


def _from_arrays(arrays: dict[str, NDArray[Any]], wanted: Wanted, key: str | None, path: Path) -> Foreign:
    name = _choose(arrays, key, path)
    array = arrays[name]
    if array.dtype != np.uint8:
        raise DataError(f"'{name}' of {path} is {array.dtype}, not uint8: {_hint(array)}")
    images, n_draws = _as_images(array, f"'{name}' of {path}")
    n_reshaped = 0
    channels, height, width = images.shape[1:]
    if (wanted.channels or channels) != channels or (wanted.size or height, wanted.size or width) != (
        height,
        width,
    ):
        images = np.stack([to_array(_fit(_picture(image), wanted)) for image in images])
        n_reshaped = len(images)
    labels, classes = _labels(arrays.get(LABELS_KEY), len(images))
    return Foreign(
        torch.from_numpy(np.ascontiguousarray(images)),
        labels,
        classes,
        n_draws,
        _conversions(wanted, n_reshaped, len(images)),
        (),
    )


def _labels(labels: NDArray[Any] | None, n: int) -> tuple[Tensor | None, tuple[str, ...]]:
    """Places of an array's values among its distinct ones, and these; None where it is no n whole numbers."""
    if labels is None or labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        return None, ()
    distinct, places = np.unique(labels, return_inverse=True)
    return torch.from_numpy(places.astype(np.int64)), tuple(map(str, distinct))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays by name, without ever unpickling."""
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise DataError(f"{path} may run code when it is opened: save the images as .npz or .safetensors")
    if suffix in ARCHIVES:
        raise DataError(f"{path} is an archive: unpack it and give the folder")
    if not path.exists():
        raise DataError(f"{path} does not exist: give a folder of images, a .npz or a .safetensors file")
    if suffix not in (".npz", ".npy", ".safetensors"):
        raise DataError(
            f"{path} is neither a folder of images nor a .npz, .npy or .safetensors file; "
            "a single image has no distribution to compare"
        )
    try:
        if suffix == ".safetensors":
            tensors, _ = io.read_tensors(path)
            return {name: _numpy(tensor) for name, tensor in tensors.items()}
        if suffix == ".npy":
            return {path.stem: np.load(path, allow_pickle=False)}
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path} holds Python objects, which may run code when they are opened: "
                "save the images as plain uint8 arrays"
            ) from None
        raise DataError(
            f"{path} is damaged or no such file: write it anew with numpy or safetensors"
        ) from None


def _numpy(tensor: Tensor) -> NDArray[Any]:
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _choose(arrays: dict[str, NDArray[Any]], key: str | None, path: Path) -> str:
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


def _as_images(array: NDArray[np.uint8], where: str) -> tuple[NDArray[np.uint8], int]:
    """(N, C, H, W) from (N, H, W), (N, H, W, C) or (N, C, H, W); a fifth axis in front keeps draws apart.

    Raises:
        DataError: another number of axes, no axis of 1 or 3 channels, or two that could be.
    """
    shape = array.shape
    n_draws = 1
    if array.ndim == 5:
        n_draws, array = shape[0], array.reshape(-1, *shape[2:])
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or array.size == 0:
        raise DataError(
            f"{where} has the shape {shape}; images are (N, H, W), (N, H, W, C) or (N, C, H, W), none of it 0"
        )
    first, last = array.shape[1] in NAMES, array.shape[3] in NAMES
    if first and last:
        raise DataError(f"{where} has the shape {shape}, whose channels could be the second axis or the last")
    if not first and not last:
        raise DataError(
            f"{where} has the shape {shape}, in which neither the second axis nor the last has 1 (grey) or 3 "
            "(colour) channels: drop an alpha channel before saving"
        )
    return (array if first else array.transpose(0, 3, 1, 2)), n_draws


def _hint(array: NDArray[Any]) -> str:
    """How numbers of another type become uint8, judged by their range."""
    if array.dtype == bool:
        return "save x.astype('uint8') * 255"
    if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array) or array.size == 0:
        return "these are no pixels; choose another array with --key"
    if not np.isfinite(array).all():
        return "it holds NaN or inf, so the program that made it went wrong"
    low, high = array.min(), array.max()
    if low >= 0 and high <= 1:
        return "for values in 0 to 1 save (x * 255).round().astype('uint8')"
    if low >= -1 and high <= 1:
        return "for values in -1 to 1 save (x * 127.5 + 127.5).round().astype('uint8')"
    if low >= 0 and high <= 255:
        return "for values in 0 to 255 save x.round().astype('uint8')"
    return f"its values run from {low:.6g} to {high:.6g}; scale them to 0 to 255, round, and save as uint8"


def _header(content: bytes) -> tuple[int, bool]:
    """Channels of the file itself, and whether parts are transparent; `decode` refuses what is no image."""
    try:
        image = Image.open(BytesIO(content))
        grey = image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;16")
        return (1 if grey else 3), image.has_transparency_data
    except (OSError, ValueError, SyntaxError):
        return 3, False


def _is_lossy(content: bytes) -> bool:
    """JPEG, or WebP with lossy frames, by what the bytes are and not by the file's name."""
    return content[:3] == b"\xff\xd8\xff" or (content[:4] == b"RIFF" and content[8:16] == b"WEBPVP8 ")


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))


def _fit(image: Image.Image, wanted: Wanted) -> Image.Image:
    if wanted.channels:
        image = image.convert("L" if wanted.channels == 1 else "RGB")
    if wanted.size:
        image = resize(crop_centre(image, min(image.size)), wanted.size)
    return image


def _conversions(wanted: Wanted, n_changed: int, n: int) -> tuple[str, ...]:
    if not n_changed:
        return ()
    done = []
    if wanted.channels:
        done.append("converted to grey (ITU-R 601 luma)" if wanted.channels == 1 else "grey repeated to RGB")
    if wanted.size:
        done.append(f"central square resized to {wanted.size}×{wanted.size}, bicubic with antialiasing")
    return (f"{n_changed:,} of {n:,} images {' and '.join(done)}",)


def _mixed(path: Path, shape: tuple[int, ...], other: Path, first: tuple[int, ...]) -> str:
    if shape[0] != first[0]:
        return (
            f"{path} is {_colour(shape[0])} but {other} {_colour(first[0])}: "
            "give --channels grey or --channels rgb to make them all one"
        )
    return (
        f"{path} is {shape[2]}×{shape[1]} pixels but {other} {first[2]}×{first[1]}: "
        "give --resize PIXELS to bring all to one size"
    )


def _colour(channels: int) -> str:
    return "grey" if channels == 1 else "colour"
