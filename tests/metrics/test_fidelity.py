"""KID, classifier score, precision and recall against closed forms and loops; all that it has against
torch-fidelity itself."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import Dataset

from gm_bench import io
from gm_bench.metrics.extractors import lenet
from gm_bench.metrics.extractors.features import extract
from gm_bench.metrics.fidelity import classifier_score, kid
from gm_bench.metrics.frechet import fid
from gm_bench.metrics.neighbours import precision_recall


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_score_of_certain_and_even_predictions_is_the_number_of_classes() -> None:
    assert classifier_score(100 * torch.eye(10).repeat(7, 1), splits=1) == pytest.approx(10, rel=1e-12)


def test_score_of_equal_predictions_is_one() -> None:
    assert classifier_score(torch.tensor([[0.3, -1.0, 2.0]]).repeat(9, 1), splits=1) == pytest.approx(
        1, rel=1e-12
    )


def test_score_of_two_classes() -> None:
    q = 0.8
    logits = torch.log(vector(q, 1 - q)).repeat(10, 1)
    logits = torch.cat([logits, logits.flip(1)])
    expected = math.exp(math.log(2) + q * math.log(q) + (1 - q) * math.log(1 - q))
    assert classifier_score(logits, splits=1) == pytest.approx(expected, rel=1e-12)


def test_score_of_splits_is_the_mean_over_parts_in_random_order() -> None:
    logits = torch.randn(30, 4)
    parts = logits[np.random.RandomState(2020).permutation(30)].split(10)
    expected = sum(classifier_score(part, splits=1) for part in parts) / 3
    assert classifier_score(logits, splits=3) == pytest.approx(expected, rel=1e-12)


def expected_kernel(a: Tensor, b: Tensor) -> float:
    """E (x·y/d + 1)³ for independent x ~ N(a, I), y ~ N(b, I)."""
    d, ab, aa, bb = len(a), float(a @ b), float(a @ a), float(b @ b)
    square = (ab**2 + aa + bb + d) / d**2
    cube = (ab**3 + 3 * ab * aa + 3 * ab * (bb + d + 2)) / d**3
    return 1 + 3 * ab / d + 3 * square + cube


def test_kid_has_the_expectation_of_its_kernel() -> None:
    a, b = vector(1, 0, 0.5, 0), vector(0, 1, 0, 0)
    truth = expected_kernel(a, a) + expected_kernel(b, b) - 2 * expected_kernel(a, b)
    drawn = vector(
        *(
            kid(torch.randn(400, 4) + a.float(), torch.randn(400, 4) + b.float(), subsets=1, subset_size=400)
            for _ in range(40)
        )
    )
    error = float(drawn.std()) / math.sqrt(len(drawn))
    assert truth > 25 * error  # the comparison can tell a wrong formula
    assert float(drawn.mean()) == pytest.approx(truth, abs=4 * error)


def test_kid_of_equal_sets_is_below_zero() -> None:
    """The pairs of a row with its own copy stay in the cross term alone: identical sets score below 0."""
    same = torch.randn(100, 4)
    product = (same.double() @ same.double().T / 4 + 1) ** 3
    between = float(product.sum())
    within = between - float(product.trace())
    expected = 2 * within / (100 * 99) - 2 * between / 100**2
    assert expected < 0
    assert kid(same, same, subsets=1, subset_size=100) == pytest.approx(expected, rel=1e-9)


def test_kid_of_two_rows_by_hand() -> None:
    """k(a, b) = (a·b / 2 + 1)³: 1 within either pair; across 8, 1, 1 and 27/8, whose mean counts twice."""
    fake, real = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    across = (8 + 1 + 1 + 27 / 8) / 4
    assert kid(fake, real, subsets=1, subset_size=2) == pytest.approx(1 + 1 - 2 * across, rel=1e-12)


def test_the_seed_chooses_subsets_and_order() -> None:
    fake, real, logits = torch.randn(40, 4), torch.randn(40, 4), torch.randn(30, 4)
    for metric in (
        lambda seed: kid(fake, real, subsets=2, subset_size=5, seed=seed),
        lambda seed: classifier_score(logits, splits=3, seed=seed),
    ):
        assert metric(1) == metric(1) != metric(2)


def test_the_score_of_parts_of_one_row_is_one() -> None:
    """In each of them all predictions are alike."""
    assert classifier_score(torch.randn(6, 4), splits=6) == pytest.approx(1, rel=1e-12)
    assert classifier_score(torch.randn(1, 4), splits=1) == pytest.approx(1, rel=1e-12)


def loop_precision_recall(fake: Tensor, real: Tensor, k: int) -> tuple[float, float]:
    def covered(points: Tensor, centres: Tensor) -> float:
        inside = 0
        for point in points:
            for i, centre in enumerate(centres):
                others = sorted(float((centre - c).norm()) for j, c in enumerate(centres) if j != i)
                if float((point - centre).norm()) <= others[k - 1]:
                    inside += 1
                    break
        return inside / len(points)

    return covered(fake, real), covered(real, fake)


@pytest.mark.parametrize("neighbours", [1, 3])
def test_precision_and_recall_are_those_of_a_loop(neighbours: int) -> None:
    fake, real = torch.randn(25, 3).double() * 0.8, torch.randn(31, 3).double() + 0.4
    result = precision_recall(fake, real, neighbours)
    precision, recall = loop_precision_recall(fake, real, neighbours)
    assert precision != recall
    # shares of 25 and 31 rows that torch-fidelity averages in float32
    assert (result.precision, result.recall) == pytest.approx((precision, recall), abs=1e-6)


def test_precision_and_recall_do_not_depend_on_the_origin() -> None:
    grid = 2.0**-8  # so that adding 2^14 loses no bit of float32
    fake, real = (torch.randn(300, 4) / grid).round() * grid, (torch.randn(300, 4) / grid).round() * grid
    assert precision_recall(fake + 2**14, real + 2**14, 3) == precision_recall(fake, real, 3)


class Images(Dataset[Tensor]):
    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def test_metrics_are_those_of_torch_fidelity_from_end_to_end() -> None:
    import torch_fidelity

    real = torch.from_numpy(load_digits().images[:180] * 15).byte()[:, None]
    fake = torch.cat([real[:80], torch.randint(0, 256, (80, 1, 8, 8), dtype=torch.uint8)])
    weights, _ = io.read_tensors(lenet.FOLDER / "lenet-digits.safetensors")
    theirs = torch_fidelity.calculate_metrics(
        input1=Images(fake),
        input2=Images(real),
        feature_extractor=lenet.REGISTERED,
        weights=weights,
        image_shape=(1, 8, 8),
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        isc_splits=4,
        kid_subsets=5,
        kid_subset_size=100,
        prc_neighborhood=3,
        batch_size=64,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    extractor = lenet.LeNetExtractor.of_weights(weights, (1, 8, 8))
    a, b = extract(extractor, fake, torch.device("cpu")), extract(extractor, real, torch.device("cpu"))
    both = precision_recall(a.features, b.features, neighbours=3)
    ours = {
        "inception_score_mean": classifier_score(a.logits, splits=4),
        "frechet_inception_distance": fid(a.features, b.features),
        "kernel_inception_distance_mean": kid(a.features, b.features, subsets=5, subset_size=100),
        "precision": both.precision,
        "recall": both.recall,
    }
    assert 0 < both.precision < 1
    assert 0 < both.recall < 1
    # theirs averages in float32 where ours does in float64
    assert ours == pytest.approx({key: theirs[key] for key in ours}, rel=1e-6)


GOOD = torch.randn(20, 4)
BROKEN = GOOD.clone()
BROKEN[3, 1] = math.nan
PAIRED = {
    "fid": lambda fake, real: fid(fake, real),
    "kid": lambda fake, real: kid(fake, real, subsets=2, subset_size=5),
    "precision_recall": lambda fake, real: precision_recall(fake, real, neighbours=3),
}


@pytest.mark.parametrize("metric", PAIRED.values(), ids=PAIRED)
@pytest.mark.parametrize(
    ("fake", "real", "message"),
    [
        (BROKEN, GOOD, "fake features hold NaN or inf in 1 of 20 rows"),
        (GOOD, BROKEN / 0, "real features hold NaN or inf in 20 of 20 rows"),
        (GOOD[:, :3], GOOD, "fake features have 3 dimensions but real ones 4"),
        (GOOD[:1], GOOD, "fake features have 1 rows; at least 2 are needed"),
        (GOOD[0], GOOD, r"must be floating point \(N, D\)"),
        (GOOD.long(), GOOD, r"must be floating point \(N, D\)"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(
    metric, fake: Tensor, real: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        metric(fake, real)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kid(GOOD, GOOD[:10], subsets=2, subset_size=11), "KID subsets of 11 rows cannot be drawn"),
        (lambda: kid(GOOD, GOOD, subsets=0, subset_size=5), "at least 1 subset of at least 2 rows"),
        (lambda: kid(GOOD, GOOD, subsets=1, subset_size=1), "at least 1 subset of at least 2 rows"),
        (lambda: precision_recall(GOOD, GOOD[:3], neighbours=3), "need at least 4 rows"),
        (lambda: precision_recall(GOOD, GOOD, neighbours=0), "at least 1 neighbour"),
        (lambda: classifier_score(GOOD, splits=21), "cannot split 20 rows into 21 parts"),
        (lambda: classifier_score(GOOD, splits=0), "cannot split 20 rows into 0 parts"),
        (lambda: classifier_score(BROKEN, splits=1), "fake features hold NaN"),
        (
            lambda: classifier_score(vector(1000, 0).repeat(4, 1), splits=1),
            "^the classifier score has",
        ),
        (lambda: kid(GOOD.double() * 1e60, GOOD.double(), subsets=1, subset_size=5), "KID has no finite"),
    ],
)
def test_options_that_have_no_answer_are_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_misspelt_option_is_refused() -> None:
    with pytest.raises(TypeError, match="kid_subset_size"):
        kid(GOOD, GOOD, subsets=2, kid_subset_size=5)  # type: ignore[call-arg]
