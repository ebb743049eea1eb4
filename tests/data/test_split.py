from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gm_bench.data.dataset import load
from gm_bench.data.split import choose, hold_out, keep_every_class, stratified_split


def test_the_splits_are_disjoint_complete_and_in_order() -> None:
    labels = torch.tensor([0, 1, 2] * 20)
    train, test = stratified_split(labels, 17, seed=3)
    assert (len(train), len(test)) == (43, 17)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(60))
    assert train.tolist() == sorted(train.tolist())
    assert test.tolist() == sorted(test.tolist())


def test_shares_are_rounded_by_largest_remainder() -> None:
    # exact shares 6.93, 1.98, 1.09 → whole parts 6, 1, 1; the two that are left go to .98 and .93
    labels = torch.tensor([0] * 70 + [1] * 20 + [2] * 11)
    _, test = stratified_split(labels, 10, seed=0)
    assert torch.bincount(labels[test]).tolist() == [7, 2, 1]


def test_equal_remainders_favour_the_lower_label() -> None:
    labels = torch.tensor([3, 1, 3, 1])  # exact shares .5 and .5
    _, test = stratified_split(labels, 1, seed=0)
    assert labels[test].tolist() == [1]


def test_the_draw_depends_on_the_seed_alone() -> None:
    labels = torch.zeros(100, dtype=torch.int64)
    assert torch.equal(stratified_split(labels, 50, 1)[1], stratified_split(labels, 50, 1)[1])
    assert not torch.equal(stratified_split(labels, 50, 1)[1], stratified_split(labels, 50, 2)[1])


def test_every_image_is_equally_likely_to_be_held_out() -> None:
    labels = torch.tensor([0, 1] * 10)
    held_out = np.zeros(20)
    for seed in range(2000):
        held_out[stratified_split(labels, 5, seed)[1].numpy()] += 1
    # shares 2.5 and 2.5: class 0 gives 3 of its 10 and class 1 gives 2, so binomials; 5 sd hold 20 at once
    assert np.abs(held_out[::2] - 600).max() < 5 * np.sqrt(2000 * 0.3 * 0.7)
    assert np.abs(held_out[1::2] - 400).max() < 5 * np.sqrt(2000 * 0.2 * 0.8)


@pytest.mark.parametrize("n_test", [0, 4, 5])
def test_no_split_may_be_empty(n_test: int) -> None:
    with pytest.raises(
        ValueError, match=f"test set of {n_test} cannot be drawn from 4 images; allowed: 1 to 3"
    ):
        stratified_split(torch.tensor([0, 0, 1, 1]), n_test, seed=0)


def test_held_out_rows_and_the_rest_are_all_rows_once() -> None:
    labels = torch.tensor([0] * 30 + [1] * 60)
    train, validation = hold_out(labels, 9)
    assert sorted([*train.tolist(), *validation.tolist()]) == list(range(90))
    assert labels[validation].bincount().tolist() == [3, 6]
    assert torch.equal(validation, stratified_split(labels, 9, seed=0)[1])


def test_more_chosen_places_begin_with_the_fewer_and_splits_are_drawn_apart() -> None:
    places = 10 * torch.arange(50)
    few, all_of_them = (choose(places, n, "n_samples", "test") for n in (7, 50))
    assert torch.equal(few, all_of_them[:7])
    assert torch.equal(all_of_them.sort().values, places)
    assert not torch.equal(all_of_them, places)
    assert not torch.equal(few, choose(places, 7, "n_samples", "train"))
    with pytest.raises(ValueError, match=r"datasets\.n_samples is 51 but the test split has 50 images"):
        choose(places, 51, "n_samples", "test")


def test_holding_out_everything_is_refused() -> None:
    with pytest.raises(ValueError, match=r"4 validation images cannot be held back from 4 training images"):
        hold_out(torch.zeros(4, dtype=torch.int64), 4)


def test_a_draw_that_takes_a_class_whole_is_refused_with_its_name() -> None:
    labels = torch.tensor([0] * 30 + [1] + [2] * 2)
    names = ("cat", "dog", "emu")
    keep_every_class(labels, torch.tensor([0, 30, 31]), names, "the test split", "draw fewer")
    with pytest.raises(ValueError, match="takes every image") as refusal:
        keep_every_class(labels, torch.arange(30), names, "the test split", "draw fewer")
    assert str(refusal.value) == (
        "the test split takes every image of a class and leaves none to train with: dog (1 image), emu "
        "(2 images); add images of such a class, take it away, or draw fewer"
    )
    with pytest.raises(ValueError, match=r"number 1 \(1 image\)"):
        keep_every_class(labels, torch.tensor([0, 31]), (), "the test split", "draw fewer")


def test_held_out_rows_never_take_a_class_whole() -> None:
    labels = torch.tensor([0] * 5 + [1])  # exact shares 2.5 and 0.5: one of both is rounded up
    with pytest.raises(ValueError, match=r"validation split of 4 takes .* dog \(1 image\).*n_validation"):
        hold_out(labels, 4, names=("cat", "dog"))
    assert labels[hold_out(labels, 1)[0]].unique().tolist() == [0, 1]
    assert len(hold_out(torch.full((5,), -1), 4)[0]) == 1  # images without labels are one class


def test_loaders_refuse_such_draws(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).mkdir()
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4).save(tmp_path / name / "0.png")
    for share in ({"n_test": 2}, {"test_fraction": 0.5}):
        with pytest.raises(ValueError, match=r"none to train with: a \(1 image\), b \(1 image\); .*test_p"):
            load("folder", path=str(tmp_path), split_seed=0, **share)
    with pytest.raises(ValueError, match=r"leaves none to train with: .*set n_test lower"):
        load("digits", n_test=1790, split_seed=0)
