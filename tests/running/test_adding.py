"""gm-bench add: a folder is looked at, and its entries are added to params.yaml and nothing else."""

import os
import re
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from gm_bench import cli
from gm_bench.config import ConfigError, load_params
from gm_bench.data.dataset import load
from gm_bench.data.look import look
from gm_bench.running import adding
from gm_bench.running.adding import fit_side, parts_of
from gm_bench.running.budget import budget
from gm_bench.running.entries import changing, with_entries
from gm_bench.yaml_text import load_yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
SOURCE = {
    "loader": "folder",
    "path": "signs/é",
    "test_fraction": 0.25,
    "split_seed": 0,
    "groups": r"^(\d+)_",
}
BOARD = {"datasets": ["signs"], "variants": ["vae", "wgan_gp"], "seeds": [0], "n_images": 1000}


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(adding, "images_per_second", lambda params, name, variant, facts: 1000.0)


def images(folder: Path, n: int, side: int = 16, channels: int = 1) -> None:
    """Smooth images, every one another."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        small = np.random.default_rng([i, len(str(folder))]).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)
        (image if channels == 3 else image.convert("L")).save(folder / f"{i:03}.png")


def add(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli.app, ["add", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_only_lines_are_added_and_they_say_what_was_given() -> None:
    changed = with_entries(TEXT, "signs", SOURCE, BOARD)
    before, after = TEXT.splitlines(), changed.splitlines()
    assert [line for line in after if line not in before] == [
        "  signs: {datasets: [signs], variants: [vae, wgan_gp], seeds: [0], n_images: 1000}",
        "  signs:",
        r"    source: {loader: folder, path: signs/é, test_fraction: 0.25, split_seed: 0, groups: ^(\d+)_}",
    ]
    rest = iter(after)
    assert all(line in rest for line in before), "the lines that were there are there in their order"
    content = load_yaml(changed)
    assert content["datasets"]["signs"] == {"source": SOURCE}
    assert list(content["boards"])[-1] == "signs"


def test_a_file_that_cannot_be_added_to_is_left_alone() -> None:
    flow = "boards: {a: {seeds: [0]}}\ndatasets: {}\n"
    with pytest.raises(ConfigError, match="laid out in a way that nothing can be added to"):
        with_entries(flow, "signs", SOURCE, BOARD)
    assert "signs" in with_entries("boards:\n  a: {s: 1}\ndatasets:\n  b: {t: 1}", "signs", SOURCE, BOARD)


def test_a_folder_with_classes_becomes_a_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(61)))
    for name in ("stop", "yield"):
        images(tmp_path / "signs" / name, 60)
    before = Path("params.yaml").read_text(encoding="utf-8")
    said = " ".join(add("signs", "--name", "signs").split())
    assert "images 120" in said
    assert "16×16 (120)" in said
    assert "classes 2: 60 images each" in said
    assert "exact duplicates 0" in said
    assert "grey images of 2 classes: a LeNet trained on their own labels" in said
    assert "for all, 61 side by side" in said
    assert "next: gm-bench run --board signs" in said
    entry = load_params().entry("signs")
    expected = {"path": "signs", "test_fraction": 0.25, "split_seed": 0, "channels": 1}
    assert (entry.source.loader, entry.source.options) == ("folder", expected)
    assert load_params().board("signs").n_images == budget(1000.0) == 300_000
    assert Image.open("reports/signs/images.png").width > 16 * 16
    added = len(Path("params.yaml").read_text(encoding="utf-8")) - len(before)
    assert 0 < added < 400


@pytest.mark.skipif(sys.platform == "darwin", reason="whose names are UTF-8")
def test_a_path_that_params_yaml_cannot_hold_is_refused_before_anything_is_read() -> None:
    images(Path("signs/caf\udce9"), 120)
    with pytest.raises(ConfigError, match=r"^signs/caf\? is a path with bytes that are no UTF-8, .*: rename"):
        adding.add(Path("signs/caf\udce9"), "signs", None, ["vae"], None)
    assert Path("params.yaml").read_text(encoding="utf-8") == TEXT
    assert not Path("reports").exists()


def test_what_another_one_adds_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(Path("signs"), 120)
    measured = threading.Event()
    monkeypatch.setattr(adding, "budget", lambda speed: measured.set() or 1000)
    with changing():
        text = Path("params.yaml").read_text(encoding="utf-8")
        thread = threading.Thread(target=adding.add, args=(Path("signs"), "signs", None, ["vae"], None))
        thread.start()
        assert measured.wait(600)
        thread.join(2)
        other = {**BOARD, "datasets": ["others"]}
        Path("params.yaml").write_text(with_entries(text, "others", SOURCE, other), encoding="utf-8")
    thread.join()
    assert {"signs", "others"} <= set(load_params().boards)


def test_a_name_that_another_one_took_meanwhile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images(Path("signs"), 120)
    taken = with_entries(TEXT, "signs", SOURCE, BOARD)

    def slow(*of: object) -> float:
        Path("params.yaml").write_text(taken, encoding="utf-8")
        return 1000.0

    monkeypatch.setattr(adding, "images_per_second", slow)
    with pytest.raises(ConfigError, match=r"--name is signs, which boards of params\.yaml has already"):
        adding.add(Path("signs"), "signs", None, ["vae"], None)
    assert Path("params.yaml").read_text(encoding="utf-8") == taken
    assert not Path("reports").exists()


def test_new_lines_end_as_those_of_the_file_and_no_other_changes() -> None:
    before = TEXT.replace("\n", "\r\n")
    Path("params.yaml").write_bytes(before.encode())
    images(Path("signs"), 120)
    add("signs", "--name", "signs", "--variants", "vae")
    after = Path("params.yaml").read_bytes().decode()
    old, new = before.split("\r\n"), after.split("\r\n")
    assert "\n" not in after.replace("\r\n", "")
    assert [line for line in new if line not in old] == [
        "  signs: {datasets: [signs], variants: [vae], seeds: [0], n_images: 300000}",
        "  signs:",
        "    source: {loader: folder, path: signs, test_fraction: 0.25, split_seed: 0, channels: 1}",
    ]
    rest = iter(new)
    assert all(line in rest for line in old), "the lines that were there are there in their order"
    assert len(new) == len(old) + 3


@pytest.mark.parametrize(("n", "size"), [(40, 8), (120, 16)])
def test_small_images_of_which_there_are_few_come_in_small_batches(n: int, size: int) -> None:
    """75 % are training images, of which a tenth is held back: 27 and 81 are shown."""
    images(Path("tiny"), n, side=8)
    said = add("tiny", "--name", "small", "--variants", "vae")
    assert re.search(rf"batch_size\s+{size}\b", said), said


def test_colour_of_any_size_is_resized_and_a_given_split_is_kept(tmp_path: Path) -> None:
    images(tmp_path / "faces/train", 60, side=50, channels=3)
    images(tmp_path / "faces/val", 30, side=70, channels=3)
    said = add("faces", "--name", "faces")
    assert "the centre of each image is resized to 48×48" in said
    assert load_params().entry("faces").source.options == {
        "path": "faces/train",
        "test_path": "faces/val",
        "channels": 3,
        "size": 48,
    }


@pytest.mark.parametrize(
    ("sides", "channels", "options", "shape"),
    [
        ((48, 64), (3, 3), {"channels": 3, "size": 48}, (3, 48, 48)),
        ((64, 48), (3, 3), {"channels": 3, "size": 48}, (3, 48, 48)),
        ((16, 16), (1, 3), {"channels": 3}, (3, 16, 16)),
        ((16, 16), (3, 1), {"channels": 3}, (3, 16, 16)),
        ((32, 32), (1, 1), {"channels": 1}, (1, 32, 32)),
    ],
)
def test_channels_and_size_fit_both_folders_of_a_given_split(
    tmp_path: Path,
    sides: tuple[int, int],
    channels: tuple[int, int],
    options: dict[str, int],
    shape: tuple[int, int, int],
) -> None:
    for part, n, side, of_part in zip(("train", "test"), (60, 30), sides, channels, strict=True):
        images(tmp_path / "own" / part, n, side, of_part)
    add("own", "--name", "own")
    given = load_params().entry("own").source.options
    assert given == {"path": "own/train", "test_path": "own/test", **options}
    loaded = load("folder", **given)
    assert loaded.train_images.shape == (60, *shape)
    assert loaded.test_images.shape == (30, *shape)
    is_grey = [bool((part == part[:, :1]).all()) for part in (loaded.train_images, loaded.test_images)]
    assert is_grey == [each == 1 for each in channels]
    facts = adding.facts_of(look(Path("own/train")), look(Path("own/test")), given)
    assert facts.shape == shape


@pytest.mark.parametrize("low", ["train", "test"])
def test_images_that_fetch_would_refuse_for_their_contrast_are_not_added(low: str) -> None:
    """Masks of 0 and 1, in either folder; of 16 bits they are not hidden by others of 8."""
    before = Path("params.yaml").read_bytes()
    images(Path("own/train"), 60)
    images(Path("own/test"), 30)
    images(Path("masks"), 5)
    for file in Path("masks").iterdir():
        Image.fromarray((np.asarray(Image.open(file)) > 127).astype(np.uint16) * 257).save(
            Path("own") / low / f"mask_{file.name}"
        )
    said = add("own", "--name", "signs", code=1)
    assert (
        f"error: the 16-bit images of own/{low} use only the values 0 to 1 of 0 to 255: scale them to the "
        "full range, or give params.yaml an entry of your own with allow_low_range: true (docs/datasets.md) "
        "if they are meant to look so"
    ) in said
    assert Path("params.yaml").read_bytes() == before


def test_a_contact_sheet_is_not_laid_among_the_images(tmp_path: Path) -> None:
    images(tmp_path / "signs", 40)
    before = (tmp_path / "signs/003.png").read_bytes()
    for sheet in ("signs/003.png", "signs/new/sheet.png"):
        output = add("signs", "--name", "signs", "--sheet", sheet, code=1)
        assert f"--sheet names {sheet}, which would be taken for one of the images" in output
        assert not Path("signs/new").exists()
    assert (tmp_path / "signs/003.png").read_bytes() == before
    assert Path("params.yaml").read_text(encoding="utf-8") == TEXT
    assert "~nobody-here/signs, which cannot be followed" in add("~nobody-here/signs", "--name", "s", code=1)


def test_images_too_small_to_be_measured_are_not_added() -> None:
    before = Path("params.yaml").read_bytes()
    images(Path("dots"), 60, side=2)
    assert "the images of dots have 2×2 pixels: at least 3×3 are needed" in add(
        "dots", "--name", "dots", code=1
    )
    assert Path("params.yaml").read_bytes() == before


def test_what_is_wrong_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    images(tmp_path / "few", 8)
    images(tmp_path / "bad", 30)
    (tmp_path / "bad/000.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    before = Path("params.yaml").read_bytes()
    assert "--name is digits, which boards of params.yaml has already" in add(
        "bad", "--name", "digits", code=1
    )
    assert "--name is svhn, which" in add("bad", "--name", "svhn", code=1)
    assert "--name is audit, which" in add("bad", "--name", "audit", code=1)
    assert "Own Signs" in add("bad", "--name", "Own Signs", code=1)
    assert "1 file cannot be used: bad/000.png" in add("bad", "--name", "signs", code=1)
    assert "--variants names vea; known: kde" in add("bad", "--name", "s", "--variants", "vea", code=1)
    said = add("few", "--name", "signs", code=1)
    assert (
        "signs has 2 test images, and 4 training images beside the 2 that are held back: at least 10" in said
    )
    assert "(2)" not in said, "of numbers that were derived nothing is said"
    assert "nowhere is no folder" in add("nowhere", "--name", "signs", code=1)
    Path("signs.zip").write_bytes(b"PK")
    assert "and an archive has to be unpacked" in add("signs.zip", "--name", "signs", code=1)
    assert Path("params.yaml").read_bytes() == before
    assert not Path("reports/signs/images.png").exists()


NO_NAMES = ["2024", "1_000", "1e3", "0o17", "on", "yes", "null", "é", "Signs", "a b", ""]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_a_reader_of_the_file_takes_for_something_else_is_refused_for_that(name: str) -> None:
    """1e3 and 0o17 are numbers for DVC alone."""
    before = Path("params.yaml").read_bytes()
    said = " ".join(add("nowhere", "--name", name, code=1).split())
    assert f"--name is '{name}': give a word of small letters, digits and _ that YAML does not read" in said
    assert Path("params.yaml").read_bytes() == before


@pytest.mark.parametrize("name", ["signs_2024", "2024_signs", "_", "nan"])
def test_names_that_are_texts_are_taken(name: str) -> None:
    images(Path("own"), 60)
    add("own", "--name", name, "--variants", "vae")
    assert load_params().board(name).datasets == [name]


@pytest.mark.parametrize(
    ("side", "fit"), [(8, 8), (16, 16), (30, 28), (33, 32), (50, 48), (500, 64), (15, 15)]
)
def test_sides_that_networks_are_made_for(side: int, fit: int) -> None:
    assert fit_side(side) == fit


def test_two_folders_named_so_are_a_given_split(tmp_path: Path) -> None:
    for name in ("a/train", "a/test", "b/train", "b/test", "b/other", "c/cats", "c/dogs"):
        (tmp_path / name).mkdir(parents=True)
    assert parts_of(tmp_path / "a") == (tmp_path / "a/train", tmp_path / "a/test")
    assert parts_of(tmp_path / "b") == (tmp_path / "b", None)
    assert parts_of(tmp_path / "c") == (tmp_path / "c", None)
