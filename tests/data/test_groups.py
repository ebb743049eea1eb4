"""Groups: named by folders or by a pattern, and never on both sides of a drawn split."""

from pathlib import Path

import pytest
import torch

from gm_bench.data.dataset import DataError, load
from gm_bench.data.groups import group_of, grouped_split

FILES = [Path("a/t1/0.png"), Path("a/t1/1.png"), Path("a/t2/0.png"), Path("b/t1/0.png")]


def test_levels_of_sub_folders_name_a_group() -> None:
    assert group_of(FILES, 2) == ["a/t1", "a/t1", "a/t2", "b/t1"]
    assert group_of(FILES, 1) == ["a", "a", "a", "b"]
    with pytest.raises(DataError, match=r"groups is 3: .*, but a/t1/0\.png lies less deep"):
        group_of(FILES, 3)
    with pytest.raises(DataError, match=r"groups is 0"):
        group_of(FILES, 0)


def test_the_first_bracket_of_a_pattern_names_a_group_and_who_has_none_is_alone() -> None:
    files = [Path("00001_00000.png"), Path("00001_00001.png"), Path("00002_00000.png"), Path("x.png")]
    assert group_of(files, r"^(\d+)_\d+") == ["00001", "00001", "00002", "/x.png"]
    assert group_of(files, r"^\d+") == ["00001", "00001", "00002", "/x.png"]
    with pytest.raises(DataError, match=r"groups is '\(', which is no regular expression"):
        group_of(files, "(")
    with pytest.raises(DataError, match=r"groups is 'face', which is found in no name such as 00001_00000"):
        group_of(files, "face")


def test_no_group_is_on_both_sides_and_classes_keep_their_shares() -> None:
    """Two classes of 60 groups of 5 images and of 40 groups of 2."""
    groups = [f"a{i // 5}" for i in range(300)] + [f"b{i // 2}" for i in range(80)]
    labels = torch.tensor([0] * 300 + [1] * 80)
    train, test, notes = grouped_split(labels, groups, 95, seed=0)
    assert not {groups[i] for i in train} & {groups[i] for i in test}
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(380))
    assert (int((labels[test] == 0).sum()), int((labels[test] == 1).sum())) == (75, 20)
    assert notes == ("100 groups, 25 of them the test split, none on both sides",)
    assert not torch.equal(test, grouped_split(labels, groups, 95, seed=1)[1])


def test_a_split_of_images_would_part_those_groups() -> None:
    """The same data without groups: nearly every group of five is on both sides."""
    from gm_bench.data.split import stratified_split

    groups = [f"a{i // 5}" for i in range(300)]
    train, test = stratified_split(torch.zeros(300, dtype=torch.int64), 75, 0)
    assert len({groups[i] for i in train} & {groups[i] for i in test}) > 30


def test_each_of_three_classes_gives_its_own_share() -> None:
    """A quarter of 60, 8 and 4 groups of five, whatever the seed, and where one holds another class too."""
    labels = torch.tensor([0] * 300 + [1] * 40 + [2] * 20)
    groups = [f"g{i // 5}" for i in range(360)]
    for seed in range(5):
        _, test, notes = grouped_split(labels, groups, 90, seed)
        assert labels[test].bincount().tolist() == [75, 10, 5]
    assert len(notes) == 1
    labels[0] = 2
    _, test, notes = grouped_split(labels, groups, 90, seed=0)
    assert notes[1] == "1 groups hold images of several classes"
    assert len(test) == 90


def test_a_group_that_brings_a_class_no_nearer_to_its_share_is_left() -> None:
    """Two images are wanted: with either of the groups of four there are as many too many as were missing."""
    with pytest.raises(DataError, match=r"2 groups of 8 images cannot be parted into about 2 test images"):
        grouped_split(torch.zeros(8, dtype=torch.int64), ["a"] * 4 + ["b"] * 4, 2, 0)


def test_groups_that_cannot_be_parted_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"2 groups of 10 images cannot be parted .* \(the largest, a, has 9\)"
    ):
        grouped_split(torch.zeros(10, dtype=torch.int64), ["a"] * 9 + ["b"], 9, 0)


def test_the_loader_keeps_groups_together_and_says_so(tmp_path: Path) -> None:
    from PIL import Image

    for track in range(8):
        for frame in range(3):
            image = Image.new("L", (8, 8), 10 * track)
            image.putpixel((0, 0), 255)
            image.putpixel((1 + frame, 0), 128)
            image.save(tmp_path / f"{track:05}_{frame:05}.png")
    options = {"path": str(tmp_path), "n_test": 6, "split_seed": 0, "channels": 1}
    data = load("folder", **options, groups=r"^(\d+)_")
    levels = [set(images[:, 0, 7, 7].tolist()) for images in (data.train_images, data.test_images)]
    assert len(data.test_images) == 6
    assert not levels[0] & levels[1]
    assert any("8 groups, 2 of them the test split" in note for note in data.card.notes)
    with pytest.raises(DataError, match=r"either test_path or a drawn test split \(n_test, .*, groups\)"):
        load("folder", path=str(tmp_path), test_path=str(tmp_path), groups=1)
