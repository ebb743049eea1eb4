"""The Fréchet distance: FID, and what it tends to as the number of images grows.

The trace of (Σ_f Σ_r)^½ is the sum of the singular values of A_fᵀ A_r for any A with A Aᵀ = Σ. With a factor
of the real covariance at hand it costs one symmetric eigenvalue problem for each set of fakes, where the
eigenvalues of Σ_f Σ_r itself, which is not symmetric, take several times as long and lose half the digits of
those that are near 0.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import fmean

import torch
from torch import Tensor

from gm_bench.metrics.guards import check_features, check_pair

# How far rounding may move a distance, as a share of it, before the slower and exact way is taken.
PRECISION = 1e-7


@dataclass(frozen=True)
class Moments:
    """Mean (D,) and a factor A (D, r) of the covariance, A Aᵀ = Σ with n − 1 in its denominator; float64.

    r is the smaller of n and D, so that a singular covariance of few rows has a factor without rounded zeros.
    """

    mean: Tensor
    factor: Tensor

    def to(self, device: torch.device) -> "Moments":
        return Moments(self.mean.to(device), self.factor.to(device))


@dataclass(frozen=True)
class Extrapolation:
    """Where a straight line meets 1/N = 0, and the standard error of that point from the residuals.

    The residuals do not hold what all sizes have in common, that they are parts of the same images.
    """

    value: float
    error: float


def moments(features: Tensor) -> Moments:
    """What FID reads of a set of features (N, D), N at least 2 and D at least 2.

    Raises:
        ValueError: fewer rows or dimensions, or a value that is not finite.
    """
    check_features(features, "real", least=2)
    _check_dimensions(features)
    mean, centred = _centre(features)
    return Moments(mean, _factor(centred))


def fid(fake: Tensor, real: Tensor | Moments) -> float:
    """Fréchet distance between Gaussians with the mean and covariance of the two sets.

        |μ_f − μ_r|² + tr(Σ_f + Σ_r − 2 (Σ_f Σ_r)^½)

    Source: Heusel et al. 2017, "GANs trained by a two time-scale update rule …", eq. 6. Lower is better, 0 is
    best; it is biased upwards by finite N, so compare only at equal N and beside the floor. In float64.

    Args:
        fake: features of generated images, (N, D), finite, N at least 2, D at least 2.
        real: features of real images, (M, D), or their `moments`.

    Raises:
        ValueError: fewer than 2 rows, unequal D, or a value that is not finite.
    """
    if isinstance(real, Moments):
        check_features(fake, "fake", least=2)
        if fake.shape[1] != len(real.mean):
            raise ValueError(
                f"fake features have {fake.shape[1]} dimensions but real ones {len(real.mean)}: "
                "both must come from the same layer of the same extractor"
            )
    else:
        check_pair(fake, real)
    _check_dimensions(fake)
    known = real if isinstance(real, Moments) else moments(real)
    mean, centred = _centre(fake)
    apart = (mean - known.mean).square().sum() + known.factor.square().sum()
    if len(fake) > fake.shape[1]:
        covariance = centred.T @ centred / (len(fake) - 1)
        root, error = _trace_of_root(covariance, known.factor)
        distance = apart + covariance.trace() - 2 * root
        if 2 * error <= PRECISION * distance:
            return float(distance)
    factor = _factor(centred)
    root = torch.linalg.svdvals(factor.T @ known.factor).sum()
    return float(apart + factor.square().sum() - 2 * root)


def fid_infinity(fake: Tensor, real: Tensor, subsets: int, seed: int) -> Extrapolation:
    """The Fréchet distance without its bias: FID of ever smaller subsets, as a line in 1/N, at 1/N = 0.

    Source: Chong & Forsyth 2020, "Effectively unbiased FID and Inception Score …", §4. Lower is better, 0 is
    best; by chance it may fall below 0 where the sets are alike.
    Deviates from the paper: the real set is cut down together with the fake one. There it has 50,000 images;
    here it is as small as the fake set, and its own bias would stay. And the subsets are of N, N/2, N/3 …
    rows, as many disjoint ones of each size as there are, over which FID is averaged: so every image counts
    once at every size, which halves the variance against one random subset of each.
    The line holds where N is well above D. The error is that of the fit alone, and far too small for one of
    FID∞: two thirds of the spread of independent sets where these are alike, a tenth where they are apart.

    Args:
        fake: features of generated images, (n, D), finite, n at least 2 · subsets.
        real: features of real images, (n, D), as many.
        subsets: how many sizes, n to n / subsets, at least 3.
        seed: of the order in which rows are dealt out.

    Raises:
        ValueError: sizes differ, too few rows or sizes, or a value that is not finite.
    """
    check_pair(fake, real)
    n = len(fake)
    if n != len(real):
        raise ValueError(f"FID∞ needs as many fake as real rows, not {n} and {len(real)}")
    if subsets < 3 or n < 2 * subsets:
        raise ValueError(
            f"FID∞ has no line through {subsets} sizes of {n} rows: it takes at least 3 sizes (fid_subsets) "
            "and twice as many rows (n_samples)"
        )
    generator = torch.Generator().manual_seed(seed)
    fake, real = (
        rows.double()[torch.randperm(n, generator=generator).to(rows.device)] for rows in (fake, real)
    )
    sizes = [n // parts for parts in range(1, subsets + 1)]
    values = [
        fmean(fid(fake[i * size :][:size], real[i * size :][:size]) for i in range(n // size))
        for size in sizes
    ]
    return fit_line(torch.tensor(sizes).double().reciprocal(), torch.tensor(values, dtype=torch.float64))


def fit_line(x: Tensor, y: Tensor) -> Extrapolation:
    """Intercept of the least-squares line through at least 3 points, and its standard error."""
    n, middle = len(x), x.mean()
    spread = (x - middle).square().sum()
    slope = ((x - middle) * (y - y.mean())).sum() / spread
    intercept = y.mean() - slope * middle
    residual = (y - intercept - slope * x).square().sum() / (n - 2)
    return Extrapolation(float(intercept), sqrt(float(residual * (1 / n + middle.square() / spread))))


def _check_dimensions(features: Tensor) -> None:
    if features.shape[1] == 1:
        raise ValueError("the Fréchet distance needs features of at least 2 dimensions")


def _centre(features: Tensor) -> tuple[Tensor, Tensor]:
    rows = features.to(torch.float64, copy=True)
    mean = rows.mean(dim=0)
    return mean, rows.sub_(mean)


def _factor(centred: Tensor) -> Tensor:
    """A with A Aᵀ = Σ, (D, min(N, D)): from the rows, never from Σ, whose small eigenvalues are rounded."""
    n, d = centred.shape
    rows = torch.linalg.qr(centred, mode="r").R if n > d else centred
    return rows.T / sqrt(n - 1)


def _trace_of_root(covariance: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """tr (Σ_f Σ_r)^½ from Σ_f (D, D) and the factor (D, r) of Σ_r, and how far rounding may have moved it.

    Eigenvalues are known to some roundings of the largest, together δ, and their roots √λ to about δ / √λ.
    Those that are lost beside δ count as 0, which of a singular product they are.
    """
    eigenvalues = torch.linalg.eigvalsh(factor.T @ covariance @ factor)
    rounding = sqrt(len(eigenvalues)) * torch.finfo(torch.float64).eps * eigenvalues[-1]
    roots = eigenvalues[eigenvalues > rounding].sqrt()
    n_lost = len(eigenvalues) - len(roots)
    return roots.sum(), (rounding / roots).sum() + n_lost * (2 * rounding.abs()).sqrt()
