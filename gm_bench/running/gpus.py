"""What of a machine its processes get: the cores that they may use, and which GPU each.

Cells side by side are spread over the GPUs of the machine. A process sees the GPU that it was granted and no
other, by CUDA_VISIBLE_DEVICES. Where there are more processes than GPUs, they share them evenly.
"""

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile

VISIBLE, DEVICE = "CUDA_VISIBLE_DEVICES", "GM_BENCH_DEVICE"
SECONDS = 30.0


def n_cores() -> int:
    """Cores that this process may use: a batch system, a container or taskset may leave it few of many."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible(environ: Mapping[str, str]) -> list[str]:
    """The GPUs that processes may use, as CUDA_VISIBLE_DEVICES names them; empty where none is known.

    Args:
        environ: of a stage. CUDA_VISIBLE_DEVICES in it limits the GPUs, GM_BENCH_DEVICE=cpu forbids them.
    """
    if environ.get(DEVICE) == "cpu":
        return []
    if VISIBLE in environ:
        names = (name.strip() for name in environ[VISIBLE].split(","))
        return list(takewhile(lambda name: name and name != "-1", names))  # CUDA stops there too
    return _of_machine()


def _of_machine() -> list[str]:
    """UUIDs of the machine's GPUs, or of the parts that they are cut into (MIG)."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return _listed(done.stdout) if done.returncode == 0 else []


def _listed(text: str) -> list[str]:
    """UUIDs from the lines of `nvidia-smi -L`; a GPU that is cut into parts is followed by them."""
    found: list[str] = []
    for line in text.splitlines():
        uuid = line.rpartition("(UUID: ")[2].rstrip(") ")
        if uuid.startswith("MIG-") and found and found[-1].startswith("GPU-"):
            found[-1] = uuid
        elif uuid.startswith(("GPU-", "MIG-")):
            found.append(uuid)
    return found


class Grants:
    """The GPUs of a machine and how many processes have each.

    Args:
        gpus: as CUDA_VISIBLE_DEVICES names them; none for a machine that computes on the CPU.
    """

    def __init__(self, gpus: Sequence[str]) -> None:
        self.users = dict.fromkeys(gpus, 0)
        self.lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[str | None]:
        """A GPU with the fewest processes, for as long as the block runs; None where there is none."""
        with self.lock:
            gpu = min(self.users, key=lambda name: self.users[name], default=None)
            if gpu is not None:
                self.users[gpu] += 1
        try:
            yield gpu
        finally:
            if gpu is not None:
                with self.lock:
                    self.users[gpu] -= 1


def granted(environ: Mapping[str, str], gpu: str | None) -> dict[str, str]:
    """The environment of a process that was granted a GPU; where none is known, it stays as it is."""
    return dict(environ) if gpu is None else {**environ, VISIBLE: gpu}


def without(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that is to compute on the CPU whatever the machine has."""
    return {**environ, VISIBLE: "", DEVICE: "cpu"}


def place(gpu: str | None, gpus: Sequence[str]) -> str:
    """A GPU as a display names it: by its number, where there are several."""
    return "" if gpu is None or len(gpus) < 2 else f"GPU {list(gpus).index(gpu)}"
