"""Copies of a cell's checkpoints on the store: training writes to the node's disk and waits for no network.

Copied are states of trainings and what is finished of a stage with many parts (trials of a search, parts of
an experiment), in folders below too. Each holds the key of all that it depends on, or lies in a folder that
is called by it, so that a copy is used for what it is or not at all.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from gm_bench.running.background import Background
from gm_bench.running.cluster.store import Store
from gm_bench.running.runner import PROGRESS

SECONDS_BETWEEN_LOOKS = 1.0
STATE, PARTS = ".safetensors", (".json", ".pt")
RESULTS = "out"  # a folder of files that a training below leaves at its end


def files(folder: Path) -> list[Path]:
    """What is worth a copy of a folder of checkpoints: no progress, nothing half written, no results."""
    found = []
    for place, below, names in os.walk(folder):  # which passes over what vanishes meanwhile
        below[:] = [name for name in below if name != RESULTS]
        found += [
            Path(place, name)
            for name in names
            if name.endswith((STATE, *PARTS)) and name != PROGRESS and not name.startswith(".")
        ]
    return sorted(found)


class Copies(Background):
    """Keeps the store's copies up to date for as long as it is entered.

    Args:
        store: of the cluster.
        folder: of the cell's checkpoints; the copies are called the same.
        tell: is told, once, that the store cannot be reached; training goes on.
    """

    def __init__(self, store: Store, folder: Path, tell: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self.store = store
        self.folder = folder
        self.tell = tell
        self.copied: dict[Path, tuple[int, int]] = {}
        self.is_forgotten = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if not self.is_forgotten:
            with contextlib.suppress(OSError):
                self._copy()

    def fetch(self) -> None:
        """Bring what another node has left; where the store cannot be reached, training begins anew."""
        with contextlib.suppress(OSError):
            for name in self.store.names(self.folder.as_posix()):
                content = self.store.read(name)
                if content is not None:
                    path = Path(name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                    self.copied[path] = _state(path)

    def forget(self) -> None:
        """Remove the copies: the cell is finished."""
        self.is_forgotten = True
        self.stop()
        with contextlib.suppress(OSError):
            for path in self.copied:
                self.store.remove(path.as_posix())

    def _follow(self) -> None:
        is_well = True
        while not self.over.wait(SECONDS_BETWEEN_LOOKS):
            try:
                self._copy()
                is_well = True
            except OSError as error:
                if is_well:
                    self.tell({"note": f"checkpoints cannot be copied to the store now: {error}"})
                is_well = False

    def _copy(self) -> None:
        for path in files(self.folder):
            try:
                state = _state(path)
                content = None if self.copied.get(path) == state else path.read_bytes()
            except FileNotFoundError:  # training has ended
                continue
            if content is not None:
                self.store.write(path.as_posix(), content)
                self.copied[path] = state
        for path in [path for path in self.copied if self._is_over(path)]:
            self.store.remove(path.as_posix())
            del self.copied[path]

    def _is_over(self, path: Path) -> bool:
        """Whether this is the state of a training below that has ended: its part of the work is there.

        That of the cell's own training stays until the cell is finished, for its later stages may be lost.
        """
        return path.suffix == STATE and path.parent != self.folder and not path.parent.exists()


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size
