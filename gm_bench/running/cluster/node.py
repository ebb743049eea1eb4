"""One cell on a node, in a process of its own (python -m gm_bench.running.cluster.node FOLDER).

It works in a new folder below FOLDER, and writes what it is doing to standard output, one JSON object a line;
the last holds the result. It ends, and all that it started, when its standard input closes: whoever gave it
the cell was killed, and the cell goes on elsewhere.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from gm_bench.running import runner, warm
from gm_bench.running.chains import Chain
from gm_bench.running.cluster import identity, record
from gm_bench.running.cluster.checkpoints import Copies
from gm_bench.running.cluster.store import Place, Store
from gm_bench.running.cluster.task import LINES_KEPT

SECONDS_BETWEEN_TRIES = 5.0
SECONDS_BETWEEN_WORDS = 5.0  # of training's progress; the driver hears hundreds of cells
PATIENCE = float(os.environ.get("GM_BENCH_STORE_PATIENCE", "900"))  # seconds that a store may be gone
OBJECTS = Path(".dvc/cache/files")
OUT_OF_MEMORY = "OutOfMemoryError"

Tell = Callable[[dict[str, Any]], None]


def main() -> None:
    """Run the cell that the first line of standard input describes."""
    order = json.loads(sys.stdin.readline())
    node = Path(sys.argv[1])
    _guard()
    threading.Thread(target=_end_with_giver, daemon=True).start()

    def tell(what: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()

    unfit = identity.checked(order["identity"], order["modules"], node)
    if unfit or not order["parcel"]:
        tell({"result": {"state": "unfit", "why": unfit} if unfit else {"state": "fit"}})
        return
    with _folder(node, order["parcel"]["name"]):
        tell({"result": run(order, node, tell)})


def run(order: dict[str, Any], node: Path, tell: Tell) -> dict[str, Any]:
    """Bring a cell from the remote's files to the remote's files; what became of it.

    Args:
        order: common (files), parcel, place, environ (of the stages), share (of a GPU, or None).
        node: the folder that all cells of this node share; this one works in the current folder.
    """
    parcel, place = order["parcel"], Place(**order["place"])
    _lay_out({**order["common"], **parcel["files"]}, node)
    environ = runner.environment() | order["environ"]
    store = Store(place)
    began = time.monotonic()
    with warm.server(environ), Copies(store, Path(parcel["checkpoints"]), tell) as copies:
        with FileLock(node / "pull.lock"):  # the first fetches the dataset for all
            tell({"state": "pull"})
            _persist(lambda: _fetch(parcel["data"], store, environ), tell)
            _link(OBJECTS, node / "objects")
        copies.fetch()
        chain = Chain(parcel["name"], tuple(parcel["stages"]))
        if parcel["part"]:  # what it leaves goes to the store as checkpoints do
            code = runner.run_part(chain, tuple(parcel["part"]), environ)
            return {"state": "failed" if code else "done", "output": chain.output[-LINES_KEPT:]}
        chain_ended = threading.Event()
        watcher = threading.Thread(target=_report, args=(chain, copies, tell, chain_ended))
        watcher.start()
        runner.run_chain(chain, environ, threading.Event())
        chain_ended.set()
        watcher.join()
        if chain.state != "done":
            return {"state": chain.state, "output": _explained(chain.output, order["share"])[-LINES_KEPT:]}
        content = record.of_folder(parcel["stages"], time.monotonic() - began)
        tell({"state": "push"})
        _persist(lambda: _deliver(parcel, content, store, environ), tell)
        copies.forget()
    return {"state": "done", "record": content}


def _lay_out(files: dict[str, str], node: Path) -> None:
    """Write files into the current folder, and lend its DVC the datasets that the node has."""
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    Path(".dvc/tmp").mkdir()
    _link(node / "objects", OBJECTS)


def _link(source: Path, target: Path) -> None:
    """Have the files of a folder in another one too."""
    for path in [each for each in source.rglob("*") if each.is_file()]:
        copy = target / path.relative_to(source)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.hardlink_to(path)


def _fetch(stages: list[str], store: Store, environ: dict[str, str]) -> None:
    store.check()
    _dvc(["pull", *stages], environ)


def _deliver(parcel: dict[str, Any], content: record.Record, store: Store, environ: dict[str, str]) -> None:
    """Bring files to the remote, and then what says that they are there."""
    store.check()
    _dvc(["push", *parcel["stages"]], environ)
    store.write(record.name_of(parcel["key"]), record.packed(content))


def _dvc(command: list[str], environ: dict[str, str]) -> None:
    lines = runner.output_of([*runner.DVC, *command], environ)
    if lines is not None:
        raise OSError(f"dvc {command[0]} failed: {' '.join(lines[-3:])}")


def _persist(action: Callable[[], None], tell: Tell) -> None:
    """Do something with the store, again and again until it works.

    Raises:
        OSError: it still fails after `PATIENCE` seconds.
    """
    last = time.monotonic() + PATIENCE
    while True:
        try:
            action()
            return
        except Exception as error:
            if time.monotonic() > last:
                raise OSError(f"the shared store cannot be used: {error}") from error
            tell({"state": "waiting for the store"})
            time.sleep(SECONDS_BETWEEN_TRIES)


def _report(chain: Chain, copies: Copies, tell: Tell, ended: threading.Event) -> None:
    """Tell where the chain is, and how far training is, until it has ended."""
    told: tuple[str, Any] = ("", None)
    last = 0.0
    while not ended.wait(0.5):
        if chain.state == told[0] and time.monotonic() - last < SECONDS_BETWEEN_WORDS:
            continue
        progress = runner.progress_in(copies.folder) if chain.state == "train" else None
        now = (chain.state, progress and (progress["key"], progress["images"]))
        if now != told:
            told, last = now, time.monotonic()
            tell({"state": chain.state, "progress": progress})


def _explained(output: list[str], share: float | None) -> list[str]:
    """What a stage printed, with a sentence on a GPU's memory where that was the reason."""
    if share is None or not any(OUT_OF_MEMORY in line for line in output):
        return output
    asked = "fewer cells on each GPU, or a smaller batch" if share >= 1 else f"--gpus-per-cell {2 * share:g}"
    return [*output, f"the cell needs more memory than its share of a GPU ({share:g}): ask for {asked}"]


@contextlib.contextmanager
def _folder(node: Path, name: str) -> Iterator[None]:
    """Work in a new folder, which goes away afterwards, with those of processes that were killed."""
    cells = node / "cells"
    cells.mkdir(exist_ok=True)
    for old in cells.iterdir():
        pid = old.name.partition(".")[0]  # of a folder of ours; other things lie here too, such as .nfs0001
        if pid.isdecimal() and not _is_alive(int(pid)):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}.{name}.", dir=cells))
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(node)
        shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _guard() -> None:
    """Fork a process that ends all that this one started once it is gone, however it was killed."""
    reading, writing = os.pipe()
    group = os.getpgrp()
    if os.fork():
        os.close(reading)
        return
    os.setsid()
    os.close(writing)
    for standard in range(3):
        os.close(standard)
    os.read(reading, 1)  # returns once nobody can write any more
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    os._exit(0)


def _end_with_giver() -> None:
    """Wait until standard input closes, then end this process and all that it started."""
    sys.stdin.read()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
