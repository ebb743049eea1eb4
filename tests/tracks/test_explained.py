"""What `gm-bench show` says of tracks other than the main one: their numbers in params.yaml, and where."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gm_bench.cell import Cell
from gm_bench.config import Board, Params, load_params
from gm_bench.running import driver, inspection, runner
from gm_bench.running.stage import screen
from gm_bench.tracks.settings import explained_cell, explained_dataset

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params(PARAMS)


def test_a_claim_names_its_budget_of_its_boards_recipe(params: Params) -> None:
    claim = "better_discriminator"
    values, places = explained_cell(params, Cell("claims", "theory", claim, 0))
    long, long_places = explained_cell(params, Cell("claims_long", "theory_mnist", claim, 0))
    assert (values["dataset"], long["dataset"]) == ("digits", "mnist")
    assert places["dataset"] == f"tracks.diagnostics.claims.{claim}.minutes.dataset"
    assert long_places["dataset"] == f"tracks.diagnostics.claims.{claim}.hours.dataset"
    assert values.keys() == places.keys()
    of_board = explained_dataset(params, "claims", "theory")
    assert of_board[f"{claim}.n_updates"].value == values["n_updates"]


def test_a_recipe_of_points_says_which_entry_wins(params: Params) -> None:
    values, places = explained_cell(params, Cell("mode_collapse", "ring", "sngan", 3))
    assert values["network"]["critic_norm"] == "spectral"
    assert places["network.critic_norm"] == "tracks.mode_collapse.variants.sngan.network.critic_norm"
    assert places["network.width"] == "tracks.mode_collapse.recipe.network.width"
    assert places["n_images"] == "boards.mode_collapse.n_images"
    assert "ema" not in places  # nobody said it
    mixture = explained_dataset(params, "mode_collapse", "grid")
    assert (mixture["n_modes"].value, mixture["n_modes"].origin) == (
        25,
        "tracks.mode_collapse.mixtures.grid.n_modes",
    )


@pytest.fixture
def shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, str | None], list[str]]:
    """What `gm-bench show` prints of a cell or a board, by line, without columns; DVC is not asked."""
    monkeypatch.chdir(PARAMS.parent)
    monkeypatch.setattr(runner, "prepare", lambda *_: None)
    monkeypatch.setattr(runner, "stale_stages", lambda *_: {})

    def lines(word: str, board: str | None = None) -> list[str]:
        driver.show_cell([word], board)
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    return lines


def test_show_prints_a_claim(shown: Callable[[str, str | None], list[str]]) -> None:
    lines = shown("theory/saturation/77", "claims")
    assert "theory/saturation/77: not on the board claims" in lines
    assert "clip 0.1 tracks.diagnostics.claims.saturation.minutes.clip" in lines
    command = "python -m pipelines.diagnostics.run claims theory saturation 77"
    assert f"run alone, without DVC {command}" in lines
    assert "runs/claims/theory/saturation/77/cost.json not there" in lines
    assert not any("grid.png" in line for line in lines), "no stage of the track leaves it"
    said = " ".join(shown("mode_collapse", None))
    assert "n_points 100,000 tracks.mode_collapse.mixtures.ring.n_points" in said


def test_a_track_that_explains_nothing_is_shown_with_its_own_settings_files_and_commands(
    monkeypatch: pytest.MonkeyPatch, shown: Callable[[str, str | None], list[str]]
) -> None:
    params = load_params(PARAMS)
    outside = Board(track="toys.rings", datasets=["ring"], variants=["spread"], seeds=[0])
    monkeypatch.setattr(driver, "load_params", lambda: params)
    monkeypatch.setitem(params.boards, "rings", outside)
    lines = shown("ring/spread/3", "rings")
    assert "n_samples 500 the track" in lines
    assert "train alone, without DVC python -m toys.rings.measuring train rings ring spread 3" in lines
    assert [line for line in lines if line.endswith("not there")] == [
        f"runs/rings/ring/spread/3/{name} not there"
        for name in ("model.safetensors", "history.csv", "cost.json", "metrics.json")
    ]


def test_a_value_in_brackets_is_shown_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    screen().print(inspection._parameters({"groups": "([abc])-.*"}, {}, None))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "groups" in line]
    assert line.split() == ["groups", "([abc])-.*", "the", "track"]
