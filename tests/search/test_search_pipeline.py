"""A board of searches through DVC: from gm-bench run to its page and the pages of its trials."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import tiny

from gm_bench.yaml_text import load_yaml


def cut(params: dict[str, Any]) -> None:
    params["boards"]["search"].update(variants=["ns_gan"], n_images=1280)
    params["tracks"]["search"].update(n_trials=3, n_repeats=1)
    params["datasets"]["digits"]["protocol"].update(draws=1, floor_splits=2)


def test_a_board_of_searches_runs(tmp_path: Path) -> None:
    tiny.make(tmp_path)
    tiny.change(tmp_path, cut)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = os.environ | {"PATH": path, "PYTHONPATH": str(tmp_path), "GM_BENCH_DEVICE": "cpu"}
    environ.pop("MLFLOW_TRACKING_URI", None)

    def bench(*arguments: str) -> str:
        command = [sys.executable, "-m", "gm_bench.cli", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    bench("run", "--board", "search", "-j", "2")
    told = json.loads((tmp_path / "reports/search/leaderboard.json").read_text())
    rows = {row["variant"]: row for row in told["rows"]}
    assert set(rows) == {"ns_gan"}
    trials = {v: json.loads((tmp_path / f"runs/search/digits/{v}/0/trials.json").read_text()) for v in rows}
    for variant, row in rows.items():
        fids = [trial["fid"] for trial in trials[variant]["trials"]]
        assert len(fids) == 3
        summary = row["search"]["0"]
        assert summary["best"] == {"number": fids.index(min(fids)), "fid": min(fids)} | {
            "values": trials[variant]["trials"][fids.index(min(fids))]["values"]
        }
        assert (row["metrics"]["fid"] == row["metrics"]["default_fid"]) == (summary["best"]["number"] == 0)
        page = (tmp_path / f"reports/search/cells/digits-{variant}-0.html").read_text()
        assert all(f"<td>{fid:.4g}</td>" in page for fid in fids)
    said = (tmp_path / "reports/search/leaderboard.md").read_text()
    assert "as many, with the same seeds, of the recipe without a search" in said
    page = (tmp_path / "reports/search/leaderboard.html").read_text()
    for title in ("FID default", "The best of k trials", "FID against lr", "FID against critic_norm"):
        assert title in page
    lines = (tmp_path / "reports/search/figures/digits-best-of-k.csv").read_text().splitlines()
    drawn = [trial["fid"] for trial in trials["ns_gan"]["trials"][1:]]
    assert lines[1:4] == [
        f"ns_gan,1,{sum(drawn) / 2}",
        f"ns_gan,2,{min(drawn)}",
        f"ns_gan,default,{trials['ns_gan']['trials'][0]['fid']}",
    ]
    found = [variant for variant in rows if trials[variant]["best"]]
    assert found, "the fixture finds something better for one variant at least"
    assert "tiny_searched" in bench("adopt", f"digits/{found[0]}/0")
    params = load_yaml((tmp_path / "params.yaml").read_text())
    assert "tiny_searched" in params["variants"][found[0]]
    assert (tmp_path / "boards/search/dvc.lock").exists()
    lock = load_yaml((tmp_path / "dvc.lock").read_text())["stages"]
    assert not [stage for stage in lock if "train" in stage], "of the first board's stages only the dataset's"
