import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gm_bench.data.dataset import DataError
from gm_bench.data.pixels import crop_centre, decode, read_picture, resize, to_array
from gm_bench.data.survey import Survey


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


def malformed_exif(orientation: int) -> bytes:
    """EXIF data whose XResolution, which should be a fraction, is text."""

    def tag(number: int, kind: int, count: int, value: bytes) -> bytes:
        return number.to_bytes(2, "little") + kind.to_bytes(2, "little") + count.to_bytes(4, "little") + value

    tags = tag(0x112, 3, 1, bytes([orientation, 0, 0, 0])) + tag(0x11A, 2, 4, b"72\0\0")
    return b"Exif\0\0II*\0\x08\0\0\0" + (2).to_bytes(2, "little") + tags + bytes(4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_malformed_exif_does_not_spoil_a_photo(orientation: int) -> None:
    image = Image.fromarray(np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6).repeat(8, 0).repeat(8, 1))
    sound = Image.Exif()
    sound[0x0112] = orientation
    expected = encode(image, "JPEG", exif=sound)
    photo = encode(image, "JPEG", exif=malformed_exif(orientation))
    assert decode(photo, "photo.jpg", 1).tobytes() == decode(expected, "photo.jpg", 1).tobytes()
    assert not read_picture(photo, "photo.jpg").unread_exif


def test_exif_that_cannot_be_read_at_all_is_noted() -> None:
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    for exif in (b"Exif\0\0nothing of the kind", malformed_exif(6)[:20]):
        picture = read_picture(encode(image, "JPEG", exif=exif), "photo.jpg")
        assert picture.unread_exif
        assert picture.image.tobytes() == decode(encode(image, "JPEG"), "photo.jpg", 1).tobytes()
    survey = Survey()
    survey.add(picture, Path("cat/photo.jpg"))
    assert survey.notes() == [
        "1 of 1 images have EXIF data that cannot be read (cat/photo.jpg first), so they may not be upright"
    ]


def test_only_what_shows_through_is_transparent() -> None:
    opaque = Image.new("RGBA", (2, 1), (10, 20, 30, 255))
    unused = Image.new("P", (2, 1))
    unused.putpalette([10, 20, 30, 40, 50, 60])
    for content in (
        encode(opaque),
        encode(Image.new("LA", (2, 1), (9, 255))),
        encode(unused, transparency=1),
    ):
        assert not read_picture(content, "a.png").transparent
    unused.putpixel((1, 0), 1)
    opaque.putpixel((1, 0), (10, 20, 30, 254))
    for content in (encode(opaque), encode(unused, transparency=1)):
        assert read_picture(content, "a.png").transparent


def test_the_transparent_value_of_sixteen_bit_grey_lies_on_white() -> None:
    values = np.array([[0, 7, 100 * 257]], dtype=np.uint16)
    content = encode(Image.fromarray(values), transparency=7)
    assert pixels(content, 1) == [[[0, 255, 100]]]
    assert read_picture(content, "a.png").transparent


def test_a_bomb_is_one_sentence_before_it_goes_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow warns above its limit, which would go on, and raises above twice that."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert decode(encode(Image.new("L", (100, 10))), "a.png", 1).size == (100, 10)
    for width in (101, 201):
        with pytest.raises(
            DataError, match=rf"a\.png has {width * 10:,} pixels and at most 1,000 are read, "
        ):
            decode(encode(Image.new("L", (width, 10))), "a.png", 1)


def test_formats_that_are_not_listed_are_not_opened() -> None:
    """Pillow would hand PostScript to another program."""
    with pytest.raises(
        DataError, match=r"a\.png is no readable image \(PNG, JPEG, BMP, GIF, PPM, TIFF, WEBP\)"
    ):
        decode(encode(Image.new("L", (4, 4)), "EPS"), "a.png", 1)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_damage_is_an_image_or_a_sentence(file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """6,000 times one to three random bytes changed, in each of five formats; PNG with right checksums."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # what claims to be large is soon done with
    random = np.random.default_rng(0)
    colours = Image.fromarray(random.integers(0, 256, (7, 5, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.0
    whole = encode(colours, file_format, exif=exif) if file_format != "BMP" else encode(colours, "BMP")
    outcomes = {"image": 0, "sentence": 0}
    for _ in range(6000):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), random.integers(1, 4)):
            damaged[place] = random.integers(0, 256)
        content = with_checksums(bytes(damaged)) if file_format == "PNG" else bytes(damaged)
        try:
            image, said = decode(content, "a", 3), None
        except DataError as error:
            image, said = None, str(error)
        assert image is None or image.mode == "RGB"
        assert said is None or "\n" not in said
        outcomes["image" if image else "sentence"] += 1
    assert min(outcomes.values()) > 100, "neither all spoilt nor none"


def with_checksums(content: bytes) -> bytes:
    """A PNG with its chunks' checksums made right, as far as the chunks can be followed."""
    whole, start = bytearray(content), 8
    while start + 12 <= len(whole):
        end = start + 8 + int.from_bytes(whole[start : start + 4], "big")
        if end + 4 > len(whole):
            break
        whole[end : end + 4] = zlib.crc32(whole[start + 4 : end]).to_bytes(4, "big")
        start = end + 4
    return bytes(whole)
