"""Cells side by side on one machine: DVC decides what is stale and does the work, this only drives it.

The stages form layers: datasets, then cells, then the leaderboard. Within a layer every chain of stages (a
dataset's or a cell's) is one `dvc repro --single-item` process, and chains do not depend on each other. What
is left behind is what a serial `dvc repro` would have left.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.running import boards, gpus, repository, taken, termination, warm
from gm_bench.running.chains import (
    Chain,
    Command,
    board_chain,
    cell_chain,
    dataset_chain,
    stages_of_dataset,
)
from gm_bench.tracks.settings import check_board, is_known

PROGRESS = "progress.json"  # where training says how far it is, beside its checkpoints
DVC = (sys.executable, "-m", "gm_bench.running.dvc", "--wait-for-lock")
BUSY = "is busy, it is being blocked by"  # what DVC says of a file that another DVC is at work on
SECONDS_BETWEEN_TRIES = 2.0
LINES_OF_A_FAILURE = 15
UNKNOWN = "unknown"  # the state of a cell that is made, while a stage is at work


class BusyError(ValueError):
    """Another DVC is at work here, and nobody waits for it."""


def prepare(
    params: Params, board: str, environ: dict[str, str], say: Callable[[str], None] | None = None
) -> None:
    """Write the board's stages and let DVC run those that say what the others depend on.

    That is left out of datasets which were not fetched: numbers may follow from what is found there.

    Args:
        say: is told that another DVC is at work, which then is waited for; without it that is an error.

    Raises:
        ConfigError: the board cannot be run.
        ValueError: DVC cannot work here, or failed; its own words are passed on.
    """
    check_board(params, board)
    repository.check()
    boards.write(params, board)
    datasets = params.board(board).datasets
    stages = [
        each for name in datasets for each in stages_of_dataset(params, board, name, boards.RESOLVE_DATA)
    ]
    if any(is_known(params, board, dataset) for dataset in datasets):
        stages += board_chain(params, board, "resolve").stages
    if not stages:
        return
    turns = _turns(say)
    while (output := output_of([*DVC, "repro", "--single-item", *stages], environ)) is not None:
        if not any(BUSY in line for line in output):
            own = [line.removeprefix("error: ") for line in output if line.startswith("error: ")]
            raise ValueError("\n".join(own or output[-LINES_OF_A_FAILURE:]))
        next(turns)


def _turns(say: Callable[[str], None] | None) -> Iterator[None]:
    """Each a moment later, while another DVC is at work; `say` is told so once.

    Raises:
        BusyError: there is no `say`.
    """
    if say is None:
        raise BusyError("DVC cannot tell what is stale while a stage is at work: ask again after it")
    say("another DVC is at work here; waiting for it to end")
    while True:
        time.sleep(SECONDS_BETWEEN_TRIES)
        yield


@contextmanager
def alone(say: Callable[[str], None]) -> Iterator[None]:
    """One `gm-bench run` at a time in a working folder: another one waits, and then finds its work done.

    Also sweeps up what a killed DVC may have left and would stumble over: half a table of its locks.

    Raises:
        ValueError: DVC cannot work here.
    """
    repository.check()
    lock = FileLock(repository.temporary() / "gm-bench.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("another gm-bench run is at work here; waiting for it to end")
        lock.acquire()
    try:
        repository.mend_lock_table()
        yield
    finally:
        lock.release()


def stale_stages(
    params: Params, board: str, say: Callable[[str], None] | None = None
) -> dict[str, list[object]]:
    """What DVC says has changed in the stages of a board and of its datasets: stage → reasons.

    Cells that were taken over from a pack and hold are left out: DVC did not run them here.

    Args:
        say: is told that another DVC is at work, which then is waited for; without it that is an error.

    Raises:
        ValueError: DVC could not tell; the first error that it names is passed on, else its last words.
    """
    datasets = params.board(board).datasets
    of_data = [stage for dataset in datasets for stage in boards.dataset_stages(params, board, dataset)]
    files = {str(boards.file_of(params, board))}
    files |= {stage.rpartition(":")[0] or str(boards.MAIN) for stage in of_data}
    command = [*DVC, "status", "--json", *sorted(files)]
    turns = _turns(say)
    while True:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=environment(), check=False
        )
        if not done.returncode:
            stages: dict[str, list[object]] = json.loads(done.stdout)
            return taken.without_taken(params, board, stages)
        if BUSY not in done.stderr:
            words = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
            reason = next((line for line in words if line.startswith("ERROR")), words[-1])
            raise ValueError(f"dvc status failed: {reason}")
        next(turns)


def run_layer(chains: Sequence[Chain], jobs: int, environ: dict[str, str]) -> None:
    """Run chains, at most `jobs` at a time; afterwards each one's state is "done", "failed" or "stopped".

    They are spread over the GPUs that `environ` lets them see; each sees one, or none where there are none.
    The parts of a chain are run before it, beside those of others.

    Raises:
        KeyboardInterrupt: the user stopped; every child has saved its state and ended.
    """
    stopping = threading.Event()
    grants = gpus.Grants(gpus.visible(environ))

    def part(chain: Chain, command: Command) -> None:
        if not stopping.is_set():
            with grants.one() as gpu:
                code = run_part(chain, command, gpus.granted(environ, gpu))
            if code == warm.INTERRUPTED:
                stopping.set()

    def work(chain: Chain, parts: Sequence[Future[None]]) -> None:
        wait(parts)  # which were given to the pool before
        if not stopping.is_set():
            with grants.one() as gpu:
                chain.place = gpus.place(gpu, list(grants.users))
                run_chain(chain, gpus.granted(environ, gpu), stopping)
        if chain.state == "stopped":
            stopping.set()

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures: list[Future[None]] = []
        for chain in chains:
            parts = [pool.submit(part, chain, command) for command in chain.parts if jobs > 1]
            futures += [*parts, pool.submit(work, chain, parts)]
        try:
            for future in futures:
                future.result()
        except KeyboardInterrupt:
            # The children got the same signal from the terminal and are saving: wait for them.
            stopping.set()
            raise
    if stopping.is_set():
        raise KeyboardInterrupt


def run_chain(chain: Chain, environ: dict[str, str], stopping: threading.Event) -> None:
    """Bring the stages of a chain up to date; it tells meanwhile how far it is. Another DVC is waited for."""
    began = time.monotonic()
    chain.state = "starting"
    code = _repro(chain, environ)
    while code and any(BUSY in line for line in chain.output):
        # Another DVC is at work on it: the user's, or one whose gm-bench was killed.
        chain.state = "waiting for another dvc"
        if stopping.wait(SECONDS_BETWEEN_TRIES):
            break
        chain.output.clear()
        code = _repro(chain, environ)
    chain.seconds = time.monotonic() - began
    ends = (line.endswith(f"exited with {warm.INTERRUPTED}") for line in chain.output)
    stopped = code == warm.INTERRUPTED or any(ends)
    chain.state = "done" if code == 0 else "stopped" if stopped else "failed"


def run_part(chain: Chain, command: Command, environ: dict[str, str]) -> int:
    """Do a part of a chain's work; its exit code."""
    chain.state = command[0].rpartition(".")[2]
    return _followed([sys.executable, "-m", *command], environ, chain.output.append)


def _repro(chain: Chain, environ: dict[str, str]) -> int:
    """Let DVC bring the chain's stages up to date; its exit code."""

    def hear(line: str) -> None:
        if line.startswith("Running stage '"):
            chain.state = line.split("'")[1].partition("@")[0].rpartition(":")[2]
        chain.output.append(line)

    return _followed([*DVC, "repro", "--single-item", *chain.stages], environ, hear)


def output_of(command: Sequence[str], environ: dict[str, str]) -> list[str] | None:
    """Run a command; None where it ends with 0, else the lines that it printed."""
    output: list[str] = []
    return output if _followed(command, environ, output.append) else None


def _followed(command: Sequence[str], environ: dict[str, str], hear: Callable[[str], None]) -> int:
    """Run a command whose lines are heard, but for empty ones, while it runs; its exit code.

    That it cannot be run is heard too, and its code is 1: others that run beside it are not waited for.
    """
    try:
        reading, writing = os.pipe()
        with (
            open(reading, errors="replace", buffering=1) as lines,
            open(writing, "wb") as output,
            _attended(command, environ, writing) as process,
        ):
            output.close()  # the command has its own, at whose end the lines end
            for line in lines:
                if line.strip():
                    hear(line.rstrip())
            return process.wait()
    except OSError as error:
        hear(f"error: {command[2]} cannot be run: {error}")
        return 1


def attend(command: Sequence[str], environ: dict[str, str]) -> int:
    """Run a command before the user's eyes; 0 where it ended well, else 1: DVC's own codes mean no more.

    Raises:
        KeyboardInterrupt: the user stopped, and the child has ended.
    """
    with _attended(command, environ) as process:
        return int(process.wait() != 0)


@contextmanager
def _attended(
    command: Sequence[str], environ: dict[str, str], output: int | None = None
) -> Iterator["warm.Process | subprocess.Popen[bytes]"]:
    """A process that has ended before Ctrl-C goes on; `output` is the file that gets what it prints."""
    process = None
    try:
        with termination.deferred():
            process = warm.start(command, environ, output)
        yield process
    except KeyboardInterrupt:
        if process is not None:
            process.wait()  # it got the same signal from the terminal
        raise


def environment(device: str | None = None) -> dict[str, str]:
    """The environment of a stage: this interpreter first on the path, one compute thread per process."""
    environ = dict(os.environ)
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", "")])
    environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", PYTHONUNBUFFERED="1")
    if device:
        environ["GM_BENCH_DEVICE"] = device
    return environ


def progress_of(chain: Chain) -> dict[str, Any] | None:
    """How far a cell in training says it is; None where it says nothing."""
    return None if chain.cell is None else progress_in(chain.cell.checkpoints)


def progress_in(folder: Path) -> dict[str, Any] | None:
    """What training has left of its progress in a folder of checkpoints; None where it says nothing."""
    try:
        progress: dict[str, Any] = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return progress


def is_made(cell: Cell) -> bool:
    """Whether a cell was finished, here or where its pack is from."""
    return (cell.folder / "metrics.json").exists()


def states_now(params: Params, board: str) -> dict[Cell, str]:
    """`cell_states` as far as they can be told at once: while a stage is at work those made are unknown.

    Raises:
        ConfigError: the board cannot be run.
        ValueError: DVC cannot work here, or failed; its own words are passed on.
    """
    try:
        prepare(params, board, environment())
        return cell_states(params, board, stale_stages(params, board))
    except BusyError:
        return {cell: UNKNOWN if is_made(cell) else "missing" for cell in params.cells(board)}


def cell_states(params: Params, board: str, stale: Iterable[str]) -> dict[Cell, str]:
    """Each cell of a board as fresh, stale (an input changed), missing (never finished) or unpacked."""
    changed = set(stale)
    states = {}
    for cell in params.cells(board):
        stages = {*dataset_chain(params, board, cell.dataset).stages, *cell_chain(params, cell).stages}
        states[cell] = "missing" if not is_made(cell) else "stale" if stages & changed else "fresh"
        if states[cell] == "stale" and taken.awaits_data(cell):
            states[cell] = taken.UNPACKED
    return states
