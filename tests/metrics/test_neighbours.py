"""Leave-one-out 1-NN accuracy against scikit-learn, loops, its expectation, and what it is meant to show."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from gm_bench.metrics.arithmetic import full_float32
from gm_bench.metrics.neighbours import NearestNeighbourAccuracy, leave_one_out_1nn


def by_scikit_learn(fake: Tensor, real: Tensor) -> tuple[float, float, float]:
    """Without ties; `kneighbors(None)` leaves each row out of its own neighbours."""
    points = torch.cat([fake, real]).double().numpy()
    label = np.arange(len(points)) < len(fake)
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(points)
    right = label[nearest.kneighbors(None, return_distance=False)[:, 0]] == label
    return right.mean(), right[len(fake) :].mean(), right[: len(fake)].mean()


def by_loop(fake: Tensor, real: Tensor) -> tuple[float, float, float]:
    """In exact arithmetic: whole numbers that stand for the float32 values, shares as fractions."""
    points = [[Fraction(value) for value in row] for row in torch.cat([fake, real]).tolist()]
    n, shares = len(fake), []
    for i, point in enumerate(points):
        distances = {
            j: sum((a - b) ** 2 for a, b in zip(point, other, strict=True))
            for j, other in enumerate(points)
            if j != i
        }
        least = min(distances.values())
        tied = [j for j, distance in distances.items() if distance == least]
        shares.append(Fraction(sum((j < n) == (i < n) for j in tied), len(tied)))
    of_fake, of_real = sum(shares[:n], Fraction()) / n, sum(shares[n:], Fraction()) / n
    return float((of_fake + of_real) / 2), float(of_real), float(of_fake)


def values(accuracy: NearestNeighbourAccuracy) -> tuple[float, float, float]:
    return accuracy.overall, accuracy.real, accuracy.fake


@pytest.mark.parametrize(("n", "d"), [(2, 1), (300, 2), (700, 64), (150, 2048)])
def test_without_ties_it_is_scikit_learn(n: int, d: int) -> None:
    fake, real = torch.randn(n, d), 1.1 * torch.randn(n, d) + 0.1
    # shares of n rows: equal to rounding or wrong by 1/n
    assert values(leave_one_out_1nn(fake, real)) == pytest.approx(by_scikit_learn(fake, real), abs=1e-12)


LATTICE = torch.randint(0, 3, (60, 3), generator=torch.Generator().manual_seed(1)).float()
TIED = {
    "lattice": LATTICE,
    "lattice far away": LATTICE + 2**20,
    "thirds, which float32 rounds": LATTICE / 3,
    "copies in both sets": torch.cat([LATTICE[:30], LATTICE[:30]]),
    "every pair equally near": torch.eye(24),
    "all the same": torch.ones(60, 4),
    "zeros of both signs": torch.tensor(
        [[0.0, 1.0], [2.0, 2.0], [0.0, 1.0], [-0.0, 1.0], [0.0, 2.0], [0.0, 5.0]]
    ),
}


@pytest.mark.parametrize("points", TIED.values(), ids=TIED)
@pytest.mark.parametrize("block", [7, 512])
def test_ties_are_averaged_as_in_exact_arithmetic(points: Tensor, block: int) -> None:
    fake, real = points[::2], points[1::2]
    assert values(leave_one_out_1nn(fake, real, block)) == pytest.approx(by_loop(fake, real), abs=1e-12)


def test_one_tie_by_hand() -> None:
    fake, real = torch.tensor([[0.0], [10.0]]), torch.tensor([[1.0], [-1.0]])
    # 0 is as near to 1 as to -1, both real: 0. 10 is nearest to 1: 0. 1 and -1 are nearest to 0, a fake: 0.
    assert values(leave_one_out_1nn(fake, real)) == (0, 0, 0)
    # Two fakes at 0 and one real at 0: each fake sees one of each kind, ½; the real one sees two fakes, 0;
    # the other real one, at 3, is equally near to three rows of which one is real: ⅓.
    fake, real = torch.tensor([[0.0], [0.0]]), torch.tensor([[0.0], [3.0]])
    assert values(leave_one_out_1nn(fake, real)) == pytest.approx((1 / 3, 1 / 6, 1 / 2), abs=1e-12)


def test_far_from_the_origin_it_is_the_same() -> None:
    fake, real = ((torch.randn(400, 16) * 256).round() / 256 for _ in range(2))
    far = leave_one_out_1nn(fake + 2**14, real + 2**14)  # adds no rounding: 14 + 8 bits of 24
    assert far == leave_one_out_1nn(fake, real)
    assert values(far) == pytest.approx(by_scikit_learn(fake, real), abs=1e-12)


def test_clusters_far_from_each_other_are_told_apart_within() -> None:
    """Squared distances within are 10⁻¹² of those to the mean: at the edge of float64 products too."""
    unit = 2.0**-13  # the last place of float32 at 2^10
    centres = torch.tensor([[1.0], [-1.0]]) * torch.full((2, 20), 2.0**10)
    fake, real = (
        centres.repeat_interleave(60, dim=0) + (torch.randn(120, 20) * 4).round() * unit for _ in "fr"
    )
    points = torch.cat([fake, real]).double()
    squared = (points[:, None] - points).square().sum(dim=2)  # exact: whole multiples of unit²
    squared.fill_diagonal_(torch.inf)
    tied = squared == squared.amin(dim=1, keepdim=True)
    is_fake = torch.arange(240) < 120
    right = (tied & (is_fake[:, None] == is_fake)).sum(dim=1) / tied.sum(dim=1)
    expected = float(right.mean()), float(right[120:].mean()), float(right[:120].mean())
    # shares that torch averages in float32
    assert values(leave_one_out_1nn(fake, real, 32)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("scale", [2.0**-120, 2.0**100])
def test_neither_squares_overflow_nor_vanish(scale: float) -> None:
    fake, real = torch.randn(50, 5), torch.randn(50, 5)
    assert leave_one_out_1nn(fake * scale, real * scale) == leave_one_out_1nn(fake, real)


@pytest.mark.parametrize("block", [1, 13, 80, 4096])
def test_the_block_size_changes_nothing(block: int) -> None:
    fake, real = torch.randn(40, 6), torch.randn(40, 6)
    assert leave_one_out_1nn(fake, real, block) == leave_one_out_1nn(fake, real)


def test_the_order_of_rows_and_of_sets_changes_nothing() -> None:
    fake, real = (torch.randint(0, 4, (150, 4)).float() for _ in range(2))
    result = leave_one_out_1nn(fake, real)
    assert leave_one_out_1nn(fake[torch.randperm(150)], real[torch.randperm(150)]) == result
    swapped = leave_one_out_1nn(real, fake)
    assert (swapped.overall, swapped.real, swapped.fake) == (result.overall, result.fake, result.real)
    assert result.real != result.fake


def test_null_expectation() -> None:
    n, repeats = 5, 600
    mean = (
        sum(leave_one_out_1nn(torch.randn(n, 3), torch.randn(n, 3)).overall for _ in range(repeats)) / repeats
    )
    # One run is the mean of 10 dependent answers, with a spread of at most 0.25: 4 standard errors. The
    # expectation without the exclusion of the row itself, ½, is twice as far away.
    assert mean == pytest.approx((n - 1) / (2 * n - 1), abs=4 * 0.25 / repeats**0.5)


@pytest.mark.parametrize(
    ("share", "against_train"), [(0, 0.502), (0.1, 0.456), (0.25, 0.370), (0.5, 0.250), (1, 0.0)]
)
def test_copies_of_the_training_images_show_against_them_alone(share: float, against_train: float) -> None:
    n, d = 1000, 16
    train, held_out, fake = torch.randn(3, n, d).unbind()
    copies = int(share * n)
    fake[:copies] = train[:copies] + 1e-3 * torch.randn(copies, d)
    # 2,000 answers near ½, in mutual pairs: standard error about 0.014, the table's own about as much.
    assert leave_one_out_1nn(fake, train).overall == pytest.approx(against_train, abs=0.045)
    assert leave_one_out_1nn(fake, held_out).overall == pytest.approx(0.5, abs=0.045)


def test_collapse_is_separable() -> None:
    modes, real = torch.randn(20, 64), torch.randn(1000, 64)
    result = leave_one_out_1nn(modes.repeat(50, 1) + 0.01 * torch.randn(1000, 64), real)
    assert result.fake == 1  # 50 fellows within 0.1, the nearest real one about 8 away
    assert result.real > 0.95


@pytest.mark.parametrize(
    ("fake", "real", "message"),
    [
        (torch.randn(5, 3), torch.randn(4, 3), "as many fake as real rows, not 5 and 4"),
        (torch.randn(5, 3), torch.randn(5, 2), "fake features have 3 dimensions but real ones 2"),
        (torch.randn(1, 3), torch.randn(1, 3), "at least 2 are needed"),
        (torch.full((5, 3), torch.inf), torch.randn(5, 3), "fake features hold NaN or inf in 5 of 5 rows"),
        (torch.randn(5, 3), torch.full((5, 3), torch.nan), "real features hold NaN or inf in 5 of 5 rows"),
    ],
)
def test_what_would_bias_it_is_refused(fake: Tensor, real: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        leave_one_out_1nn(fake, real)


def test_full_float32_switches_tf32_off_and_back() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with full_float32():
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cuda.matmul.allow_tf32
            assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_gives_the_same() -> None:
    fake, real = torch.randint(0, 4, (300, 5)).float(), torch.randint(0, 4, (300, 5)).float()
    assert leave_one_out_1nn(fake.cuda(), real.cuda()) == leave_one_out_1nn(fake, real)
