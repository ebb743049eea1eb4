import json
import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gm_bench.data.dataset import DataError, load, save


def paint(path: Path, level: int = 0, size: tuple[int, int] = (4, 4), mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, level).save(path)
    return path


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """8 cats of grey level 0–7 and 4 dogs of 100–103."""
    for i in range(8):
        paint(tmp_path / "images" / "cat" / f"{i}.png", i)
    for i in range(4):
        paint(tmp_path / "images" / "dog" / f"{i}.png", 100 + i)
    return tmp_path / "images"


def levels(images: torch.Tensor) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def test_sub_folders_are_classes_and_the_draw_keeps_their_share(classes: Path) -> None:
    dataset = load("folder", path=str(classes), n_test=6, split_seed=0, channels=1)
    assert dataset.card.classes == ("cat", "dog")
    assert torch.bincount(dataset.test_labels).tolist() == [4, 2]
    assert torch.bincount(dataset.train_labels).tolist() == [4, 2]
    assert sorted(levels(dataset.train_images) + levels(dataset.test_images)) == [*range(8), *range(100, 104)]
    for split in ("train", "test"):  # each label stays with its image
        images, labels = dataset.split(split)
        assert [level >= 100 for level in levels(images)] == [label == 1 for label in labels.tolist()]


def test_a_fraction_draws_the_same_as_its_number(classes: Path) -> None:
    by_number = load("folder", path=str(classes), n_test=4, split_seed=5)
    by_fraction = load("folder", path=str(classes), test_fraction=0.3, split_seed=5)  # 3.6 images
    assert torch.equal(by_number.test_images, by_fraction.test_images)
    assert by_number.test_images.shape == (4, 3, 4, 4)


def test_images_without_classes_have_no_labels(tmp_path: Path) -> None:
    for i in range(5):
        paint(tmp_path / f"{i}.png", i)
    dataset = load("folder", path=str(tmp_path), n_test=2, split_seed=0, allow_low_range=True)
    assert dataset.card.classes == ()
    assert dataset.train_labels.tolist() == [-1] * 3
    assert dataset.test_labels.tolist() == [-1] * 2


def test_a_path_may_begin_with_an_environment_variable(
    classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_IMAGES", str(classes.parent))
    options = {"n_test": 6, "split_seed": 0, "channels": 1}
    found = load("folder", path="$SOME_IMAGES/images", **options)
    assert found.came_from == str(classes)
    assert torch.equal(found.train_images, load("folder", path=str(classes), **options).train_images)
    for unset in (lambda: monkeypatch.delenv("SOME_IMAGES"), lambda: monkeypatch.setenv("SOME_IMAGES", "")):
        unset()
        with pytest.raises(
            DataError, match=r"\$SOME_IMAGES/images: set the environment variable SOME_IMAGES to"
        ):
            load("folder", path="$SOME_IMAGES/images", **options)


def test_signs_inside_a_path_are_letters(classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMELY", "elsewhere")
    odd = classes.rename(classes.parent / "5$HOMELY")
    assert len(load("folder", path=str(odd), n_test=6, split_seed=0, channels=1).train_labels) == 6


def test_a_given_test_folder_is_the_test_split(classes: Path, tmp_path: Path) -> None:
    paint(tmp_path / "held_out" / "dog" / "x.png", 200)
    options = {"path": str(classes), "test_path": str(tmp_path / "held_out"), "channels": 1}
    dataset = load("folder", **options, allow_low_range=True)
    assert levels(dataset.train_images) == [*range(8), *range(100, 104)]
    assert dataset.train_labels.tolist() == [0] * 8 + [1] * 4
    assert levels(dataset.test_images) == [200]
    assert dataset.test_labels.tolist() == [1]


def test_every_listed_kind_of_file_is_read_whatever_the_case_of_its_suffix(tmp_path: Path) -> None:
    for suffix in ("png", "PNG", "jpg", "jpeg", "bmp", "gif", "pgm", "ppm", "tif", "tiff", "webp"):
        paint(tmp_path / f"a_{suffix}_{suffix.isupper()}.{suffix}", 128, size=(16, 16))
    dataset = load("folder", path=str(tmp_path), n_test=1, split_seed=0, channels=1, allow_low_range=True)
    images = torch.cat([dataset.train_images, dataset.test_images])
    assert images.shape == (11, 1, 16, 16)
    assert (
        images.int() - 128
    ).abs().max() <= 2  # JPEG and WebP are lossy: a flat grey may move by a level or two


def test_other_and_hidden_files_are_left_alone_and_counted(classes: Path) -> None:
    (classes / "README.txt").write_text("about")
    (classes / ".DS_Store").write_bytes(b"x")
    (classes / "cat" / "._0.png").write_bytes(b"x")
    paint(classes / ".thumbnails" / "0.png")
    dataset = load("folder", path=str(classes), n_test=1, split_seed=0)
    assert len(dataset.train_images) == 11
    note = "path: 4 not read: 3 hidden (.DS_Store, .thumbnails/, cat/._0.png), 1 of .txt (README.txt)"
    assert dataset.warnings == (note,)
    assert note in dataset.card.notes


def test_mixed_sizes_are_cropped_and_resized_on_demand(tmp_path: Path) -> None:
    wide = np.zeros((8, 16), dtype=np.uint8)
    wide[:, 4:12] = 255  # its central square is white
    Image.fromarray(wide).save(tmp_path / "0.png")
    paint(tmp_path / "1.png", 255, size=(3, 5))
    dataset = load(
        "folder", path=str(tmp_path), n_test=1, split_seed=0, size=4, channels=1, allow_low_range=True
    )
    assert dataset.train_images.shape == (1, 1, 4, 4)
    assert (torch.cat([dataset.train_images, dataset.test_images]) == 255).all()


def test_the_digest_of_a_folder_is_that_of_a_list_of_its_files(classes: Path) -> None:
    """As sha256sum writes it of all files in the order of their names."""
    files = sorted(classes.rglob("*.png"))
    lines = [f"{sha256(file.read_bytes()).hexdigest()}  {file.relative_to(classes)}\n" for file in files]
    dataset = load("folder", path=str(classes), n_test=6, split_seed=0)
    assert dataset.card.sha256 == {"all": sha256("".join(lines).encode()).hexdigest()}


def test_the_same_images_elsewhere_give_the_same_bytes(classes: Path, tmp_path: Path) -> None:
    options = {"n_test": 4, "split_seed": 1}
    save(load("folder", path=str(classes), **options), tmp_path / "one" / "mine")
    (tmp_path / "elsewhere").mkdir()
    classes.rename(tmp_path / "elsewhere" / "photos")
    moved = os.path.relpath(tmp_path / "elsewhere" / "photos")
    save(load("folder", path=moved, **options), tmp_path / "two" / "mine")
    for name in ("train.safetensors", "test.safetensors", "card.json"):
        assert (tmp_path / "one" / "mine" / name).read_bytes() == (
            tmp_path / "two" / "mine" / name
        ).read_bytes()
    paint(tmp_path / "elsewhere" / "photos" / "cat" / "0.png", 9)
    save(load("folder", path=moved, **options), tmp_path / "three" / "mine")
    cards = [json.loads((tmp_path / n / "mine" / "card.json").read_text()) for n in ("one", "three")]
    assert cards[0]["source_sha256"] != cards[1]["source_sha256"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs test_path, or else split_seed and one of n_test and test_fraction"),
        ({"n_test": 2}, "needs test_path, or else split_seed"),
        ({"n_test": 2, "test_fraction": 0.5, "split_seed": 0}, "one of n_test and test_fraction"),
        ({"test_path": "elsewhere", "n_test": 2}, "takes either test_path or a drawn test split"),
        ({"n_test": 12, "split_seed": 0}, "12 cannot be drawn from 12 images; allowed: 1 to 11"),
        ({"test_fraction": 0.01, "split_seed": 0}, "0 cannot be drawn from 12 images"),
        ({"test_fraction": 1.5, "split_seed": 0}, "'test_fraction' of loader 'folder' is 1.5"),
        (
            {"n_test": 2, "split_seed": 0, "channels": 4},
            "'channels' of loader 'folder' is 4: Input should be 1 or 3",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], message: str, classes: Path) -> None:
    with pytest.raises(DataError, match=message):
        load("folder", path=str(classes), **options)


def refuse(path: Path, message: str, **options: object) -> None:
    with pytest.raises(DataError, match=message):
        load("folder", path=str(path), **({"n_test": 1, "split_seed": 0} | options))


def test_an_unreadable_image_is_named(classes: Path) -> None:
    whole = (classes / "dog" / "2.png").read_bytes()
    (classes / "dog" / "2.png").write_bytes(whole[:40])
    refuse(classes, r"images/dog/2.png (cannot be read|is no readable image)")


def test_the_first_image_of_another_size_is_named_with_both_sizes(classes: Path) -> None:
    paint(classes / "dog" / "1.png", size=(6, 6))
    paint(classes / "dog" / "3.png", size=(5, 5))
    refuse(classes, r"images/dog/1.png is 6×6 but .*images/cat/0.png is 4×4: give 'size' to resize them")


def test_an_image_that_is_not_square_is_named(classes: Path) -> None:
    paint(classes / "cat" / "5.png", size=(4, 5))
    refuse(classes, r"images/cat/5.png is 4×5: images must be square, or give 'size'")


def test_folders_that_hold_no_clear_set_are_refused(classes: Path, tmp_path: Path) -> None:
    refuse(tmp_path / "none", "none is no folder")
    (tmp_path / "empty").mkdir()
    refuse(tmp_path / "empty", r"empty holds no images; their suffixes may be .png, .jpg")
    loose = paint(classes / "loose.png")
    refuse(classes, f"{loose} lies beside sub-folders of images")


def given(classes: Path, test: Path, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load("folder", path=str(classes), test_path=str(test), allow_low_range=True)


def test_a_test_folder_must_fit_the_training_folder(classes: Path, tmp_path: Path) -> None:
    paint(tmp_path / "birds" / "bird" / "0.png")
    given(classes, tmp_path / "birds", "birds/bird is a class without training images")
    paint(tmp_path / "flat" / "0.png")
    given(
        classes,
        tmp_path / "flat",
        "flat must have sub-folders for classes exactly if the training folder has",
    )
    given(classes, classes / "cat", "contain one another: test images would be trained on")
    given(classes, tmp_path, "contain one another")
    (tmp_path / "linked/cat").mkdir(parents=True)
    (tmp_path / "linked/cat/0.png").symlink_to(classes / "cat/0.png")
    given(classes, tmp_path / "linked", r"images/cat/0\.png is in both")
    paint(tmp_path / "large" / "cat" / "0.png", size=(8, 8))
    given(classes, tmp_path / "large", r"\(12, 3, 4, 4\) but the test images \(1, 3, 8, 8\)")
