"""A fault inside a process of the pipeline: python runs this first where this folder is on PYTHONPATH.

GM_BENCH_FAULT is "kill STAGE FILE PROCESSES" (SIGKILL at the moment when FILE, written under another name, is
about to be put in its place; PROCESSES is "stage" or "all": the stage alone, or gm-bench, DVC and the stage),
"fill STAGE BALLAST" (the disk is full, with the file BALLAST, when the stage begins) or "clock all FILE" (in
all processes the time of day is off by the seconds that FILE says at the moment).
"""

import os
import runpy
import signal
import time
from pathlib import Path

KIND, STAGE, WHAT, *REST = (os.environ.get("GM_BENCH_FAULT") or "- - -").split()
BLOCK = 4096


def kill_when_put_in_place() -> None:
    real = os.replace

    def replace(source, target, **options) -> None:
        if Path(target).name == WHAT:
            # The whole of `gm-bench run` was started as one process group.
            (os.killpg if REST == ["all"] else os.kill)(0 if REST == ["all"] else os.getpid(), signal.SIGKILL)
        real(source, target, **options)

    os.replace = replace


def fill() -> None:
    with open(WHAT, "ab", buffering=0) as ballast:
        for size in (256 * BLOCK, BLOCK, 1):
            try:
                while ballast.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


def shift_clock() -> None:
    real = time.time_ns

    def time_ns() -> int:
        return real() + int(float(Path(WHAT).read_text() or 0) * 1e9)

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


def arm() -> None:
    """Do the harm if this is the process for it."""
    if STAGE in ("all", os.environ.get("DVC_STAGE", "").partition("@")[0]):
        {"kill": kill_when_put_in_place, "fill": fill, "clock": shift_clock}[KIND]()


def run_module(*arguments, **options) -> object:
    """What a process of a warm server begins with: only now is it known which stage it is."""
    if STAGE != "all":
        arm()
    return real_run_module(*arguments, **options)


real_run_module, runpy.run_module = runpy.run_module, run_module
arm()
