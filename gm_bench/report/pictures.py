"""Sample pictures for a page that must stay small: frames over training time, pairs, a budget of bytes."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from gm_bench.report.exhibit import Pair
from gm_bench.report.figures import image_grid

QUALITIES = (95, 85, 75, 60, 45, 30)
MOST_IMAGES, FEWEST_IMAGES = 36, 9
FEWEST_MOMENTS = 4  # no further moments are left out where there are so few
GOOD = 75  # below this quality it is better to show less
SIDE = 32  # images narrower than this are enlarged by whole factors


@dataclass(frozen=True)
class Picture:
    """An encoded picture.

    Args:
        content: bytes of a WebP file.
        width, height: of one frame, pixels.
        exact: whether every pixel is kept.
    """

    content: bytes
    width: int
    height: int
    exact: bool


@dataclass(frozen=True)
class Film:
    """Frames one below the other, and the moments that they show (images shown to training, ascending)."""

    picture: Picture
    moments: tuple[int, ...]
    n_images: int


def film(frames: Tensor, moments: Sequence[int], n_bytes: int) -> Film:
    """Samples from the same codes at several moments, within a budget.

    Shown without loss where that fits; else compressed, then at fewer moments (the last one stays), then with
    fewer images, and last compressed as far as it goes.

    Args:
        frames: (P, n, C, H, W), uint8; the first images are shown, a square number of them.
        moments: P of them, ascending.
        n_bytes: what the picture should not exceed.
    """
    if len(frames) != len(moments) or not len(moments):
        raise ValueError(
            f"there are {len(frames)} frames but {len(moments)} moments: both must be as many, and some"
        )
    columns = max(1, int(min(frames.shape[1], MOST_IMAGES) ** 0.5))
    fewest = min(columns, int(FEWEST_IMAGES**0.5))
    step = 1
    while True:
        shown, at = frames[:, : columns**2].flip(0)[::step].flip(0), tuple(moments[::-1][::step][::-1])
        last = len(at) <= FEWEST_MOMENTS and columns == fewest
        picture = _fitted(_stacked(shown, columns), len(shown), n_bytes, QUALITIES[-1] if last else GOOD)
        if picture is not None:
            return Film(picture, at, columns**2)
        if len(at) > FEWEST_MOMENTS:
            step *= 2
        else:
            columns -= 1


def still(images: Tensor, n_images: int, n_bytes: int) -> Film:
    """The first images as a film of one frame, with as many tiles as another film has."""
    return film(images[None, :n_images], (0,), n_bytes)


def pairs_picture(pairs: Sequence[Pair], n_bytes: int) -> Picture:
    """Samples in the upper row, beneath each the training image nearest to it; within a budget if possible.

    Args:
        pairs: at least one.
    """
    images = torch.stack([pair.sample for pair in pairs] + [pair.train for pair in pairs])
    grid = image_grid(images, len(pairs), max(1, SIDE // images.shape[-1]))
    picture = _fitted(grid, 1, n_bytes, QUALITIES[-1])
    assert picture is not None
    return picture


def webp_bytes(image: Tensor, quality: int | None = None) -> bytes:
    """An image (H, W, 1|3), uint8, as the bytes of a WebP file: exactly, or at a quality of 1 to 100."""
    pixels = image.expand(-1, -1, 3).contiguous().cpu().numpy()
    buffer = io.BytesIO()
    options = {"lossless": True, "quality": 60} if quality is None else {"quality": quality}
    Image.fromarray(pixels).save(buffer, "webp", method=4, **options)
    return buffer.getvalue()


def data_uri(picture: Picture) -> str:
    """The picture as an address that holds it."""
    return "data:image/webp;base64," + base64.b64encode(picture.content).decode()


def _stacked(frames: Tensor, columns: int) -> Tensor:
    scale = max(1, SIDE // frames.shape[-1])
    return torch.cat([image_grid(frame, columns, scale) for frame in frames])


def _fitted(stack: Tensor, n_frames: int, n_bytes: int, worst: int) -> Picture | None:
    """The best encoding within the budget; None where the worst quality allowed does not fit.

    At the very last quality it is taken whatever its size.
    """
    height, width = stack.shape[0] // n_frames, stack.shape[1]
    for quality in (None, *(q for q in QUALITIES if q >= worst)):
        content = webp_bytes(stack, quality)
        if len(content) <= n_bytes or quality == QUALITIES[-1]:
            return Picture(content, width, height, quality is None)
    return None
