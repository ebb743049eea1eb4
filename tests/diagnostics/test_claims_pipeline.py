"""A board of claims through DVC: from gm-bench run to its page, and only what changed runs again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import tiny

BUDGET = {"minutes": {"n_updates": 2, "batch_size": 8, "lr": 0.01, "width": 4}}


def run(folder: Path, *arguments: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = os.environ | {"PATH": path, "PYTHONPATH": str(folder), "GM_BENCH_DEVICE": "cpu"}
    environ.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "gm_bench.cli", "run", "--board", "claims", *arguments]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_board_of_claims_runs_and_only_a_changed_claim_runs_again(tmp_path: Path) -> None:
    tiny.make(tmp_path)
    board = {"variants": ["optimal_discriminator", "elbo_and_bounds"], "seeds": [0, 1]}

    def cut(params) -> None:
        params["boards"]["claims"].update(board)
        params["claims"]["optimal_discriminator"] = BUDGET
        params["claims"]["elbo_and_bounds"]["minutes"].update(n_points=20, n_codes=200)

    tiny.change(tmp_path, cut)
    said = run(tmp_path, "-j", "2")
    assert "optimal_discriminator does not hold" in " ".join(said.split())
    told = json.loads((tmp_path / "reports/claims/leaderboard.json").read_text())
    assert {row["variant"]: len(row["seeds"]) for row in told["rows"]} == dict.fromkeys(board["variants"], 2)
    assert (tmp_path / "reports/claims/cells/theory-elbo_and_bounds.html").exists()
    assert (tmp_path / "boards/claims/dvc.lock").exists()
    assert not (tmp_path / "dvc.lock").exists(), "the first board's stages were not touched"

    files = {claim: tmp_path / f"runs/claims/theory/{claim}/0/metrics.json" for claim in board["variants"]}
    before = {claim: file.stat().st_mtime_ns for claim, file in files.items()}
    tiny.change(tmp_path, lambda params: params["claims"]["elbo_and_bounds"]["minutes"].update(n_points=30))
    run(tmp_path, "-j", "2")
    after = {claim: file.stat().st_mtime_ns for claim, file in files.items()}
    assert after["optimal_discriminator"] == before["optimal_discriminator"]
    assert after["elbo_and_bounds"] > before["elbo_and_bounds"]
