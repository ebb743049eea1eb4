import io

import pytest
import torch
from PIL import Image

from gm_bench.report.figures import GAP, GAP_LEVEL, image_grid, png_bytes


def test_tiles_stand_row_by_row_at_their_place():
    images = torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1).expand(3, 1, 2, 4) * 10
    grid = image_grid(images, columns=2, scale=3)
    assert grid.shape == (2 * 6 + GAP, 2 * 12 + GAP, 1)
    assert (grid[:6, :12] == 0).all()
    assert (grid[:6, 12 + GAP :] == 10).all()
    assert (grid[6 + GAP :, :12] == 20).all()
    assert (grid[6 : 6 + GAP] == GAP_LEVEL).all()
    assert (grid[6 + GAP :, 12:] == GAP_LEVEL).all(), "the empty place of the last row"


def test_enlarging_repeats_pixels_and_keeps_channels():
    image = torch.randint(0, 256, (1, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    grid = image_grid(image, columns=8, scale=4)
    assert grid.shape == (8, 8, 3)
    for y in range(8):
        for x in range(8):
            assert torch.equal(grid[y, x], image[0, :, y // 4, x // 4])


@pytest.mark.parametrize("channels", [1, 3])
def test_png_holds_the_image_exactly(channels):
    image = torch.randint(0, 256, (5, 7, channels), dtype=torch.uint8)
    content = png_bytes(image)
    assert content == png_bytes(image)
    with Image.open(io.BytesIO(content)) as read:
        assert read.size == (7, 5)
        assert read.mode == {1: "L", 3: "RGB"}[channels]
        assert read.tobytes() == image.numpy().tobytes()


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 1, 4, 4),
        torch.zeros(2, 2, 4, 4, dtype=torch.uint8),
        torch.zeros(4, 4, dtype=torch.uint8),
        torch.zeros(0, 1, 4, 4, dtype=torch.uint8),
    ],
)
def test_what_is_no_set_of_images_is_refused(images):
    with pytest.raises(ValueError, match="a grid is made of uint8 images"):
        image_grid(images, columns=2, scale=1)


@pytest.mark.parametrize(("columns", "scale"), [(0, 1), (1, 0)])
def test_counts_below_one_are_refused(columns, scale):
    with pytest.raises(ValueError, match="at least 1"):
        image_grid(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), columns, scale)
