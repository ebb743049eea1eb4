"""A folder that DVC refuses gets a sentence with the remedy, and the remedy helps."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gm_bench.config import parse_params
from gm_bench.running import repository, runner
from gm_bench.running.entries import with_entries
from gm_bench.tracks.generation.stages import of_dataset


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The benchmark as an archive holds it: with DVC's settings, without Git."""
    folder = tmp_path / "gm-bench"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (folder / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(folder)
    return folder


def dvc(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True).returncode


def test_what_stages_write_is_no_link_to_elsewhere(unpacked: Path, tmp_path: Path) -> None:
    """DVC would refuse the weights after the whole training, and again after the next."""
    subprocess.run(["git", "init", "--quiet"], check=True)
    (tmp_path / "disk").mkdir()
    for name in ("runs", "reports/digits"):
        link = unpacked / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(tmp_path / "disk")
        with pytest.raises(ValueError, match=rf"^{name} is a link to {tmp_path}/disk, outside of"):
            repository.check()
        link.unlink()
    (unpacked / "runs").symlink_to(tmp_path / "disk")
    assert dvc("config", "--local", "core.no_scm", "true") == 0
    repository.check()
    (unpacked / ".dvc" / "config.local").unlink()
    (unpacked / "runs").unlink()
    (unpacked / "inside").mkdir()
    (unpacked / "runs").symlink_to(unpacked / "inside")
    (unpacked / "reference").symlink_to("reference")
    repository.check()


def test_without_git_there_are_two_remedies(unpacked: Path) -> None:
    assert dvc("status") != 0, "else there is nothing to mend"
    with pytest.raises(ValueError, match=r"is not under Git, .*: run git init, or, .*core\.no_scm true$"):
        repository.check()
    assert dvc("config", "--local", "core.no_scm", "true") == 0
    repository.check()
    assert dvc("status") == 0
    (unpacked / ".dvc" / "config.local").unlink()
    subprocess.run(["git", "init", "--quiet"], check=True)
    repository.check()
    assert dvc("status") == 0


def test_git_may_begin_further_up(unpacked: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(unpacked.parent)], check=True)
    repository.check()
    assert dvc("status") == 0


def test_a_folder_without_a_pipeline_or_settings(unpacked: Path) -> None:
    (unpacked / "dvc.yaml").rename(unpacked / "elsewhere.yaml")
    with pytest.raises(ValueError, match=r"has no dvc\.yaml: run gm-bench in the folder of a clone"):
        repository.check()
    (unpacked / "elsewhere.yaml").rename(unpacked / "dvc.yaml")
    (unpacked / ".dvc").rename(unpacked / "dvc")
    with pytest.raises(ValueError, match=r"has no \.dvc, .*: run git init and dvc init"):
        repository.check()


def test_what_is_refused_leaves_nothing_behind_that_the_remedy_would_stumble_over(unpacked: Path) -> None:
    shutil.rmtree(unpacked / ".dvc")
    subprocess.run(["git", "init", "--quiet"], check=True)
    for _ in range(2):
        with (
            pytest.raises(ValueError, match=r"has no \.dvc, .*: run git init and dvc init"),
            runner.alone(print),
        ):
            pass
    assert dvc("init") == 0
    with runner.alone(print):
        assert (unpacked / ".dvc/tmp/gm-bench.lock").is_file()


def test_settings_further_up_stay_those_of_the_folder(unpacked: Path) -> None:
    """A .dvc of its own would be the repository of another cache and without the remote."""
    subprocess.run(["git", "init", "--quiet", str(unpacked.parent)], check=True)
    (unpacked / ".dvc").rename(unpacked.parent / ".dvc")
    with runner.alone(print):
        assert (unpacked.parent / ".dvc/tmp/gm-bench.lock").is_file()
    assert not (unpacked / ".dvc").exists()


def test_what_sources_held_is_remembered_in_the_settings_further_up(unpacked: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(unpacked.parent)], check=True)
    (unpacked / ".dvc").rename(unpacked.parent / ".dvc")
    (unpacked / "own").mkdir()
    (unpacked / "own/0.png").write_bytes(b"0")
    text = (Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8")
    source = {"loader": "folder", "path": "own", "n_test": 1, "split_seed": 0}
    board = {"datasets": ["signs"], "variants": ["vae"], "seeds": [0]}
    params = parse_params(with_entries(text, "signs", source, board), {})
    assert of_dataset(params, "signs")["fetch"].settings["files"]
    assert (unpacked.parent / ".dvc/tmp/gm-bench/signs.json").is_file()
    root = subprocess.run([sys.executable, "-m", "dvc", "root"], capture_output=True, text=True).stdout
    assert root == "..\n"
