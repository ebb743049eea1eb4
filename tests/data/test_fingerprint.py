"""Changed images are noticed: new ones, other contents, other names; a touched file is no change."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from gm_bench.data.fingerprint import of_source
from gm_bench.data.loaders.folder import read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/0.png", "a/1.png", "b/0.jpg"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_bytes(name.encode())
    return tmp_path / "own"


def seen(folder: Path) -> str | None:
    return of_source({"path": str(folder), "size": 8}, folder.parent / "memory.json")


def test_the_same_files_are_the_same_and_a_touched_one_too(folder: Path) -> None:
    before = seen(folder)
    assert before == seen(folder)
    os.utime(folder / "a/0.png", (1, 1))
    assert seen(folder) == before


def of_the_same_time(file: Path) -> None:
    state = file.stat()
    file.write_bytes(b"longer than it was")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.parametrize("change", [
    lambda folder: (folder / "a/2.png").write_bytes(b"new"),
    lambda folder: (folder / "a/0.png").write_bytes(b"a/9.png"),
    lambda folder: (folder / "a/0.png").unlink(),
    lambda folder: (folder / "a/0.png").rename(folder / "b/1.png"),
    lambda folder: (folder / "a/1.png").rename(folder / "a/2.png"),
    lambda folder: (folder / "a/2.PNG").write_bytes(b"new"),
    lambda folder: of_the_same_time(folder / "a/0.png"),
], ids=["added", "of the same size", "removed", "moved", "renamed", "capitals", "same time"])  # fmt: skip
def test_a_change_is_noticed(folder: Path, change) -> None:
    before = seen(folder)
    change(folder)
    assert seen(folder) != before


def test_contents_are_read_only_where_size_or_time_differ(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen(folder)
    read: list[str] = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.name) or original(path))
    os.utime(folder / "b/0.jpg", (1, 1))
    seen(folder)
    assert read == ["0.jpg"]


def test_what_is_no_image_or_hidden_does_not_count(folder: Path) -> None:
    before = seen(folder)
    (folder / ".hidden").mkdir()
    for name in ("notes.txt", ".hidden.png", "train.safetensors", ".hidden/0.png"):
        (folder / name).write_bytes(b"x")
    (folder / "a/back").symlink_to(folder)
    assert seen(folder) == before


def test_the_order_in_which_a_disk_lists_files_does_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, walk = seen(folder), os.walk
    monkeypatch.setattr(os, "walk", lambda *args, **options: reversed(list(walk(*args, **options))))
    assert seen(folder) == before


def test_a_path_may_begin_at_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert of_source({"path": "~/own"}, folder.parent / "memory.json") is not None


def test_a_folder_that_is_away_has_not_changed(folder: Path) -> None:
    before = seen(folder)
    folder.rename(folder.with_name("away"))
    assert seen(folder) == before
    assert of_source({"path": str(folder)}, folder.parent / "other.json") is None


@pytest.mark.parametrize("path", ["$SOME_IMAGES/own", "{}/own", "{}/5$SOME_IMAGES", "{}/${{SOME_IMAGES}}"])
def test_a_path_with_a_variable_leads_where_the_loader_reads(
    path: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, path = folder.parent / "memory.json", path.format(folder.parent)
    monkeypatch.setenv("SOME_IMAGES", str(folder.parent))
    if not path.endswith("own"):
        folder = folder.rename(path)
    for at, name in enumerate(sorted(folder.rglob("*.*"))):
        Image.new("L", (8, 8), 200 + at).save(name)
    before = of_source({"path": path}, memory)
    assert before is not None
    options = {"n_test": 1, "split_seed": 0, "allow_low_range": True}
    assert read(path=path, **options).came_from == str(folder)
    (folder / "a/0.png").write_bytes(b"another")
    assert of_source({"path": path}, memory) not in (before, None)
    monkeypatch.delenv("SOME_IMAGES")
    assert of_source({"path": "$SOME_IMAGES/own"}, folder.parent / "other.json") is None


@pytest.mark.parametrize("option", ["path", "arrays"])
def test_a_file_that_any_option_names_is_watched(tmp_path: Path, option: str) -> None:
    memory, file = tmp_path / "memory.json", tmp_path / "arrays.npy"
    options = {option: str(file), "n_test": 8, "groups": "a|" * 2000, "word": "~nobody/at/home"}
    assert of_source(options, memory) is None
    file.write_bytes(b"0")
    before = of_source(options, memory)
    assert before is not None
    assert of_source(options, memory) == before
    file.write_bytes(b"1")
    after = of_source(options, memory)
    assert after not in (before, None)
    file.rename(tmp_path / "away.npy")
    assert of_source(options, memory) == after


def test_a_folder_that_another_option_names_is_watched_with_all_that_is_in_it(folder: Path) -> None:
    memory = folder.parent / "memory.json"
    before = of_source({"films": str(folder)}, memory)
    (folder / "a/film.mp4").write_bytes(b"x")
    assert of_source({"films": str(folder)}, memory) != before


def test_sources_without_a_folder_have_none(tmp_path: Path) -> None:
    assert of_source({"n_test": 800}, tmp_path / "memory.json") is None
    assert not (tmp_path / "memory.json").exists()


def test_a_memory_that_is_damaged_or_of_another_version_is_made_anew(folder: Path) -> None:
    before, memory = seen(folder), folder.parent / "memory.json"
    memory.write_text("{")
    assert seen(folder) == before
    content = json.loads(memory.read_text())
    for entry in content["files"].values():
        entry[2] = "of another hash"
    memory.write_text(json.dumps(content | {"schema": 0}))
    assert seen(folder) == before
