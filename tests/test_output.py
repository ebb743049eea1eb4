"""What is shown: on any terminal, as it stands, and after the results were written."""

import io as streams
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_cells import write_cell, write_dataset, write_params
from gate.test_regression import content
from PIL import Image
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from gm_bench import cli
from gm_bench.running import gate
from gm_bench.running.console import TrainingDisplay
from gm_bench.running.stage import screen
from gm_bench.tracks.generation.scoring import command

ROOT = Path(__file__).parents[1]
ASCII = {"PYTHONIOENCODING": "ascii"}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NAME = "[red] :art: größe"  # markup, an emoji's name, and what ASCII does not have


def run(folder: Path, surroundings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, on a terminal that knows ASCII only."""
    environ = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "PYTHONUTF8")}
    environ |= {"PYTHONPATH": str(ROOT), **surroundings}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, encoding="ascii", errors="replace"
    )


@pytest.mark.parametrize("surroundings", [ASCII, C_LOCALE, {"PYTHONIOENCODING": "latin-1:strict"}])
def test_every_way_of_printing_replaces_what_cannot_be_shown(
    tmp_path: Path, surroundings: dict[str, str]
) -> None:
    (tmp_path / "shown.py").write_text(
        "import sys, typer\n"
        "from gm_bench.running.stage import run, screen\n"
        "def main() -> None:\n"
        "    print('1 \\u2192'); screen().print('2 \\u2192'); print('3 \\udcff')\n"
        "    print('4 \\u2192', file=sys.stderr)\n"
        "    typer.echo('5 \\u2192')\n"
        "run(main)\n",
        encoding="utf-8",
    )
    done = run(tmp_path, surroundings, "shown.py")
    # click takes ASCII for a mistake and writes UTF-8: three bytes that `run` cannot read.
    by_click = "?" if "latin-1:strict" in surroundings.values() else "\ufffd" * 3
    assert (done.returncode, done.stdout, done.stderr) == (0, f"1 ?\n2 ?\n3 ?\n5 {by_click}\n", "4 ?\n")


@pytest.fixture
def repository(tmp_path: Path, digits_with_reference: Path) -> Path:
    """Digits with their reference, and a folder of images."""
    shutil.copytree(digits_with_reference, tmp_path, dirs_exist_ok=True)
    images = tmp_path / NAME
    images.mkdir()
    for i in range(800):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{i}.png")
    return tmp_path


EVALUATE = ("evaluate", NAME, "--reference", "digits", "--json", "row.json", "--device", "cpu")


def test_evaluate_prints_and_writes_on_a_terminal_of_ascii(repository: Path) -> None:
    done = run(repository, C_LOCALE, "-m", "gm_bench.cli", *EVALUATE)
    assert done.returncode == 0, done.stderr
    assert "[red] :art: gr" in done.stdout
    assert "these images" in done.stdout
    assert json.loads((repository / "row.json").read_text())["values"]["fid"]


def test_evaluate_writes_before_it_shows(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise OSError("the terminal went away")

    monkeypatch.chdir(repository)
    monkeypatch.setattr(command, "screen", gone)
    assert CliRunner().invoke(cli.app, list(EVALUATE)).exit_code == 1
    assert json.loads((repository / "row.json").read_text())["values"]["fid"]


def test_the_leaderboard_stage_ends_well_on_a_terminal_of_ascii(tmp_path: Path, migrated: Path) -> None:
    write_params(tmp_path, ["vae", "wgan"])
    write_dataset(tmp_path)
    for variant, seed in (("vae", 0), ("vae", 1), ("wgan", 0), ("wgan", 1)):
        write_cell(tmp_path, variant, seed, n_snapshots=1)
    (tmp_path / "[red] :art:").mkdir()
    shutil.copy(migrated, tmp_path / "[red] :art:" / "mlflow.db")
    address = {"MLFLOW_TRACKING_URI": "sqlite:///[red] :art:/mlflow.db"}
    done = run(tmp_path, ASCII | address, "-m", "pipelines.leaderboard", "digits")
    assert done.returncode == 0, done.stderr
    assert "6 runs in sqlite:///[red] :art:/mlflow.db, 6 of them new\nwritten: reports/digits/" in done.stdout
    assert "11.0 ?0.0" in done.stdout, "the sign between mean and spread is replaced"


def test_the_gate_shows_paths_as_they_stand_and_writes_its_summary_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("leaderboard.json").write_text(json.dumps(content()))
    accept = ["check", "--leaderboard", "leaderboard.json", "--baseline", f"{NAME}/baseline.json", "--update"]
    told = CliRunner().invoke(cli.app, accept)
    assert told.exit_code == 0, told.output
    assert told.output.startswith(f"{NAME}/baseline.json: 2 rows of revision")

    def gone() -> None:
        raise OSError("the terminal went away")

    monkeypatch.setattr(gate, "screen", gone)
    CliRunner().invoke(cli.app, [*accept[:-1], "--summary", "summary.md"])
    assert Path("summary.md").read_text().startswith("## Regression gate")


def test_text_of_the_users_is_no_markup_and_is_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/".join([NAME] * 20)
    screen().print(path, soft_wrap=True)
    table = Table(title=NAME, caption=NAME)
    table.add_column(f"column {NAME}")
    table.add_row(f"row {NAME}")
    screen().print(table)
    shown = capsys.readouterr().out
    assert shown.startswith(f"{path}\n")
    assert shown.removeprefix(path).count(NAME) == 4


def test_the_bar_of_a_training_shows_its_title_as_it_stands() -> None:
    display = TrainingDisplay(NAME, 100)
    display.bar.update(display.task, status="[b]2[/b]")
    shown = streams.StringIO()
    Console(file=shown, width=120).print(display.bar.get_renderable())
    assert "[red]" in shown.getvalue()
    assert "[b]2[/b]" in shown.getvalue()
