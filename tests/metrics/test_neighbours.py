"""1-NN accuracy, precision, recall, density and coverage against other code, loops and expectations."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch_fidelity.metric_prc import prc_features_to_metric

from gm_bench.metrics.arithmetic import full_float32
from gm_bench.metrics.distances import nearest_squared, within
from gm_bench.metrics.neighbours import (
    DensityCoverage,
    NearestNeighbourAccuracy,
    PrecisionRecall,
    compare,
    density_coverage,
    leave_one_out_1nn,
    precision_recall,
)


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


def test_distances_that_differ_by_rounding_alone_are_ties() -> None:
    """Rows of the same numbers in other orders are equally far from 0, but for the order of their sum.

    0 is fake; its nearest rows are two fakes and two real ones, which lie √2 times as far from each other.
    """
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        numbers = torch.randn(300, generator=generator)
        p, q, r, s = (numbers[torch.randperm(300, generator=generator)] for _ in range(4))
        zero, far = torch.zeros(300), 10 * r
        fake, real = torch.stack([zero, p, q]), torch.stack([r, s, far])
        # 0 has half of its neighbours on its side; p, q, r and s are nearest to 0, a fake, and far to r
        assert values(leave_one_out_1nn(fake, real)) == pytest.approx((7 / 12, 1 / 3, 5 / 6), abs=1e-12)
        # a real ball around 0 that reaches to p and has q on its surface, one around p without q
        result = compare(torch.stack([q, far]), torch.stack([zero, p]), 1)
        assert result.balls == DensityCoverage(1 / 2, 1 / 2)
        # far is far from all, so that the fake balls hold everything
        assert result.manifold == PrecisionRecall(1 / 2, 1)


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


@pytest.mark.parametrize("block", [3, 13, 80, 4096])
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
    n, repeats = 2, 160
    runs = [leave_one_out_1nn(torch.randn(n, 3), torch.randn(n, 3)).overall for _ in range(repeats)]
    error = float(torch.tensor(runs).std()) / repeats**0.5
    assert sum(runs) / repeats == pytest.approx((n - 1) / (2 * n - 1), abs=4 * error)
    assert 4 * error < 1 / 2 - 1 / 3  # the expectation without the exclusion of the row itself is ½


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
    before, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    try:
        with full_float32():
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cuda.matmul.allow_tf32
            assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = convolutions


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_gives_the_same() -> None:
    fake, real = torch.randint(0, 4, (300, 5)).float(), torch.randint(0, 4, (300, 5)).float()
    assert leave_one_out_1nn(fake.cuda(), real.cuda()) == leave_one_out_1nn(fake, real)


def loop_density_coverage(fake: Tensor, real: Tensor, k: int) -> tuple[float, float]:
    """The definition, ball by ball."""
    held, hit = 0, 0
    for i, centre in enumerate(real.double()):
        others = [float((centre - other).norm()) for j, other in enumerate(real.double()) if j != i]
        radius = sorted(others)[k - 1]
        inside = sum(float((centre - point).norm()) <= radius for point in fake.double())
        held += inside
        hit += inside > 0
    return held / (k * len(fake)), hit / len(real)


@pytest.mark.parametrize(("n", "m", "k"), [(25, 31, 1), (40, 17, 3)])
def test_density_and_coverage_are_those_of_a_loop(n: int, m: int, k: int) -> None:
    fake, real = 0.3 * torch.randn(n, 3) + 1.5, torch.randn(m, 3)
    result = density_coverage(fake, real, k)
    assert (result.density, result.coverage) == pytest.approx(loop_density_coverage(fake, real, k), rel=1e-12)
    assert result.density != 1
    assert 0 < result.coverage < 1


def test_density_and_coverage_by_hand() -> None:
    real = torch.tensor([[0.0], [1.0], [10.0]])  # radii 1, 1, 9 for k = 1
    fake = torch.tensor([[-1.0], [0.5], [0.5], [30.0]])
    # -1 lies on the surface of one ball, 0.5 in two, 30 in none: 1 + 2 + 2 of 4 fakes; two balls of three are
    # hit, since 0.5 is 9.5 away from 10
    assert density_coverage(fake, real, 1) == DensityCoverage(5 / 4, 2 / 3)


def test_copies_count_as_often_as_they_are_given() -> None:
    real = torch.tensor([[0.0], [0.0], [1.0], [4.0]])  # radii for k = 2: 1, 1, 1, 4
    fake = torch.tensor([[0.5], [0.5], [9.0]])
    # both 0.5 lie in the balls of 0, 0, 1 and of 4, whose radius is 4 and which is 3.5 away; 9 is 5 from 4
    assert density_coverage(fake, real, 2) == DensityCoverage(8 / (2 * 3), 1.0)
    assert precision_recall(fake, real, 2) == PrecisionRecall(2 / 3, 1.0)  # fake balls of radius 8.5


def test_null_density_is_one_and_coverage_follows_its_formula() -> None:
    n, k, repeats = 60, 5, 60
    results = [density_coverage(torch.randn(n, 4), torch.randn(n, 4), k) for _ in range(repeats)]
    density, coverage = (
        torch.tensor([getattr(result, name) for result in results], dtype=torch.float64)
        for name in ("density", "coverage")
    )
    chance = 1.0
    for i in range(k):
        chance *= (n - 1 - i) / (2 * n - 1 - i)  # that the next nearest of a real row is a real one as well
    assert float(density.mean()) == pytest.approx(1, abs=4 * float(density.std()) / repeats**0.5)
    # a neighbour more or less would move it by about 0.016, twelve standard errors
    assert float(coverage.mean()) == pytest.approx(1 - chance, abs=4 * float(coverage.std()) / repeats**0.5)
    assert float(coverage.std()) / repeats**0.5 < 0.004


def test_published_anchors_of_precision_recall_density_and_coverage() -> None:
    """Naeem et al. 2020, the example of their code: N(0, I) twice, D = 1,000, k = 5.

    Theirs are 10,000 rows of another draw; 5,000 take a quarter of the time and score the same: the null
    coverage is .969 at both. Rows near the centre lie in many balls at once, so that draws spread by more
    than independent answers would: four draws of 10,000 by .003 in coverage, .05 in density, .01 in the rest.
    """
    random = np.random.default_rng(0)
    fake, real = (torch.from_numpy(random.standard_normal((5000, 1000), dtype=np.float32)) for _ in range(2))
    result = compare(fake, real, 5)
    assert result.balls.coverage == pytest.approx(0.9735, abs=0.015)
    assert result.balls.density == pytest.approx(1.0555, abs=0.25)
    assert result.manifold.precision == pytest.approx(0.4772, abs=0.06)
    assert result.manifold.recall == pytest.approx(0.4705, abs=0.06)


def test_dropped_modes_show_in_recall_and_coverage_and_noise_in_precision_and_density() -> None:
    centres = 20 * torch.eye(8)
    real, fake = (centres.repeat(100, 1) + torch.randn(800, 8) for _ in "rf")
    clean = compare(fake, real, 3)
    dropped = compare(centres[:4].repeat(200, 1) + torch.randn(800, 8), real, 3)
    assert dropped.manifold.recall < 0.6 < clean.manifold.recall
    assert dropped.balls.coverage < 0.55 < clean.balls.coverage
    assert dropped.manifold.precision == pytest.approx(clean.manifold.precision, abs=0.05)
    noisy = compare(torch.where(torch.rand(800, 1) < 0.5, fake, 40 * torch.randn(800, 8)), real, 3)
    assert noisy.manifold.precision < 0.6 < clean.manifold.precision
    assert noisy.balls.density < 0.6 < clean.balls.density


def test_the_order_of_sets_swaps_precision_and_recall() -> None:
    fake, real = torch.randn(60, 5), 1.4 * torch.randn(80, 5)
    one, other = precision_recall(fake, real, 3), precision_recall(real, fake, 3)
    assert (one.precision, one.recall) == (other.recall, other.precision)
    assert one.precision > one.recall


def test_one_sweep_says_what_each_metric_says_alone() -> None:
    fake, real = torch.randint(0, 4, (120, 4)).float(), torch.randint(0, 5, (120, 4)).float()
    together = compare(fake, real, 3)
    assert together.accuracy == leave_one_out_1nn(fake, real)
    assert together.manifold == precision_recall(fake, real, 3)
    assert together.balls == density_coverage(fake, real, 3)
    assert torch.equal(together.fake_to_real, nearest_squared(fake, real))
    known = compare(fake, real, 3, within(fake, 3), within(real, 3))
    assert (known.accuracy, known.manifold, known.balls) == (
        together.accuracy,
        together.manifold,
        together.balls,
    )
    assert torch.equal(known.fake_to_real, together.fake_to_real)
    assert together.manifold.precision != together.manifold.recall


@pytest.mark.parametrize("d", [3, 300])
def test_precision_and_recall_are_those_of_torch_fidelity(d: int) -> None:
    fake, real = 0.9 * torch.randn(700, d) + 0.05, torch.randn(600, d)
    theirs = prc_features_to_metric(
        fake.double(),
        real.double(),
        prc_neighborhood=3,
        prc_batch_size=1000,
        save_cpu_ram=True,
        verbose=False,
    )
    ours = precision_recall(fake, real, 3)
    # shares that torch-fidelity averages in float32
    assert (ours.precision, ours.recall) == pytest.approx((theirs["precision"], theirs["recall"]), abs=1e-6)
    assert 0 < ours.precision < 1
    assert 0 < ours.recall < 1
