"""Work beside what a program does: in a thread of its own, for as long as it is entered."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Background(ABC):
    """Follows something until it is left; `over` is set then, and what follows waits for it."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Have it end, and wait until it has."""
        self.over.set()
        self.thread.join()

    @abstractmethod
    def _follow(self) -> None:
        """What the thread does; it returns soon after `over` is set."""
