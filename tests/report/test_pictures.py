"""Frames and grids: which pixels stand where, and how they shrink to a budget."""

import io

import numpy as np
import pytest
import torch
from fake_cells import noise
from PIL import Image

from gm_bench.report.figures import image_grid
from gm_bench.report.pictures import QUALITIES, frames_within, grid_picture, still, webp_bytes

PLENTY = 10**9


def decoded(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "WEBP"
        return np.array(picture.convert("RGB"))


def stacked(frames: torch.Tensor, n: int, columns: int, scale: int = 1) -> np.ndarray:
    return torch.cat([image_grid(f[:n], columns, scale).expand(-1, -1, 3) for f in frames]).numpy()


@pytest.mark.parametrize("channels", [1, 3])
def test_frames_keep_every_pixel_where_it_may(channels):
    frames = noise(0, 3, 50, channels, 32, 32)
    made = frames_within(frames, (10, 20, 30), PLENTY)
    assert made.picture.exact
    assert (made.images_shown, made.n_images) == ((10, 20, 30), 36)
    assert np.array_equal(decoded(made.picture.content), stacked(frames, 36, 6))
    assert (made.picture.height, made.picture.width) == (6 * 34 - 2, 6 * 34 - 2)


def test_small_images_are_enlarged_by_whole_factors():
    frames = noise(0, 1, 9, 1, 8, 8)
    assert np.array_equal(
        decoded(frames_within(frames, (1,), PLENTY).picture.content), stacked(frames, 9, 3, scale=4)
    )


def test_an_uneven_number_of_images_gives_a_square():
    assert frames_within(noise(0, 1, 15, 1, 8, 8), (1,), PLENTY).n_images == 9


def test_pixels_go_before_moments_and_moments_before_images():
    """Noise takes 3,072 bytes an image without loss: 12 × 36 of them are 1.3 MB."""
    frames, moments = noise(0, 12, 36, 3, 32, 32), tuple(range(100, 1300, 100))
    lossy = frames_within(frames, moments, 900_000)
    assert not lossy.picture.exact
    assert lossy.images_shown == moments
    fewer = frames_within(frames, moments, 250_000)
    assert fewer.images_shown == (200, 400, 600, 800, 1000, 1200), "every other one, the last among them"
    assert fewer.n_images == 36
    least = frames_within(frames, moments, 30_000)
    assert least.images_shown == (400, 800, 1200)
    assert least.n_images < 36
    for made, budget in ((lossy, 900_000), (fewer, 250_000), (least, 30_000)):
        assert len(made.picture.content) <= budget
        shown = decoded(made.picture.content)
        assert shown.shape[0] == made.picture.height * len(made.images_shown)
    # What is left shows the right moments: nearer to their frames than to any other.
    index = [moments.index(moment) for moment in fewer.images_shown]
    height = fewer.picture.height
    for place, i in enumerate(index):
        seen = decoded(fewer.picture.content)[place * height : (place + 1) * height].astype(float)
        errors = [np.abs(seen - image_grid(frame[:36], 6, 1).numpy()).mean() for frame in frames]
        assert int(np.argmin(errors)) == i


def test_there_is_an_end_to_shrinking():
    made = frames_within(noise(0, 12, 36, 3, 32, 32), tuple(range(12)), 1)
    assert (len(made.images_shown), made.n_images) == (3, 9)
    assert made.picture.content == webp_bytes(
        torch.cat([image_grid(f[:9], 3, 1) for f in noise(0, 12, 36, 3, 32, 32)[3::4]]), QUALITIES[-1]
    )


@pytest.mark.parametrize("moments", [(), (1, 2)])
def test_frames_without_their_moments_are_refused(moments):
    with pytest.raises(ValueError, match="both must be as many"):
        frames_within(noise(0, len(moments) and 1, 9, 1, 8, 8), moments, PLENTY)


def test_a_still_shows_as_many_images_as_it_is_told():
    images = noise(0, 64, 1, 8, 8)
    assert np.array_equal(
        decoded(still(images, 16, PLENTY).picture.content), stacked(images[None], 16, 4, scale=4)
    )


def test_images_stand_row_by_row():
    images = noise(0, 4, 3, 32, 32)
    seen = decoded(grid_picture(images, 2, PLENTY).content)
    for i, image in enumerate(images):
        top, left = 34 * (i // 2), 34 * (i % 2)
        assert np.array_equal(seen[top : top + 32, left : left + 32], image.permute(1, 2, 0).numpy())
