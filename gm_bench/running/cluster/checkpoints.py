"""Copies of a cell's checkpoints on the store: training writes to the node's disk and waits for no network.

Their names hold the training key, and training checks their digest, so that a copy is used for what it is or
not at all.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from gm_bench.running.background import Background
from gm_bench.running.cluster.store import Store

SECONDS_BETWEEN_LOOKS = 1.0
PATTERN = "*.safetensors"


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
        self.copied: dict[str, tuple[int, int]] = {}
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
                    self.folder.mkdir(parents=True, exist_ok=True)
                    path = self.folder / name.rpartition("/")[2]
                    path.write_bytes(content)
                    self.copied[path.name] = _state(path)

    def forget(self) -> None:
        """Remove the copies: the cell is finished."""
        self.is_forgotten = True
        self.stop()
        with contextlib.suppress(OSError):
            for name in self.copied:
                self.store.remove(f"{self.folder.as_posix()}/{name}")

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
        for path in sorted(self.folder.glob(PATTERN)):
            try:
                state = _state(path)
                content = None if self.copied.get(path.name) == state else path.read_bytes()
            except FileNotFoundError:  # training has ended
                continue
            if content is not None:
                self.store.write(f"{self.folder.as_posix()}/{path.name}", content)
                self.copied[path.name] = state


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size
