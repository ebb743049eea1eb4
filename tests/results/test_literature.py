import math

import pytest

from gm_bench.results.literature import agreement, places, published

THEIRS = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0, "e": 5.0}


def test_rank_correlation_is_one_minus_six_sums_of_squares() -> None:
    # ranks 2 1 3 5 4: squared differences 1 + 1 + 0 + 1 + 1 = 4; rho = 1 - 6·4/(5·24) = .8
    found = agreement({"a": 10.0, "b": 3.0, "c": 11.0, "d": 90.0, "e": 50.0, "z": 0.0}, THEIRS)
    assert found.rho == pytest.approx(0.8)
    assert found.variants == ("a", "b", "c", "d", "e")
    half = 1.959964 * math.sqrt((1 + 0.32) / 2)
    assert found.interval == pytest.approx(
        (math.tanh(math.atanh(0.8) - half), math.tanh(math.atanh(0.8) + half))
    )
    # of the 120 orders 8 have a sum of squares of at most 4: 1 with 0, 4 with 2, 3 with 4
    assert found.p == pytest.approx(8 / 120)


def test_the_same_order_has_no_interval_and_the_opposite_is_minus_one() -> None:
    same = agreement(THEIRS, THEIRS)
    assert (same.rho, same.interval) == (pytest.approx(1.0), None)
    assert same.p == pytest.approx(1 / 120)
    assert agreement({name: -value for name, value in THEIRS.items()}, THEIRS).rho == pytest.approx(-1.0)


def test_three_variants_have_no_interval() -> None:
    # rho = 1 - 6·2/(3·8) = .5; of the 6 orders 3 have a sum of squares of at most 2
    found = agreement({"a": 2.0, "b": 1.0, "c": 3.0}, THEIRS)
    assert (found.rho, found.interval, found.p) == (pytest.approx(0.5), None, pytest.approx(3 / 6))


def test_noise_leaves_the_places_between_those_surely_better_and_those_surely_worse() -> None:
    """Among a, b, c and d, of which nothing is known: it may stand anywhere. z is not among them."""
    known = {"a": {"z"}, "b": {"a", "z"}, "c": {"a"}, "z": set()}
    assert places(known, ["a", "b", "c", "d"]) == {"a": (1, 2), "b": (2, 4), "c": (2, 4)}
    assert places(known, ["a", "b", "c"]) == {"a": (1, 1), "b": (2, 3), "c": (2, 3)}


def test_two_variants_make_no_order() -> None:
    with pytest.raises(ValueError, match="2 variants stand in both tables: an order needs at least 3"):
        agreement({"a": 1.0, "b": 2.0, "x": 3.0}, THEIRS)


def test_the_published_table_is_that_of_the_paper() -> None:
    table = published("lucic_2018")
    assert table["fid"]["mnist"]["wgan_gp"] == [20.3, 5.0]
    assert table["fid"]["fashion_mnist"]["vae"] == [43.6, 0.7]
    assert set(table["names"]) == set(table["fid"]["mnist"]) == set(table["fid"]["fashion_mnist"])
