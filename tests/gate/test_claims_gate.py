"""The gate on claims: what counts as a change of a quantity, and `gm-bench check --board` for users."""

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gm_bench import cli
from gm_bench.config import load_params
from gm_bench.results.leaderboard import Entry, Score
from gm_bench.results.moderation import quantile
from gm_bench.tracks.diagnostics import gate
from gm_bench.tracks.diagnostics.claim import about, at_least, at_most, find
from gm_bench.tracks.diagnostics.claims import elbo_and_bounds

ROOT = Path(__file__).parents[2]
CHANCE = 0.001
SEEDS = (1.0, 1.02, 0.98, 1.01, 0.99)  # mean 1, sd √(0.001 / 4)
SD = (0.001 / 4) ** 0.5
NEAR_ONE = about("a", "A quantity", 1.0, 0.5, "")


def entry(**values: tuple[float, ...]) -> Entry:
    scores = {key: Score(each, None) for key, each in values.items()}
    return Entry("theory", "claim", "claims", "", (0, 1, 2, 3, 4), 5, scores, {})


def test_a_value_that_is_the_accepted_one_is_no_change() -> None:
    assert gate.different([NEAR_ONE], entry(a=SEEDS), {"a": 1.0}, CHANCE) == []
    assert gate.different([NEAR_ONE], entry(a=SEEDS), {"a": 1.0 + 1e-9}, CHANCE) == []
    outside = about("a", "A quantity", 9.0, 0.5, "")  # it never held, and is what it was
    assert gate.different([outside], entry(a=SEEDS), {"a": 1.0}, CHANCE) == []


def test_chance_is_how_far_another_seed_may_lie() -> None:
    """Student's t of four degrees of freedom, and the mean of five seeds is not known exactly."""
    reach = quantile(CHANCE, 4) * SD * 1.2**0.5
    assert reach == pytest.approx(7.1732 * 0.0158114 * 1.0954451, rel=1e-4)
    assert gate.different([NEAR_ONE], entry(a=SEEDS), {"a": 1 + 0.99 * reach}, CHANCE) == []
    assert gate.different([NEAR_ONE], entry(a=SEEDS), {"a": 1 - 0.99 * reach}, CHANCE) == []
    (sentence,) = gate.different([NEAR_ONE], entry(a=SEEDS), {"a": 1 + 1.01 * reach}, CHANCE)
    assert sentence == (
        "A quantity is 1.125 and was 1 with seed 0, 0.98 to 1.02 over 5 seeds: that is more than chance"
    )


def test_what_held_must_hold() -> None:
    """Within chance of the other seeds, but below the region in which all of them are."""
    expected = at_least("a", "A quantity", 0.95, "")
    (sentence,) = gate.different([expected], entry(a=SEEDS), {"a": 0.94}, CHANCE)
    assert sentence == (
        "A quantity is 0.94 and was 1 with seed 0: it does not hold any more, at least 0.95 is expected"
    )
    above = at_least("a", "A quantity", 1.005, "")  # neither the seeds nor this one held
    assert gate.different([above], entry(a=SEEDS), {"a": 0.94}, CHANCE) == []


def test_where_seeds_do_not_differ_rounding_may() -> None:
    """A hundredth of the value, or a twentieth of its way to the nearer end of the region."""
    near_two = about("a", "A quantity", 2.0, 0.1, "")
    alike = entry(a=(2.0,) * 5)
    assert gate.different([near_two], alike, {"a": 2.0 * 1.009}, CHANCE) == []
    assert len(gate.different([near_two], alike, {"a": 2.0 * 1.011}, CHANCE)) == 1
    at_most_a_tenth = at_most("a", "A quantity", 0.1, "")
    nothing = entry(a=(0.0,) * 5)
    assert gate.different([at_most_a_tenth], nothing, {"a": 0.0049}, CHANCE) == []
    assert len(gate.different([at_most_a_tenth], nothing, {"a": 0.0051}, CHANCE)) == 1


def test_a_new_quantity_is_named() -> None:
    found = gate.different([NEAR_ONE], entry(b=SEEDS), {"a": 1.0}, CHANCE)
    assert found == ["A quantity is not among the accepted values"]


def test_what_is_watched_stands_on_the_board_and_draws_no_clock() -> None:
    board = load_params(ROOT / "params.yaml").board("claims")
    assert set(gate.WATCHED) <= set(board.variants)
    assert gate.SEED in board.seeds
    assert "sampling_speed" not in gate.WATCHED, "seconds are another machine's"


@pytest.fixture
def two_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(gate, "WATCHED", ("metrics_see", "elbo_and_bounds"))


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["check", *arguments])


@pytest.mark.usefixtures("two_claims")
def test_the_committed_report_is_what_the_code_gives(tmp_path: Path) -> None:
    done = command("--board", "claims", "--summary", str(tmp_path / "summary.md"))
    assert done.exit_code == 0, done.output
    assert "elbo_and_bounds: as accepted" in done.output
    assert "Passed: 2 of the board claims as accepted." in done.output
    assert "Passed: 2 of the board claims" in (tmp_path / "summary.md").read_text()


@pytest.mark.usefixtures("two_claims")
def test_a_broken_claim_fails_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The KL of a Gaussian code at half its value."""
    whole = elbo_and_bounds.kl_divergence
    monkeypatch.setattr(
        elbo_and_bounds, "kl_divergence", lambda mu, log_variance: whole(mu, log_variance) / 2
    )
    done = command("--board", "claims", "--summary", str(tmp_path / "summary.md"))
    assert done.exit_code == 1, done.output
    assert "metrics_see: as accepted" in done.output
    assert "elbo_and_bounds: KL(q ‖ N(0, I)), closed form over drawn is 0.4995 and was 0.999" in done.output
    assert "it does not hold any more, 0.98 to 1.02 is expected" in done.output
    assert "run gm-bench run --board claims and accept reports/claims" in done.output
    assert "- elbo_and_bounds: " in (tmp_path / "summary.md").read_text()


@pytest.mark.usefixtures("two_claims")
def test_a_claim_that_breaks_down_or_was_never_accepted_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "WATCHED", ("elbo_and_bounds", "saturation"))
    monkeypatch.setattr(gate, "SEED", 7)
    done = command("--board", "claims")
    assert done.exit_code == 1
    assert "saturation has no values of seed 7 in reports/claims; if that is meant" in done.output
    monkeypatch.setattr(gate, "SEED", 0)

    def broken(name: str, seed: int, budget: object) -> None:
        raise ValueError(f"the experiment of the claim {name} gave x = nan: it broke down")

    monkeypatch.setattr(gate, "run", broken)
    assert "saturation broke down: the experiment of the claim saturation gave x = nan" in command(
        "--board", "claims"
    ).output.replace("\n", " ")


def test_other_boards_are_compared_and_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = command("--board", "digits")
    assert done.exit_code == 2
    assert "nothing of the board digits is watched by itself" in done.output
    done = command("--board", "claims_long")
    assert done.exit_code == 2
    assert "nothing of the board claims_long is watched by itself" in done.output
    done = command("--board", "claims", "--update")
    assert done.exit_code == 2
    assert "--update does not go with --board" in done.output
    assert command("--board", "nothing").exit_code == 2


def test_the_watched_claims_are_found_by_name() -> None:
    assert [find(name).budget for name in gate.WATCHED]
