"""Mode coverage and class accuracy by hand."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gm_bench.metrics.modes import class_accuracy, mode_coverage


def seen_as(*classes: int, k: int = 4) -> Tensor:
    return one_hot(torch.tensor(classes), k).float() * 3 - 7


def test_classes_and_divergence_by_hand() -> None:
    result = mode_coverage(seen_as(0, 0, 0, 1, k=5), torch.tensor([10, 30, 39, 0, 1]))
    assert result.hit == 2
    assert result.missing == (2, 4)  # class 3 is not in the training set either
    expected = 0.75 * math.log(0.75 / (10 / 80)) + 0.25 * math.log(0.25 / (30 / 80))
    assert result.divergence == pytest.approx(expected, rel=1e-12)


def test_the_divergence_is_that_of_the_fakes_from_the_training_labels() -> None:
    """One class alone of K equal ones: ln K; the other way round it would be infinite."""
    result = mode_coverage(seen_as(*[2] * 9, k=10), torch.full((10,), 7))
    assert result.divergence == pytest.approx(math.log(10), rel=1e-12)
    assert (result.hit, len(result.missing)) == (1, 9)


def test_shares_like_those_of_the_training_labels_have_no_divergence() -> None:
    result = mode_coverage(seen_as(0, 1, 1, 3), torch.tensor([5, 10, 0, 5]))
    assert result.divergence == pytest.approx(0, abs=1e-15)
    assert (result.hit, result.missing) == (3, ())


def test_accuracy_by_hand() -> None:
    assert class_accuracy(seen_as(0, 1, 2, 3), torch.tensor([0, 1, 3, 3])) == 0.75
    assert class_accuracy(seen_as(2), torch.tensor([2])) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mode_coverage(seen_as(0, 3), torch.tensor([1, 1, 1, 0])), r"without a training image \(3\)"),
        (lambda: mode_coverage(seen_as(0, 3), torch.tensor([1, 1, 1])), "4 classes apart .* have 3"),
        (lambda: mode_coverage(seen_as(0) / 0, torch.ones(4).long()), "fake features hold NaN or inf"),
        (lambda: class_accuracy(seen_as(0) / 0, torch.tensor([0])), "fake features hold NaN or inf"),
        (lambda: class_accuracy(seen_as(0, 1), torch.tensor([0])), "one for each of 2 images"),
        (lambda: class_accuracy(seen_as(0, 1), torch.tensor([0.0, 1.0])), "must be int64"),
        (lambda: class_accuracy(seen_as(0, 1), torch.tensor([0, 4])), "run from 0 to 4 .* knows 4 classes"),
        (lambda: class_accuracy(seen_as(0, 1), torch.tensor([-1, 1])), "run from -1 to 1"),
    ],
)
def test_what_has_no_answer_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
