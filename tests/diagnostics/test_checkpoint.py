"""A long experiment that is stopped anywhere ends as if it had not been; what is damaged is made anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_experiments import PARAMS, tiny

from gm_bench.cell import Cell
from gm_bench.reproducibility import make_deterministic
from gm_bench.tracks.diagnostics import checkpoint, measuring
from gm_bench.tracks.diagnostics.checkpoint import Checkpoint, kept
from gm_bench.tracks.diagnostics.claim import run

# Those of the boards claims_long and likelihood.
LONG = [
    *PARAMS.board("claims_long").variants,
    *PARAMS.board("likelihood").variants,
]


class Killed(BaseException):
    """In place of a signal."""


def opened(folder: Path, on_note: Callable[[str], None] = lambda text: None) -> Checkpoint:
    return Checkpoint(folder, "key", 0.0, on_note)


@pytest.mark.parametrize("name", LONG)
def test_killed_after_every_write_it_ends_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_deterministic()
    whole = run(name, 0, tiny(name))
    write = checkpoint._write
    written: list[str] = []

    def write_and_die(path: Path, content: Any) -> None:
        write(path, content)
        if path.name != checkpoint.SECONDS:
            written.append(path.name)
            raise Killed

    monkeypatch.setattr(checkpoint, "_write", write_and_die)
    attempts = 0
    while True:
        attempts += 1
        assert attempts < 100, "it comes no further"
        try:
            with opened(tmp_path).opened():
                outcome = run(name, 0, tiny(name))
            break
        except Killed:
            torch.manual_seed(attempts)  # another process has another state of the global generator
    assert (outcome.values, outcome.curves) == (whole.values, whole.curves)
    assert attempts == len(written) + 1, "nothing that was written is made again"
    assert attempts > 4


def test_work_that_was_done_is_not_done_again(tmp_path: Path) -> None:
    made: list[str] = []

    def make() -> dict[int, tuple[float, ...]]:
        made.append("made")
        return {3: (0.1, float("inf"))}

    for _ in range(2):
        with opened(tmp_path).opened():
            assert kept("a part / of it", make) == {3: (0.1, float("inf"))}
    assert made == ["made"]
    assert kept("a part / of it", make) == {3: (0.1, float("inf"))}
    assert made == ["made", "made"], "no checkpoint is open"
    with Checkpoint(tmp_path, "another key", 0.0, print).opened():
        kept("a part / of it", make)
    assert made == ["made"] * 3


def test_two_parts_of_one_name_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path).opened():
        kept("part", lambda: 1)
        with pytest.raises(ValueError, match="two parts of an experiment are called 'part'"):
            kept("part", lambda: 2)


def test_a_damaged_part_is_said_and_made_anew(tmp_path: Path) -> None:
    with opened(tmp_path).opened():
        kept("part", lambda: 1)
    path = next(tmp_path.glob("key/parts/part*"))
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    notes: list[str] = []
    with opened(tmp_path, notes.append).opened():
        assert kept("part", lambda: 2) == 2
    assert len(notes) == 1
    assert "part.pt was damaged and is deleted; this part begins anew" in notes[0]


def test_a_cell_counts_the_time_of_all_its_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds before the kill and five after it; the checkpoint is gone when its files are there."""
    monkeypatch.chdir(tmp_path)
    now = [100.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    cell = Cell("claims_long", "theory_mnist", "steadiness", 0)

    def attempt(seconds: float, die: bool) -> Callable[..., Any]:
        def fake(name: str, seed: int, budget: Any) -> Any:
            now[0] += seconds
            kept(f"part {die}", lambda: 1)
            if die:
                raise Killed
            return whole

        return fake

    whole = run("steadiness", 0, tiny("steadiness"))
    monkeypatch.setattr(measuring, "run", attempt(10.0, True))
    with pytest.raises(Killed):
        measuring.measure(cell, tiny("steadiness"), "code")
    assert cell.checkpoints.exists()
    now[0] += 1000.0  # until somebody starts it again
    monkeypatch.setattr(measuring, "run", attempt(5.0, False))
    measuring.measure(cell, tiny("steadiness"), "code")
    assert json.loads((cell.folder / "cost.json").read_text())["seconds"] == 15.0
    assert not cell.checkpoints.exists()


def test_notes_name_the_cell_and_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notes: list[str] = []
    cell = Cell("claims_long", "theory_mnist", "noise_and_replay", 0)
    measuring.measure(cell, tiny("noise_and_replay"), "code", save_every=0.0, on_note=notes.append)
    assert notes[0] == "theory_mnist/noise_and_replay/0: neither/1: step 1 of 1"
    assert len(notes) == 15
