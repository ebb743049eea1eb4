from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from gm_bench.data.dataset import DataError
from gm_bench.data.pixels import crop_centre, decode, resize, to_array


def encode(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def pixels(content: bytes, channels: int) -> list[list[list[int]]]:
    return to_array(decode(content, "a.png", channels)).tolist()


def test_colour_comes_channel_first() -> None:
    image = Image.new("RGB", (2, 1))
    image.putpixel((1, 0), (10, 20, 30))
    assert pixels(encode(image), 3) == [[[0, 10]], [[0, 20]], [[0, 30]]]


def test_grey_is_the_luma_of_itu_r_601() -> None:
    # .299·200 + .587·100 + .114·50 = 124.2
    assert pixels(encode(Image.new("RGB", (1, 1), (200, 100, 50))), 1) == [[[124]]]


def test_transparent_parts_lie_on_white() -> None:
    image = Image.new("RGBA", (3, 1), (0, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 51))  # a fifth black on white: 255·(1 − 51/255) = 204
    assert pixels(encode(image), 1) == [[[0, 255, 204]]]


def test_palettes_are_resolved_and_their_transparency_too() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert pixels(encode(image), 3) == [[[10, 40]], [[20, 50]], [[30, 60]]]
    assert pixels(encode(image, transparency=1), 3) == [[[10, 255]], [[20, 255]], [[30, 255]]]


def test_sixteen_bit_grey_is_scaled_and_rounded() -> None:
    # 128/257 = .498 → 0, 129/257 = .502 → 1
    values = np.array([[0, 128, 129, 100 * 257, 65535]], dtype=np.uint16)
    assert pixels(encode(Image.fromarray(values)), 1) == [[[0, 0, 1, 100, 255]]]


def test_one_bit_is_black_and_white() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert pixels(encode(image), 1) == [[[0, 255]]]


def test_a_photo_is_turned_upright() -> None:
    image = Image.new("L", (3, 1))
    image.putpixel((2, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    assert pixels(encode(image, exif=exif), 1) == [[[0], [0], [255]]]
    exif[0x0112] = 8  # counter-clockwise
    assert pixels(encode(image, exif=exif), 1) == [[[255], [0], [0]]]


def test_the_centre_is_cut_out() -> None:
    image = Image.fromarray(np.arange(20, dtype=np.uint8).reshape(4, 5))
    # of 5 columns 2 are kept: one goes on the left, two on the right
    assert to_array(crop_centre(image, 2)).tolist() == [[[6, 7], [11, 12]]]


def test_shrinking_does_not_alias() -> None:
    board = np.indices((32, 32)).sum(axis=0) % 2 * 255
    small = to_array(resize(Image.fromarray(board.astype(np.uint8)), 8))
    # picking pixels would give 0 or 255; averaging gives 127.5, up to the filter's small ripple and its edges
    assert np.abs(small.astype(float) - 127.5).max() < 4


def test_an_image_of_the_right_size_stays_as_it_is() -> None:
    image = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
    assert resize(image, 4) is image


def animation() -> bytes:
    frames = [Image.new("L", (2, 2), level) for level in (0, 255)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no image", "a.png is no readable image"),
        (b"", "a.png is no readable image"),
        (encode(Image.effect_noise((64, 64), 50))[:500], "a.png cannot be read"),
        (encode(Image.effect_noise((64, 64), 50), "JPEG")[:800], "a.png cannot be read"),
        (animation(), "a.png holds 2 frames"),
        (encode(Image.new("F", (2, 2)), "TIFF"), "a.png has pixels of mode F"),
        (encode(Image.new("I", (2, 2)), "TIFF"), "a.png has pixels of mode I:"),
    ],
    ids=["text", "empty", "cut PNG", "cut JPEG", "animation", "float", "32-bit"],
)
def test_what_has_no_clear_meaning_is_refused_by_name(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode(content, "a.png", 3)
