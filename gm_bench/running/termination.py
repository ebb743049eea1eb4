"""Ctrl-C, and SIGTERM as a queue or a service manager sends it, by which a run ends as by Ctrl-C."""

import contextlib
import signal
import threading
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
        on_ctrl_c = signal.getsignal(signal.SIGINT)
        if not callable(on_ctrl_c):  # it is ignored
            raise KeyboardInterrupt
        on_ctrl_c(number, frame)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Ctrl-C while the block runs comes at its end: whoever starts a process in it has it in hand by then.

    The process itself gets every Ctrl-C, as it would without. Of Python's threads only the main one does.

    Raises:
        KeyboardInterrupt: one came.
    """
    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not callable(before):  # or it is ignored, by what is started here too
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
