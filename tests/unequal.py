"""A board on which no two numbers are alike, for tests of what is shown where."""

from dataclasses import replace
from functools import cache

from cell_results import TIMES, cell_result
from test_leaderboard import board_of, cell, floor

from gm_bench.metrics.catalogue import IMAGES
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.schema import CellResult

METRICS = [metric.key for metric in IMAGES]
VARIANTS = ("alpha", "beta", "gamma")  # best first
SEEDS = (0, 1, 2)


def mean(metric: str, variant: str) -> float:
    """Between 0.02 and 0.75: hundredths apart from metric to metric, thousandths from variant to variant."""
    return 0.021 + 0.03 * METRICS.index(metric) + 0.007 * VARIANTS.index(variant)


def spread(metric: str) -> float:
    """Standard deviation between seeds, around 0.001."""
    return 0.001 + 0.00004 * METRICS.index(metric)


def floor_value(metric: str) -> float:
    return 0.012 + 0.03 * METRICS.index(metric)


def floor_sd(metric: str) -> float:
    return 0.002 + 0.0003 * METRICS.index(metric)


@cache
def board() -> Leaderboard:
    """Three seeds of every variant; seeds lie a spread below and above the mean."""
    rows = [
        cell(
            variant,
            seed,
            0.0,
            family=f"F{i}",
            **{f"eval/{metric}": mean(metric, variant) + (seed - 1) * spread(metric) for metric in METRICS},
            **{"cost/seconds": 10.0 + 10 * i + seed, "cost/parameters/critic": 1180.0 + i},
        )
        for i, variant in enumerate(VARIANTS)
        for seed in SEEDS
    ]
    floors = {f"eval/{metric}": floor_value(metric) for metric in METRICS}
    sds = {f"eval_draw_sd/{metric}": floor_sd(metric) for metric in METRICS}
    return board_of(floor(**floors, **sds), *rows)


def results() -> list[CellResult]:
    """Cells of that board, each with a cost and curves of its own."""
    made = []
    for i, variant in enumerate(VARIANTS):
        for seed in SEEDS:
            result = cell_result(variant, seed)
            values = {m: (mean(m, variant) + (seed - 1) * spread(m),) for m in METRICS}
            curves = {
                metric: tuple((images, curve_value(metric, variant, seed, images)) for images in TIMES)
                for metric in ("fid", "one_nn")
            }
            cost = result.cost | {"seconds": 10.0 + 10 * i + seed, "images": 400 + 100 * i}
            history = [
                {"images": str(images), **{t: str(loss_value(t, variant, seed, images)) for t in TERMS}}
                for images in TIMES
            ]
            made.append(replace(result, values=values, curves=curves, cost=cost, history=history))
    return made


TERMS = ("critic/loss", "generator/loss")


def curve_value(metric: str, variant: str, seed: int, images: int) -> float:
    base = {"fid": 3.0, "one_nn": 0.6}[metric]
    return base + 0.05 * VARIANTS.index(variant) + 0.01 * seed - images / 10_000


def loss_value(term: str, variant: str, seed: int, images: int) -> float:
    return 1.0 + 2 * TERMS.index(term) + 10 * VARIANTS.index(variant) + 0.1 * seed + images / 1000
