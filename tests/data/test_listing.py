"""Every file below a folder is read, or counted and named."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gm_bench.data.dataset import DataError, load
from gm_bench.data.images import read_images
from gm_bench.data.listing import list_images
from gm_bench.data.wanted import Wanted


def some(folder: Path, n: int = 2) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_class_folders_may_be_links(tmp_path: Path) -> None:
    some(tmp_path / "mixed/cat", 6)
    (tmp_path / "mixed/dog").symlink_to(some(tmp_path / "elsewhere/dog", 5))
    listing = list_images(tmp_path / "mixed")
    assert listing.classes == ("cat", "dog")
    assert len(listing.files) == 11
    assert listing.notes == ()
    labels = read_images(tmp_path / "mixed", Wanted()).labels
    assert labels is not None
    assert torch.bincount(labels).tolist() == [6, 5]
    dataset = load("folder", path=str(tmp_path / "mixed"), n_test=4, split_seed=0)
    assert torch.bincount(torch.cat([dataset.train_labels, dataset.test_labels])).tolist() == [6, 5]


def test_links_that_lead_back_end_and_are_named(tmp_path: Path) -> None:
    root = some(tmp_path / "photos/cat").parent
    (root / "cat/self").symlink_to(root / "cat")
    (root / "cat/root").symlink_to(root)
    (root / "cat/above").symlink_to(tmp_path)
    listing = list_images(root)
    assert [file.as_posix() for file in listing.files] == ["cat/0.png", "cat/1.png"]
    assert listing.notes == ("3 not read: 3 links that lead back (cat/above/, cat/root/, cat/self/)",)


def test_two_links_that_lead_to_one_another_end(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        some(tmp_path / "photos" / one)
        (tmp_path / "photos" / one / "other").symlink_to(tmp_path / "photos" / other)
    with pytest.raises(DataError, match="are one through symbolic links, so images would be read twice"):
        list_images(tmp_path / "photos")


def test_images_that_are_reached_twice_are_refused(tmp_path: Path) -> None:
    some(tmp_path / "photos/cat")
    (tmp_path / "photos/dog").symlink_to(tmp_path / "photos/cat")
    with pytest.raises(DataError, match=r"photos/(cat|dog) and .*photos/(cat|dog) are one through symbolic"):
        list_images(tmp_path / "photos")
    (tmp_path / "photos/dog").unlink()
    (tmp_path / "photos/cat/2.png").symlink_to(tmp_path / "photos/cat/0.png")
    with pytest.raises(DataError, match=r"cat/0\.png and .*cat/2\.png are one through symbolic links"):
        list_images(tmp_path / "photos")


def test_test_images_that_are_training_images_by_a_link_are_refused(tmp_path: Path) -> None:
    shared = some(tmp_path / "shared/cat")
    for split in ("train", "test"):
        some(tmp_path / split / "dog")
        (tmp_path / split / "cat").symlink_to(shared)
    with pytest.raises(DataError, match=r"test images would be trained on \(.*shared/cat/0\.png is in both"):
        load("folder", path=str(tmp_path / "train"), test_path=str(tmp_path / "test"))


def test_what_is_not_read_is_counted_by_kind_and_named(tmp_path: Path) -> None:
    some(tmp_path / "cat")
    for i in range(4):
        (tmp_path / "cat" / f"{i}.HEIC").touch()
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog/0.heic").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX/._0.png").touch()
    (tmp_path / "README").touch()
    (tmp_path / "cat/gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "cat/pipe.png")
    unread = (
        "9 not read: 1 hidden (__MACOSX/._0.png), 1 links to nowhere (cat/gone.png), 1 no regular files "
        "(cat/pipe.png), 5 of .heic (cat/0.HEIC, cat/1.HEIC, cat/2.HEIC, …), 1 without a suffix (README)"
    )
    empty = "3 sub-folders without an image that is read: __MACOSX, dog, empty"
    assert list_images(tmp_path).notes == (unread, empty)
    assert read_images(tmp_path, Wanted()).warnings == (f"{tmp_path}: {unread}", f"{tmp_path}: {empty}")
    dataset = load("folder", path=str(tmp_path), n_test=1, split_seed=0)
    assert dataset.warnings == (f"path: {unread}", f"path: {empty}")
    assert set(dataset.warnings) <= set(dataset.card.notes)


def test_links_that_lead_to_themselves_lead_nowhere(tmp_path: Path) -> None:
    some(tmp_path / "cat")
    for name, target in ((".old", ".old"), ("cat/me.png", "me.png"), ("dog", "bird"), ("bird", "dog")):
        (tmp_path / name).symlink_to(target)
    listing = list_images(tmp_path)
    assert [file.as_posix() for file in listing.files] == ["cat/0.png", "cat/1.png"]
    assert listing.notes == ("4 not read: 1 hidden (.old), 3 links to nowhere (bird, cat/me.png, dog)",)


@pytest.mark.skipif(sys.platform == "darwin", reason="whose names are UTF-8")
def test_a_class_is_named_by_text_and_files_by_any_bytes(tmp_path: Path) -> None:
    """What a class is called goes into results, which are UTF-8: they would fail after all training."""
    some(tmp_path / "signs/caf\udce9")
    with pytest.raises(DataError, match=r"signs/caf\? names a class by bytes that are no UTF-8, .*: rename"):
        list_images(tmp_path / "signs")
    folder = (tmp_path / "signs/caf\udce9").rename(tmp_path / "signs/café")
    (folder / "0.png").rename(folder / "\udce9.png")
    (folder / "\udce9.txt").touch()
    listing = list_images(tmp_path / "signs")
    assert listing.classes == ("café",)
    assert len(listing.files) == 2
    assert listing.notes == ("1 not read: 1 of .txt (café/?.txt)",)


def test_notes_of_both_folders_say_whose_they_are(tmp_path: Path) -> None:
    for split in ("train", "test"):
        some(tmp_path / split)
        (tmp_path / split / f"{split}.csv").touch()
    dataset = load("folder", path=str(tmp_path / "train"), test_path=str(tmp_path / "test"))
    assert dataset.warnings == (
        "path: 1 not read: 1 of .csv (train.csv)",
        "test_path: 1 not read: 1 of .csv (test.csv)",
    )


def test_images_deeper_than_their_class_are_named(tmp_path: Path) -> None:
    some(tmp_path / "train/cat", 1)
    some(tmp_path / "val", 1)
    listing = list_images(tmp_path)
    assert listing.classes == ("train", "val")
    assert listing.notes == (
        "1 images lie below a sub-folder's own sub-folders (train/cat/0.png); their class is the first "
        "sub-folder",
    )


def test_a_folder_without_an_image_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.heic").touch()
    with pytest.raises(DataError, match=r"holds no images; .*; 1 not read: 1 of \.heic \(a\.heic\)"):
        list_images(tmp_path)


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some(tmp_path / "cat")
    some(tmp_path / "dog")
    scan = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"dog cannot be read \(Permission denied\): allow it, or take"):
        list_images(tmp_path)


def test_sixteen_bits_that_hold_fewer_are_refused_by_loader_and_evaluate(tmp_path: Path) -> None:
    for name, most in (("twelve", 4095), ("eight", 255), ("mask", 1)):
        (tmp_path / name).mkdir()
        for i in range(6):
            values = np.random.default_rng(i).random((8, 8)) * most
            values[0, 0] = most
            Image.fromarray(values.astype(np.uint16)).save(tmp_path / name / f"{i}.png")
        found = rf"the 16-bit images of .*{name} use only the values 0 to {round(most / 257)} of 0 to 255"
        refused = rf"{found}: scale them to the full range, or give %s if they are meant to look so"
        options = {"path": str(tmp_path / name), "n_test": 2, "split_seed": 0, "channels": 1}
        with pytest.raises(DataError, match=refused % "the option allow_low_range: true"):
            load("folder", **options)
        with pytest.raises(DataError, match=refused % "--allow-low-range"):
            read_images(tmp_path / name, Wanted())
        allowed = load("folder", **options, allow_low_range=True)
        assert int(allowed.train_images.max()) == round(most / 257)
        assert int(read_images(tmp_path / name, Wanted(), allow_low_range=True).images.max()) == round(
            most / 257
        )


@pytest.mark.parametrize("dim", ["8-bit", "16-bit"])
def test_images_of_full_range_hide_none_of_hardly_any(tmp_path: Path, dim: str) -> None:
    some(tmp_path, 3)
    pixels = np.random.default_rng(9).integers(0, 65536, (8, 8)).astype(np.uint16)
    if dim == "8-bit":
        for i in range(3):
            Image.fromarray((np.asarray(Image.open(tmp_path / f"{i}.png")) > 99).astype(np.uint8)).save(
                tmp_path / f"{i}.png"
            )
    else:
        pixels //= 16
    Image.fromarray(pixels).save(tmp_path / "deep.png")
    with pytest.raises(
        DataError, match=f"the {dim} images of .* use only the values 0 to 1[56]? of 0 to 255"
    ):
        load("folder", path=str(tmp_path), n_test=2, split_seed=0, channels=1)
    with pytest.raises(DataError, match=f"the {dim} images of .* use only the values"):
        read_images(tmp_path, Wanted())
