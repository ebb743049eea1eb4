"""Kernel distance and classifier score, as torch-fidelity computes them.

torch-fidelity takes options by name from a bag in which a misspelt one is ignored, and it answers questions
that have no answer: NaN features get a precision, too few samples a score. Here every option is passed
explicitly, and what it would answer wrongly is refused beforehand.

Both convert to float64: they are differences of large sums, and in float32 the rounding is as large as the
distance between two good sets.
"""

from math import isfinite

import numpy as np
from torch import Tensor
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from gm_bench.metrics.guards import check_features, check_pair

# torch-fidelity's own default.
SEED = 2020


def kid(fake: Tensor, real: Tensor, subsets: int, subset_size: int, seed: int = SEED) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel k(x, y) = (x·y / D + 1)³.

    Source: Bińkowski et al. 2018, "Demystifying MMD GANs", §4. Lower is better, 0 is best; being unbiased, it
    falls below 0 by chance where the sets are alike. It is the mean over `subsets` pairs of random subsets.

    Args:
        fake: features of generated images, (N, D), finite.
        real: features of real images, (M, D).
        subsets: how many pairs of subsets, at least 1.
        subset_size: rows of each, drawn without replacement; at least 2, at most N and M.
        seed: of the draws.

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
        rng_seed=seed,
        verbose=False,
    )
    return _finite(result[KEY_METRIC_KID_MEAN], "KID")


def classifier_score(logits: Tensor, splits: int, seed: int = SEED) -> float:
    """exp of the mean divergence KL(p(y|x) ‖ p(y)): confident on each image, diverse over all.

    Source: Salimans et al. 2016, "Improved techniques for training GANs", §4. From 1 to K, higher is better;
    called the Inception Score where the classifier is Inception. It reads no real images. It is the mean over
    `splits` parts of the set, in random order.

    Args:
        logits: of generated images, (N, K), finite.
        splits: number of parts, 1 to N; with fewer than some hundred rows in each the score is biased down.
        seed: of the order.

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
    result = isc_features_to_metric(logits.cpu().double(), splits=splits, shuffle=True, rng_seed=seed)
    return _finite(result[KEY_METRIC_ISC_MEAN], "the classifier score")


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
