"""The gate's statistics against closed forms and numbers worked by hand, and what it says of cells."""

import copy
import math
import statistics
from typing import Any

import numpy as np
import pytest
from scipy import stats

from gm_bench.metrics.catalogue import IMAGES, Catalogue, Metric
from gm_bench.results.baseline import Baseline, of_board, read_baseline, read_board, to_json
from gm_bench.results.comparing import ALL_VARIANTS, NotComparable, compare
from gm_bench.results.contrast import contrast, contrast_variants
from gm_bench.results.leaderboard import Entry, Leaderboard, Score, catalogue_of
from gm_bench.results.moderation import Prior, Spread, fit_prior, inverse_trigamma, quantile
from gm_bench.results.ranking import estimates
from gm_bench.results.regression import (
    FALSE_ALARM_RATE_OF_FEW_SEEDS,
    check,
)

GATED = IMAGES.gated()
# Precision without a margin.
PLAIN = Catalogue([Metric("precision", "Precision", "", "↑", "main", 0.0, False, "")], "precision")


def row(variant: str, seeds: tuple[int, ...] = (0, 1, 2), **metrics: tuple[float, ...]) -> dict[str, Any]:
    values = {
        "fid": (10.0, 10.5, 11.0),
        "one_nn": (0.70, 0.71, 0.72),
        "precision": (0.60, 0.62, 0.64),
        "recall": (0.5, 0.52, 0.54),
    } | metrics
    return {
        "dataset": "digits",
        "variant": variant,
        "seeds": list(seeds),
        "metrics": {name: {"values": list(v)} for name, v in values.items() if v},
        "cost": {"budget": 480_000},
    }


def content(*rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "protocol": {"digits": {"n_samples": 800, "extractor": {"sha256": "ab"}}},
        "floors": {"digits": {"fid": 0.65, "one_nn": 0.486, "precision": 0.885, "recall": 0.856}},
        "rows": list(rows or (row("vae"), row("gan"))),
    }


def board(*rows: dict[str, Any], **changes: Any) -> Leaderboard:
    return read_board(content(*rows) | changes, "leaderboard.json", IMAGES)


def baseline(*rows: dict[str, Any]) -> Baseline:
    return of_board(board(*rows), "abc123")


@pytest.mark.parametrize(("value", "x"), [(math.pi**2 / 6, 1.0), (math.pi**2 / 2, 0.5)])
def test_inverse_trigamma_at_its_closed_forms(value: float, x: float) -> None:
    """trigamma(1) = π²/6 and trigamma(1/2) = π²/2."""
    assert inverse_trigamma(value) == pytest.approx(x, rel=1e-9)


@pytest.mark.parametrize(
    ("chance", "degrees", "t"), [(0.025, 10, 2.228), (0.005, 4, 4.604), (0.025, math.inf, 1.960)]
)
def test_quantiles_are_those_of_the_printed_tables(chance: float, degrees: float, t: float) -> None:
    assert quantile(chance, degrees) == pytest.approx(t, abs=5e-4)


def test_the_posterior_weighs_by_degrees_of_freedom() -> None:
    """(4 · 1 + 12) / (4 + 2) with 6 degrees."""
    assert Prior(1.0, 4.0).posterior(Spread(12.0, 2)) == (pytest.approx(16 / 6), 6.0)
    assert Prior(2.5, math.inf).posterior(Spread(100.0, 2)) == (2.5, math.inf)


def test_a_spread_is_that_of_the_sample_and_of_equal_values_none() -> None:
    """.1 + .1 + .1 is more than .3 in floating point, so the mean of three lies beside them."""
    assert Spread.of([1.0, 2.0, 6.0]) == Spread(14.0, 2)
    assert Spread.of([0.1] * 3) == Spread(0.0, 2)
    assert Spread.of([-222.31352835255603] * 3) == Spread(0.0, 2)


def test_seeds_that_are_equal_say_nothing_of_the_noise_of_other_variants() -> None:
    rows = [row("vae"), row("gan", recall=(0.51, 0.52, 0.56))]

    def limit(equal: float) -> float:
        verdict = check(
            baseline(*rows, row("kde", recall=(equal,) * 3)),
            board(row("vae"), row("gan"), row("kde", recall=(equal,) * 3, fid=(10.0, 10.0, 10.5))),
        )
        return next(c.limit for c in verdict.comparisons if (c.variant, c.metric) == ("gan", "recall"))

    assert limit(0.1) == limit(0.125)


def test_the_prior_is_found_again() -> None:
    """Variances drawn as the source states them, s² ~ s0² F(d, d0): s0² = 2, d0 = 6, d = 3."""
    variances = 2.0 * stats.f.rvs(3, 6, size=20_000, random_state=0)
    prior = fit_prior([Spread(3 * float(v), 3) for v in variances])
    # Spread of the estimates over 20 seeds: 0.014 and 0.12.
    assert prior.variance == pytest.approx(2.0, abs=0.06)
    assert prior.degrees == pytest.approx(6.0, abs=0.5)


def test_the_prior_holds_for_unequal_degrees() -> None:
    """As above with 2 to 9 degrees: what each sample's size adds to the scatter is taken off."""
    degrees = np.random.default_rng(1).integers(2, 10, 20_000)
    variances = 2.0 * stats.f.rvs(degrees, 6, random_state=2)
    prior = fit_prior([Spread(d * float(v), int(d)) for v, d in zip(variances, degrees, strict=True)])
    assert prior.variance == pytest.approx(2.0, abs=0.06)
    assert prior.degrees == pytest.approx(6.0, abs=0.5)


@pytest.mark.parametrize(
    ("trigamma", "degrees", "variance"),
    [
        (math.pi**2 / 6, 2.0, 1.0),
        (math.pi**2 / 2, 1.0, 0.5),  # digamma(1/2) = −γ − 2 ln 2
        (0.0512708, 40.0, math.exp(np.euler_gamma + 2.9705240 - math.log(20))),  # of the printed tables
    ],
)
def test_the_prior_of_three_variants_in_closed_form(trigamma: float, degrees: float, variance: float) -> None:
    """Of two degrees each, log s² of −x, 0 and x has the variance x², π²/6 of it chance; its bias is −γ."""
    x = math.sqrt(math.pi**2 / 6 + trigamma)
    prior = fit_prior([Spread(2 * math.exp(log), 2) for log in (-x, 0.0, x)])
    assert prior.degrees == pytest.approx(degrees, rel=1e-5)
    assert prior.variance == pytest.approx(variance, rel=1e-6)


def test_variants_that_agree_are_pooled() -> None:
    assert fit_prior([Spread(2.0, 2), Spread(4.0, 4)]) == Prior(1.0, math.inf)
    assert fit_prior([Spread(6.0, 2)]) == Prior(3.0, math.inf)
    assert fit_prior([Spread(0.0, 2), Spread(6.0, 2)]) == Prior(3.0, math.inf)
    assert fit_prior([Spread(0.0, 2)]) == Prior(0.0, math.inf)


def entry(precision: tuple[float, ...]) -> Entry:
    """A row that has nothing but precision."""
    n = len(precision)
    return Entry("digits", "a", "", "", tuple(range(n)), n, {"precision": Score(precision)}, {"budget": 1})


def test_a_comparison_worked_by_hand() -> None:
    """Two variants, three seeds, sd 0.1 everywhere: noise 0.1 √(1/3 + 1/3), both together 0.1 √(2/3) / √2."""
    one, other = (0.5, 0.6, 0.7), (0.2, 0.3, 0.4)
    before = [entry(values) for values in (one, other)]
    after = [entry(tuple(v - 0.1 for v in values)) for values in (one, other)]
    pairs = [(("digits", name), b, a) for name, b, a in zip("ab", before, after, strict=True)]
    spreads = {("digits", name, "precision"): Spread(0.02, 2) for name in "ab"}
    (a, b, both), _ = compare(pairs, spreads, ["precision"], PLAIN, 0.03, {})
    assert [c.variant for c in (a, b, both)] == ["a", "b", ALL_VARIANTS]
    for single in (a, b):
        assert single.shift == pytest.approx(0.1)
        assert single.noise == pytest.approx(0.1 * math.sqrt(2 / 3))
        # Three comparisons share 3 %; 8 degrees: two variants, before and after, two each.
        assert single.limit == pytest.approx(stats.t.isf(0.01, 8) * 0.1 * math.sqrt(2 / 3))
    assert both.shift == pytest.approx(0.1)
    assert both.noise == pytest.approx(0.1 * math.sqrt(1 / 3))
    assert both.limit == pytest.approx(stats.t.isf(0.01, 8) * 0.1 * math.sqrt(1 / 3))
    assert (a.before, a.after) == (pytest.approx(0.6), pytest.approx(0.5))


def test_noise_of_another_dataset_says_nothing() -> None:
    before, after = entry((0.5, 0.6, 0.7)), entry((0.4, 0.5, 0.6))
    spreads = {("digits", "a", "precision"): Spread(0.02, 2)}
    elsewhere = {("mnist", name, "precision"): Spread(9.0, 9) for name in "ab"}
    pairs = [(("digits", "a"), before, after)]
    (alone,), _ = compare(pairs, spreads, ["precision"], PLAIN, 0.03, {})
    (beside,), _ = compare(pairs, elsewhere | spreads, ["precision"], PLAIN, 0.03, {})
    assert beside == alone
    assert alone.limit == pytest.approx(stats.t.isf(0.03, 4) * 0.1 * math.sqrt(2 / 3))


def test_a_baseline_keeps_spreads_of_judged_metrics_of_two_seeds_or_more() -> None:
    one = {"fid": (10.0,), "one_nn": (0.7,), "precision": (0.6,), "recall": (0.5,)}
    accepted = baseline(row("a", kid=(0.1, 0.2, 0.3)), row("b", (0,), **one))
    assert set(accepted.spreads) == {("digits", "a", metric) for metric in GATED}


def test_fits_in_closed_form_say_nothing_of_the_noise_of_training() -> None:
    """Noise of a kind is that of its own variants; of a kind whose noise nobody knows, that of all."""
    values = {"gan": (0.5, 0.6, 0.7), "vae": (0.3, 0.4, 0.5), "kde": (0.50, 0.51, 0.52), "pca": (0.8,)}
    pairs = [(("digits", name), entry(each), entry(each)) for name, each in values.items()]
    spreads = {("digits", name, "precision"): Spread.of(each) for name, each in values.items()}
    kinds = dict.fromkeys([key for key, _, _ in pairs], "trained")
    kinds["digits", "kde"], kinds["digits", "pca"] = "fitted", "unknown"
    found, _ = compare(pairs, spreads, ["precision"], PLAIN, 0.05, kinds)
    gan, vae, kde, pca, _ = found
    for of_kind, sd, degrees in ((gan, 0.1, 8), (vae, 0.1, 8), (kde, 0.01, 4)):
        assert of_kind.noise == pytest.approx(sd * math.sqrt(2 / 3))
        assert of_kind.limit == pytest.approx(stats.t.isf(0.01, degrees) * of_kind.noise)
    of_all = fit_prior([Spread(0.04, 4), Spread(0.04, 4), Spread(0.0004, 4)])
    assert pca.noise == pytest.approx(math.sqrt(of_all.variance * (1 + 1)))
    assert pca.limit == pytest.approx(stats.t.isf(0.01, of_all.degrees) * pca.noise)


def test_a_baseline_keeps_of_which_kind_the_noise_of_its_rows_is() -> None:
    """The limit is the same by a board, by the file it was written to, and by one that told no updates."""

    def board_with(*fid: float) -> Leaderboard:
        rows = [row("vae"), row("gan"), row("kde", fid=fid)]
        for trained in rows[:2]:
            trained["cost"]["updates"] = {"all": 6000}
        return board(*rows)

    before, after = (20.0, 21.0, 22.0), (20.5, 21.5, 22.5)
    accepted = of_board(board_with(*before), "abc123")
    written = to_json(accepted)
    kept = read_baseline(copy.deepcopy(written), "baseline.json", IMAGES)
    assert [entry.kind_of_noise for entry in kept.board.by_key.values()] == ["trained", "trained", "fitted"]
    for each in written["leaderboard"]["rows"]:
        each["cost"].pop("updates", None)
    for of in (accepted, kept, read_baseline(written, "baseline.json", IMAGES)):
        verdict = check(of, board_with(*after))
        found = next(c for c in verdict.comparisons if c.metric == "fid")
        # kde alone has changed: half of the chance is for its FID, whose noise its own seeds tell.
        variance = statistics.fmean(statistics.variance(map(math.log, side)) for side in (before, after))
        chance = FALSE_ALARM_RATE_OF_FEW_SEEDS / 2
        assert found.limit == pytest.approx(stats.t.isf(chance, 4) * math.sqrt(variance * 2 / 3))
        assert found.limit > IMAGES.margin("fid")


def test_unequal_numbers_of_seeds_count_as_they_are() -> None:
    """One seed against four: noise s √(1/4 + 1)."""
    before, after = entry((0.4, 0.6, 0.4, 0.6)), entry((0.5,))
    spreads = {("digits", "a", "precision"): Spread(0.04, 3)}
    (only,), _ = compare([(("digits", "a"), before, after)], spreads, ["precision"], PLAIN, 0.01, {})
    assert only.noise == pytest.approx(math.sqrt(0.04 / 3 * 1.25))
    assert only.limit == pytest.approx(stats.t.isf(0.01, 3) * only.noise)


def test_the_same_numbers_pass() -> None:
    """In another order over the seeds: the means are equal, the cells are not."""
    swapped = {"fid": (10.5, 10.0, 11.0)}
    verdict = check(baseline(), board(row("vae", **swapped), row("gan", **swapped)))
    assert verdict.passed
    assert {c.outcome for c in verdict.comparisons} == {"same"}
    assert len(verdict.comparisons) == len(GATED) * 3
    assert list(verdict.unchanged) == []


def test_much_worse_fails_and_much_better_does_not() -> None:
    worse = check(baseline(), board(row("vae", fid=(30.0, 31.0, 32.0)), row("gan")))
    assert not worse.passed
    assert ("vae", "fid") in [(c.variant, c.metric) for c in worse.worse]
    better = check(baseline(), board(row("vae", recall=(0.9, 0.91, 0.92)), row("gan")))
    assert better.passed
    assert ("vae", "recall") in [(c.variant, c.metric) for c in better.better]


def test_one_nn_gets_worse_on_either_side_of_one_half() -> None:
    before = baseline(row("a", one_nn=(0.45, 0.46, 0.44)))
    below = check(before, board(row("a", one_nn=(0.15, 0.16, 0.14))))
    assert [c.metric for c in below.worse] == ["one_nn"]
    assert check(before, board(row("a", one_nn=(0.55, 0.54, 0.56)))).worse == []


def test_what_is_certain_but_small_is_no_regression() -> None:
    """Seeds that do not differ at all: the margin of 1-NN, 0.01, is all that decides."""

    def with_one_nn(value: float) -> list[dict[str, Any]]:
        return [row(name, one_nn=(value,) * 3) for name in ("a", "b")]

    before = baseline(*with_one_nn(0.7))
    assert check(before, board(*with_one_nn(0.709))).passed
    worse = check(before, board(*with_one_nn(0.711))).worse
    assert [(c.variant, c.limit) for c in worse] == [
        (v, pytest.approx(0.01)) for v in ("a", "b", ALL_VARIANTS)
    ]


def test_the_margin_does_not_add_to_the_noise() -> None:
    """Where noise is larger than the margin, the limit is that of the noise alone."""
    before = baseline(row("a", recall=(0.3, 0.5, 0.7)), row("b", recall=(0.3, 0.5, 0.7)))
    after = board(row("a", recall=(0.5, 0.3, 0.7)), row("b", recall=(0.5, 0.3, 0.7)))
    limits = {c.variant: c.limit for c in check(before, after).comparisons if c.metric == "recall"}
    # Two variants and both together: 3 comparisons of FID have half of the chance, 9 others the other half.
    # 8 degrees, sd 0.2.
    per_noise = stats.t.isf(FALSE_ALARM_RATE_OF_FEW_SEEDS / 2 / 9, 8)
    assert limits["a"] == pytest.approx(per_noise * 0.2 * math.sqrt(2 / 3))
    assert limits[ALL_VARIANTS] == pytest.approx(per_noise * 0.2 * math.sqrt(1 / 3))


def test_a_small_harm_to_every_variant_is_seen_together() -> None:
    names = [f"v{i}" for i in range(8)]
    spread = np.array([-0.03, 0.0, 0.03])
    before = baseline(*(row(n, fid=tuple(10 * np.exp(spread))) for n in names))
    verdict = check(before, board(*(row(n, fid=tuple(10 * np.exp(spread + 0.09))) for n in names)))
    assert [(c.variant, c.metric) for c in verdict.worse] == [(ALL_VARIANTS, "fid")]


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        ([row("vae")], "digits/gan is missing: the baseline has it with 3 seeds."),
        ([row("vae"), row("gan", (0, 1))], "digits/gan is missing seed 2 of the baseline."),
        ([row("vae"), row("gan", **dict.fromkeys(GATED, (0.7, 0.71)))], "digits/gan: 1 of 3 seeds diverged."),
        ([row("vae"), row("gan", **dict.fromkeys(GATED, ()))], "digits/gan: 3 of 3 seeds diverged."),
        ([row("vae"), row("gan", recall=())], "digits/gan has no recall, the baseline has."),
    ],
)  # fmt: skip
def test_missing_and_diverged_cells_fail(after: list[dict[str, Any]], sentence: str) -> None:
    verdict = check(baseline(), board(*after))
    assert list(verdict.failures) == [sentence]
    assert not verdict.passed


def test_what_had_diverged_before_and_what_is_new_is_only_remarked() -> None:
    nothing: dict[str, tuple[float, ...]] = dict.fromkeys(GATED, ())
    before = baseline(row("vae"), row("gan", **nothing))
    verdict = check(before, board(row("vae"), row("gan", **nothing), row("wgan")))
    assert verdict.passed
    assert list(verdict.remarks) == [
        "digits/gan: 3 of 3 seeds diverged, no more than in the baseline.",
        "digits/wgan is new: the baseline does not have it.",
    ]


def test_a_dataset_that_is_gone_fails() -> None:
    verdict = check(baseline(), Leaderboard("", "", IMAGES, {}, {}, {}, {}))
    assert [f.split(":")[0] for f in verdict.failures] == ["digits/vae is missing", "digits/gan is missing"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"protocol": {"digits": {"n_samples": 400, "extractor": {"sha256": "ab"}}}},
         "n_samples is 800 against 400; if that is meant, make a new baseline"),
        ({"protocol": {"digits": {"n_samples": 800, "extractor": {"sha256": "ff"}}}},
         "extractor.sha256 is ab against ff"),
        ({"rows": [row("vae") | {"cost": {"budget": 6400}}, row("gan")]},
         "digits/vae cannot be compared with the baseline: its budget is 480,000 images against 6,400"),
        ({"floors": {"digits": {"fid": 1.3, "one_nn": 0.486, "precision": 0.885, "recall": 0.856}}},
         "fid of real images was 0.65 and is 1.3 under the same protocol"),
        ({"floors": {"digits": {"fid": 0.65, "one_nn": 0.486, "precision": 0.885, "recall": 0.95}}},
         "recall of real images was 0.856 and is 0.95"),
    ],
)  # fmt: skip
def test_what_measures_must_not_have_changed(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NotComparable, match=sentence):
        check(baseline(), board(**changes))


def test_real_images_may_measure_otherwise_by_the_margin_of_the_metric() -> None:
    """5 % of FID."""
    floor = content()["floors"]["digits"]
    near, far = ({"floors": {"digits": floor | {"fid": 0.65 * factor}}} for factor in (1.049, 1.051))
    assert check(baseline(), board(**near)).passed
    with pytest.raises(NotComparable, match=r"fid of real images was 0\.65 and is 0\.6832"):
        check(baseline(), board(**far))


def test_without_seeds_to_compare_nothing_is_said() -> None:
    single = row("a", (0,), fid=(10.0,), one_nn=(0.7,), precision=(0.6,), recall=(0.5,))
    other = row("a", (0,), fid=(10.5,), one_nn=(0.7,), precision=(0.6,), recall=(0.5,))
    with pytest.raises(NotComparable, match="the noise of fid on digits is not known: it takes two seeds"):
        check(baseline(single), board(other))
    assert check(baseline(single), board(single)).passed


def test_noise_is_pooled_over_baselines_but_the_same_measurement_counts_once() -> None:
    first = baseline(row("a"))
    key = ("digits", "a", "precision")
    assert first.spreads[key] == Spread(pytest.approx(0.0008), 2)
    again = of_board(board(row("a")), "def", first)
    assert again.spreads == first.spreads
    other = of_board(board(row("a", precision=(0.5, 0.6, 0.7))), "def", first)
    assert other.spreads[key] == Spread(pytest.approx(0.0208), 4)
    assert other.spreads["digits", "a", "recall"] == first.spreads["digits", "a", "recall"]
    elsewhere = board(row("a", precision=(0.5, 0.6, 0.7)), protocol={"digits": {"n_samples": 400}})
    assert of_board(elsewhere, "def", first).spreads[key] == Spread(pytest.approx(0.02), 2)


def test_the_noise_of_more_seeds_is_kept_where_some_of_them_are_measured_again() -> None:
    values = {"fid": (10.0, 10.5), "one_nn": (0.7, 0.71), "precision": (0.6, 0.62), "recall": (0.5, 0.52)}
    first = baseline(row("a"))
    assert of_board(board(row("a", (0, 1), **values)), "def", first).spreads == first.spreads
    fewer = of_board(board(row("a", (0, 1), **values)), "abc")
    assert of_board(board(row("a")), "def", fewer).spreads == first.spreads


def test_a_baseline_survives_its_file() -> None:
    kept = read_baseline(to_json(baseline()), "baseline.json", IMAGES)
    assert kept == baseline()
    assert kept.revision == "abc123"
    bare = read_baseline(content(), "leaderboard.json", IMAGES)
    assert bare.spreads == baseline().spreads
    assert bare.revision == "leaderboard.json"


@pytest.mark.parametrize(
    "wrong", [[], None, {"schema": 1}, {"rows": []}, content() | {"rows": [{"dataset": "x"}]}]
)
def test_other_files_are_refused(wrong: Any) -> None:
    with pytest.raises(NotComparable, match="is no leaderboard: give"):
        read_board(wrong, "x.json", IMAGES)


def test_other_versions_are_refused() -> None:
    with pytest.raises(NotComparable, match="has schema 7, this version reads 1"):
        read_board(content() | {"schema": 7}, "x.json", IMAGES)
    with pytest.raises(NotComparable, match=r"x\.json has schema 7, not 1: make one with gm-bench check"):
        read_baseline(to_json(baseline()) | {"schema": 7}, "x.json", IMAGES)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"sum_of_squares": -1.0},
        {"sum_of_squares": math.inf},
        {"sum_of_squares": math.nan},
        {"degrees": -1},
    ],
)
def test_a_baseline_with_a_spread_that_can_be_none_is_refused(wrong: dict[str, float]) -> None:
    broken = to_json(baseline())
    whole = broken["spreads"]["digits"]["vae"]["fid"]
    broken["spreads"]["digits"]["vae"]["fid"] = whole | wrong if wrong else {"sum_of_squares": 1.0}
    with pytest.raises(NotComparable, match="is no baseline: make one"):
        read_baseline(broken, "x.json", IMAGES)


def test_two_boards_side_by_side() -> None:
    after = board(row("vae", kid=(0.1, 0.11, 0.12)), row("wgan"))
    before = board(row("vae", kid=(0.3, 0.31, 0.32)), row("gan"))
    verdict = contrast(before, after)
    assert list(verdict.remarks) == [
        "digits/gan stands in the first only.",
        "digits/wgan stands in the second only.",
    ]
    assert [(c.metric, c.outcome) for c in verdict.comparisons if c.outcome != "same"] == [("kid", "better")]
    with pytest.raises(
        NotComparable, match="nothing to compare: digits/vae cannot be compared: n_samples is 800"
    ):
        contrast(before, board(protocol={"digits": {"n_samples": 1}}))


def test_what_has_no_better_side_is_not_compared() -> None:
    one, other = (
        board(row("a", fid_infinity_error=(0.1, 0.2, 0.3 + at)), row("b", kid=(at + 1,) * 3)) for at in (0, 1)
    )
    assert "fid_infinity_error" not in {c.metric for c in contrast(one, other).comparisons}
    assert {c.metric for c in contrast_variants(one, "a", "b").comparisons} == set(GATED)


def test_two_boards_are_compared_without_margins() -> None:
    """Seeds that do not differ at all: half of the gate's margin of 1-NN is a difference."""
    before, after = (board(*(row(name, one_nn=(at,) * 3) for name in "ab")) for at in (0.7, 0.705))
    assert {c.metric for c in contrast(before, after).worse} == {"one_nn"}
    assert check(of_board(before, "x"), after).passed


def test_noise_that_the_second_side_alone_tells_is_noise() -> None:
    one = {"fid": (10.2,), "one_nn": (0.7,), "precision": (0.6,), "recall": (0.5,)}
    few, many = board(row("vae", (0,), **one)), board(row("vae"))
    there, back = (contrast(*sides).comparisons for sides in ((few, many), (many, few)))
    assert [c.metric for c in there] == ["fid", "one_nn", "precision", "recall"]
    assert [(c.noise, -c.shift) for c in there] == [(c.noise, c.shift) for c in back]


def test_a_metric_whose_noise_nobody_knows_is_left_out_and_said() -> None:
    before = board(row("vae"), row("gan", (0,), fid=(30.0,), elbo=(-90.0,)))
    after = board(row("vae", fid=(9.0, 9.5, 10.0)), row("gan", (0,), fid=(31.0,), elbo=(-91.0,)))
    verdict = contrast(before, after)
    assert "elbo" not in {c.metric for c in verdict.comparisons}
    assert {c.metric for c in verdict.comparisons if c.variant == "gan"} >= {"fid"}
    assert list(verdict.remarks) == [
        "elbo on digits is left out: its noise is not known, no variant has two seeds with it."
    ]


def test_a_variant_that_diverged_on_one_side_is_named() -> None:
    gone = row("gan", fid=(), one_nn=(), precision=(), recall=()) | {"diverged": [0, 1, 2]}
    before, after = board(), board(row("vae"), gone)
    assert list(contrast(before, after).remarks) == [
        "digits/gan has no numbers in the second: all of its seeds diverged (3)."
    ]
    assert list(contrast_variants(after, "vae", "gan").remarks) == [
        "digits/vae → gan has no numbers in the second: all of its seeds diverged (3)."
    ]


def test_two_variants_of_a_board() -> None:
    both = board(row("vae"), row("gan", fid=(30.0, 31.0, 32.0)))
    verdict = contrast_variants(both, "vae", "gan")
    fid = next(c for c in verdict.comparisons if c.metric == "fid")
    assert fid.variant == "vae → gan"
    assert (fid.before, fid.after, fid.outcome) == (10.5, 31.0, "worse")
    with pytest.raises(NotComparable, match="no dataset of the leaderboard has both vae and ae"):
        contrast_variants(both, "vae", "ae")


def test_two_variants_are_compared_where_both_are_with_the_seeds_of_each() -> None:
    values = {"fid": (30.0, 31.0), "one_nn": (0.7, 0.71), "precision": (0.6, 0.62), "recall": (0.5, 0.52)}
    elsewhere = row("vae") | {"dataset": "mnist"}
    both = {
        name: {d: content()[name]["digits"] for d in ("digits", "mnist")} for name in ("protocol", "floors")
    }
    found = contrast_variants(
        board(row("vae"), row("gan", (0, 1), **values), elsewhere, **both), "vae", "gan"
    )
    assert {(c.dataset, c.seeds) for c in found.comparisons} == {("digits", (3, 2))}


def test_each_of_two_variants_has_a_noise_of_its_own() -> None:
    """Of .02 and .2: moderated apart, whichever comes first, and alike where they are alike."""
    values = {"vae": (0.60, 0.62, 0.64), "gan": (0.4, 0.6, 0.8), "ae": (0.5, 0.52, 0.54)}
    both = board(*(row(name, precision=each) for name, each in values.items()))
    known = estimates({name: [-v for v in each] for name, each in values.items()})
    # Four metrics of one pair; half of the chance is FID's, a third of the rest that of precision.
    share = FALSE_ALARM_RATE_OF_FEW_SEEDS / 2 / 3
    for first, second in (("vae", "gan"), ("gan", "vae"), ("vae", "ae")):
        (found,) = [c for c in contrast_variants(both, first, second).comparisons if c.metric == "precision"]
        assert found.variant == f"{first} → {second}"
        one, other = known[first], known[second]
        assert found.noise == pytest.approx(math.hypot(one.error, other.error))
        widths = (stats.t.isf(share, each.degrees) * each.error for each in (one, other))
        assert found.limit == pytest.approx(math.hypot(*widths))
    assert known["gan"].error > 2 * known["vae"].error


def test_noise_of_a_variant_does_not_stand_for_that_of_another_with_one_seed() -> None:
    values = {"fid": (9.5,), "one_nn": (0.7,), "precision": (0.6,), "recall": (0.5,)}
    quiet = row("kde", fid=(9.0, 9.001, 9.002))
    one = board(quiet, row("vq_vae", (0,), **values), row("gan"))
    with pytest.raises(
        NotComparable, match="digits/vq_vae has one seed, so its noise is not known; gm-bench"
    ):
        contrast_variants(one, "kde", "vq_vae")


def test_a_fit_in_closed_form_does_not_change_what_is_said_of_two_that_are_trained() -> None:
    def trained(name: str, *fid: float) -> dict[str, Any]:
        made = row(name, fid=fid)
        return made | {"cost": made["cost"] | {"updates": {"model": 9}}}

    pair = trained("vae", 9.0, 10.0, 11.0), trained("gan", 30.0, 36.0, 33.0)
    quiet = row("kde", fid=(9.0, 9.001, 9.002))
    alone, beside = (contrast_variants(board(*rows), "vae", "gan") for rows in (pair, (*pair, quiet)))
    assert [c.limit for c in alone.comparisons] == [c.limit for c in beside.comparisons]
    assert [c.noise for c in alone.comparisons] == [c.noise for c in beside.comparisons]


def test_a_value_without_a_logarithm_is_compared_by_differences() -> None:
    near = board(row("vae", kid=(-0.001, 0.0, 0.001)), row("gan", kid=(0.5, 0.501, 0.502)))
    assert not catalogue_of(near.by_key.values(), catalogue=IMAGES).is_relative("kid")
    (kid,) = [c for c in contrast_variants(near, "vae", "gan").comparisons if c.metric == "kid"]
    assert (kid.shift, kid.outcome) == (pytest.approx(0.501), "worse")
    far = board(row("vae", kid=(0.1, 0.11, 0.12)), row("gan", kid=(0.2, 0.22, 0.24)))
    (kid,) = [c for c in contrast_variants(far, "vae", "gan").comparisons if c.metric == "kid"]
    assert kid.shift == pytest.approx(math.log(2.0))


def test_what_did_not_change_is_not_compared_side_by_side() -> None:
    before = board(row("vae"), row("gan"))
    verdict = contrast(before, board(row("vae"), row("gan", fid=(12.0, 12.5, 13.0))))
    assert list(verdict.unchanged) == [("digits", "vae")]
    assert {c.variant for c in verdict.comparisons} == {"gan"}
    assert contrast(before, before).comparisons == []


def test_noise_alone_seldom_fails() -> None:
    """Normal noise, 8 variants, 3 seeds. At the set rate, more than 4 of 300 have a chance of 0.1 %."""
    rng = np.random.default_rng(0)
    spreads = {"fid": 0.15, "one_nn": 0.006, "precision": 0.02, "recall": 0.03}

    def drawn() -> Leaderboard:
        bad = {m: rng.normal(size=(8, 3)) * s for m, s in spreads.items()}
        rows = []
        for i in range(8):
            values = {m: tuple(0.7 + bad[m][i]) for m in ("one_nn", "precision", "recall")}
            rows.append(row(f"v{i}", **values, fid=tuple(10 * np.exp(bad["fid"][i]))))
        return board(*rows)

    n_failed = sum(not check(of_board(drawn(), "x"), drawn()).passed for _ in range(300))
    assert FALSE_ALARM_RATE_OF_FEW_SEEDS == 0.0025
    assert n_failed <= 4
    assert set(GATED) == spreads.keys()


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        (row("gan", recall=(0.5, 0.52)), "digits/gan has recall of 2 of 3 finished seeds, the baseline has."),
        (row("gan", recall=(0.5,)), "digits/gan has recall of 1 of 3 finished seeds, the baseline has."),
        (row("gan") | {"status": "ok"} | {"metrics": {}}, "digits/gan has no fid, the baseline has."),
    ],
)
def test_a_metric_must_be_there_of_every_finished_seed(after: dict[str, Any], sentence: str) -> None:
    verdict = check(baseline(), board(row("vae"), after))
    assert sentence in verdict.failures
    assert not verdict.passed


def test_all_judged_metrics_gone_from_one_seed_fail() -> None:
    """The status says that three seeds finished, so what is missing is no divergence."""
    after = row("gan", **dict.fromkeys(GATED, (0.7, 0.71))) | {"status": "ok"}
    verdict = check(baseline(), board(row("vae"), after))
    assert list(verdict.failures) == [
        f"digits/gan has {metric} of 2 of 3 finished seeds, the baseline has." for metric in GATED
    ]


def test_what_lacks_values_is_not_accepted() -> None:
    with pytest.raises(NotComparable, match="digits/gan has recall of 2 of 3 finished seeds: evaluate it"):
        baseline(row("vae"), row("gan", recall=(0.5, 0.52)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(NotComparable, match=f"recall of digits/gan is {value}"):
        board(row("vae"), row("gan", recall=(0.5, value, 0.54)))
    with pytest.raises(NotComparable, match=f"fid of the floor of digits is {value}"):
        board(floors={"digits": content()["floors"]["digits"] | {"fid": value}})


def test_without_a_floor_nothing_is_said() -> None:
    floor = content()["floors"]["digits"]
    less = {name: value for name, value in floor.items() if name != "recall"}
    for floors in ({}, {"digits": {}}, {"digits": less}):
        missing = "recall" if floors == {"digits": less} else "fid"
        with pytest.raises(NotComparable, match=f"digits cannot be compared .* the floor lacks {missing}"):
            check(baseline(), board(floors=floors))
        with pytest.raises(NotComparable, match=f"the floor of digits lacks {missing}"):
            of_board(board(floors=floors), "abc")
