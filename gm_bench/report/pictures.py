"""Sample pictures for a page that must stay small: frames over training time within a budget of bytes."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from gm_bench.report.figures import image_grid

QUALITIES = (95, 85, 75, 60, 45, 30)
MOST_IMAGES, FEWEST_IMAGES = 36, 9
FEWEST_FRAMES = 4  # no further frames are left out where there are so few
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
class Frames:
    """Frames one below the other, and the real images shown to training before each, ascending."""

    picture: Picture
    images_shown: tuple[int, ...]
    n_images: int


@dataclass(frozen=True)
class Figure:
    """A picture with its words; `heading` names the variant, `text` is for those who do not see it."""

    heading: str
    caption: str
    picture: Picture
    text: str

    @property
    def source(self) -> str:
        return data_uri(self.picture)


@dataclass(frozen=True)
class Gallery:
    """Pictures under one title: how to read them in a few words (`subtitle`) or in a sentence (`note`)."""

    title: str
    subtitle: str
    note: str
    figures: tuple[Figure, ...]


def frames_within(frames: Tensor, images_shown: Sequence[int], n_bytes: int) -> Frames:
    """Samples from the same codes at several times of a training, within a budget.

    Shown without loss where that fits; else compressed, then with fewer frames (the last one stays), then
    with fewer images, and last compressed as far as it goes.

    Args:
        frames: (P, n, C, H, W), uint8; the first images are shown, a square number of them.
        images_shown: to training before each frame: P of them, ascending.
        n_bytes: what the picture should not exceed.
    """
    if len(frames) != len(images_shown) or not len(images_shown):
        raise ValueError(
            f"there are {len(frames)} frames at {len(images_shown)} times: both must be as many, and some"
        )
    columns = max(1, int(min(frames.shape[1], MOST_IMAGES) ** 0.5))
    fewest = min(columns, int(FEWEST_IMAGES**0.5))
    step = 1
    while True:
        chosen = frames[:, : columns**2].flip(0)[::step].flip(0)
        at = tuple(images_shown[::-1][::step][::-1])
        last = len(at) <= FEWEST_FRAMES and columns == fewest
        picture = fitted(_stacked(chosen, columns), len(chosen), n_bytes, QUALITIES[-1] if last else GOOD)
        if picture is not None:
            return Frames(picture, at, columns**2)
        if len(at) > FEWEST_FRAMES:
            step *= 2
        else:
            columns -= 1


def still(images: Tensor, n_images: int, n_bytes: int) -> Frames:
    """The first images as a single frame, with as many tiles as other frames have."""
    return frames_within(images[None, :n_images], (0,), n_bytes)


def grid_picture(images: Tensor, columns: int, n_bytes: int) -> Picture:
    """Images (N, C, H, W), uint8, row by row; within a budget if possible."""
    grid = image_grid(images, columns, max(1, SIDE // images.shape[-1]))
    picture = fitted(grid, 1, n_bytes, QUALITIES[-1])
    assert picture is not None
    return picture


def exact_grid(images: Tensor, columns: int) -> Picture:
    """Images (N, C, H, W), uint8, row by row, every pixel kept whatever it takes."""
    grid = image_grid(images, columns, max(1, SIDE // images.shape[-1]))
    return Picture(webp_bytes(grid), grid.shape[1], grid.shape[0], exact=True)


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


def fitted(stack: Tensor, n_frames: int, n_bytes: int, worst: int) -> Picture | None:
    """The best encoding within the budget; None where the worst quality allowed does not fit.

    At the very last quality it is taken whatever its size.
    """
    height, width = stack.shape[0] // n_frames, stack.shape[1]
    for quality in (None, *(q for q in QUALITIES if q >= worst)):
        content = webp_bytes(stack, quality)
        if len(content) <= n_bytes or quality == QUALITIES[-1]:
            return Picture(content, width, height, quality is None)
    return None
