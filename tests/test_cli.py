"""The console script and the runner behind it, without running a stage."""

import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gm_bench import cli
from gm_bench.config import Params
from gm_bench.running import runner
from gm_bench.running.runner import Chain


def test_layers_hold_every_stage_of_the_grid_once(params: Params) -> None:
    datasets, cells, leaderboard = runner.layers(params)
    assert datasets[0].stages == ("fetch@digits", "extractor@digits", "reference@digits")
    assert cells[0].stages == ("train@digits-vae-0", "sample@digits-vae-0", "evaluate@digits-vae-0")
    assert len(cells) == len(params.cells())
    assert leaderboard[0].stages == ("leaderboard",)
    stages = [stage for layer in (datasets, cells, leaderboard) for chain in layer for stage in chain.stages]
    assert len(set(stages)) == len(stages)


def test_a_cell_is_missing_stale_or_fresh(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for variant in ("vae", "gan", "wgan"):
        folder = tmp_path / f"runs/digits/{variant}/0"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text("{}")
    states = runner.cell_states(params, {"sample@digits-gan-0", "train@digits-vae-1", "leaderboard"})
    assert states["digits", "vae", 0] == "fresh"
    assert states["digits", "gan", 0] == "stale"
    assert states["digits", "vae", 1] == "missing"
    of_dataset = runner.cell_states(params, {"reference@digits"})
    assert of_dataset["digits", "vae", 0] == "stale"


def test_stages_run_on_one_thread_with_this_interpreter_first() -> None:
    environ = runner.environment("cuda")
    assert environ["OMP_NUM_THREADS"] == "1"
    assert environ["GM_BENCH_DEVICE"] == "cuda"
    assert environ["PATH"].split(os.pathsep)[0] == str(Path(runner.sys.executable).parent)


def test_chains_run_side_by_side_and_tell_what_became_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of DVC a script that fails for one name and waits for its neighbour for the others."""
    script = tmp_path / "dvc.sh"
    script.write_text(
        'for last; do :; done\necho "Running stage \'$last\':"\ntouch "$last"\n'
        '[ "$last" = bad ] && { echo reason; exit 3; }\n'
        "for i in $(seq 100); do [ -e left ] && [ -e right ] && exit 0; sleep 0.05; done; exit 1\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "DVC", ("bash", str(script)))
    chains = [Chain(name, (name,)) for name in ("left", "right", "bad")]
    runner.run_layer(chains, 2, dict(os.environ))
    assert [chain.state for chain in chains] == ["done", "done", "failed"]
    assert chains[2].output[-1] == "reason"


def test_a_stage_that_was_stopped_stops_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage ends with 130 after Ctrl-C; DVC passes that on as a failure with these words."""
    script = tmp_path / "dvc.sh"
    script.write_text("echo 'ERROR: failed to run: python -m pipelines.train, exited with 130'; exit 255\n")
    monkeypatch.setattr(runner, "DVC", ("bash", str(script)))
    chains = [Chain(name, (name,)) for name in ("first", "second")]
    with pytest.raises(KeyboardInterrupt):
        runner.run_layer(chains, 1, dict(os.environ))
    assert [chain.state for chain in chains] == ["stopped", "waiting"]


def test_the_ui_listens_on_this_machine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated: Path
) -> None:
    from gm_bench.tracking.store import Store  # late: the other tests do without MLflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    called: list[list[str]] = []
    monkeypatch.setattr("gm_bench.cli.os.execve", lambda path, arguments, environ: called.append(arguments))
    refused = CliRunner().invoke(cli.app, ["ui"])
    assert refused.exit_code == 1
    assert "make repro publishes the results" in refused.output
    shutil.copy(migrated, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    Store().describe("digits", ["fid"])
    told = CliRunner().invoke(cli.app, ["ui", "--port", "5123"])
    assert told.output.startswith("digits: http://127.0.0.1:5123/#/experiments/1/runs?viewStateShareKey=")
    (arguments,) = called
    assert arguments[arguments.index("--host") + 1] == "127.0.0.1"
    assert arguments[arguments.index("--port") + 1] == "5123"
