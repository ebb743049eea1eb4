"""Originals and the folders of the stages: what would be deleted or overwritten is refused untouched."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gm_bench.data import originals
from gm_bench.data.dataset import Card, DataError, Dataset, load, save
from gm_bench.data.ownership import OWNED, check_source
from gm_bench.yaml_text import dump_yaml, load_yaml

ROOT = Path(__file__).parents[2]
PIPELINES = sorted([ROOT / "dvc.yaml", *(ROOT / "pipelines").rglob("stages.yaml")])


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "repository"
    path.mkdir()
    (path / "params.yaml").touch()
    monkeypatch.chdir(path)
    return path


def photograph(folder: Path, n: int = 40) -> Path:
    """n images of 16×16 in two classes."""
    for i in range(n):
        path = folder / ("cat" if i % 2 else "dog") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("file", PIPELINES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_folder_that_a_stage_writes_is_owned(file: Path) -> None:
    stages = load_yaml(file.read_text(encoding="utf-8"))["stages"].values()
    outs = [out for stage in stages for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    firsts = {Path(next(iter(out)) if isinstance(out, dict) else out).parts[0] for out in outs}
    assert firsts
    assert firsts - {"data"} <= {str(folder) for folder in OWNED}


@pytest.mark.parametrize("folder", OWNED, ids=str)
@pytest.mark.parametrize("option", ["path", "test_path"])
def test_a_source_in_a_folder_of_the_stages_is_refused(repository: Path, folder: Path, option: str) -> None:
    paths = {"path": str(photograph(Path("data/fine"), 4))} | {option: str(photograph(folder / "mine", 4))}
    before = contents(repository)
    split = {} if option == "test_path" else {"n_test": 2, "split_seed": 0}
    with pytest.raises(DataError) as refusal:
        load("folder", **paths, **split)
    assert str(refusal.value) == (
        f"option '{option}' of loader 'folder' is {folder}/mine, which lies in {folder}, and what lies there "
        "is deleted when the stages run again: keep originals in data/NAME or outside this repository"
    )
    assert contents(repository) == before


def test_links_and_detours_lead_to_the_same_refusal(repository: Path, tmp_path: Path) -> None:
    photograph(Path("runs/mine"), 4)
    (tmp_path / "link").symlink_to(repository / "runs/mine")
    (tmp_path / "far").mkdir()
    (repository / "reference").symlink_to(tmp_path / "far")
    photograph(tmp_path / "far/mine", 4)
    Path("data").mkdir()
    for path in (tmp_path / "link", Path("data/../runs/mine"), repository / "runs", tmp_path / "far/mine"):
        with pytest.raises(DataError, match=r"lies in (runs|reference), and what lies there is deleted"):
            load("folder", path=str(path), n_test=2, split_seed=0)


def test_links_in_a_source_that_lead_to_a_folder_of_the_stages_are_refused(
    repository: Path, tmp_path: Path
) -> None:
    photograph(Path("runs/mine"), 4)
    photograph(tmp_path / "photos", 4)
    (tmp_path / "photos/bird").symlink_to(repository / "runs/mine/dog")
    with pytest.raises(DataError, match=r"photos/bird, which lies in runs"):
        load("folder", path=str(tmp_path / "photos"), n_test=2, split_seed=0)
    (tmp_path / "photos/bird").unlink()
    (tmp_path / "photos/cat/x.png").symlink_to(repository / "runs/mine/dog/0.png")
    with pytest.raises(DataError, match=r"photos/cat/x\.png, which lies in runs"):
        load("folder", path=str(tmp_path / "photos"), n_test=2, split_seed=0)


@pytest.mark.parametrize("path", [".", "..", "data/.."])
def test_a_source_above_the_folders_of_the_stages_is_refused(repository: Path, path: str) -> None:
    photograph(Path("data/pets"), 4)
    with pytest.raises(DataError, match="which contains extractors, where stages write images of their own"):
        load("folder", path=path, n_test=2, split_seed=0)


def test_a_circle_of_links_is_a_sentence(repository: Path) -> None:
    Path("round").symlink_to("round")
    with pytest.raises(DataError, match=r"round, which cannot be followed|round is no folder"):
        load("folder", path="round", n_test=2, split_seed=0)


def test_folders_of_such_names_elsewhere_are_anybodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without params.yaml and dvc.yaml the working folder is no repository; other folders never are."""
    monkeypatch.chdir(tmp_path)
    check_source(Path("runs/mine"), "it")
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository/params.yaml").touch()
    monkeypatch.chdir(tmp_path / "repository")
    check_source(tmp_path / "runs/mine", "it")
    check_source(Path("runs_of_mine"), "it")
    with pytest.raises(DataError, match="lies in runs"):
        check_source(Path("runs/mine"), "it")


def test_a_mirror_in_a_folder_of_the_stages_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "reports/mnist").mkdir(parents=True)
    (repository / "reports/mnist/train-images-idx3-ubyte.gz").write_bytes(b"x")
    monkeypatch.setenv(originals.MIRROR_VARIABLE, "reports")
    with pytest.raises(DataError, match=r"what GM_BENCH_MIRROR leads to is .* lies in reports"):
        load("mnist")
    monkeypatch.setenv(originals.MIRROR_VARIABLE, f"file://{repository}/reports")
    with pytest.raises(DataError, match=r"what GM_BENCH_MIRROR leads to is .* lies in reports"):
        load("mnist")


def test_originals_may_lie_where_their_dataset_is_written(repository: Path) -> None:
    """Twice the same card: neither our files nor those of DVC count among the user's."""
    photograph(Path("data/pets"))
    (repository / "data/pets/notes.txt").touch()
    before = contents(repository)
    cards = []
    for _ in range(2):
        save(load("folder", path="data/pets", n_test=10, split_seed=0), Path("data/pets"))
        cards.append(Path("data/pets/card.json").read_bytes())
        Path("data/pets/.gitignore").write_text("/card.json\n/train.safetensors\n/test.safetensors\n")
    assert cards[0] == cards[1]
    after = contents(repository)
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 4


def tiny() -> Dataset:
    images, labels = torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)
    return Dataset(images, labels, images, labels, Card("", "", "", "", "folder", ("a",), ""), "here")


@pytest.mark.parametrize("name", ["train.safetensors", "test.safetensors", "card.json"])
@pytest.mark.parametrize("content", [b"mine", b"{}", b""])
def test_a_file_of_the_users_is_never_overwritten(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / name).write_bytes(content)
    with pytest.raises(
        DataError, match=f"{name} is there and is no file of the fetch stage.*: move or rename"
    ):
        save(tiny(), tmp_path / "pets")
    assert contents(tmp_path) == {tmp_path / "pets" / name: content}


def test_our_own_files_are_replaced(tmp_path: Path) -> None:
    save(tiny(), tmp_path / "pets")
    before = contents(tmp_path)
    assert len(before) == 3
    save(tiny(), tmp_path / "pets")
    assert contents(tmp_path) == before


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    photos = photograph(tmp_path / "photos/pets", 4)
    before = contents(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/pets").symlink_to(photos)
    with pytest.raises(DataError, match=r"data/pets leads through a symbolic link to .*photos/pets"):
        save(tiny(), tmp_path / "data/pets")
    (tmp_path / "linked").symlink_to(tmp_path / "photos")
    with pytest.raises(DataError, match=r"linked/pets leads through a symbolic link to .*photos/pets"):
        save(tiny(), tmp_path / "linked/pets")
    assert {path: content for path, content in contents(tmp_path).items() if path in before} == before
    assert sorted(photos.iterdir()) == [photos / "cat", photos / "dog"]
    for _ in range(2):  # all of data on another disk is fine
        save(tiny(), tmp_path / "linked/new")
        (tmp_path / "linked/new/.gitignore").touch()


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A repository of DVC's whose fetch stage writes three files beside the originals of `pets`."""
    params = load_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
    source = {"loader": "folder", "path": "data/pets", "n_test": 10, "split_seed": 0}
    params["datasets"]["pets"] = params["datasets"]["digits"] | {"source": source}
    (tmp_path / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")
    names = ("train.safetensors", "test.safetensors", "card.json")
    stage = {
        "cmd": [
            f"{sys.executable} -m pipelines.resolve dataset pets",
            f"{sys.executable} -m pipelines.fetch pets",
        ],
        "outs": [{f"data/pets/{name}": {"persist": True}} for name in names],
    }
    (tmp_path / "dvc.yaml").write_text(dump_yaml({"stages": {"fetch": stage}}), encoding="utf-8")
    photograph(tmp_path / "data/pets")
    dvc(tmp_path, "init", "--no-scm", "--quiet")
    return tmp_path


def dvc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_dvc_leaves_originals_and_what_has_a_name_of_ours(pets: Path) -> None:
    (pets / "data/pets/card.json").write_text("the pets of my aunt")
    before = contents(pets / "data")
    failed = dvc(pets, "repro")
    assert failed.returncode != 0
    assert "data/pets/card.json is there and is no file of the fetch stage" in failed.stderr
    assert contents(pets / "data") == before

    (pets / "data/pets/card.json").unlink()
    before = contents(pets / "data")
    assert len(before) == 40
    done = dvc(pets, "repro")
    assert done.returncode == 0, done.stderr
    after = contents(pets / "data")
    assert {path: after[path] for path in before} == before
    assert len(after) == 43
