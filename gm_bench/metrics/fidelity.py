"""Fréchet distance, kernel distance, classifier score, precision and recall, as torch-fidelity computes them.

torch-fidelity takes options by name from a bag in which a misspelt one is ignored, and it answers questions
that have no answer: NaN features get a precision, too few samples a score. Here every option is passed
explicitly, and what it would answer wrongly is refused beforehand.

Every function converts to float64: all four metrics are differences of large sums, and in float32 the
rounding is as large as the distance between two good sets.
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from gm_bench.metrics.guards import check_features, check_pair

# torch-fidelity's own default; it draws the subsets of KID and the order in which the score is split.
SEED = 2020
# Rows of the distance matrix that are held at once: 1,000 × 10,000 in float64 are 80 MB.
DISTANCE_ROWS = 1000


@dataclass(frozen=True)
class PrecisionRecall:
    """Both in [0, 1], higher is better."""

    precision: float
    recall: float


def fid(fake: Tensor, real: Tensor) -> float:
    """Fréchet distance between Gaussians with the mean and covariance of the two sets.

        |μ_f − μ_r|² + tr(Σ_f + Σ_r − 2 (Σ_f Σ_r)^½)

    Source: Heusel et al. 2017, "GANs trained by a two time-scale update rule …", eq. 6. Lower is better, 0 is
    best; it is biased upwards by finite N, so compare only at equal N and beside the floor. With N ≤ D rows
    the covariances are singular; the trace of the root is taken from the eigenvalues of their product, which
    needs no inverse, so the value is still that of the formula.

    Args:
        fake: features of generated images, (N, D), finite, N at least 2.
        real: features of real images, (M, D).

    Raises:
        ValueError: fewer than 2 rows, unequal D, or a value that is not finite.
    """
    check_pair(fake, real)
    fake, real = fake.cpu().double(), real.cpu().double()
    if fake.shape[1] == 1:
        raise ValueError("the Fréchet distance needs features of at least 2 dimensions")
    statistics = fid_features_to_statistics(fake), fid_features_to_statistics(real)
    return float(fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID])


def kid(fake: Tensor, real: Tensor, subsets: int, subset_size: int) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel k(x, y) = (x·y / D + 1)³.

    Source: Bińkowski et al. 2018, "Demystifying MMD GANs", §4. Lower is better, 0 is best; being unbiased, it
    falls below 0 by chance where the sets are alike. It is the mean over `subsets` pairs of random subsets.

    Args:
        fake: features of generated images, (N, D), finite.
        real: features of real images, (M, D).
        subsets: how many pairs of subsets, at least 1.
        subset_size: rows of each, drawn without replacement; at least 2, at most N and M.

    Raises:
        ValueError: a subset size or count out of range, unequal D, or a value that is not finite.
    """
    if subsets < 1 or subset_size < 2:
        raise ValueError(f"KID needs at least 1 subset of at least 2 rows, not {subsets} of {subset_size}")
    check_pair(fake, real)
    if subset_size > min(len(fake), len(real)):
        raise ValueError(
            f"KID subsets of {subset_size} rows cannot be drawn from {len(fake)} fake and {len(real)} real "
            "ones: lower kid_subset_size or raise n_samples"
        )
    result = kid_features_to_metric(
        fake.cpu().double(),
        real.cpu().double(),
        kid_subsets=subsets,
        kid_subset_size=subset_size,
        kid_kernel="poly",
        kid_kernel_poly_degree=_Cube(),
        kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
        rng_seed=SEED,
        verbose=False,
    )
    return _finite(result[KEY_METRIC_KID_MEAN], "KID")


def classifier_score(logits: Tensor, splits: int) -> float:
    """exp of the mean divergence KL(p(y|x) ‖ p(y)): confident on each image, diverse over all.

    Source: Salimans et al. 2016, "Improved techniques for training GANs", §4. From 1 to K, higher is better;
    called the Inception Score where the classifier is Inception. It reads no real images. It is the mean over
    `splits` parts of the set, in random order.

    Args:
        logits: of generated images, (N, K), finite.
        splits: number of parts, 1 to N; with fewer than some hundred rows in each the score is biased down.

    Raises:
        ValueError: more splits than rows, a value that is not finite, or logits so far apart (about 745) that
            a probability underflows for a whole part.
    """
    check_features(logits, "fake", least=1)
    if not 1 <= splits <= len(logits):
        raise ValueError(
            f"the classifier score cannot split {len(logits)} rows into {splits} parts: "
            "lower score_splits or raise n_samples"
        )
    result = isc_features_to_metric(logits.cpu().double(), splits=splits, shuffle=True, rng_seed=SEED)
    return _finite(result[KEY_METRIC_ISC_MEAN], "the classifier score")


def precision_recall(fake: Tensor, real: Tensor, neighbours: int) -> PrecisionRecall:
    """Share of fake rows within the real manifold, and of real rows within the fake one.

    A manifold is the union of balls around its rows that reach to the row's k-th nearest fellow.
    Source: Kynkäänniemi et al. 2019, "Improved precision and recall metric …", eq. 1 and 2. Two sets of one
    distribution do not score 1; the floor says what they score.

    Both sets are moved by their joint mean, which changes no distance, because the distances come from
    |a|² + |b|² − 2ab, which loses them where the data sit far from the origin.

    Args:
        fake: features of generated images, (N, D), finite.
        real: features of real images, (M, D).
        neighbours: k, at least 1, below N and M.

    Raises:
        ValueError: not more rows than neighbours, unequal D, or a value that is not finite.
    """
    if neighbours < 1:
        raise ValueError(f"precision and recall need at least 1 neighbour, not {neighbours}")
    check_pair(fake, real)
    if neighbours >= min(len(fake), len(real)):
        raise ValueError(
            f"precision and recall with {neighbours} neighbours need at least {neighbours + 1} rows, "
            f"not {len(fake)} fake and {len(real)} real ones: lower neighbours or raise n_samples"
        )
    fake, real = fake.double(), real.double()
    centre = torch.cat([fake, real]).mean(dim=0)
    result = prc_features_to_metric(
        fake - centre,
        real - centre,
        prc_neighborhood=neighbours,
        prc_batch_size=DISTANCE_ROWS,
        save_cpu_ram=True,
        verbose=False,
    )
    return PrecisionRecall(result[KEY_METRIC_PRECISION], result[KEY_METRIC_RECALL])


class _Cube:
    """The exponent 3 that torch-fidelity raises the kernel to, as two products.

    numpy's general power takes some 40 times as long in float64, which was most of an evaluation's time.
    """

    __array_ufunc__ = None  # numpy then leaves `array ** _Cube()` to this class

    def __rpow__(self, base: np.ndarray) -> np.ndarray:
        return base * base * base


def _finite(value: float, name: str) -> float:
    if not isfinite(value):
        raise ValueError(f"{name} has no finite value for these features: their numbers are out of any range")
    return value
