"""How far our order of variants agrees with a published one: rank correlation with its interval."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from scipy import stats

from gm_bench.yaml_text import load_yaml

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Agreement:
    """Spearman's rank correlation over the variants that both sides have.

    Args:
        rho: −1 (the opposite order) to 1 (the same).
        interval: of 95 %, or None where fewer than four variants leave no degree of freedom.
        p: of an order as close by chance or closer, one-sided, from all permutations.
    """

    rho: float
    interval: tuple[float, float] | None
    p: float
    variants: tuple[str, ...]


def published(name: str) -> dict[str, Any]:
    """A published table.

    Returns:
        `title`, `protocol`, `names` by variant; `recipe`, an entry of params.yaml, and `of_recipe`, the
        variants that were trained by it; `tested`, by board and variant why it may stand elsewhere there, in
        words;
        `fid` by dataset and variant as (mean, sd).
    """
    text = files("gm_bench.results").joinpath("published", f"{name}.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = load_yaml(text)
    return table


def places(known: Mapping[str, set[str]], variants: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The first and the last place among `variants` that noise leaves to each of those that it is known of.

    Args:
        known: by variant those that are better beyond noise (`ranking.better`).
    """
    among = [variant for variant in variants if variant in known]
    unknown = len(variants) - len(among)
    return {
        variant: (
            1 + len(known[variant].intersection(among)),
            len(among) - sum(variant in known[other] for other in among) + unknown,
        )
        for variant in among
    }


def agreement(ours: Mapping[str, float], theirs: Mapping[str, float]) -> Agreement:
    """Compare two orders of variants.

    Source of the interval: Bonett & Wright 2000, "Sample size requirements for estimating Pearson, Kendall
    and Spearman correlations": Fisher's z with variance (1 + ρ²/2) / (n − 3). It is rough for so few
    variants; the p-value is exact.

    Args:
        ours: a value by variant, lower is better.
        theirs: the same, of the published table.

    Raises:
        ValueError: fewer than three variants stand in both.
    """
    variants = tuple(name for name in theirs if name in ours)
    n = len(variants)
    if n < 3:
        raise ValueError(f"{n} variants stand in both tables: an order needs at least 3")
    a, b = ([side[name] for name in variants] for side in (ours, theirs))

    def rank_correlation(x: list[float]) -> float:
        return float(stats.spearmanr(x, b).statistic)

    rho = rank_correlation(a)
    test = stats.permutation_test(
        (a,), rank_correlation, permutation_type="pairings", alternative="greater", n_resamples=math.inf
    )
    return Agreement(rho, _interval(rho, n), float(test.pvalue), variants)


def _interval(rho: float, n: int) -> tuple[float, float] | None:
    if n < 4 or math.isclose(abs(rho), 1):
        return None
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    return math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)
