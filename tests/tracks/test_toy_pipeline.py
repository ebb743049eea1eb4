"""A track that lies outside of the package, from fetch to its leaderboard page and MLflow, through DVC."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import tiny

ROOT = Path(__file__).parents[2]
BOARD = {
    "track": "toys.rings",
    "datasets": ["ring"],
    "variants": ["copying", "collapsed"],
    "seeds": [0, 1],
    "recipe": "tiny",
    "n_images": 6400,
    "n_snapshots": 1,
}


def test_a_board_of_another_track_runs_from_fetch_to_its_page(tmp_path: Path) -> None:
    tiny.make(tmp_path)
    shutil.copytree(ROOT / "tests/toys", tmp_path / "toys")
    tiny.change(tmp_path, lambda params: params["boards"].update(rings=BOARD))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = os.environ | {"PATH": path, "PYTHONPATH": str(tmp_path), "GM_BENCH_DEVICE": "cpu"}
    environ.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "gm_bench.cli", "run", "--board", "rings", "-j", "2"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    told = json.loads((tmp_path / "reports/rings/leaderboard.json").read_text())
    values = {row["variant"]: row["metrics"]["modes_covered"]["values"] for row in told["rows"]}
    assert values == {"copying": [1.0, 1.0], "collapsed": [0.125, 0.125]}
    assert [row["variant"] for row in told["rows"]] == ["copying", "collapsed"], "ranked by its metric"
    assert told["floors"]["ring"] == {"modes_covered": 1.0}
    page = (tmp_path / "reports/rings/leaderboard.html").read_text()
    assert "Modes covered" in page
    assert "FID" not in page
    assert (tmp_path / "boards/rings/dvc.lock").exists()
    assert not (tmp_path / "dvc.lock").exists(), "the first board's stages were not touched"
    assert (tmp_path / "mlflow.db").exists()
