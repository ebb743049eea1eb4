"""What changed, what is worth more seeds, and when the gate has seen enough."""

import math
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats
from test_regression import baseline, board, content, row

from gm_bench.cell import Cell
from gm_bench.metrics.catalogue import IMAGES
from gm_bench.results.baseline import Baseline, of_board, read_baseline, to_json, with_seeds
from gm_bench.results.comparing import ALL_VARIANTS, Comparison, Looks, NotComparable, Verdict, shares_of
from gm_bench.results.contrast import contrast
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.leaderboard_file import to_json as leaderboard_json
from gm_bench.results.regression import (
    FALSE_ALARM_RATE,
    FALSE_ALARM_RATE_OF_FEW_SEEDS,
    Wanted,
    check,
    false_alarm_rate,
    judge,
    looks,
    more_seeds,
)
from gm_bench.results.schema import CellResult, Origin
from gm_bench.results.spending import level

NOISE = (-0.1, 0.02, 0.08, -0.04, 0.06, -0.02, 0.0, 0.1, -0.06, 0.04, -0.08, 0.0)
PROTOCOL = content()["protocol"]["digits"]


def fids(n: int, worse: float = 0.0) -> tuple[float, ...]:
    """FID of the first seeds: 10, with a spread of about 6 %, worse by a factor e^worse."""
    return tuple(10 * math.exp(noise + worse) for noise in NOISE[:n])


def seeds_of(variant: str, n: int, worse: float = 0.0) -> dict[str, Any]:
    """A row of `n` seeds whose judged metrics have unequal values but for the shift of FID."""
    others = {
        name: tuple(at + 0.1 * noise for noise in NOISE[:n])
        for name, at in (("one_nn", 0.7), ("precision", 0.6), ("recall", 0.5))
    }
    return row(variant, tuple(range(n)), fid=fids(n, worse), **others)


def twelve() -> Baseline:
    return of_board(board(seeds_of("vae", 12), seeds_of("gan", 12)), "abc", seeds=(0, 1, 2, 3))


class Runs:
    """More seeds of a candidate, from rows that are there; it keeps what it was asked for."""

    def __init__(self, worse: float) -> None:
        self.worse = worse
        self.asked: list[dict[tuple[str, str], list[int]]] = []

    def board(self, n: int) -> Leaderboard:
        return board(seeds_of("vae", 4), seeds_of("gan", n, self.worse))

    def __call__(self, wanted: Wanted) -> Leaderboard:
        self.asked.append({key: list(seeds) for key, seeds in wanted.items()})
        return self.board(1 + max(max(seeds) for seeds in wanted.values()))


@pytest.mark.parametrize(
    ("n_first", "most", "sizes"),
    [
        (4, 12, (4, 8, 12)),
        (3, 12, (3, 8, 12)),
        (11, 12, (11, 12)),
        (12, 12, (12,)),
        (20, 12, (20,)),
        (1, 3, (1, 2, 3)),
    ],
)
def test_looks_lie_evenly_between_the_seeds_of_the_board_and_the_bound(
    n_first: int, most: int, sizes: tuple[int, ...]
) -> None:
    assert looks(n_first, most).sizes == sizes


def test_further_seeds_are_the_smallest_that_are_free() -> None:
    assert more_seeds((0, 1, 2), 3) == [3, 4, 5]
    assert more_seeds((1, 3, 100), 3) == [0, 2, 4]
    assert more_seeds((0, 1), 0) == []


def test_information_counts_both_sides() -> None:
    """1/12 + 1/12 over 1/12 + 1/n: 4 seeds have half of what 12 have; one that diverged has less."""
    sizes = Looks((4, 8, 12))
    assert sizes.fractions(12, 4) == pytest.approx([0.5])
    assert sizes.fractions(12, 12) == pytest.approx([0.5, 0.8, 1.0])
    assert sizes.fractions(12, 3) == pytest.approx([0.4])
    assert sizes.fractions(6, 8) == pytest.approx([0.6, 6 / 7])
    assert sizes.fractions(12, 20)[-1] == pytest.approx(1.0)


def test_an_unchanged_variant_is_not_compared_and_takes_no_share() -> None:
    """One variant alone: FID has half of the chance for itself, and no comparison of all together."""
    verdict = check(twelve(), board(seeds_of("vae", 4), seeds_of("gan", 4, 0.03)))
    assert list(verdict.unchanged) == [("digits", "vae")]
    assert [(c.variant, c.metric) for c in verdict.comparisons] == [("gan", m) for m in IMAGES.gated()]
    fid = verdict.comparisons[0]
    # Spreads of both variants of the baseline and of the candidate: 11 + 11 + 3 degrees, all alike.
    assert fid.limit == pytest.approx(stats.t.isf(FALSE_ALARM_RATE / 2, 25) * fid.noise)
    assert fid.seeds == (12, 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"fid": (10.0, 10.5, math.nextafter(11.0, 12.0))},
        {"fid": (10.5, 10.0, 11.0)},
        {"kid": (0.1, 0.2, 0.4)},
    ],
)
def test_unchanged_is_every_value_of_every_seed_to_the_last_bit(changes: dict[str, Any]) -> None:
    before = baseline(row("vae", kid=(0.1, 0.2, 0.3)), row("gan"))
    after = row("vae", **({"kid": (0.1, 0.2, 0.3)} | changes))
    assert list(check(before, board(after, row("gan"))).unchanged) == [("digits", "gan")]


def test_a_seed_that_diverges_or_loses_a_value_is_a_change_where_the_others_are_equal() -> None:
    lost = {"fid": (10.0, 10.5), "one_nn": (0.7, 0.71), "precision": (0.6, 0.62), "recall": (0.5, 0.52)}
    before = board(row("vae"), row("gan", kid=(0.1, 0.2, 0.3)))
    for after in (
        row("gan", **lost, kid=(0.1, 0.2)) | {"diverged": [2]},
        row("gan", kid=(0.1, 0.2)),
    ):
        assert list(contrast(before, board(row("vae"), after)).unchanged) == [("digits", "vae")]


def test_other_seeds_are_no_unchanged_ones() -> None:
    verdict = check(of_board(board(row("vae")), "x", seeds=()), board(row("vae", (5, 6, 7))))
    assert list(verdict.unchanged) == []
    assert verdict.passed


def test_which_seed_diverged_is_part_of_what_did_not_change() -> None:
    lost = {"fid": (10.0, 10.5), "one_nn": (0.7, 0.71), "precision": (0.6, 0.62), "recall": (0.5, 0.52)}
    third, second = (row("gan", **lost) | {"diverged": [seed]} for seed in (2, 1))
    unknown = row("gan", **lost)
    before = baseline(row("vae"), third)
    assert ("digits", "gan") in check(before, board(row("vae"), third)).unchanged
    assert ("digits", "gan") not in check(before, board(row("vae"), second)).unchanged
    assert ("digits", "gan") not in check(before, board(row("vae"), unknown)).unchanged


def test_a_seed_that_the_baseline_does_not_have_and_that_diverges_is_remarked() -> None:
    """As further seeds of a variant are, whose like may have diverged before: none was run."""
    before, after = seeds_of("gan", 3), seeds_of("gan", 3, 0.01) | {"seeds": [0, 1, 2, 3], "diverged": [3]}
    verdict = check(of_board(board(before), "abc"), board(after))
    assert verdict.failures == []
    assert "digits/gan: 1 of 4 seeds diverged, none that finished in the baseline." in verdict.remarks
    moved = [seeds_of("gan", 2) | {"seeds": [0, 1, 2], "diverged": [lost]} for lost in (2, 1)]
    assert check(of_board(board(moved[0]), "abc"), board(moved[1])).failures == [
        "digits/gan: 1 of 3 seeds diverged."
    ]


def test_seeds_that_diverged_are_counted_among_those_of_the_candidate() -> None:
    """The baseline's seed 11 diverged, which the candidate does not have; its seed 2 did not."""
    before = seeds_of("gan", 11) | {"seeds": list(range(12)), "diverged": [11]}
    accepted = of_board(board(before), "x", seeds=(0, 1, 2, 3))
    after = seeds_of("gan", 3, 0.01) | {"seeds": [0, 1, 2, 3], "diverged": [3]}
    assert check(accepted, board(after)).failures == ["digits/gan: 1 of 4 seeds diverged."]


def test_a_candidate_brings_the_seeds_of_its_board() -> None:
    """Not all that the baseline has; and what it lacks of them is missing."""
    assert check(twelve(), board(seeds_of("vae", 4), seeds_of("gan", 4))).passed
    verdict = check(twelve(), board(seeds_of("vae", 4), seeds_of("gan", 3)))
    assert verdict.failures == ["digits/gan is missing seed 3 of the baseline."]
    kept = read_baseline(to_json(twelve()), "baseline.json", IMAGES)
    assert kept == twelve()
    assert kept.seeds == (0, 1, 2, 3)


def test_a_seed_of_the_board_that_the_baseline_lacks_of_a_variant_is_not_due() -> None:
    accepted = of_board(board(row("vae"), seeds_of("gan", 4)), "abc", seeds=(0, 1, 2, 3))
    assert accepted.due(accepted.board.by_key["digits", "vae"]) == {0, 1, 2}
    assert check(accepted, board(row("vae"), seeds_of("gan", 4))).failures == []


def test_a_baseline_keeps_which_seeds_diverged() -> None:
    lost = seeds_of("gan", 2) | {"seeds": [0, 1, 2], "diverged": [1]}
    kept = read_baseline(to_json(of_board(board(lost), "abc")), "baseline.json", IMAGES)
    assert kept.board.by_key["digits", "gan"].finished == (0, 2)


def test_draws_that_are_all_alike_fail() -> None:
    def with_sd(variant: str, sd: float) -> dict[str, Any]:
        made = row(variant, fid=(10.5, 10.0, 11.0))
        return made | {"metrics": {m: v | {"draw_sd": sd} for m, v in made["metrics"].items()}}

    before = baseline(with_sd("vae", 0.1), with_sd("gan", 0.0))
    verdict = check(before, board(with_sd("vae", 0.0), with_sd("gan", 0.0)))
    assert verdict.failures == [
        "digits/vae: the draws of a seed all have the same values, in the baseline they differ."
    ]
    assert check(before, board(with_sd("vae", 0.2), with_sd("gan", 0.1))).passed
    assert check(baseline(row("vae")), board(row("vae"))).passed


def test_half_of_the_chance_is_for_the_metric_that_tables_are_ordered_by() -> None:
    """Two variants: 3 comparisons of FID share one half, 9 of three other metrics the other."""
    verdict = check(twelve(), board(seeds_of("vae", 4, 0.01), seeds_of("gan", 4, 0.01)))
    by_metric = {c.metric: c for c in verdict.comparisons if c.variant == ALL_VARIANTS}
    assert len(verdict.comparisons) == 12
    degrees = 2 * (11 + 3)
    for metric, share in (("fid", 1 / 6), ("recall", 1 / 18)):
        expected = max(stats.t.isf(FALSE_ALARM_RATE * share, degrees) * by_metric[metric].noise,
                       by_metric[metric].margin)  # fmt: skip
        assert by_metric[metric].limit == pytest.approx(expected), metric
        assert by_metric[metric].seeds == (24, 8)


def test_the_shares_of_a_run_sum_to_one_also_where_a_kind_of_metric_is_missing() -> None:
    both = shares_of({("a", "fid"): 2, ("a", "recall"): 3, ("b", "recall"): 1}, IMAGES)
    assert both == {("a", "fid"): 1 / 4, ("a", "recall"): 1 / 8, ("b", "recall"): 1 / 8}
    assert shares_of({("a", "fid"): 2}, IMAGES) == {("a", "fid"): 1 / 2}
    assert shares_of({("a", "recall"): 4}, IMAGES) == {("a", "recall"): 1 / 4}


def test_what_does_not_exceed_the_limit_is_the_same() -> None:
    """Equal values without any noise have a limit of 0."""
    for shift, limit, outcome in (
        (0.0, 0.0, "same"),
        (0.5, 0.5, "same"),
        (-0.5, 0.5, "same"),
        (0.6, 0.5, "worse"),
    ):
        assert Comparison("digits", "gan", "fid", 1.0, 1.0, shift, 0.0, limit).outcome == outcome


def test_the_chance_follows_from_how_many_seeds_tell_the_noise() -> None:
    """One variant of eleven seeds is enough to call the noise known badly."""
    assert false_alarm_rate(twelve().board) == FALSE_ALARM_RATE == 0.01
    fewer = board(seeds_of("vae", 12), seeds_of("gan", 11))
    assert false_alarm_rate(fewer) == FALSE_ALARM_RATE_OF_FEW_SEEDS == 0.0025


def test_what_is_clear_at_once_takes_no_more_seeds() -> None:
    for worse in (1.0, 0.0, -0.5):
        run = Runs(worse)
        verdict = judge(twelve(), run.board(4), run)
        assert run.asked == []
        assert verdict.passed == (worse <= 0)


def test_what_looks_worse_gets_more_seeds_until_it_can_be_told() -> None:
    """A shift of 0.12: within the limit of 4 seeds, beyond that of 8."""
    run = Runs(0.12)
    verdict = judge(twelve(), run.board(4), run)
    assert run.asked == [{("digits", "gan"): [4, 5, 6, 7]}]
    assert [(c.variant, c.metric, c.seeds) for c in verdict.worse] == [("gan", "fid", (12, 8))]
    assert check(twelve(), run.board(4), sizes=looks(4, 12)).passed


def test_the_bound_ends_the_search() -> None:
    """A shift of 0.048, a little below the margin of FID: it looks worse, but never is."""
    run = Runs(0.048)
    verdict = judge(twelve(), run.board(4), run)
    assert [len(seeds) for asked in run.asked for seeds in asked.values()] == [4, 4]
    assert verdict.passed
    assert {c.seeds for c in verdict.comparisons} == {(12, 12)}


def test_each_look_has_its_level() -> None:
    """The limits are those of spending.level at 4, 8 and 12 seeds against 12."""
    sizes = looks(4, 12)
    run = Runs(0.03)
    fractions = [0.5, 0.8, 1.0]
    for k, n in enumerate((4, 8, 12)):
        fid = check(twelve(), run.board(n), sizes=sizes).comparisons[0]
        chance = level(FALSE_ALARM_RATE / 2, fractions[: k + 1])
        degrees = 11 + 11 + n - 1
        assert fid.limit == pytest.approx(max(stats.t.isf(chance, degrees) * fid.noise, math.log(1.05)))


def test_variants_of_unequal_seeds_are_looked_at_together_as_of_their_harmonic_mean() -> None:
    """4 and 8 seeds count as 16/3: after the look of 4 that of (1/12 + 1/12) / (1/12 + 3/16)."""
    after = board(seeds_of("vae", 4, 0.03), seeds_of("gan", 8, 0.03))
    found = check(twelve(), after, sizes=looks(4, 12)).comparisons
    fid = next(c for c in found if (c.metric, c.variant) == ("fid", ALL_VARIANTS))
    chance = level(FALSE_ALARM_RATE / 2 / 3, [0.5, (1 / 6) / (1 / 12 + 3 / 16)])
    assert fid.limit == pytest.approx(stats.t.isf(chance, 11 + 11 + 3 + 7) * fid.noise)
    assert fid.limit > fid.margin


def test_half_of_the_margin_is_what_looks_worse() -> None:
    def comparison(shift: float, limit: float = 0.5) -> Comparison:
        return Comparison("digits", "gan", "fid", 1.0, 1.0, shift, 0.1, limit, margin=0.05)

    found = [comparison(shift) for shift in (0.024, 0.026, -0.2)]
    assert [c.is_unclear for c in found] == [False, True, False]
    assert not comparison(0.6).is_unclear
    both = [replace(comparison(0.03), variant=ALL_VARIANTS), comparison(0.03), comparison(0.04)]
    assert Verdict(both).unclear == [("digits", "gan")]


def result(seed: int, values: dict[str, tuple[float, ...]], status: str = "ok") -> CellResult:
    divergence = None if status == "ok" else {"step": 3, "player": "critic", "term": "loss", "value": "nan"}
    cell = Cell("digits.more", "digits", "vae", seed)
    hashes = {"training_key": "k"}
    return CellResult(
        cell, Origin("", ""), status, divergence, PROTOCOL, values, {}, {}, "cpu", hashes, {}, []
    )


def test_a_leaderboard_takes_more_seeds_in_their_order() -> None:
    """Seeds 0, 2, 4 are there; 3 comes with two draws, 1 diverged, 5 last."""
    first = row("vae", (0, 2, 4))
    first["metrics"]["fid"]["draw_sd"] = 0.5
    draws = dict.fromkeys(IMAGES.gated(), (9.0, 12.0))
    grown = with_seeds(board(first), [result(3, draws), result(1, {}, "diverged"), result(5, draws)])
    entry = grown.by_key["digits", "vae"]
    assert entry.seeds == (0, 1, 2, 3, 4, 5)
    assert entry.finished == (0, 2, 3, 4, 5)
    assert entry.n_finished == 5
    assert entry.metrics["fid"].values == (10.0, 10.5, 10.5, 11.0, 10.5)
    # Three seeds of variance 0.25, two of 4.5.
    assert entry.metrics["fid"].draw_sd == pytest.approx(math.sqrt((3 * 0.25 + 2 * 4.5) / 5))
    assert leaderboard_json(grown)["rows"][0]["diverged"] == [1]


def test_a_leaderboard_takes_no_seeds_of_another_protocol() -> None:
    other = replace(result(3, {}), protocol=PROTOCOL | {"n_samples": 10})
    with pytest.raises(NotComparable, match="cell digits/vae/3 cannot stand in the leaderboard: n_samples"):
        with_seeds(board(), [other])


def test_a_regression_that_is_certain_ends_the_run() -> None:
    """The VAE is worse by a factor e; the GAN looks worse, but the run fails either way."""
    run = Runs(0.12)
    verdict = judge(twelve(), board(seeds_of("vae", 4, 1.0), seeds_of("gan", 4, 0.12)), run)
    assert run.asked == []
    assert [c.variant for c in verdict.worse] == ["vae", ALL_VARIANTS]
    assert verdict.unclear == [("digits", "gan")]
