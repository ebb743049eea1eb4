"""What a run of a part of a board brings up to date."""

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from gm_bench.running import driver, runner
from gm_bench.running.chains import Chain

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("here", "datasets"), [((), ["ring"]), (("grid/ns_gan/0",), ["ring", "grid"])])
def test_the_data_of_cells_that_are_here_are_brought_too(
    here: Sequence[str], datasets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their rows stand in the leaderboard beside the floor, whatever part is asked for."""
    for name in ("params.yaml", "dvc.yaml", "pipelines/mode_collapse/stages.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for cell in here:
        folder = Path("runs/mode_collapse_cpu", cell)
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text("{}")
    brought: dict[str, list[str]] = {}

    def bring(title: str, chains: Sequence[Chain], *rest: object) -> bool:
        brought[title] = [chain.name for chain in chains]
        return False

    monkeypatch.setattr(driver, "_bring_up_to_date", bring)
    monkeypatch.setattr(runner, "alone", lambda say: nullcontext())
    monkeypatch.setattr(runner, "prepare", lambda *_: None)
    monkeypatch.setattr(runner, "stale_stages", lambda *_: {})
    monkeypatch.setattr(runner, "attend", lambda command, environ: 0)
    with pytest.raises(SystemExit) as ended:
        driver.run("mode_collapse_cpu", 1, None, datasets="ring", variants="gan,pac_gan", seeds="0")
    assert ended.value.code == 0
    assert brought["fetch"] == brought["datasets"] == datasets
    assert brought["cells"] == ["ring-gan-0", "ring-pac_gan-0"]


@pytest.fixture
def audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the stages of the audit; a script in it, dvc, stands for DVC."""
    for name in ("params.yaml", "dvc.yaml", "pipelines/audit/stages.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in (".dvc", ".git"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "DVC", ("/bin/bash", str(tmp_path / "dvc")))
    return tmp_path


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (255, 1), (1, 1)])
def test_an_audit_ends_with_a_code_of_this_program(audited: Path, code: int, expected: int) -> None:
    (audited / "dvc").write_text(f'echo "$@" > said; exit {code}\n')
    assert driver.audit(None) == expected
    assert (audited / "said").read_text() == "repro boards/audit/dvc.yaml\n"
    assert (audited / ".dvc/tmp/gm-bench.lock").is_file(), "no run of a board beside it"


def test_an_audit_that_is_interrupted_waits_for_dvc(audited: Path) -> None:
    """Ctrl-C reaches both: a stage saves what it has, and nothing works on behind the prompt."""
    (audited / "dvc").write_text("kill -INT $PPID; sleep 0.5; touch saved; exit 130\n")
    with pytest.raises(KeyboardInterrupt):
        driver.audit(None)
    assert (audited / "saved").is_file()
