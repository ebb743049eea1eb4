"""FID against closed forms and torch-fidelity's own, and what FID∞ takes from it."""

import math

import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from gm_bench.metrics.frechet import PRECISION, fid, fid_infinity, fit_line, moments

# Closed forms hold to float64 rounding, which the root of an eigenvalue near 0 takes to about 1e-8.
EXACT = 1e-7


def with_moments(n: int, mean: Tensor, deviation: Tensor) -> Tensor:
    """Rows whose sample mean and covariance are exactly `mean` and diag(deviation²)."""
    rows = torch.randn(n, len(mean), dtype=torch.float64)
    basis, _ = torch.linalg.qr(rows - rows.mean(dim=0))
    return basis * math.sqrt(n - 1) * deviation + mean


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def by_torch_fidelity(fake: Tensor, real: Tensor) -> float:
    statistics = (fid_features_to_statistics(each.double()) for each in (fake, real))
    return fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]


def nuclear(fake: Tensor, real: Tensor) -> float:
    """The formula through the singular values of X Yᵀ, which holds for covariances of any rank."""
    x, y = fake.double() - fake.double().mean(0), real.double() - real.double().mean(0)
    n, m = len(x), len(y)
    cross = torch.linalg.matrix_norm(x @ y.T, "nuc") / math.sqrt((n - 1) * (m - 1))
    trace = x.square().sum() / (n - 1) + y.square().sum() / (m - 1)
    return float((fake.double().mean(0) - real.double().mean(0)).square().sum() + trace - 2 * cross)


def test_fid_of_a_shift_is_dimensions_times_its_square() -> None:
    real = torch.randn(200, 7, dtype=torch.float64)
    assert fid(real + 0.5, real) == pytest.approx(7 * 0.25, rel=EXACT)


def test_fid_of_a_scale() -> None:
    mean, deviation = vector(1, -2, 0.5), vector(0.3, 1, 2)
    real = with_moments(50, mean, deviation)
    expected = (1.5 - 1) ** 2 * float(deviation.square().sum() + mean.square().sum())
    assert fid(1.5 * real, real) == pytest.approx(expected, rel=EXACT)


def test_fid_of_diagonal_gaussians() -> None:
    a, b = vector(0.1, 1, 3, 0.7), vector(2, 1, 0.5, 0.7)
    fake, real = with_moments(60, vector(0, 0, 1, 2), a), with_moments(90, vector(1, 0, -1, 2), b)
    assert fid(fake, real) == pytest.approx(1 + 4 + float((a - b).square().sum()), rel=EXACT)


@pytest.mark.parametrize(("n", "m", "d"), [(300, 200, 40), (41, 41, 40), (500, 300, 128)])
def test_fid_is_that_of_torch_fidelity(n: int, m: int, d: int) -> None:
    fake, real = torch.randn(n, d) @ torch.randn(d, d), torch.randn(m, d) @ torch.randn(d, d) + 0.3
    assert fid(fake, real) == pytest.approx(by_torch_fidelity(fake, real), rel=1e-6)


SINGULAR = {
    "fewer rows than dimensions": (torch.randn(12, 40), 1.5 * torch.randn(15, 40) + 0.2),
    "fewer fakes only": (torch.randn(12, 40), 1.5 * torch.randn(90, 40) + 0.2),
    "as many rows as dimensions": (torch.randn(40, 40), torch.randn(40, 40)),
    "fakes collapsed": (torch.randn(3, 40).repeat(30, 1), torch.randn(90, 40)),
    "features that never move": (
        torch.randn(90, 40) * (torch.arange(40) < 9),
        torch.randn(80, 40) * (torch.arange(40) > 5),
    ),
    "all fakes the same": (torch.ones(90, 40), torch.randn(80, 40)),
    "two rows": (torch.randn(2, 5), torch.randn(2, 5)),
}


@pytest.mark.parametrize("pair", SINGULAR.values(), ids=SINGULAR)
def test_fid_of_singular_covariances_is_the_formula_still(pair: tuple[Tensor, Tensor]) -> None:
    # torch-fidelity's own is off by 1e-6 there: a root of each eigenvalue that should be 0
    assert fid(*pair) == pytest.approx(nuclear(*pair), rel=1e-10)


def test_fid_of_fewer_real_rows_than_dimensions() -> None:
    """One eigenvalue should be 0, and passes for a value in 1 of 400 sets by some processors' rounding."""
    off = []
    for seed in range(60):
        torch.manual_seed(seed)
        fake, real = torch.randn(90, 40), 1.5 * torch.randn(12, 40) + 0.2
        off.append(abs(fid(fake, real) / nuclear(fake, real) - 1))
    assert max(off) < PRECISION
    assert sum(each > 1e-12 for each in off) <= 3


@pytest.mark.parametrize("steepness", [0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("n", [129, 640])
def test_fid_of_spectra_that_fall_steeply_is_the_formula_still(n: int, steepness: float) -> None:
    """Down to where the least eigenvalue of the product is lost beside the largest."""
    d = 128
    basis, _ = torch.linalg.qr(torch.randn(d, d).double())
    deviation = torch.arange(1, d + 1).double() ** -steepness
    fake, real = (torch.randn(n, d).double() * deviation @ basis for _ in "fr")
    assert fid(fake, real) == pytest.approx(nuclear(fake, real), rel=1e-9)


def test_dimensions_that_hardly_move_count_still() -> None:
    """Eigenvalues of 1e-18, all lost beside the largest, have roots of 1e-9 that add up."""
    deviation = torch.cat([torch.ones(64), torch.full((64,), 3e-5)]).double()
    fake, real = (torch.randn(640, 128).double() * deviation for _ in "fr")
    assert fid(fake, real) == pytest.approx(nuclear(fake, real), rel=1e-9)


def test_fid_of_a_set_with_itself_is_nothing_and_the_order_of_sets_does_not_matter() -> None:
    fake, real = torch.randn(300, 30), 2 * torch.randn(200, 30) + 1
    assert fid(fake, fake) == pytest.approx(0, abs=1e-12 * float(fake.square().sum()))
    assert fid(fake, real) == pytest.approx(fid(real, fake), rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(50, 60), (10, 60), (50, 10), (2, 2)])
def test_moments_can_be_kept(n: int, m: int) -> None:
    fake, real = torch.randn(n, 20), torch.randn(m, 20)
    kept = moments(real)
    assert torch.allclose(kept.factor @ kept.factor.T, torch.cov(real.double().T), atol=1e-12)
    assert fid(fake, kept) == fid(fake, real)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_fid_infinity_has_not_the_bias_of_fid(shift: float) -> None:
    truth, repeats = 16 * shift**2, 20
    biased, free = [], []
    for seed in range(repeats):
        fake, real = torch.randn(400, 16) + shift, torch.randn(400, 16)
        biased.append(fid(fake, real))
        free.append(fid_infinity(fake, real, subsets=5, seed=seed).value)
    mean, spread = (float(f(torch.tensor(free))) for f in (torch.mean, torch.std))
    # 4 standard errors of the mean; the bias of FID itself, about 0.3, is many times that
    assert mean == pytest.approx(truth, abs=4 * spread / math.sqrt(repeats))
    assert sum(biased) / repeats > truth + 8 * spread / math.sqrt(repeats)


def test_fid_infinity_is_the_line_through_means_over_disjoint_subsets() -> None:
    fake, real = torch.randn(31, 3), torch.randn(31, 3) + 1
    generator = torch.Generator().manual_seed(5)
    a, b = (each[torch.randperm(31, generator=generator)].double() for each in (fake, real))
    sizes = [31, 15, 10]
    values = [
        fid(a, b),
        (fid(a[:15], b[:15]) + fid(a[15:30], b[15:30])) / 2,
        (fid(a[:10], b[:10]) + fid(a[10:20], b[10:20]) + fid(a[20:30], b[20:30])) / 3,
    ]
    slope, intercept = torch.linalg.lstsq(
        torch.stack([1 / vector(*sizes), torch.ones(3).double()], dim=1), vector(*values)
    ).solution.tolist()
    result = fid_infinity(fake, real, subsets=3, seed=5)
    assert result.value == pytest.approx(intercept, rel=1e-9)
    assert slope > 0
    assert fid_infinity(fake, real, subsets=3, seed=5) == result
    assert fid_infinity(fake, real, subsets=3, seed=6) != result


def test_line_by_hand() -> None:
    """Through (0, 1), (1, 2), (2, 6): slope 5/2, intercept 1/2, residuals ½, −1, ½, so s² = 3/2.

    Through (0, 1), (1, 3), (3, 3), (4, 9): x̄ = 2, slope 16/10, intercept 4/5, Σ residuals² = 6.4 of 4 − 2.
    """
    line = fit_line(vector(0, 1, 2), vector(1, 2, 6))
    assert line.value == pytest.approx(0.5, rel=1e-12)
    # Var = s² (1/3 + x̄²/Σ(x − x̄)²) = 3/2 · (1/3 + 1/2)
    assert line.error == pytest.approx(math.sqrt(1.5 * (1 / 3 + 1 / 2)), rel=1e-12)
    line = fit_line(vector(0, 1, 3, 4), vector(1, 3, 3, 9))
    assert line.value == pytest.approx(0.8, rel=1e-12)
    squares = sum((y - 0.8 - 1.6 * x) ** 2 for x, y in ((0, 1), (1, 3), (3, 3), (4, 9)))
    assert line.error == pytest.approx(math.sqrt(squares / 2 * (1 / 4 + 4 / 10)), rel=1e-12)


def test_fid_infinity_needs_two_rows_in_its_smallest_subsets() -> None:
    fake, real = torch.randn(6, 3), torch.randn(6, 3)
    assert math.isfinite(fid_infinity(fake, real, 3, 0).value)
    with pytest.raises(ValueError, match="3 sizes of 5 rows"):
        fid_infinity(fake[:5], real[:5], 3, 0)


GOOD = torch.randn(20, 4)
BROKEN = GOOD.clone()
BROKEN[3, 1] = math.nan


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fid(GOOD[:, :1], GOOD[:, :1]), "at least 2 dimensions"),
        (lambda: fid(GOOD[:, :3], moments(GOOD)), "fake features have 3 dimensions but real ones 4"),
        (lambda: fid(BROKEN, moments(GOOD)), "fake features hold NaN or inf in 1 of 20 rows"),
        (lambda: moments(BROKEN), "real features hold NaN or inf in 1 of 20 rows"),
        (lambda: fid_infinity(GOOD, GOOD[:19], 5, 0), "as many fake as real rows, not 20 and 19"),
        (lambda: fid_infinity(GOOD, GOOD, 2, 0), "at least 3 sizes"),
        (lambda: fid_infinity(GOOD, GOOD, 11, 0), "11 sizes of 20 rows"),
        (lambda: fid_infinity(GOOD, BROKEN, 3, 0), "real features hold NaN"),
    ],
)
def test_what_has_no_answer_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
