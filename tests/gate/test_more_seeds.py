"""`gm-bench check --resolve` without training: what it runs, refuses and says."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from test_judging import Runs, seeds_of
from test_regression import content
from typer.testing import CliRunner

from gm_bench import cli
from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.metrics.catalogue import IMAGES
from gm_bench.results.baseline import read_board
from gm_bench.running import boards, more_seeds, runner
from gm_bench.running.chains import Chain
from gm_bench.running.more_seeds import MoreSeeds

ROOT = Path(__file__).resolve().parents[2]
LEADERBOARD, BASELINE = (Path("reports/digits", name) for name in ("leaderboard.json", "baseline.json"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    for name in (".dvc", ".git"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(runner, "prepare", lambda *_: None)
    monkeypatch.setattr(runner, "stale_stages", lambda *_: {})


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def leaderboard(*rows: dict[str, Any], board: str = "digits") -> None:
    LEADERBOARD.parent.mkdir(parents=True, exist_ok=True)
    LEADERBOARD.write_text(json.dumps(content(*rows) | {"board": board}), encoding="utf-8")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """In place of DVC: rows that are there, of a GAN whose FID is worse by a factor e^0.12."""
    found = Runs(0.12)
    monkeypatch.setattr(MoreSeeds, "run", lambda self, wanted: found(wanted))
    return found


def test_a_baseline_gets_further_seeds_and_a_candidate_as_many_as_it_takes(runs: Runs) -> None:
    runs.worse = 0.0
    leaderboard(seeds_of("vae", 4), seeds_of("gan", 4))
    said = command("check", "--update", "--resolve", "--most-seeds", "12")
    assert said.exit_code == 0, said.output
    assert "12 seeds each" in said.output
    assert runs.asked == [{("digits", v): list(range(4, 12)) for v in ("vae", "gan")}]
    accepted = json.loads(BASELINE.read_text(encoding="utf-8"))
    assert accepted["board_seeds"] == [0, 1, 2, 3]

    runs.asked.clear()
    assert command("check", "--resolve").exit_code == 0
    assert runs.asked == []
    leaderboard(seeds_of("vae", 4), seeds_of("gan", 4, 0.12))
    assert command("check").exit_code == 0
    runs.worse = 0.12
    resolved = command("check", "--resolve", "--summary", "summary.md")
    assert resolved.exit_code == 1
    assert runs.asked == [{("digits", "gan"): [4, 5, 6, 7]}]
    text = Path("summary.md").read_text(encoding="utf-8")
    assert "Regression: 1 worse, 0 better, 3 within noise; unchanged: digits/vae." in text
    assert "| 12, 8 | ✗ worse |" in text
    assert "| digits | vae | all |  |  |  |  |  |  | unchanged |" in text


def test_each_cell_is_a_chain_of_its_own_beside_the_board(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Chain] = []

    def run(chains: list[Chain], jobs: int, environ: dict[str, str]) -> None:
        assert jobs == 2
        ran.extend(chains)
        for chain in chains:
            chain.state = "done"

    monkeypatch.setattr(runner, "run_layer", run)
    monkeypatch.setattr(runner, "cell_states", lambda *_: dict.fromkeys(params.cells("digits"), "fresh"))
    monkeypatch.setattr(more_seeds, "with_seeds", lambda board, results: (board, results))
    monkeypatch.setattr(more_seeds, "read_cell", lambda cell, origin: cell)
    board = read_board(content(seeds_of("vae", 4)) | {"board": "digits"}, "x", IMAGES)
    _, read = MoreSeeds(board, 2).run({("digits", "vae"): [4, 5]})  # type: ignore[misc]
    assert read == [Cell("digits.more", "digits", "vae", seed) for seed in (4, 5)]
    file = "boards/digits.more/digits/vae/dvc.yaml"
    assert [chain.stages for chain in ran] == [
        tuple(f"{file}:{stage}@digits-vae-{seed}" for stage in ("train", "sample", "evaluate"))
        for seed in (4, 5)
    ]
    assert Path(file).is_file()
    assert Path("resolved/boards/digits.more/digits/vae/train.json").is_file()


def test_stale_cells_and_unknown_boards_take_no_more_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    leaderboard(seeds_of("vae", 4), seeds_of("gan", 4))
    assert command("check", "--update").exit_code == 0
    unclear = [seeds_of("vae", 4), seeds_of("gan", 4, 0.1)]
    leaderboard(*unclear, board="elsewhere")
    refused = command("check", "--resolve")
    assert refused.exit_code == 2
    assert "the leaderboard is of 'elsewhere', which is no board of params.yaml" in refused.output
    leaderboard(*unclear)
    refused = command("check", "--resolve")
    assert refused.exit_code == 2
    assert "21 cells of the board digits are stale or missing (digits/vae/0): run gm-bench" in refused.output
    assert not Path(boards.FOLDER).exists()


def test_a_cell_that_failed_ends_the_check(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(chains: list[Chain], jobs: int, environ: dict[str, str]) -> None:
        for chain, state in zip(chains, ("done", "failed"), strict=True):
            chain.state = state

    monkeypatch.setattr(runner, "run_layer", fail)
    monkeypatch.setattr(runner, "cell_states", lambda *_: dict.fromkeys(params.cells("digits"), "fresh"))
    board = read_board(content(seeds_of("vae", 4)) | {"board": "digits"}, "x", IMAGES)
    with pytest.raises(ValueError, match=r"1 of 2 further seeds failed \(digits-vae-5\)"):
        MoreSeeds(board, 1).run({("digits", "vae"): [4, 5]})


def test_sigterm_ends_it_as_ctrl_c_does(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the handler that `gm-bench run` has, which reaches the processes below; not by the one before it."""
    others: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: others.append(number))
    monkeypatch.setattr(runner, "run_layer", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    monkeypatch.setattr(runner, "cell_states", lambda *_: dict.fromkeys(params.cells("digits"), "fresh"))
    board = read_board(content(seeds_of("vae", 4)) | {"board": "digits"}, "x", IMAGES)
    try:
        with pytest.raises(KeyboardInterrupt):
            MoreSeeds(board, 1).run({("digits", "vae"): [4, 5]})
    finally:
        signal.signal(signal.SIGTERM, before)
    assert others == []
