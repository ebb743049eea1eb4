"""Images that another program made, or real ones to hold them against: read, checked, seldom converted.

A folder of image files, or one array of a .npz, .npy or .safetensors file. What would be measured, but not
for what it is, is refused with the option or the step that mends it; what can be measured but colours the
result is a warning. Nothing is unpickled and nothing is unpacked to disk.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gm_bench.data.arrays import (
    IMAGES_KEY,
    as_images,
    as_numpy,
    choose,
    from_floats,
    hint,
    load_arrays,
)
from gm_bench.data.dataset import DataError
from gm_bench.data.fingerprint import place_of
from gm_bench.data.labels import read_labels
from gm_bench.data.listing import list_images
from gm_bench.data.ownership import OWNED, check_source
from gm_bench.data.pixels import check_range, crop_centre, read_picture, resize, to_array
from gm_bench.data.survey import Survey
from gm_bench.data.wanted import CHANNELS, Wanted

NAMES = {channels: name for name, channels in CHANNELS.items()}
LABELS_KEY = "labels"
LOW_RANGE_OPTION = "--allow-low-range"


@dataclass(frozen=True)
class Foreign:
    """Images as they will be measured.

    Args:
        images: uint8, (N, C, H, W), C 1 or 3, in the order of the file or of the names.
        labels: int64, (N,), 0 … K−1; None where neither sub-folders nor an array `labels` say, or nobody
            asked.
        classes: the name of each label; empty without labels.
        n_draws: how many independent draws the file itself keeps apart, one after another; 1 for a plain set.
        conversions: what was done to them, in words.
        warnings: what a reader of the numbers must know.
        floats: whether they were floats of a named range.
    """

    images: Tensor
    labels: Tensor | None
    classes: tuple[str, ...]
    n_draws: int
    conversions: tuple[str, ...]
    warnings: tuple[str, ...]
    floats: bool = False


def read_images(
    path: Path,
    wanted: Wanted,
    key: str | None = None,
    allow_low_range: bool = False,
    *,
    labelled: bool = True,
    named_by: str = "the path of images",
    owned: Sequence[Path] = OWNED,
) -> Foreign:
    """Images of a folder or a file.

    Args:
        key: the array to read where a file holds several; only for files.
        allow_low_range: take images that use less than a quarter of 0 … 255 for what they are.
        labelled: whether an array of labels is read; those of images to be judged are of no use.
        named_by: what the user named the path with, for the sentence of a refusal.
        owned: folders of the stages that the path must not lead to.

    Raises:
        DataError: nothing there, a kind of file that is not read, not uint8, no images' shape, mixed or wrong
            sizes or channels, damaged content, labels of no clear meaning, hardly any contrast, or a folder
            that stages delete. The sentence says what to do.
    """
    path = place_of(str(path))
    if path.is_dir():
        if key is not None:
            raise DataError(f"--key names an array of a file, but {path} is a folder")
        found, deep = _read_folder(path, wanted, named_by, owned)
    else:
        check_source(path, named_by, owned)
        found, deep = _from_arrays(load_arrays(path), wanted, key, path, labelled), []
    if not allow_low_range:
        check_range(found.images, deep, str(path), LOW_RANGE_OPTION)
    return found


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
    arrays = {key: as_numpy(each, f"'{key}' of {name}") for key, each in given.items()}
    found = _from_arrays(arrays, wanted, IMAGES_KEY, Path(name), labelled=labels is not None)
    if not allow_low_range:
        check_range(found.images, [], name, LOW_RANGE_OPTION)
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


def check_range_is_of_use(wanted: Wanted, sets: Mapping[str, Foreign]) -> None:
    """Refuse a range that floats span where nothing that was read has floats.

    Args:
        sets: what was read, by what messages call it.

    Raises:
        DataError: with the option to leave away.
    """
    if wanted.bounds is not None and not any(found.floats for found in sets.values()):
        raise DataError(f"--range is for floats, and there are none in {' or '.join(sets)}: leave it away")


def _read_folder(
    root: Path, wanted: Wanted, named_by: str, owned: Sequence[Path]
) -> tuple[Foreign, list[bool]]:
    """The images of a folder, and for each whether its file has 16 bits a channel."""
    listing = list_images(root, named_by, owned)
    arrays: list[NDArray[np.uint8]] = []
    survey = Survey()
    n_lossy = n_recoloured = n_resized = 0
    first: tuple[int, int, int] | None = None
    for file in listing.files:
        path = root / file
        content = path.read_bytes()
        picture = read_picture(content, str(path))
        n_lossy += _is_lossy(content)
        survey.add(picture, file)
        channels = wanted.channels or picture.channels
        decoded = picture.converted(channels)
        image = _fit(decoded, wanted)
        n_recoloured += channels != picture.channels
        n_resized += image.size != decoded.size
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
    warnings += [*survey.notes(), *(f"{root}: {note}" for note in listing.notes)]
    labels = None
    if listing.classes:
        labels = torch.tensor([listing.classes.index(file.parts[0]) for file in listing.files])
    images = torch.from_numpy(np.stack(arrays))
    conversions = _conversions(wanted, n_recoloured, n_resized, n)
    return Foreign(images, labels, listing.classes, 1, conversions, tuple(warnings)), survey.deep


def _from_arrays(
    arrays: dict[str, NDArray[Any]], wanted: Wanted, key: str | None, path: Path, labelled: bool
) -> Foreign:
    name = choose(arrays, key, path)
    array = arrays[name]
    scaled: tuple[str, ...] = ()
    if wanted.bounds is not None and array.dtype != np.uint8:
        array = from_floats(array, wanted.bounds, f"'{name}' of {path}")
        low, high = wanted.bounds
        scaled = (f"floats from {low:g} to {high:g} rounded to 0 ... 255",)
    if array.dtype != np.uint8:
        raise DataError(f"'{name}' of {path} is {array.dtype}, not uint8: {hint(array)}")
    images, n_draws = as_images(array, f"'{name}' of {path}")
    n, channels, height, width = images.shape
    recoloured = wanted.channels not in (None, channels)
    resized = wanted.size is not None and (height, width) != (wanted.size, wanted.size)
    if recoloured or resized:
        images = np.stack([to_array(_fit(_picture(image), wanted)) for image in images])
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    unread: list[str] = []
    if labelled:
        of_labels = _labels_of(name, arrays)
        unread = [other for other in arrays if other not in (name, of_labels)]
        if of_labels:
            where = f"the labels '{of_labels}' of {path}"
            labels, classes = read_labels(arrays[of_labels], len(images), where, n_draws)
    return Foreign(
        torch.from_numpy(np.ascontiguousarray(images)),
        labels,
        classes,
        n_draws,
        (*scaled, *_conversions(wanted, n * recoloured, n * resized, n)),
        tuple(_not_read(unread, arrays, path)),
        bool(scaled),
    )


def _labels_of(name: str, arrays: dict[str, NDArray[Any]]) -> str | None:
    """Name of the array that labels the images `name`: `train_labels` of `train_images`, or `labels`."""
    own = name.replace(IMAGES_KEY, LABELS_KEY)
    return next((label for label in (own, LABELS_KEY) if label != name and label in arrays), None)


def _not_read(names: list[str], arrays: dict[str, NDArray[Any]], path: Path) -> list[str]:
    if not names:
        return []
    listed = ", ".join(f"{name} {arrays[name].shape}" for name in names)
    return [f"{path}: not read: {listed}; labels are read from an array named {LABELS_KEY}"]


def _is_lossy(content: bytes) -> bool:
    """JPEG, also within TIFF, or WebP with lossy frames, by what the bytes are and not by the file's name.

    Args:
        content: of a file that can be read.
    """
    if content[:4] == b"RIFF":
        return b"VP8 " in _chunks(content)
    if content[:2] in (b"II", b"MM"):
        with warnings.catch_warnings(action="ignore"), Image.open(BytesIO(content)) as image:
            return image.info.get("compression") in ("jpeg", "tiff_jpeg")
    return content[:3] == b"\xff\xd8\xff"


def _chunks(webp: bytes) -> Iterator[bytes]:
    """The names of the chunks of a WebP file, and of those in its frames."""
    at = 12
    while at < len(webp):
        name, size = webp[at : at + 4], int.from_bytes(webp[at + 4 : at + 8], "little")
        yield name
        at += 8 + (16 if name == b"ANMF" else size + size % 2)  # a frame has 16 bytes before its own chunks


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))


def _fit(image: Image.Image, wanted: Wanted) -> Image.Image:
    if wanted.channels:
        image = image.convert("L" if wanted.channels == 1 else "RGB")
    if wanted.size:
        image = resize(crop_centre(image, min(image.size)), wanted.size)
    return image


def _conversions(wanted: Wanted, n_recoloured: int, n_resized: int, n: int) -> tuple[str, ...]:
    colour = "converted to grey (ITU-R 601 luma)" if wanted.channels == 1 else "grey repeated to RGB"
    size = f"central square resized to {wanted.size}×{wanted.size}, bicubic with antialiasing"
    done = ((n_recoloured, colour), (n_resized, size))
    return tuple(f"{n_done:,} of {n:,} images {what}" for n_done, what in done if n_done)


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
