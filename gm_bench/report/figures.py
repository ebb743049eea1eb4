"""Pictures from arrays: returns images and bytes, writes nothing."""

import io
import math
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

GAP = 2
CAPTION, MARGIN = 24, 12  # pixels above and around a labelled picture
GAP_LEVEL = 96  # a grey that parts black tiles from white ones, on a light page and on a dark one


def image_grid(images: Tensor, columns: int, scale: int) -> Tensor:
    """Tile images row by row, each pixel enlarged to scale × scale without smoothing.

    Tiles are two pixels apart; what is left of the last row has the colour of the gaps.

    Args:
        images: (N, C, H, W), uint8, C = 1 or 3, N ≥ 1.
        columns: tiles in a row, ≥ 1; fewer where there are fewer images.
        scale: ≥ 1.

    Returns:
        One image (height, width, C), uint8.

    Raises:
        ValueError: another shape or dtype, no images, or a count below 1.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise ValueError(
            f"a grid is made of uint8 images (N, 1|3, H, W), not {images.dtype} {tuple(images.shape)}"
        )
    if columns < 1 or scale < 1:
        raise ValueError(f"columns and scale of a grid must be at least 1, not {columns} and {scale}")
    tiles = images.cpu().repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    n, channels, height, width = tiles.shape
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    grid = torch.full(
        (channels, rows * (height + GAP) - GAP, columns * (width + GAP) - GAP), GAP_LEVEL, dtype=torch.uint8
    )
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        top, left = row * (height + GAP), column * (width + GAP)
        grid[:, top : top + height, left : left + width] = tile
    return grid.permute(1, 2, 0).contiguous()


def labelled(pictures: Mapping[str, Tensor], columns: int) -> Tensor:
    """Pictures of one size under their names, row by row on white.

    Args:
        pictures: name → image (H, W, C), uint8, C = 1 or 3, all of one size; at least one.
        columns: pictures in a row, ≥ 1.

    Returns:
        One image (height, width, 3), uint8.
    """
    height, width, _ = next(iter(pictures.values())).shape
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new(
        "RGB", (columns * (width + MARGIN) + MARGIN, rows * (height + CAPTION + MARGIN)), "white"
    )
    font, draw = ImageFont.load_default(size=14), ImageDraw.Draw(sheet)
    for i, (name, picture) in enumerate(pictures.items()):
        row, column = divmod(i, columns)
        left, top = MARGIN + column * (width + MARGIN), row * (height + CAPTION + MARGIN)
        draw.text((left, top + 4), name, fill="black", font=font)
        sheet.paste(Image.fromarray(picture.expand(-1, -1, 3).contiguous().numpy()), (left, top + CAPTION))
    return torch.from_numpy(np.array(sheet))


def png_bytes(image: Tensor) -> bytes:
    """An image (H, W, 1|3), uint8, as the bytes of a PNG file; the same image always gives the same bytes."""
    pixels = image.cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "png", optimize=True)
    return buffer.getvalue()
