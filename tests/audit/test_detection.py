"""Verdicts of the audit on curves whose verdict is known."""

import math

import pytest

from gm_bench.metrics.catalogue import Catalogue, Metric
from gm_bench.tracks.audit.corruptions import FAILURES
from gm_bench.tracks.audit.detection import Verdict, cell, judge_all, table
from gm_bench.tracks.audit.detection import judge as judge_metric

CLEAN = [9.0, 10.0, 11.0]  # mean 10, standard deviation 1 (n − 1)


def curve(*means: float) -> list[list[float]]:
    """Two repetitions per strength that hardly differ."""
    return [[mean - 0.01, mean + 0.01] for mean in means]


def judge(clean: list[float], curve: list[list[float]], direction: str, noise_multiple: float) -> Verdict:
    """The verdict on a metric with that direction, or on one that nobody knows where it is empty."""
    known = Metric("known", "Known", "", direction or "↓", "main", None, False, "")
    metric = "known" if direction else "unknown"
    return judge_metric(metric, clean, curve, noise_multiple, Catalogue([known], "known"))


def test_noticed_from_the_strength_beyond_which_it_stays_beyond_the_noise() -> None:
    verdict = judge(CLEAN, curve(11, 12.9, 13.1, 20), "↓", 3.0)
    assert verdict.detected == 2
    assert verdict.shifts == pytest.approx([1, 2.9, 3.1, 10])
    assert verdict.multiples == pytest.approx([1, 2.9, 3.1, 10])
    assert (verdict.direction, verdict.monotone, verdict.flattered, verdict.passing) == (
        "worse",
        True,
        None,
        (),
    )


def test_the_direction_decides_what_is_worse() -> None:
    up, down = curve(12, 20), curve(8, 0)
    assert judge(CLEAN, up, "↓", 3.0).detected == 1
    assert judge(CLEAN, up, "↑", 3.0).detected is None
    assert judge(CLEAN, up, "↑", 3.0).flattered == 1
    assert judge(CLEAN, down, "↑", 3.0).detected == 1
    assert judge(CLEAN, down, "↓", 3.0).direction == "better"
    for both in (up, down):  # away from the ideal on either side, or away from clean where nothing is better
        assert judge(CLEAN, both, "→10", 3.0).detected == 1
        assert judge(CLEAN, both, "", 3.0).detected == 1


def test_the_distance_to_an_ideal_is_of_the_mean_and_in_units_of_unfolded_noise() -> None:
    """1-NN accuracy .48, .50, .52 on clean images: folding each draw at .5 would halve the noise."""
    verdict = judge([0.48, 0.5, 0.52], [[0.46, 0.40], [0.37, 0.41]], "→0.5", 3.0)
    assert verdict.shifts == pytest.approx([0.07, 0.11])
    assert verdict.multiples == pytest.approx([3.5, 5.5])
    assert verdict.detected == 0


def test_a_metric_that_comes_back_is_said_to() -> None:
    verdict = judge(CLEAN, curve(20, 20, 10), "↓", 3.0)
    assert (verdict.detected, verdict.passing, verdict.direction, verdict.monotone) == (
        None,
        (0, 1),
        "none",
        False,
    )
    assert cell(verdict, ["a", "b", "c"]) == "only a to b"
    assert cell(judge(CLEAN, curve(10, 20, 10), "↓", 3.0), ["a", "b", "c"]) == "only b"
    back = judge(CLEAN, curve(14, 40, 20), "↓", 3.0)
    assert (back.detected, back.monotone) == (0, False)
    assert cell(back, ["a", "b", "c"]) == "a †"


def test_a_step_back_within_the_noise_of_the_repetitions_is_none() -> None:
    """Noise of a difference of two means of two: 1·√(1/2 + 1/2) = 1, times 3."""
    assert judge(CLEAN, curve(20, 17.1), "↓", 3.0).monotone
    assert not judge(CLEAN, curve(20, 16.9), "↓", 3.0).monotone
    # where the repetitions themselves scatter more than clean draws, their scatter counts
    assert judge(CLEAN, [[15.0, 25.0], [11.9, 21.9]], "↓", 3.0).monotone


def test_a_metric_without_noise_notices_any_move() -> None:
    still = judge([10.0, 10.0, 10.0], [[10.0, 10.0], [10.0, 9.0]], "↑", 3.0)
    assert (still.multiples, still.detected, still.direction) == (None, 1, "worse")
    assert judge([10.0] * 3, [[10.0, 10.0]], "↑", 3.0).detected is None


def test_blind_and_praised() -> None:
    assert cell(judge(CLEAN, curve(10, 12), "↓", 3.0), ["a", "b"]) == "blind"
    praised = judge(CLEAN, curve(9, 5), "↓", 3.0)
    assert (praised.direction, praised.flattered, praised.monotone) == ("better", 1, True)
    assert cell(praised, ["a", "b"]) == "praised from b"


def test_table_has_a_row_per_metric_and_a_column_per_failure() -> None:
    blur, copies = (
        {"strengths": [1.0, 2.0], "labels": ["1", "2"], "values": {"fid": rows, "new": curve(10, 10)}}
        for rows in (curve(14, 20), curve(10, 10))
    )
    measured = {
        "clean": {"fid": CLEAN, "new": CLEAN},
        "failures": {"blur": blur, "copies": copies, "shift": {"strengths": [], "labels": [], "values": {}}},
    }
    verdicts = judge_all(measured, 3.0)
    labels = {"blur": ["1", "2"], "copies": ["1", "2"]}
    assert table(verdicts, labels) == [["fid", "1", "blind"], ["new", "blind", "blind"]]


def test_noise_is_the_sample_standard_deviation() -> None:
    """Of 9, 10, 11 it is 1 with n − 1 and √(2/3) with n: 12.7 lies between three of either."""
    assert 3 * math.sqrt(2 / 3) < 2.7 < 3
    assert judge(CLEAN, curve(12.7), "↓", 3.0).detected is None


def test_every_failure_says_what_its_strength_is() -> None:
    for failure in FAILURES.values():
        assert failure.title
        assert failure.meaning
        assert failure.label(0.5 if "share" in failure.meaning else 2, 400)
