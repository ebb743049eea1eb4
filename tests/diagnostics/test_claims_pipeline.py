"""A board of claims through DVC: from gm-bench run to its page, and only what changed is stale."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from gm_bench.config import load_params
from gm_bench.running import resolve

BUDGETS = {
    "optimal_discriminator": {"minutes": {"n_updates": 2, "batch_size": 8, "lr": 0.01, "width": 4}},
    "elbo_and_bounds": {"minutes": {"n_points": 20, "n_codes": 200}},
}


def cut(params) -> None:
    params["boards"]["claims"].update(variants=["optimal_discriminator"], seeds=[0, 1])
    params["tracks"]["diagnostics"]["claims"] |= BUDGETS


def test_a_board_of_claims_runs(tmp_path: Path) -> None:
    tiny.make(tmp_path)
    tiny.change(tmp_path, cut)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = os.environ | {"PATH": path, "PYTHONPATH": str(tmp_path), "GM_BENCH_DEVICE": "cpu"}
    environ.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "gm_bench.cli", "run", "--board", "claims", "-j", "2"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "optimal_discriminator does not hold" in " ".join(done.stdout.split())
    told = json.loads((tmp_path / "reports/claims/leaderboard.json").read_text())
    assert [(row["variant"], row["seeds"]) for row in told["rows"]] == [("optimal_discriminator", [0, 1])]
    assert 'id="optimal_discriminator"' in (tmp_path / "reports/claims/leaderboard.html").read_text()
    assert (tmp_path / "boards/claims/dvc.lock").exists()
    assert not (tmp_path / "dvc.lock").exists(), "the first board's stages were not touched"


def test_only_a_changed_claim_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC runs a cell again when the file that was resolved for it changed."""
    (tmp_path / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    tiny.change(tmp_path, cut)
    tiny.change(tmp_path, lambda params: params["boards"]["claims"].update(variants=list(BUDGETS)))
    monkeypatch.chdir(tmp_path)

    def resolved() -> dict[str, str]:
        resolve.board(load_params(), "claims")
        files = {claim: Path("resolved/boards/claims/theory", claim, "run.json") for claim in BUDGETS}
        return {claim: file.read_text() for claim, file in files.items()}

    before = resolved()
    assert json.loads(before["elbo_and_bounds"])["budget"] == {"n_points": 20, "n_codes": 200}
    longer = {"minutes": {"n_points": 30, "n_codes": 200}}
    tiny.change(
        tmp_path, lambda params: params["tracks"]["diagnostics"]["claims"].update(elbo_and_bounds=longer)
    )
    after = resolved()
    assert after["optimal_discriminator"] == before["optimal_discriminator"]
    assert after["elbo_and_bounds"] != before["elbo_and_bounds"]
