"""SIGTERM, as a queue or a service manager sends it: a run ends by it as by Ctrl-C."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

import psutil


@contextlib.contextmanager
def as_interrupt() -> Iterator[None]:
    """While the block runs, SIGTERM interrupts this process and all below it, which save and end.

    Ctrl-C reaches every process of a terminal's job; SIGTERM one alone.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it has ended
                child.send_signal(signal.SIGINT)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
