import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gm_bench.data.dataset import DataError, Dataset, load, save
from gm_bench.data.loaders import fashion_mnist, mnist

MIRROR = os.environ.get("GM_BENCH_MIRROR", "")
Files = dict[str, bytes]
WriteGz = Callable[..., None]


@pytest.fixture
def tiny(tiny_idx: Callable[[], Files], monkeypatch: pytest.MonkeyPatch) -> Files:
    """Tiny files, whose digests stand for those of MNIST and Fashion-MNIST."""
    files = tiny_idx()
    for name, content in files.items():
        for module in (mnist, fashion_mnist):
            monkeypatch.setitem(module.SHA256, name, hashlib.sha256(content).hexdigest())
    return files


def assert_tiny(dataset: Dataset) -> None:
    assert torch.equal(dataset.train_images, torch.arange(48, dtype=torch.uint8).reshape(3, 1, 4, 4))
    assert torch.equal(dataset.test_images, torch.arange(100, 132, dtype=torch.uint8).reshape(2, 1, 4, 4))
    assert dataset.train_labels.tolist() == [5, 0, 4]
    assert dataset.test_labels.tolist() == [7, 2]


@pytest.mark.usefixtures("offline")
def test_pixels_and_labels_are_those_of_the_files(
    tiny: Files, write_gz: WriteGz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_gz(tmp_path / "mnist", tiny)
    monkeypatch.setenv("GM_BENCH_MIRROR", str(tmp_path))
    dataset = load("mnist")
    assert_tiny(dataset)
    assert dataset.card.sha256 == mnist.SHA256


def test_mirror_and_download_give_the_same_bytes(
    tiny: Files,
    write_gz: WriteGz,
    tmp_path: Path,
    server: tuple[str, Path, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torchvision.datasets import FashionMNIST

    base, served, asked = server
    monkeypatch.setattr(FashionMNIST, "mirrors", [f"{base}/"])
    write_gz(served, tiny, 1)
    save(load("fashion_mnist"), tmp_path / "download" / "fashion_mnist")
    assert len(asked) == 4
    save(load("fashion_mnist"), tmp_path / "cache" / "fashion_mnist")
    assert len(asked) == 4
    write_gz(tmp_path / "fashion-mnist", tiny, 9)
    monkeypatch.setenv("GM_BENCH_MIRROR", str(tmp_path))
    save(load("fashion_mnist"), tmp_path / "mirror" / "fashion_mnist")
    for name in ("train.safetensors", "test.safetensors", "card.json"):
        contents = {
            (tmp_path / origin / "fashion_mnist" / name).read_bytes()
            for origin in ("download", "cache", "mirror")
        }
        assert len(contents) == 1


@pytest.mark.usefixtures("offline")
def test_changed_content_is_refused(
    tiny: Files, write_gz: WriteGz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tiny["t10k-labels-idx1-ubyte"][:-1] + b"\x03"
    write_gz(tmp_path / "mnist", tiny | {"t10k-labels-idx1-ubyte": changed})
    monkeypatch.setenv("GM_BENCH_MIRROR", str(tmp_path))
    with pytest.raises(DataError, match=rf"t10k-labels.*{hashlib.sha256(changed).hexdigest()}, expected"):
        load("mnist")


@pytest.mark.usefixtures("offline")
def test_kmnist_asks_for_the_archives_that_torchvision_pins(
    tiny_idx: Callable[[], Files], write_gz: WriteGz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import KMNIST

    write_gz(tmp_path / "kmnist", tiny_idx())
    monkeypatch.setenv("GM_BENCH_MIRROR", str(tmp_path))
    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte.gz .* expected bdb82020997e1d708af4cf47b453dcf7"
    ):
        load("kmnist")
    pinned = [
        (name, hashlib.md5((tmp_path / "kmnist" / name).read_bytes()).hexdigest())
        for name, _ in KMNIST.resources
    ]
    monkeypatch.setattr(KMNIST, "resources", pinned)
    dataset = load("kmnist")
    assert_tiny(dataset)
    assert dataset.card.classes[0] == "o"
    assert dataset.card.sha256 == {
        name: hashlib.sha256(part).hexdigest() for name, part in tiny_idx().items()
    }


@pytest.mark.parametrize("loader", ["mnist", "fashion_mnist", "kmnist", "cifar10", "svhn", "celeba"])
@pytest.mark.usefixtures("offline")
def test_every_published_set_says_what_is_missing_without_network(loader: str) -> None:
    options = {"size": 64} if loader == "celeba" else {}
    with pytest.raises(
        DataError, match=rf"set GM_BENCH_MIRROR to a folder or base URL that holds {loader}/\w"
    ):
        load(loader, **options)


def real(name: str) -> pytest.MarkDecorator:
    missing = not any((Path(MIRROR) / folder).is_dir() for folder in (name, name.replace("_", "-")))
    return pytest.mark.skipif(not MIRROR or missing, reason=f"GM_BENCH_MIRROR names no folder with {name}")


@real("mnist")
def test_the_real_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GM_BENCH_MIRROR", MIRROR)
    dataset = load("mnist")
    assert dataset.train_images.shape == (60000, 1, 28, 28)
    # class counts as commonly published, and the first labels of both files
    assert torch.bincount(dataset.train_labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert torch.bincount(dataset.test_labels).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    assert dataset.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    # the mean grey level .1307 that normalises MNIST in so many examples
    assert float(dataset.train_images.double().mean() / 255) == pytest.approx(0.1307, abs=5e-5)


@real("fashion_mnist")
def test_the_real_fashion_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GM_BENCH_MIRROR", MIRROR)
    dataset = load("fashion_mnist")
    assert torch.bincount(dataset.train_labels).tolist() == [6000] * 10
    assert torch.bincount(dataset.test_labels).tolist() == [1000] * 10
    assert float(dataset.train_images.double().mean() / 255) == pytest.approx(0.2860, abs=5e-5)
