"""What trials say: the best of k of them, and which hyper-parameters matter. Pure functions of numbers."""

from collections.abc import Sequence
from math import comb

import numpy as np
from scipy.stats import rankdata

N_PERMUTATIONS = 9999


def expected_minima(values: Sequence[float]) -> list[float]:
    """The expected least of k values drawn without replacement from n, for k = 1 … n; exact.

        E[min of k] = Σ_i x_(i) C(n − i, k − 1) / C(n, k)

    The i-th least value is the least of the k in as many of the C(n, k) sets as there are ways to choose the
    k − 1 others from the n − i above it.

    Args:
        values: n of them, finite.
    """
    ascending, n = sorted(values), len(values)
    return [
        sum(x * (comb(n - i, k - 1) / comb(n, k)) for i, x in enumerate(ascending, 1))
        for k in range(1, n + 1)
    ]


def rank_correlation(x: Sequence[float], y: Sequence[float], seed: int) -> tuple[float, float] | None:
    """Spearman's rank correlation, and how often chance alone gives one as strong.

    The p-value is that of a permutation test, two-sided, with 9,999 seeded permutations of y and the order
    that was found as one more. Ties share their mean rank.

    Args:
        x: values of a hyper-parameter, n of them.
        y: what came of each.
        seed: of the permutations.

    Returns:
        (ρ in [−1, 1], p in (0, 1]), or None where one of the two does not vary.
    """
    a, b = (ranks - ranks.mean() for ranks in (rankdata(x), rankdata(y)))
    scale = float(np.sqrt((a @ a) * (b @ b)))
    if scale == 0:
        return None
    random = np.random.RandomState(seed)  # the one generator whose stream NumPy promises to keep
    found = float(a @ b)
    permuted = np.array([a @ b[random.permutation(len(b))] for _ in range(N_PERMUTATIONS)])
    rounding = 1e-9 * scale
    n_as_strong = int((np.abs(permuted) >= abs(found) - rounding).sum())
    return found / scale, (1 + n_as_strong) / (1 + N_PERMUTATIONS)
