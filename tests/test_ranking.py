"""Intervals and ranks, against numbers worked by hand and against how often chance fools them."""

import math
import random
import statistics

import pytest

from gm_bench.results.ranking import estimates, intervals, limit, ranks

T_2 = 4.3026527  # of the printed tables, 97.5 %, two degrees of freedom


def logs(values: dict[str, list[float]]) -> dict[str, list[float]]:
    """The badness of a metric that is compared by ratios."""
    return {variant: [math.log(value) for value in each] for variant, each in values.items()}


def test_one_variant_has_students_interval() -> None:
    """1, 2, 6: mean 3, sd √7, t(2, 97.5 %) = 4.302653 of the printed tables."""
    half = 4.3026527 * math.sqrt(7) / math.sqrt(3)
    assert intervals({"a": [1.0, 2.0, 6.0]}, ratio=False)["a"] == pytest.approx(
        (3 - half, 3 + half), rel=1e-6
    )


def test_equal_spreads_are_pooled() -> None:
    """Both variances are 1: pooled 1, with all 4 degrees of freedom, t(4, 97.5 %) = 2.776445."""
    half = 2.7764451 / math.sqrt(3)
    found = intervals({"a": [1.0, 2.0, 3.0], "b": [11.0, 12.0, 13.0]}, ratio=False)
    assert found["a"] == pytest.approx((2 - half, 2 + half), rel=1e-6)
    assert found["b"] == pytest.approx((12 - half, 12 + half), rel=1e-6)


def test_a_single_seed_has_no_interval_and_no_rank_and_changes_those_of_no_other() -> None:
    pair = {"a": [1.0, 2.0, 3.0], "c": [101.0, 102.0, 103.0]}
    with_one = {**pair, "b": [50.0]}
    found = intervals(with_one, ratio=False)
    assert found["b"] is None
    assert {**intervals(pair, ratio=False), "b": None} == found
    assert ranks(with_one) == {"a": 1, "b": None, "c": 2}


def test_a_fit_in_closed_form_says_nothing_of_the_noise_of_training() -> None:
    """With the sd of .001 of `fit` among theirs, a and b cannot be told apart, nor b and c."""
    trained = {"a": [1.0, 1.2, 1.4], "b": [1.8, 2.0, 2.2], "c": [2.6, 2.8, 3.0]}
    kinds = {"a": "trained", "b": "trained", "c": "trained", "fit": "fitted"}
    board = {**trained, "fit": [9.0, 9.001, 9.002]}
    alone, beside = intervals(trained, ratio=False), intervals(board, False, kinds)
    assert {name: beside[name] for name in trained} == alone
    assert beside["fit"] == pytest.approx((9.001 - 0.001 * T_2 / 3**0.5, 9.001 + 0.001 * T_2 / 3**0.5))
    assert ranks(board, kinds) == {"a": 1, "b": 2, "c": 3, "fit": 4}
    assert ranks(board) == {"a": 1, "b": 1, "c": 2, "fit": 4}


def test_two_means_of_unequal_noise_are_told_apart_by_the_quantile_of_each() -> None:
    """sd 1 known with 2 degrees, sd .1 with 8: √((t₂ 1/√3)² + (t₈ .1/√9)²) at 2.5 %."""
    kinds = {"a": "trained", "b": "fitted"}
    many = [7.0 + 0.1 * (i - 4) / math.sqrt(7.5) for i in range(9)]
    found = estimates({"a": [1.0, 2.0, 3.0], "b": many}, kinds)
    assert limit(found["a"], found["b"], 0.025) == pytest.approx(
        math.hypot(4.3026527 / math.sqrt(3), 2.3060041 * 0.1 / 3), rel=1e-6
    )


def test_without_a_second_seed_nothing_is_known() -> None:
    assert intervals({"a": [1.0], "b": [2.0]}, ratio=True) == {"a": None, "b": None}
    assert ranks({"a": [1.0], "b": [2.0]}) == {"a": None, "b": None}


def test_ratios_do_not_depend_on_the_unit() -> None:
    values = {"a": [1.0, 1.2, 1.1], "b": [2.0, 2.1, 2.5]}
    scaled = {name: [7 * x for x in xs] for name, xs in values.items()}
    for name, (low, high) in intervals(values, ratio=True).items():
        assert intervals(scaled, ratio=True)[name] == pytest.approx((7 * low, 7 * high))
    assert ranks(logs(values)) == ranks(logs(scaled))


def test_ranks_count_those_who_are_better_beyond_noise() -> None:
    """a and b overlap, c is far behind both, d is behind all three."""
    values = {
        "d": [300.0, 310.0, 290.0],
        "b": [10.4, 10.8, 10.1],
        "c": [30.0, 31.0, 29.5],
        "a": [10.0, 10.6, 10.3],
    }
    assert ranks(logs(values)) == {"a": 1, "b": 1, "c": 3, "d": 4}


def test_two_variants_are_told_apart_from_the_quantile_of_five_per_cent_on() -> None:
    """Variances of 1, 4 degrees: √2 · t(4, 97.5 %) / √3 = √2 · 2.776445 / √3 = 2.26696."""
    for shift, rank in ((2.26, 1), (2.27, 2)):
        values = {"a": [1.0, 2.0, 3.0], "b": [x + shift for x in (1.0, 2.0, 3.0)]}
        assert ranks(values) == {"a": 1, "b": rank}
        assert ranks({**values, "one seed": [50.0]}) == {"a": 1, "b": rank, "one seed": None}


def test_of_four_variants_each_of_six_pairs_has_a_sixth_of_the_level() -> None:
    """Variances of 1, 8 degrees: √2 · t(8, 1 − .025 / 6) / √3, t = 3.478879."""
    for shift, rank in ((2.83, 1), (2.85, 4)):
        shifts = {"a": 0.0, "b": 0.0, "c": 0.0, "d": shift}
        values = {name: [x + shifts[name] for x in (1.0, 2.0, 3.0)] for name in shifts}
        assert ranks(values) == {"a": 1, "b": 1, "c": 1, "d": rank}


def test_two_seeds_have_an_interval_and_a_rank() -> None:
    """1 and 3: mean 2, standard error 1, t(1, 97.5 %) = 12.7062 of the printed tables."""
    low, high = intervals({"a": [1.0, 3.0]}, ratio=False)["a"]
    assert (low, high) == pytest.approx((2 - 12.7062047, 2 + 12.7062047), rel=1e-6)
    assert ranks({"a": [1.0, 3.0]}) == {"a": 1}


def test_without_spread_any_difference_ranks_and_equal_values_share_a_rank() -> None:
    assert ranks({"a": [1.0, 1.0], "b": [1.0, 1.0], "c": [1.5, 1.5]}) == {"a": 1, "b": 1, "c": 3}


def test_lower_is_better() -> None:
    assert ranks({"a": [1.0, 1.01, 0.99], "b": [2.0, 2.01, 1.99]}) == {"a": 1, "b": 2}


def test_equal_variants_are_rarely_told_apart() -> None:
    """Six variants of one distribution, 400 times: at a family-wise level of 5 % ranks other than 1 appear in
    at most 5 % of them, with three standard errors of 1.1 %; and not never."""
    draw = random.Random(0)
    fooled = 0
    for _ in range(400):
        values = {name: [draw.lognormvariate(3, 0.1) for _ in range(3)] for name in "abcdef"}
        fooled += set(ranks(logs(values)).values()) != {1}
    assert 0.005 < fooled / 400 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """95 % of 1,200 intervals of a normal mean, within three standard errors of 0.63 %."""
    draw = random.Random(1)
    held = []
    for _ in range(200):
        values = {name: [draw.gauss(5.0, 1.0) for _ in range(3)] for name in "abcdef"}
        held += [low < 5.0 < high for low, high in intervals(values, ratio=False).values()]
    assert abs(statistics.fmean(held) - 0.95) < 3 * math.sqrt(0.95 * 0.05 / len(held)) + 0.01
