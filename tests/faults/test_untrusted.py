"""Input that means harm: nothing of it is executed, and nothing leaves its folder.

More of it stands beside what it is about: names of variants in pages and file names (tests/report), arrays of
Python objects (tests/data/test_foreign.py), pickles under a wrong hash (tests/data/test_archives.py), names
in params.yaml (tests/test_config.py), the address of gm-bench ui (tests/test_cli.py), and that no module
loads a pickle (tests/test_structure.py).
"""

import hashlib
import io
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cell_results import DISPLAY, cell_result
from fake_cells import record_of, write_cell, write_dataset
from PIL import Image
from stand_ins import MODULES, take

from gm_bench.data.dataset import DataError, load, read_split, save
from gm_bench.data.loaders import cifar10
from gm_bench.io import FileError, read_bytes, read_json, read_rows, read_tensors
from gm_bench.metrics.extractors.features import WeightsError
from gm_bench.metrics.extractors.inception import InceptionExtractor
from gm_bench.metrics.extractors.loading import find
from gm_bench.report import cell_page
from gm_bench.tracking.store import Store

HOSTILE = ["<script>alert(1)", '"><img src=x onerror=alert(1)>', "..", "' onload='alert(1)", "&lt;b&gt;"]
CLIMBING = ["../climbed", "a/../../climbed", "/climbed"]


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    "read",
    [
        read_tensors,
        read_json,
        lambda path: read_rows(path, "images", 1),
        lambda path: read_split(path.parent, "train"),
    ],
)
def test_an_artefact_that_is_a_pickle_is_refused(read: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "train.safetensors"
    path.write_bytes(pickle.dumps(Trap(tmp_path / "owned")))
    with pytest.raises(FileError, match="is damaged"):
        read(path)
    assert not (tmp_path / "owned").exists()
    pickle.loads(read_bytes(path)).close()
    assert (tmp_path / "owned").exists(), "it would have gone off"


def test_what_is_published_can_be_opened_without_running_it(
    tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(migrated, "mlflow.db")
    write_dataset(tmp_path)
    write_cell(tmp_path, "wgan", 0)
    Store(f"sqlite:///{tmp_path}/mlflow.db").publish(record_of("wgan", 0))
    kinds = {path.suffix for path in (tmp_path / "mlartifacts").rglob("*") if path.is_file()}
    assert kinds
    assert kinds <= {".png", ".webp", ".json", ".html", ".md", ".csv"}


def test_class_folders_with_hostile_names_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From sub-folders on disk to the page of a cell that misses just those classes."""
    names = [name for name in HOSTILE if name != ".."]
    for i, name in enumerate(names):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for j in range(4):
            Image.new("L", (4, 4), 40 * i + j).save(tmp_path / "mine" / name / f"{j}.png")
    made = load("folder", path=str(tmp_path / "mine"), n_test=len(names), split_seed=0, channels=1)
    save(made, tmp_path / "data/mine")
    classes = read_json(tmp_path / "data/mine/card.json")["classes"]
    assert classes == sorted(names)

    shown = cell_result("gan", 0)
    details = {"missing_classes": [classes], "closest_pairs": []}
    page = cell_page.render(
        replace(shown, details=details),
        DISPLAY,
        floor={},
        floor_sd={},
        siblings=[shown.cell],
    )
    assert not [name for name in names if name in page]
    assert "&lt;script&gt;alert(1)" in page
    assert "&amp;lt;b&amp;gt;" in page


@pytest.mark.parametrize("name", CLIMBING)
def test_images_in_a_zip_archive_stay_in_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CelebA's archive is read where it lies; even one with the right hash unpacks nothing."""
    from torchvision.datasets import CelebA

    folder = tmp_path / "mirror/celeba"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        archive.writestr(f"img_align_celeba/{name}", png((178, 218)))
    (folder / "list_eval_partition.txt").write_text(f"{name} 0\n{name} 2\n")
    pinned = [
        (drive_id, hashlib.md5((folder / file).read_bytes()).hexdigest(), file)
        for drive_id, _, file in CelebA.file_list
        if (folder / file).exists()
    ]
    monkeypatch.setattr(CelebA, "file_list", pinned)
    monkeypatch.setenv("GM_BENCH_MIRROR", str(tmp_path / "mirror"))
    before = everything(tmp_path)
    assert load("celeba", size=32).train_images.shape == (1, 3, 32, 32)
    assert everything(tmp_path) == before
    assert not Path("/climbed").exists()


@pytest.mark.parametrize("name", CLIMBING)
def test_files_in_a_tar_archive_stay_in_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CIFAR-10's archive is read where it lies; even one with the right hash unpacks nothing."""
    archive = tmp_path / "mirror/cifar10" / cifar10.ARCHIVE
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"gone"))
        link = tarfile.TarInfo(f"{cifar10.FOLDER}/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    monkeypatch.setattr(cifar10, "MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    monkeypatch.setenv("GM_BENCH_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "deep/temporary").mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "deep/temporary"))
    before = everything(tmp_path)
    with pytest.raises(DataError, match=r"holds no cifar-10-batches-bin/data_batch_1\.bin"):
        load("cifar10")
    assert everything(tmp_path) == before
    assert not Path("/climbed").exists()


def test_inception_weights_that_run_code_do_not(tmp_path: Path) -> None:
    """Not even those under the right hash, which is what is loaded here: only tensors are read."""
    path = tmp_path / "weights.pth"
    torch.save({"weight": Trap(tmp_path / "owned")}, path)
    with pytest.raises(WeightsError, match="holds more than tensors"):
        InceptionExtractor.of_weights(path, (3, 16, 16))
    assert not (tmp_path / "owned").exists()
    torch.load(path, weights_only=False)["weight"].close()
    assert (tmp_path / "owned").exists(), "it would have gone off"


@pytest.mark.parametrize("name", MODULES)
def test_weights_of_other_networks_that_run_code_do_not(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the right hash too. CLIP's file is opened as a program, but as one in TorchScript."""
    path = tmp_path / "weights.pth"
    torch.save({"weight": Trap(tmp_path / "owned")}, path)
    take(path, MODULES[name], monkeypatch)
    with pytest.raises(WeightsError, match=r"holds more than tensors|is no TorchScript archive") as caught:
        find(name).load(Path(), {}, (3, 16, 16))
    assert str(caught.value).endswith(f": replace it from {MODULES[name].WEIGHTS.url}")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "owned").exists()
    torch.load(path, weights_only=False)["weight"].close()
    assert (tmp_path / "owned").exists(), "it would have gone off"


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    return buffer.getvalue()


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))
