"""The cheap part of the faults: what can be shown without running the pipeline."""

import re
import shutil
import threading
from pathlib import Path

import pytest
import torch

from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.running import runner
from gm_bench.running.chains import Chain
from gm_bench.training.checkpoint import Checkpoint
from gm_bench.training.job import Job
from gm_bench.training.state import start

HALF_A_TABLE = '{"write": {"/somewhere/runs'


def test_a_flipped_bit_in_any_number_of_a_checkpoint_is_noticed(params: Params, tmp_path: Path) -> None:
    """Numbers in the header as well: with another digit the file is as readable as before."""
    job = Job(Cell("digits", "digits", "vae", 0), params.recipe("vae", "tiny"), 640)
    state = start(job, (1, 8, 8), 10, torch.device("cpu"))
    state.history = [{"images": 64, "round": 1, "model/loss": 1.25}]
    state.seconds = 3.5
    checkpoint = Checkpoint(tmp_path, "k" * 64)
    checkpoint.save(state)
    content = checkpoint.path.read_bytes()
    header = content[: 8 + int.from_bytes(content[:8], "little")]
    values = header.index(b"values")
    digits = [found.start() for found in re.finditer(rb"\d", header) if found.start() > values]
    assert len(digits) > 10
    fresh = start(job, (1, 8, 8), 10, torch.device("cpu"))
    for place in [*digits, len(header) + 1000, len(content) - 1]:
        damaged = bytearray(content)
        damaged[place] ^= 1
        checkpoint.path.write_bytes(damaged)
        assert "was damaged and is deleted" in (checkpoint.restore(fresh) or ""), content[
            place - 9 : place + 1
        ]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that DVC can work in, as far as can be seen from outside."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(name, tmp_path)
    for name in (".dvc", ".git"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("repository")
def test_a_second_run_waits_for_the_first() -> None:
    said, entered = [], threading.Event()

    def second() -> None:
        with runner.alone(said.append):
            entered.set()

    with runner.alone(said.append):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.3)
        assert said == ["another gm-bench run is at work here; waiting for it to end"]
    assert entered.wait(5)
    thread.join()
    assert len(said) == 1


@pytest.mark.parametrize(("content", "is_kept"), [(HALF_A_TABLE, False), ("", False), ("{}", True)])
def test_half_a_table_of_locks_is_removed(content: str, is_kept: bool, repository: Path) -> None:
    table = repository / ".dvc" / "tmp" / "rwlock"
    table.parent.mkdir()
    table.write_text(content, encoding="utf-8")
    with runner.alone(print):
        assert table.exists() == is_kept


@pytest.fixture
def busy_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of DVC a script that says twice that a file is busy, and then does its work."""
    count = tmp_path / "count"
    script = tmp_path / "dvc"
    script.write_text(
        f"n=$(cat {count} 2>/dev/null || echo 0); echo $((n + 1)) > {count}\n"
        "if [ $n -lt 2 ]; then echo \"ERROR: 'runs/x' is busy, it is being blocked by:\" >&2; exit 1; fi\n"
        "echo '{}'\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(runner, "DVC", ("bash", str(script)))
    monkeypatch.setattr(runner, "SECONDS_BETWEEN_TRIES", 0.01)
    return count


def test_what_another_dvc_works_on_is_waited_for(busy_twice: Path) -> None:
    chain = Chain("digits-vae-0", ("train@digits-vae-0",))
    runner.run_layer([chain], 1, {"PATH": "/usr/bin:/bin"})
    assert (chain.state, chain.output) == ("done", ["{}"])
    assert busy_twice.read_text().strip() == "3"


def test_dvc_is_asked_again_what_is_stale_while_another_is_at_work(busy_twice: Path, params: Params) -> None:
    with pytest.raises(ValueError, match="cannot tell what is stale while a stage is at work"):
        runner.stale_stages(params, "digits")
    said: list[str] = []
    assert runner.stale_stages(params, "digits", said.append) == {}
    assert said == ["another DVC is at work here; waiting for it to end"]


@pytest.mark.usefixtures("repository")
def test_states_that_cannot_be_told_while_another_is_at_work_are_unknown(
    busy_twice: Path, params: Params
) -> None:
    made, *others = params.cells("digits")
    made.folder.mkdir(parents=True)
    (made.folder / "metrics.json").write_text("{}")
    states = runner.states_now(params, "digits")
    assert states.pop(made) == "unknown"
    assert states == dict.fromkeys(others, "missing")
    assert busy_twice.read_text().strip() == "1", "nobody waits"


@pytest.mark.usefixtures("repository")
def test_what_others_depend_on_is_written_once_another_dvc_has_ended(
    busy_twice: Path, params: Params
) -> None:
    with pytest.raises(ValueError, match="cannot tell what is stale while a stage is at work"):
        runner.prepare(params, "digits", {"PATH": "/usr/bin:/bin"})
    assert busy_twice.read_text().strip() == "1"
    said: list[str] = []
    runner.prepare(params, "digits", {"PATH": "/usr/bin:/bin"}, said.append)
    assert busy_twice.read_text().strip() == "3"
    assert said == ["another DVC is at work here; waiting for it to end"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("WARNING: old\nERROR: no such stage\nERROR: more\nHaving any troubles?\n", "ERROR: no such stage"),
        ("WARNING: old\n\nKilled\n\n", "Killed"),
        ("", "no reason given"),
    ],
)
def test_what_dvc_fails_at_is_passed_on(
    said: str, reason: str, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "said").write_text(said)
    monkeypatch.setattr(runner, "DVC", ("bash", "-c", f"cat {tmp_path}/said >&2; exit 255"))
    with pytest.raises(ValueError, match=f"^dvc status failed: {reason}$"):
        runner.stale_stages(params, "digits")
