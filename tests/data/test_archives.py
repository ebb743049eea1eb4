"""CIFAR-10, SVHN and CelebA, each from a tiny archive laid out like the published one."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gm_bench.data.dataset import DataError, load
from gm_bench.data.loaders import cifar10

pytestmark = pytest.mark.usefixtures("offline")


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GM_BENCH_MIRROR", str(tmp_path / "mirror"))
    for name in ("cifar10", "svhn", "celeba"):
        (tmp_path / "mirror" / name).mkdir(parents=True)
    return tmp_path / "mirror"


def cifar10_archive(path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive like the published one, pinned in its place."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    monkeypatch.setattr(cifar10, "MD5", md5(path.read_bytes()))


CIFAR10_BATCHES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog")


def test_cifar10(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (6, 2, 3 * 32 * 32), dtype=np.uint8)
    files = {
        name: b"".join(bytes([(i + j) % 6]) + pixels[i, j].tobytes() for j in range(2))
        for i, name in enumerate(CIFAR10_BATCHES)
    }
    files["batches.meta.txt"] = "\n".join([*CIFAR10_CLASSES, "", ""]).encode()  # as published: blank lines
    archive = mirror / "cifar10" / cifar10.ARCHIVE
    cifar10_archive(archive, files, monkeypatch)

    dataset = load("cifar10")
    # a record is 1,024 red, then green, then blue values: already channel first
    images = torch.from_numpy(pixels).reshape(12, 3, 32, 32)
    assert torch.equal(dataset.train_images, images[:10])
    assert torch.equal(dataset.test_images, images[10:])
    assert dataset.train_labels.tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert dataset.test_labels.tolist() == [5, 0]
    assert dataset.card.classes == CIFAR10_CLASSES
    assert dataset.card.sha256 == {archive.name: hashlib.sha256(archive.read_bytes()).hexdigest()}


def test_cifar10_without_one_of_its_files(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = dict.fromkeys([*CIFAR10_BATCHES[:5], "batches.meta.txt"], b"\0" * 3073)
    cifar10_archive(mirror / "cifar10" / cifar10.ARCHIVE, files, monkeypatch)
    with pytest.raises(DataError, match=r"holds no cifar-10-batches-bin/test_batch\.bin"):
        load("cifar10")


def test_cifar10_with_another_content(mirror: Path) -> None:
    (mirror / "cifar10" / cifar10.ARCHIVE).write_bytes(b"another")
    with pytest.raises(
        DataError, match=f"{cifar10.ARCHIVE} is not the original file: md5 is .*{cifar10.MD5}"
    ):
        load("cifar10")


def test_svhn(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    pixels = np.random.RandomState(0).randint(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    labels = np.array([10, 1, 9, 10, 2], dtype=np.uint8)  # the files write digit 0 as 10
    pinned = dict(SVHN.split_list)
    for split, part in {"train": slice(0, 3), "test": slice(3, 5)}.items():
        url, name, _ = SVHN.split_list[split]
        path = mirror / "svhn" / name
        savemat(path, {"X": pixels[part].transpose(2, 3, 1, 0), "y": labels[part, None]})
        with pytest.raises(DataError, match=r"32x32.mat (is not the original file|is not reachable)"):
            load("svhn")
        pinned[split] = [url, name, md5(path.read_bytes())]
        monkeypatch.setattr(SVHN, "split_list", dict(pinned))

    dataset = load("svhn")
    assert torch.equal(dataset.train_images, torch.from_numpy(pixels[:3]))
    assert torch.equal(dataset.test_images, torch.from_numpy(pixels[3:]))
    assert dataset.train_labels.tolist() == [0, 1, 9]
    assert dataset.test_labels.tolist() == [0, 2]


def face(inside: tuple[int, int, int]) -> bytes:
    """178×218 green, but for the central 160×160 from (9, 29) on."""
    image = Image.new("RGB", (178, 218), (0, 255, 0))
    image.paste(inside, (9, 29, 169, 189))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")  # lossless, under the name of a JPEG: the content decides
    return buffer.getvalue()


def celeba_files(folder: Path, faces: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CelebA

    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for name, content in faces.items():
            archive.writestr(f"img_align_celeba/{name}", content)
    (folder / "list_eval_partition.txt").write_text("1.jpg 0\n2.jpg 1\n3.jpg 2\n4.jpg 0\n")
    pinned = [
        (drive_id, md5((folder / name).read_bytes()), name)
        for drive_id, _, name in CelebA.file_list
        if (folder / name).exists()
    ]
    monkeypatch.setattr(CelebA, "file_list", pinned)


@pytest.mark.parametrize("size", [160, 64, 32])
def test_celeba_keeps_the_centre_and_the_official_parts(
    size: int, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colours = {"1.jpg": (10, 0, 30), "2.jpg": (99, 0, 99), "3.jpg": (40, 0, 60), "4.jpg": (70, 0, 90)}
    celeba_files(mirror / "celeba", {name: face(colour) for name, colour in colours.items()}, monkeypatch)
    dataset = load("celeba", size=size)
    expected = torch.tensor([colours["1.jpg"], colours["4.jpg"]], dtype=torch.uint8)[:, :, None, None]
    assert torch.equal(dataset.train_images, expected.expand(2, 3, size, size))
    expected = torch.tensor([colours["3.jpg"]], dtype=torch.uint8)[:, :, None, None]
    assert torch.equal(dataset.test_images, expected.expand(1, 3, size, size))
    assert dataset.train_labels.tolist() == [-1, -1]
    assert f"{size}x{size}" in dataset.card.preprocessing


def test_celeba_names_an_image_that_cannot_be_read(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = face((1, 2, 3))
    faces = {"1.jpg": good, "2.jpg": good, "3.jpg": good, "4.jpg": good[:200]}
    celeba_files(mirror / "celeba", faces, monkeypatch)
    with pytest.raises(DataError, match=r"img_align_celeba.zip/4.jpg cannot be read"):
        load("celeba", size=64)
