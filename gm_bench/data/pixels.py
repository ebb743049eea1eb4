"""From an image file to 8-bit pixels: every kind of file has one stated meaning, or is refused by name."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from gm_bench.data.dataset import DataError

PREPROCESSING = (
    "turned upright as the EXIF tag says, transparent parts laid on white, palettes resolved, 16-bit grey "
    "scaled by 1/257 and rounded"
)
# What the suffixes of listing.py stand for. Others are not opened: Pillow runs a program for some of them.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
# A set of images that uses less than a quarter of 0 … 255 has more likely been scaled wrongly than drawn so.
LEAST_RANGE = 64
UPRIGHT = {  # EXIF orientation → what undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Picture:
    """A decoded file.

    Args:
        image: upright, opaque, 8 bits a channel, of any mode that Pillow turns into L or RGB.
        channels: of the file itself, 1 (grey) or 3.
        transparent: some pixel was not opaque, and was laid on white.
        deep: the file has 16 bits a channel.
        unread_exif: it has EXIF data that cannot be read, so it may not be upright.
    """

    image: Image.Image
    channels: int
    transparent: bool
    deep: bool
    unread_exif: bool

    def converted(self, channels: int) -> Image.Image:
        """The image in grey (mode L, ITU-R 601 luma) for 1 channel, in colour (mode RGB) for 3."""
        return self.image.convert("L" if channels == 1 else "RGB")


def decode(content: bytes, where: str, channels: int) -> Image.Image:
    """Decode an image to 8-bit grey (mode L, ITU-R 601 luma) or colour (mode RGB).

    Args:
        content: the file.
        where: its name, for errors.
        channels: 1 or 3.

    Raises:
        DataError: no image, a damaged one, an animation, too many pixels, or pixels without a known range.
    """
    return read_picture(content, where).converted(channels)


def read_picture(content: bytes, where: str) -> Picture:
    """Decode an image, and keep what its file says besides the pixels.

    Raises:
        DataError: as `decode`.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return _read(content, where, said)
        except DataError:
            raise
        except UnidentifiedImageError:
            kinds = ", ".join(FORMATS)
            raise DataError(f"{where} is no readable image ({kinds}): replace it or take it away") from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise DataError(_too_large(where, error)) from None
        except Exception as error:  # a decoder may stumble over a damaged file in any way
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{where} cannot be read ({reason}): replace it or take it away") from None


def check_range(images: Tensor, deep: Sequence[bool], where: str, option: str) -> None:
    """Refuse images of hardly any contrast: 12 bits in 16, 0 to 16, masks of 0 and 1.

    Files of 16 bits a channel and others are looked at separately, so that neither hides the other.

    Args:
        images: uint8, (N, …).
        deep: for each whether its file has 16 bits a channel; empty where there are no files.
        option: how to take them for what they are, in words that fit what the user wrote.

    Raises:
        DataError: less than a quarter of 0 … 255 is used.
    """
    parts = [(images, "16-bit images" if any(deep) else "images")]
    if any(deep) and not all(deep):
        chosen = torch.tensor(deep)
        parts = [(images[~chosen], "8-bit images"), (images[chosen], "16-bit images")]
    for part, what in parts:
        low, high = int(part.min()), int(part.max())
        if high - low < LEAST_RANGE:
            raise DataError(
                f"the {what} of {where} use only the values {low} to {high} of 0 to 255: scale them to the "
                f"full range, or give {option} if they are meant to look so"
            )


def crop_centre(image: Image.Image, side: int) -> Image.Image:
    """The central square of a given side, in pixels; half a pixel too many goes to the right and below."""
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def resize(image: Image.Image, size: int) -> Image.Image:
    """Resize a square image by bicubic interpolation, widened when it shrinks so that nothing aliases."""
    return image if image.size == (size, size) else image.resize((size, size), Image.Resampling.BICUBIC)


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """Pixels as uint8, (C, H, W)."""
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _read(content: bytes, where: str, said: list[warnings.WarningMessage]) -> Picture:
    """As `read_picture`, but with the errors of the decoders."""
    opened = Image.open(BytesIO(content), formats=FORMATS)
    n_frames = getattr(opened, "n_frames", 1)
    if n_frames > 1 and opened.format != "MPO":  # MPO: a photo with its preview
        raise DataError(f"{where} holds {n_frames} frames: save each as a file of its own")
    deep = opened.mode.startswith("I") or ";16" in str(opened.tile)
    grey = opened.mode in ("1", "L", "LA", "La", "I", "F") or opened.mode.startswith("I;16")
    opened.load()
    orientation = _orientation(opened)
    unread_exif = orientation is None or any("EXIF" in str(warning.message) for warning in said)
    turn = UPRIGHT.get(orientation or 1)
    upright = opened if turn is None else opened.transpose(turn)
    image = _eight_bit(upright, opened.format, where)
    transparent = False
    if image.has_transparency_data:
        image = image.convert("RGBA")
        transparent = image.getchannel("A").getextrema()[0] != 255
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return Picture(image, 1 if grey else 3, transparent, deep, unread_exif)


def _orientation(image: Image.Image) -> int | None:
    """The EXIF orientation, 1 where there is none; None where the EXIF data cannot be read.

    Only this tag is read: others may be malformed, and a photo is no worse for it.
    """
    try:
        if "exif" in image.info:  # opening a JPEG swallows what is wrong with it
            Image.Exif().load(image.info["exif"])
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow's parser stumbles over malformed data in many ways
        return None


def _too_large(where: str, error: Exception) -> str:
    """Pillow says how many pixels there are, but not how many a side."""
    found = re.search(r"\d+", str(error))
    n_pixels = f"{int(found[0]):,} pixels" if found else "too many pixels"
    return (
        f"{where} has {n_pixels} and at most {Image.MAX_IMAGE_PIXELS:,} are read, since a small file can "
        "fill the memory: make the image smaller or take it away"
    )


def _eight_bit(image: Image.Image, file_format: str | None, where: str) -> Image.Image:
    """Scale 16-bit grey to 0..255; Pillow opens it as I;16 or, in some formats and versions, as I."""
    if image.mode.startswith("I;16") or (image.mode == "I" and file_format in ("PNG", "PPM")):
        values = np.asarray(image)
        grey = Image.fromarray(np.rint(values.astype(np.float64) / 257).astype(np.uint8))
        transparent = image.info.get("transparency")  # the one value that is not opaque
        if isinstance(transparent, int):
            grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
        return grey
    if image.mode in ("I", "F", "LAB"):
        raise DataError(f"{where} has pixels of mode {image.mode}: save it as 8-bit grey or RGB")
    return image
