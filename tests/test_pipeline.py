"""The whole pipeline through DVC on a tiny grid, as a user runs it: processes, files and exit codes only."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny

from gm_bench.yaml_text import dump_yaml, load_yaml

CELLS = ["vae/0", "vae/1", "wgan/0", "wgan/1"]
ALWAYS_RUN = {"resolve", "resolve_data@digits", "leaderboard"}
REPRODUCIBLE = ["model.safetensors", "samples.safetensors", "grid.png", "metrics.json"]


# Less of what is measured often: how much of it does not matter to the pipeline.
PROTOCOL = {"draws": 2, "kid_subsets": 10, "floor_splits": 2}


def make(folder: Path, **grid: Any) -> Path:
    tiny.make(folder, **grid)
    tiny.change(folder, lambda params: params["datasets"]["digits"]["protocol"].update(PROTOCOL))
    return folder


def command(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = os.environ | {"PATH": path, "PYTHONPATH": str(folder), "GM_BENCH_DEVICE": "cpu"}
    environ.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(arguments, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def gm_bench(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return command(folder, sys.executable, "-m", "gm_bench.cli", *arguments, check=check)


def stale(folder: Path) -> set[str]:
    return set(json.loads(command(folder, "dvc", "status", "--json", "dvc.yaml").stdout))


def board(folder: Path, name: str = "digits") -> dict:
    return json.loads((folder / f"reports/{name}/leaderboard.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny grid, brought up to date two cells at a time. Later tests change it, in the order they stand."""
    folder = make(tmp_path_factory.mktemp("finished"))
    output = gm_bench(folder, "run", "-j", "2").stdout
    assert "digits" in output
    assert "floor" in output
    return folder


@pytest.mark.xdist_group("pipeline")
class TestPipeline:
    def test_the_leaderboard_has_every_cell_with_its_numbers(self, finished: Path) -> None:
        content = board(finished)
        assert content["schema"] == 1
        rows = {row["variant"]: row for row in content["rows"]}
        assert {name: row["seeds"] for name, row in rows.items()} == {"vae": [0, 1], "wgan": [0, 1]}
        assert [row["family"] for row in content["rows"]] == [
            rows[r["variant"]]["family"] for r in content["rows"]
        ]
        for row in rows.values():
            assert row["status"] == "ok"
            for name, metric in row["metrics"].items():
                of_cells = [self.mean_of_draws(finished, row["variant"], seed, name) for seed in row["seeds"]]
                assert metric["values"] == pytest.approx(of_cells, rel=1e-12)
                assert metric["mean"] == pytest.approx(sum(of_cells) / 2, rel=1e-12)
        assert content["protocol"]["digits"]["n_samples"] == 800
        floors = content["floors"]["digits"]
        assert floors["fid"] < min(row["metrics"]["fid"]["mean"] for row in rows.values())
        assert floors["one_nn"] == pytest.approx(0.5, abs=0.05)  # 1,600 images: standard error of about 0.02
        means = [row["metrics"]["fid"]["mean"] for row in content["rows"]]
        assert means == sorted(means)

    @staticmethod
    def mean_of_draws(folder: Path, variant: str, seed: int, name: str) -> float:
        path = folder / f"runs/digits/digits/{variant}/{seed}/metrics.json"
        values = json.loads(path.read_text(encoding="utf-8"))["values"][name]
        return sum(values) / len(values)

    def test_all_four_forms_are_written(self, finished: Path) -> None:
        forms = {
            suffix: (finished / f"reports/digits/leaderboard.{suffix}").read_text()
            for suffix in ("md", "csv", "html")
        }
        assert all("wgan" in text and "vae" in text for text in forms.values())
        assert "http://" not in forms["html"].replace("http://www.w3.org", "")

    def test_nothing_is_stale_but_what_always_runs(self, finished: Path) -> None:
        assert stale(finished) == ALWAYS_RUN

    def test_a_second_run_does_no_work_twice(self, finished: Path) -> None:
        files = [finished / "runs/digits/digits" / cell / "model.safetensors" for cell in CELLS]
        before, numbers = [f.stat().st_mtime_ns for f in files], board(finished)
        done = gm_bench(finished, "run")
        assert "to bring up to date" not in done.stderr
        assert [f.stat().st_mtime_ns for f in files] == before
        assert board(finished) == numbers

    def test_a_pack_makes_the_same_table_elsewhere_and_nothing_is_trained(
        self, finished: Path, tmp_path: Path, migrated: Path
    ) -> None:
        assert "4 of 4 cells" in gm_bench(finished, "pack", "--out", str(tmp_path / "cells.zip")).stdout
        folder = tmp_path / "elsewhere"
        shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("runs", "reports", "mlflow.db"))
        shutil.copy(migrated, folder / "mlflow.db")
        lock = load_yaml((folder / "dvc.lock").read_text(encoding="utf-8"))
        of_data = {name: entry for name, entry in lock["stages"].items() if name.endswith("@digits")}
        (folder / "dvc.lock").write_text(dump_yaml(lock | {"stages": of_data}), encoding="utf-8")
        assert "4 cells" in gm_bench(folder, "unpack", str(tmp_path / "cells.zip")).stdout
        done = gm_bench(folder, "run")
        assert "cells: " not in done.stdout + done.stderr
        assert not list(folder.glob("runs/**/model.safetensors"))
        assert board(folder) == board(finished)

    def test_the_store_can_be_deleted_and_is_rebuilt_to_the_same_table(self, finished: Path) -> None:
        before = (finished / "reports/digits/leaderboard.json").read_bytes()
        (finished / "mlflow.db").unlink()
        command(finished, "dvc", "repro")
        assert (finished / "reports/digits/leaderboard.json").read_bytes() == before

    def test_dvc_alone_leaves_the_same_files(self, finished: Path) -> None:
        """Each stage in a process of its own, where the runner has one for all of a cell."""
        files = [finished / "runs/digits/digits/vae/1" / name for name in REPRODUCIBLE]
        before = [(file.stat().st_mtime_ns, file.read_bytes()) for file in files]
        stages = [f"{stage}@digits-vae-1" for stage in ("train", "sample", "evaluate")]
        command(finished, "dvc", "repro", "--force", "--single-item", *stages)
        for file, (age, content) in zip(files, before, strict=True):
            assert file.stat().st_mtime_ns > age
            assert file.read_bytes() == content, file.name

    def test_another_board_has_a_lock_and_a_leaderboard_of_its_own(
        self, finished: Path, tmp_path: Path
    ) -> None:
        """It shares the data, and a part of it is published as such: never less than was published before."""
        other = {"datasets": ["digits"], "variants": ["kde", "vae"], "seeds": [1], "recipe": "tiny"}
        lock = (finished / "dvc.lock").read_bytes()
        tiny.change(finished, lambda p: p["boards"].update(other=other | {"n_images": 640, "n_snapshots": 1}))
        params = (finished / "params.yaml").read_bytes()
        part = gm_bench(finished, "run", "--board", "other", "--variants", "kde")
        assert "Not measured yet: 1 of the 2 cells of digits: vae seed 1." in part.stdout
        assert board(finished, "other")["missing"] == ["digits/vae/1"]
        assert [row["variant"] for row in board(finished, "other")["rows"]] == ["kde"]
        assert "datasets" not in part.stderr, "the first board had made them"

        whole = gm_bench(finished, "run", "--board", "other")
        assert "cells: 1 to bring up to date" in whole.stderr
        rows = {row["variant"]: row["seeds"] for row in board(finished, "other")["rows"]}
        assert rows == {"kde": [1], "vae": [1]}
        assert "missing" not in board(finished, "other")
        shutil.move(finished / "runs/other/digits/kde", tmp_path)
        left = gm_bench(finished, "run", "--board", "other", "--variants", "vae")
        assert "Not measured yet: 1 of the 2 cells of digits: kde seed 1." in left.stdout
        assert "leaderboard.json is left as it is: digits/kde/1 is missing here" in left.stdout
        assert len(board(finished, "other")["rows"]) == 2
        assert len(board(finished)["rows"]) == 2
        locked = (finished / "boards/other/dvc.lock").read_text(encoding="utf-8")
        assert "train@digits-kde-1" in locked
        assert "fetch@digits" not in locked
        assert (finished / "params.yaml").read_bytes() == params
        assert (finished / "dvc.lock").read_bytes() == lock

    def test_one_variants_parameter_makes_its_cells_stale_alone(self, finished: Path) -> None:
        tiny.change(finished, lambda p: p["variants"]["wgan"]["tiny"]["model"].update(clip=1e38))
        listing = gm_bench(finished, "list").stdout
        rows = {
            line.split()[1]: line.split()[2:] for line in listing.splitlines() if line.startswith(" digits ")
        }
        assert rows["vae"] == ["fresh", "fresh"]
        assert rows["wgan"] == ["stale", "stale"]
        assert listing.index("loader") < listing.index("seed 0")
        alone = gm_bench(finished, "list", "--board", "digits").stdout
        assert "loader" not in alone, "of a board that is named its cells alone"
        assert listing.endswith(alone)
        assert stale(finished) == {"train@digits-wgan-0", "train@digits-wgan-1"} | ALWAYS_RUN

    def test_a_diverged_cell_is_a_row_that_says_so(self, finished: Path) -> None:
        """Learning rate 1e30 without a bound on the weights: the first update breaks the critic."""
        tiny.change(finished, lambda p: p["variants"]["wgan"]["tiny"]["optimiser"].update(lr=1e30))
        done = gm_bench(finished, "run", "-j", "2")
        assert "diverged" in done.stdout
        rows = {row["variant"]: row for row in board(finished)["rows"]}
        assert (rows["wgan"]["status"], rows["vae"]["status"]) == ("diverged", "ok")
        assert [row["variant"] for row in board(finished)["rows"]] == ["vae", "wgan"]

    def test_an_axis_value_taken_away_leaves_no_row(self, finished: Path) -> None:
        tiny.change(finished, lambda p: p["boards"]["digits"].update(variants=["vae"], seeds=[0]))
        command(finished, "dvc", "repro", "leaderboard")
        assert [(row["variant"], row["seeds"]) for row in board(finished)["rows"]] == [("vae", [0])]

    def test_a_wrong_key_is_one_sentence_and_exit_code_one(self, finished: Path) -> None:
        tiny.change(finished, lambda p: p["boards"]["digits"].update(speeds=[0]))
        done = gm_bench(finished, "run", check=False)
        assert done.returncode == 1
        assert done.stderr.strip() == (
            "error: params.yaml: unknown key 'boards.digits.speeds'; allowed here: track, datasets, "
            "variants, seeds, recipe, n_images, n_snapshots, width"
        )

    def test_what_does_not_fit_the_data_is_refused_before_anything_starts(self, finished: Path) -> None:
        def more_than_there_are(params: dict) -> None:
            params["boards"]["digits"].pop("speeds")
            params["datasets"]["digits"]["protocol"]["n_samples"] = 900

        tiny.change(finished, more_than_there_are)
        done = gm_bench(finished, "run", check=False)
        assert done.returncode == 1
        assert "datasets.digits.protocol.n_samples is 900" in done.stderr
        assert "has 800 images: at most 800" in done.stderr
        assert "nothing was trained" in done.stderr
        assert (finished / "runs/digits/digits/vae/0/model.safetensors").exists()

    def test_a_failing_stage_says_why_and_keeps_the_rest(self, finished: Path) -> None:
        def another_budget(params: dict) -> None:
            params["datasets"]["digits"]["protocol"]["n_samples"] = 800
            params["boards"]["digits"]["n_images"] = 1280

        tiny.change(finished, another_budget)
        shutil.rmtree(finished / ".checkpoints")
        (finished / ".checkpoints").write_text("a file where a folder should be")
        done = gm_bench(finished, "run", check=False)
        assert done.returncode == 1
        assert "cannot write .checkpoints/digits/digits-vae-0/" in done.stderr
        assert "1 of 1 cells failed (digits-vae-0)" in done.stderr
        assert (finished / "reference/digits/floor.json").exists()
