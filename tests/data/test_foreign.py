"""Images of other programs: what is read for what it is, and what each refusal says."""

import io as buffers
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from gm_bench.data.arrays import load_arrays
from gm_bench.data.dataset import DataError
from gm_bench.data.images import _is_lossy, check_shape, from_memory, read_images
from gm_bench.data.pixels import read_picture
from gm_bench.data.wanted import Wanted

AS_IS = Wanted()


def ramp(n: int, height: int = 8, width: int = 8, channels: int = 1) -> np.ndarray:
    """uint8 (n, H, W, C), every pixel its own value, the full range used."""
    values = np.arange(n * height * width * channels, dtype=np.uint32) * 37 % 256
    return values.astype(np.uint8).reshape(n, height, width, channels)


def save_png(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(path)
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_every_container_and_layout_gives_the_same_images(tmp_path: Path, channels: int) -> None:
    pixels = ramp(5, channels=channels)
    expected = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    for i, image in enumerate(pixels):
        save_png(tmp_path / "folder" / f"{i}.png", image)
    np.savez(tmp_path / "last.npz", pixels)
    np.savez(tmp_path / "first.npz", samples=expected.numpy(), names=np.array(list("abcde")))
    np.save(tmp_path / "plain.npy", pixels)
    save_file({"images": expected}, tmp_path / "tensors.safetensors")
    for name in ("folder", "last.npz", "first.npz", "plain.npy", "tensors.safetensors"):
        found = read_images(tmp_path / name, AS_IS)
        assert torch.equal(found.images, expected), name
        unread = f"{tmp_path / name}: not read: names (5,); labels are read from an array named labels"
        warnings = (unread,) if name == "first.npz" else ()
        assert (found.n_draws, found.conversions, found.warnings) == (1, (), warnings), name


def test_grey_without_a_channel_axis_and_draws_in_a_fifth(tmp_path: Path) -> None:
    pixels = ramp(6)
    np.savez(tmp_path / "grey.npz", pixels[..., 0])
    np.savez(tmp_path / "draws.npz", pixels.reshape(2, 3, 8, 8, 1))
    expected = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    assert torch.equal(read_images(tmp_path / "grey.npz", AS_IS).images, expected)
    draws = read_images(tmp_path / "draws.npz", AS_IS)
    assert torch.equal(draws.images, expected)
    assert draws.n_draws == 2


def test_files_are_read_in_the_order_of_their_names_with_sub_folders_as_classes(tmp_path: Path) -> None:
    for i, name in enumerate(("b/1.png", "a/2.png", "b/0.png")):
        save_png(tmp_path / name, np.full((4, 4, 1), 100 * i, np.uint8))
    found = read_images(tmp_path, AS_IS)
    assert found.images[:, 0, 0, 0].tolist() == [100, 200, 0]
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 1]


def test_labels_of_an_array_are_numbered_from_zero(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=ramp(4), labels=np.array([7, 3, 7, 5]))
    labels = read_images(tmp_path / "a.npz", AS_IS).labels
    assert labels is not None
    assert labels.tolist() == [2, 0, 2, 1]
    np.savez(tmp_path / "b.npz", images=ramp(4), labels=np.array([0.5, 1, 2, 3]))
    with pytest.raises(DataError, match=r"the labels 'labels' of .*b\.npz hold 0\.5, which is no class"):
        read_images(tmp_path / "b.npz", AS_IS)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (ramp(3).astype(np.float32) / 255, r"is float32, not uint8: for values in 0 to 1 save \(x \* 255\)"),
        (ramp(3) / 127.5 - 1, r"is float64, not uint8: for values in -1 to 1 save \(x \* 127.5 \+ 127.5\)"),
        (ramp(3).astype(np.int64), r"is int64, not uint8: for values in 0 to 255 save x\.round\(\)"),
        (ramp(3).astype(np.uint16) * 257, r"is uint16, not uint8: its values run from 0 to 65535"),
        (np.full((3, 8, 8, 1), np.nan), "holds NaN or inf"),
        (ramp(3) > 99, r"is bool, not uint8: save x\.astype\('uint8'\) \* 255"),
    ],
)
def test_what_is_not_uint8_is_refused_with_the_conversion(
    tmp_path: Path, array: np.ndarray, message: str
) -> None:
    np.savez(tmp_path / "a.npz", images=array)
    with pytest.raises(DataError, match=message):
        read_images(tmp_path / "a.npz", AS_IS)


GREY = torch.from_numpy(ramp(4).transpose(0, 3, 1, 2).copy())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (GREY.float().to(torch.float8_e4m3fn), "is a tensor of torch.float8_e4m3fn, which NumPy lacks"),
        (GREY.to_sparse(), "is a tensor of torch.uint8 and torch.sparse_coo, which NumPy lacks: give it d"),
        (GREY.tolist(), "is a list: give a NumPy array or a tensor"),
    ],
)
def test_what_is_no_array_in_memory_is_refused(given: object, said: str) -> None:
    with pytest.raises(DataError, match=f"'images' of mine {said}"):
        from_memory(given, None, "mine", AS_IS)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=f"'labels' of mine {said}"):
        from_memory(GREY, given, "mine", AS_IS)  # type: ignore[arg-type]


def test_a_tensor_file_of_a_type_that_numpy_lacks_is_no_damaged_one(tmp_path: Path) -> None:
    save_file({"images": GREY.float().to(torch.float8_e5m2)}, tmp_path / "a.safetensors")
    said = r"'images' of .*a\.safetensors is a tensor of torch.float8_e5m2, which NumPy lacks: give it dense"
    with pytest.raises(DataError, match=said):
        read_images(tmp_path / "a.safetensors", AS_IS)
    save_file({"images": GREY.bfloat16() / 255}, tmp_path / "b.safetensors")
    found = read_images(tmp_path / "b.safetensors", Wanted(bounds=(0.0, 1.0)))
    assert (found.images.int() - GREY.int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 8, 8, 4), "neither the second axis nor the last has 1 .* drop an alpha channel"),
        ((4, 3, 8, 3), "channels could be the second axis or the last"),
        ((8, 8, 3), r"\(8, 8, 3\), one image: of several make \(N, H, W, C\)"),
        ((8, 8, 1), "one image"),
        ((0, 8, 8, 1), "none of it 0"),
        ((2, 2, 2, 8, 8, 1), "has the shape"),
    ],
)
def test_arrays_of_no_images_shape_are_refused(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match=message):
        read_images(tmp_path / "a.npz", AS_IS)


def test_several_arrays_want_a_choice(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", fake=ramp(3), real=ramp(4), names=np.array(["x"]))
    with pytest.raises(DataError, match="several arrays of images: choose with --key fake or real"):
        read_images(tmp_path / "a.npz", AS_IS)
    assert len(read_images(tmp_path / "a.npz", AS_IS, key="real").images) == 4
    with pytest.raises(DataError, match="holds no array 'nope'; it has: fake, real, names"):
        read_images(tmp_path / "a.npz", AS_IS, key="nope")
    np.savez(tmp_path / "b.npz", x=np.zeros(3))
    with pytest.raises(DataError, match=r"holds no array of images .* it has: x \(3,\)"):
        read_images(tmp_path / "b.npz", AS_IS)


def test_grey_and_colour_are_converted_only_when_asked(tmp_path: Path) -> None:
    colour = np.zeros((4, 8, 8, 3), np.uint8)
    colour[..., 0], colour[..., 1], colour[..., 2] = 200, 100, 50
    colour[0] = 0
    np.savez(tmp_path / "colour.npz", colour)
    found = read_images(tmp_path / "colour.npz", AS_IS)
    with pytest.raises(DataError, match="holds colour images but digits grey ones: give --channels grey"):
        check_shape(found, (1, 8, 8), tmp_path, "digits")
    grey = read_images(tmp_path / "colour.npz", Wanted(channels=1))
    # ITU-R 601: 0.299·200 + 0.587·100 + 0.114·50 = 124.2
    assert grey.images[1:].unique().tolist() == [124]
    assert grey.conversions == ("4 of 4 images converted to grey (ITU-R 601 luma)",)
    check_shape(grey, (1, 8, 8), tmp_path, "digits")
    np.savez(tmp_path / "grey.npz", ramp(4))
    repeated = read_images(tmp_path / "grey.npz", Wanted(channels=3))
    assert torch.equal(repeated.images[:, 2:], read_images(tmp_path / "grey.npz", AS_IS).images)
    with pytest.raises(DataError, match=r"give --channels grey .* \(their three channels are equal"):
        check_shape(repeated, (1, 8, 8), tmp_path, "digits")
    with pytest.raises(DataError, match="holds grey images but cifar10 colour ones: give --channels rgb"):
        check_shape(read_images(tmp_path / "grey.npz", AS_IS), (3, 8, 8), tmp_path, "cifar10")


@pytest.mark.parametrize("container", ["folder", "a.npz"])
@pytest.mark.parametrize(
    ("height", "channels", "wanted", "recoloured", "resized"),
    [
        (12, 3, Wanted(channels=3, size=8), "", "4 of 4"),
        (12, 1, Wanted(channels=1, size=8), "", "4 of 4"),
        (8, 1, Wanted(channels=3, size=8), "4 of 4 images grey repeated to RGB", ""),
        (8, 3, Wanted(channels=1, size=8), "4 of 4 images converted to grey (ITU-R 601 luma)", ""),
        (12, 1, Wanted(channels=3, size=8), "4 of 4 images grey repeated to RGB", "4 of 4"),
        (8, 3, Wanted(channels=3, size=8), "", ""),
    ],
)
def test_only_what_was_done_is_said_to_be_converted(
    tmp_path: Path, container: str, height: int, channels: int, wanted: Wanted, recoloured: str, resized: str
) -> None:
    pixels = ramp(4, height=height, channels=channels)
    np.savez(tmp_path / "a.npz", pixels)
    for i, image in enumerate(pixels):
        save_png(tmp_path / "folder" / f"{i}.png", image)
    of_size = f"{resized} images central square resized to 8×8, bicubic with antialiasing" if resized else ""
    found = read_images(tmp_path / container, wanted)
    assert found.conversions == tuple(filter(None, (recoloured, of_size)))
    assert found.images.shape == (4, wanted.channels, 8, 8)


def test_of_mixed_files_colour_and_size_are_counted_apart(tmp_path: Path) -> None:
    for i, (height, channels) in enumerate([(8, 3), (12, 3), (12, 1), (12, 3), (8, 1)]):
        save_png(tmp_path / f"{i}.png", ramp(1, height, channels=channels)[0])
    assert read_images(tmp_path, Wanted(channels=3, size=8)).conversions == (
        "2 of 5 images grey repeated to RGB",
        "3 of 5 images central square resized to 8×8, bicubic with antialiasing",
    )


def test_mixed_channels_and_sizes_name_both_files(tmp_path: Path) -> None:
    save_png(tmp_path / "0.png", ramp(1)[0])
    save_png(tmp_path / "1.png", ramp(1, channels=3)[0])
    with pytest.raises(DataError, match=r"1\.png is colour but .*0\.png grey: give --channels grey or"):
        read_images(tmp_path, AS_IS)
    assert read_images(tmp_path, Wanted(channels=1)).images.shape == (2, 1, 8, 8)
    save_png(tmp_path / "1.png", ramp(1, 10, 12)[0])
    with pytest.raises(DataError, match=r"1\.png is 12×10 pixels but .*0\.png 8×8: give --resize PIXELS"):
        read_images(tmp_path, AS_IS)
    resized = read_images(tmp_path, Wanted(size=8))
    assert resized.images.shape == (2, 1, 8, 8)
    assert resized.conversions == ("1 of 2 images central square resized to 8×8, bicubic with antialiasing",)


def test_resizing_does_not_alias(tmp_path: Path) -> None:
    """Stripes one pixel wide become their mean: every second pixel would be all black or all white."""
    stripes = np.zeros((2, 32, 32, 1), np.uint8)
    stripes[:, :, ::2] = 255
    np.savez(tmp_path / "a.npz", stripes)
    with pytest.raises(DataError, match="32×32 pixels but digits of 8×8: give --resize 8"):
        check_shape(read_images(tmp_path / "a.npz", AS_IS), (1, 8, 8), tmp_path, "digits")
    images = read_images(tmp_path / "a.npz", Wanted(size=8), allow_low_range=True).images
    inner = images[..., 2:-2, 2:-2].float()
    assert (inner - 127.5).abs().max() < 8


def test_hardly_any_contrast_is_refused_unless_meant(tmp_path: Path) -> None:
    low = (ramp(4) % 17).astype(np.uint8)  # digits as scikit-learn has them: 0 to 16
    np.savez(tmp_path / "a.npz", low)
    with pytest.raises(
        DataError, match=r"use only the values 0 to 16 of 0 to 255: scale them .* --allow-low-r"
    ):
        read_images(tmp_path / "a.npz", AS_IS)
    assert int(read_images(tmp_path / "a.npz", AS_IS, allow_low_range=True).images.max()) == 16
    np.savez(tmp_path / "b.npz", low + 200)
    with pytest.raises(DataError, match="use only the values 200 to 216"):
        read_images(tmp_path / "b.npz", AS_IS)


def test_lossy_files_are_known_by_their_content(tmp_path: Path) -> None:
    save_png(tmp_path / "0.png", ramp(1)[0])
    for name in ("1.png", "2.jpg"):
        Image.fromarray(ramp(1)[0, ..., 0]).save(tmp_path / name, "jpeg")
    Image.fromarray(ramp(1)[0, ..., 0]).save(tmp_path / "3.webp", lossless=True)
    Image.fromarray(ramp(1)[0, ..., 0]).save(tmp_path / "4.webp", lossless=False)
    (warning,) = read_images(tmp_path, Wanted(channels=1)).warnings
    assert "3 of 5 files are stored lossily" in warning


def saved(mode: str = "RGB", **options: object) -> tuple[Image.Image, dict[str, object]]:
    return Image.fromarray(ramp(1, channels=3)[0]).convert(mode), options


def transparent() -> Image.Image:
    image = Image.fromarray(ramp(1, channels=3)[0])
    image.putalpha(Image.fromarray(ramp(1)[0, ..., 0]))
    return image


EXIF = Image.Exif()
EXIF[0x0112] = 6
FRAME = [Image.fromarray(ramp(1, channels=3)[0] // 2)]
LOSSY = {
    "exif.webp": (*saved(exif=EXIF), True),
    "icc.webp": (*saved(icc_profile=b"x" * 101), True),  # of odd length, so that a byte is added
    "alpha.webp": (transparent(), {}, True),
    "exif-lossless.webp": (*saved(exif=EXIF, lossless=True), False),
    "icc-VP8 .webp": (*saved(icc_profile=b"VP8 " * 8, lossless=True), False),
    "alpha-lossless.webp": (transparent(), {"lossless": True}, False),
    "jpeg.tif": (*saved(compression="jpeg"), True),
    "jpeg-grey.tiff": (*saved("L", compression="jpeg"), True),
    "jpeg-alpha.tif": (transparent(), {"compression": "jpeg"}, True),
    "raw.tif": (*saved(), False),
    "lzw.tif": (*saved(compression="tiff_lzw"), False),
    "deflate.tif": (*saved(compression="tiff_adobe_deflate"), False),
}


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_files_are_known_within_their_containers(name: str, tmp_path: Path) -> None:
    image, options, expected = LOSSY[name]
    image.save(tmp_path / name, **options)
    warnings = read_images(tmp_path, AS_IS).warnings
    assert [warning for warning in warnings if "stored lossily" in warning] == expected * [
        "1 of 1 files are stored lossily (JPEG or WebP): what is measured includes the compression; save as "
        "PNG to measure the images themselves"
    ]


@pytest.mark.parametrize(("lossless", "expected"), [(False, True), (True, False)])
def test_the_single_frame_of_an_animation_is_looked_into(lossless: bool, expected: bool) -> None:
    kept = buffers.BytesIO()
    saved()[0].save(kept, "webp", save_all=True, append_images=FRAME, lossless=lossless)
    content = kept.getvalue()
    first, second = content.index(b"ANMF"), content.rindex(b"ANMF")
    single = content[:4] + (second - 8).to_bytes(4, "little") + content[8:second]
    assert first < second
    assert read_picture(single, "single.webp").channels == 3
    assert _is_lossy(single) == expected


def test_transparency_and_other_files_are_told(tmp_path: Path) -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:4, :, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "0.png")
    (tmp_path / "notes.txt").write_text("x")
    found = read_images(tmp_path, AS_IS)
    assert found.images[0, :, 0, 0].tolist() == [0, 0, 0]
    assert found.images[0, :, 7, 0].tolist() == [255, 255, 255]
    transparent, ignored = found.warnings
    assert "1 of 1 images have transparent parts" in transparent
    assert ignored == f"{tmp_path}: 1 not read: 1 of .txt (notes.txt)"


def test_nothing_is_unpickled_or_unpacked(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="holds Python objects, which may run code"):
        read_images(tmp_path / "objects.npz", AS_IS)
    torch.save(torch.zeros(1), tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"a\.pt may run code when it is opened"):
        read_images(tmp_path / "a.pt", AS_IS)
    buffer = buffers.BytesIO()
    np.save(buffer, ramp(3))
    inner = tmp_path / "inner"
    inner.mkdir()
    with zipfile.ZipFile(inner / "climbs.npz", "w") as archive:
        archive.writestr("../climbed.npy", buffer.getvalue())
    assert len(read_images(inner / "climbs.npz", AS_IS).images) == 3
    assert not (tmp_path / "climbed.npy").exists()
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("a.png", b"")
    with pytest.raises(DataError, match="is an archive: unpack it and give the folder"):
        read_images(tmp_path / "images.zip", AS_IS)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY\x01\x00", b"\xff" * 64])
def test_damaged_files_are_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        DataError, match=r"is damaged or no \.(npz|npy|safetensors) file: write|Python objects"
    ):
        read_images(tmp_path / name, AS_IS)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.safetensors"])
def test_what_the_system_does_not_open_is_not_called_damaged(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=rf"/{name} cannot be read: Is a directory$"):
        load_arrays(tmp_path / name)


def test_a_truncated_archive_is_one_sentence(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", images=np.random.default_rng(0).integers(0, 255, (50, 8, 8, 1)))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[2000:2100] = bytes(100)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        read_images(tmp_path / "a.npz", AS_IS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "does not exist: give a folder of images"),
        ("one.png", "a single image has no distribution"),
        ("empty", "holds no images"),
    ],
)
def test_paths_without_images(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    save_png(tmp_path / "one.png", ramp(1)[0])
    with pytest.raises(DataError, match=message):
        read_images(tmp_path / name, AS_IS)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    save_png(tmp_path / "0.png", ramp(1)[0])
    (tmp_path / "1.png").write_bytes((tmp_path / "0.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"1\.png (cannot be read|is no readable image)"):
        read_images(tmp_path, AS_IS)
