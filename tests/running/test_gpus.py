"""Cells side by side are spread over the GPUs of a machine, and see no more than the user lets them."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from gm_bench.running import gpus, runner, warm
from gm_bench.running.chains import Chain

LISTED = """GPU 0: NVIDIA H100 (UUID: GPU-aaaa-1)
  MIG 1g.10gb     Device  0: (UUID: MIG-bbbb-1)
  MIG 1g.10gb     Device  1: (UUID: MIG-bbbb-2)
GPU 1: NVIDIA H100 (UUID: GPU-aaaa-2)
"""


def smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program in place of nvidia-smi."""
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_cells_side_by_side_are_as_many_as_the_cores_that_one_may_use() -> None:
    program = (
        "import os\n"
        "os.cpu_count, os.sched_getaffinity = lambda: 64, lambda process: {3, 5, 7}\n"
        "from gm_bench import cli\n"
        "from gm_bench.running import gpus\n"
        "del os.sched_getaffinity\n"
        "print(cli.N_CORES, gpus.n_cores())"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["3", "64"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0,1", ["0", "1"]), ("2, GPU-1", ["2", "GPU-1"]), ("", []), ("-1", []), ("3,-1,2", ["3"])],
)
def test_cuda_visible_devices_is_respected(value: str, expected: list[str]) -> None:
    assert gpus.visible({"CUDA_VISIBLE_DEVICES": value}) == expected


def test_the_cpu_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi(tmp_path, monkeypatch, f"cat <<'END'\n{LISTED}END")
    assert gpus.visible({"GM_BENCH_DEVICE": "cpu"}) == []
    assert gpus.visible({"GM_BENCH_DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": "0"}) == []


def test_the_machine_is_asked_for_whole_gpus_and_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi(tmp_path, monkeypatch, f"cat <<'END'\n{LISTED}END")
    assert gpus.visible({}) == ["MIG-bbbb-1", "MIG-bbbb-2", "GPU-aaaa-2"]


def test_a_machine_that_cannot_tell_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No nvidia-smi, or one without a driver: torch may still find a GPU, such as one of AMD."""
    smi(tmp_path, monkeypatch, "echo 'GPU 0: none (UUID: GPU-1)'; exit 9")
    assert gpus.visible({}) == []
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert gpus.visible({}) == []
    assert gpus.granted({"A": "1"}, None) == {"A": "1"}


def test_processes_share_evenly_and_give_back() -> None:
    grants = gpus.Grants(["a", "b"])
    with grants.one() as first, grants.one() as second, grants.one() as third:
        assert (first, second, third) == ("a", "b", "a")
        assert grants.users == {"a": 2, "b": 1}
        with grants.one() as fourth:
            assert fourth == "b"
    assert grants.users == {"a": 0, "b": 0}
    with gpus.Grants([]).one() as none:
        assert none is None


def test_each_cell_side_by_side_sees_a_gpu_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of DVC a script that waits for the others and tells what it sees."""
    script = tmp_path / "dvc.sh"
    script.write_text(
        'for last; do :; done\ntouch "at-work-$last"\n'
        "for i in $(seq 100); do [ $(ls at-work-* | wc -l) = 3 ] && break; sleep 0.05; done\n"
        'echo "$CUDA_VISIBLE_DEVICES"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "DVC", ("bash", str(script)))
    chains = [Chain(name, (name,)) for name in "abc"]
    runner.run_layer(chains, 3, {**os.environ, "CUDA_VISIBLE_DEVICES": "5,7", "GM_BENCH_DEVICE": "auto"})
    assert sorted(chain.output[-1] for chain in chains) == ["5", "5", "7"]
    assert sorted(chain.place for chain in chains) == ["GPU 0", "GPU 0", "GPU 1"]


def test_a_cell_that_cannot_be_run_is_shown_as_failed_while_others_are_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of DVC a script that works until the test lets it end."""
    script, start, sound = tmp_path / "dvc.sh", warm.start, Chain("a", ("a",))
    script.write_text("until [ -e end ]; do sleep 0.05; done\n")
    broken = Chain("b", ("b",), parts=(("some.part",),))
    seen = []

    def scarce(command: Sequence[str], environ: Mapping[str, str], output: int) -> object:
        if "b" in command or "some.part" in command:
            raise OSError(24, "Too many open files")
        return start(command, environ, output)

    def watch() -> None:
        for _ in range(200):
            if broken.state == "failed":
                break
            time.sleep(0.05)
        seen.append((sound.state, broken.state, list(broken.output)))
        (tmp_path / "end").touch()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "DVC", ("bash", str(script), "repro"))
    monkeypatch.setattr(warm, "start", scarce)
    watcher = threading.Thread(target=watch)
    watcher.start()
    runner.run_layer([sound, broken], 2, dict(os.environ))
    watcher.join()
    reason = "cannot be run: [Errno 24] Too many open files"
    assert seen == [("starting", "failed", [f"error: some.part {reason}", f"error: repro {reason}"])]
    assert sound.state == "done"


def test_a_cell_is_kept_off_every_gpu() -> None:
    environ = gpus.without({"CUDA_VISIBLE_DEVICES": "0", "GM_BENCH_DEVICE": "auto", "A": "1"})
    assert environ == {"CUDA_VISIBLE_DEVICES": "", "GM_BENCH_DEVICE": "cpu", "A": "1"}
