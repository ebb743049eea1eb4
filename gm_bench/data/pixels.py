"""From an image file to 8-bit pixels: every kind of file has one stated meaning, or is refused by name."""

import struct
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from gm_bench.data.dataset import DataError

PREPROCESSING = (
    "turned upright as the EXIF tag says, transparent parts laid on white, palettes resolved, 16-bit grey "
    "scaled by 1/257 and rounded"
)


def decode(content: bytes, where: str, channels: int) -> Image.Image:
    """Decode an image to 8-bit grey (mode L, ITU-R 601 luma) or colour (mode RGB).

    Args:
        content: the file.
        where: its name, for errors.
        channels: 1 or 3.

    Raises:
        DataError: no image, a damaged one, an animation, or pixels without a known range.
    """
    try:
        opened = Image.open(BytesIO(content))
        n_frames = getattr(opened, "n_frames", 1)
        upright = ImageOps.exif_transpose(opened)
    except UnidentifiedImageError:
        raise DataError(f"{where} is no readable image: replace it or take it away") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise DataError(f"{where} cannot be read ({error}): replace it or take it away") from None
    if n_frames > 1 and opened.format != "MPO":  # MPO: a photo with its preview
        raise DataError(f"{where} holds {n_frames} frames: save each as a file of its own")
    image = _eight_bit(upright, opened.format, where)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


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


def _eight_bit(image: Image.Image, file_format: str | None, where: str) -> Image.Image:
    """Scale 16-bit grey to 0..255; Pillow opens it as I;16 or, in some formats and versions, as I."""
    if image.mode.startswith("I;16") or (image.mode == "I" and file_format in ("PNG", "PPM")):
        return Image.fromarray(np.rint(np.asarray(image).astype(np.float64) / 257).astype(np.uint8))
    if image.mode in ("I", "F", "LAB"):
        raise DataError(f"{where} has pixels of mode {image.mode}: save it as 8-bit grey or RGB")
    return image
