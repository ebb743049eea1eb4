"""The catalogue of metrics: badness, order, and that it agrees with what the evaluation itself fixes."""

import math

import pytest

from gm_bench.metrics.catalogue import IMAGES, LIKELIHOOD, Catalogue, Metric, MetricError
from gm_bench.results import protocol


def metric(key: str, direction: str) -> Metric:
    return Metric(key, key.title(), "", direction, "main", None, False, "")


@pytest.mark.parametrize(
    ("key", "value", "relative", "expected"),
    [
        ("fid", math.e, True, 1.0),
        ("fid", 3.0, False, 3.0),
        ("recall", 0.8, False, -0.8),
        ("recall", math.e, True, -1.0),
        ("one_nn", 0.7, False, 0.2),
        ("one_nn", 0.3, False, 0.2),
        ("density", 1.25, False, 0.25),
        ("one_nn_gap", -0.1, False, 0.1),
    ],
)
def test_badness_grows_where_a_metric_gets_worse(
    key: str, value: float, relative: bool, expected: float
) -> None:
    assert IMAGES.badness(key, value, relative=relative) == pytest.approx(expected, abs=1e-12)


def test_a_metric_without_a_better_side_gets_worse_away_from_clean() -> None:
    assert IMAGES.badness("splendour", 3.0, clean_mean=5.0) == 2.0
    assert IMAGES.badness("fid", 3.0, clean_mean=5.0) == 3.0, "one that has a side does not look at it"


def test_badness_is_refused_where_it_would_be_a_guess() -> None:
    with pytest.raises(MetricError, match="fid is 0: it is compared by ratios"):
        IMAGES.badness("fid", 0.0, relative=True)
    with pytest.raises(MetricError, match="splendour: it is not known"):
        IMAGES.badness("splendour", 1.0)


def test_columns_stand_in_the_order_of_the_rows_and_strangers_last() -> None:
    assert IMAGES.ordered(["zeal", "recall", "fid", "awe"]) == ["fid", "recall", "awe", "zeal"]
    assert IMAGES.short(["coverage", "recall", "awe"]) == ["recall", "awe"]
    assert IMAGES.title("one_nn") == "1-NN →0.5"
    assert IMAGES.title("awe") == "awe"


def test_what_the_gate_judges() -> None:
    margins = {key: IMAGES.margin(key) for key in IMAGES.gated()}
    assert margins == {"fid": math.log(1.05), "precision": 0.02, "recall": 0.02, "one_nn": 0.01}
    assert [row.key for row in IMAGES if row.relative] == ["fid", "fid_infinity", "kid"]


def test_intervals_end_where_there_can_be_no_values() -> None:
    assert IMAGES.within("recall", (-0.1, 0.2)) == (0.0, 0.2)
    assert IMAGES.within("distinct", (0.98, 1.01)) == (0.98, 1.0)
    assert IMAGES.within("inception_score", (0.5, 3.0)) == (1.0, 3.0)
    assert IMAGES.within("sharpness", (-0.5, 1.5)) == (0.0, 1.5)
    for free in ("kid", "elbo", "of a track"):
        assert IMAGES.within(free, (-2.0, 2.0)) == (-2.0, 2.0)


def test_likelihoods_are_those_that_the_sample_stage_draws() -> None:
    assert IMAGES.group(LIKELIHOOD) == list(protocol.LIKELIHOOD)


def test_every_metric_is_said_what_it_is() -> None:
    for row in IMAGES:
        assert row.sentence.endswith(".")
        assert row.title


@pytest.mark.parametrize("direction", ["up", "→", "→best"])
def test_other_directions_are_refused(direction: str) -> None:
    with pytest.raises(MetricError, match="is no direction of awe"):
        Catalogue([metric("awe", direction)], "awe")


def test_what_is_judged_has_a_better_side() -> None:
    with pytest.raises(MetricError, match="'awe' is judged and has no better side: give it ↓, ↑ or →"):
        Catalogue([metric("awe", "")], "awe")
    Catalogue([metric("awe", "↑"), metric("zeal", "")], "awe")


def test_a_catalogue_is_ordered_by_one_of_its_rows() -> None:
    with pytest.raises(MetricError, match="'zeal', by which tables are ordered, is none of awe"):
        Catalogue([metric("awe", "↑")], "zeal")
    with pytest.raises(MetricError, match="one of them twice"):
        Catalogue([metric("awe", "↑"), metric("awe", "↓")], "awe")
