"""Dummy cells on simulated workers, for benchmarks/cluster.py, which puts the tests' folder on the path.

Cells have small files and last what cells of the boards `RECORDED` were recorded to take. Nodes are a queue
in this process with a clock of its own, to which the driver's CPU seconds are added. Records, the remote and
DVC's files are real, and so is what the driver does with them; DVC's processes start cold, where those of a
real run are forked warm. What is not in it: the network, and files of a real size.
"""

import hashlib
import heapq
import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import tiny

from gm_bench.cell import Cell
from gm_bench.config import Params, load_params
from gm_bench.running import boards, repository, runner
from gm_bench.running.chains import Chain, cell_chain
from gm_bench.running.cluster import record
from gm_bench.running.cluster.collecting import Collector, order_of
from gm_bench.running.cluster.executor import BATCHES, Driver, Work
from gm_bench.running.cluster.node import SECONDS_BETWEEN_WORDS
from gm_bench.running.cluster.parcels import Parcel
from gm_bench.running.cluster.store import Place, Store
from gm_bench.yaml_text import load_yaml

ROOT = Path(__file__).resolve().parent.parent
Collect = Callable[[Any], float]  # brings a batch of cells home; CPU seconds that this took
WORD = {"state": "train", "place": "n", "progress": {"key": "k", "images": 1, "n_images": 2, "seconds": 1.0}}
RECORDED = ("mnist_cpu", "fashion_mnist_cpu")


@contextmanager
def board(n_cells: int) -> Iterator[Params]:
    """Work in a folder with a board of so many cells, prepared as before its cells run, but without data."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        tiny.make(Path(folder), variants=["kde", "vae"], seeds=list(range(n_cells // 2)))
        os.chdir(folder)
        try:
            yield load_params()
        finally:
            os.chdir(before)


def of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def made_up(chain: Chain, stages: dict[str, Any], cache: Path) -> record.Record:
    """The record of a cell that did not run, whose small files lie in DVC's cache."""
    cell = chain.cell
    assert cell is not None
    filled = partial(boards.filled, values=boards.values_of(cell))
    lock = {}
    for address in chain.stages:
        name = address.rpartition(":")[2]
        stage = stages[name.partition("@")[0]]
        outs = []
        for path in map(filled, stage["outs"]):
            content = f"{path}\n".encode()
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            file = cache / "files/md5" / md5[:2] / md5[2:]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            outs.append({"path": path, "hash": "md5", "md5": md5, "size": len(content)})
        deps = [{"path": filled(dep), "hash": "md5", "md5": "0" * 32, "size": 1} for dep in stage["deps"]]
        lock[name] = {"cmd": filled(stage["cmd"]), "deps": deps, "outs": outs}
    return {"lock": lock, "runs": {}}


class Simulated:
    """Workers in a queue, and a clock on which cells last as long as they are said to.

    The clock stands while the driver computes; what that took is then added, in seconds of the CPU: of the
    driver's loop, and beside it of a batch that it brings home, with the processes of DVC.
    """

    def __init__(
        self,
        n_workers: int,
        lengths: dict[str, float],
        records: dict[str, record.Record],
        word: float | None = None,
    ) -> None:
        self.free = [0.0] * n_workers
        self.word = word  # CPU seconds of the driver for one word of a cell; None to say it
        self.lengths = lengths
        self.records = records
        self.now = 0.0
        self.used = 0.0
        self.starts: list[tuple[float, str]] = []
        self.ends: list[tuple[float, str]] = []
        self.at_work: dict[str, float] = {}  # when each said something
        self.batches: list[float] = []  # what each took
        self.batch_ends: float | None = None
        self.is_measuring = threading.Event()  # clear while a batch is at work, of which it is not known
        self.is_measuring.set()
        self.released = threading.Event()
        self.mark = time.thread_time()

    def submit(self, order: dict[str, Any]) -> None:
        with self._beside():
            name = order["parcel"]["name"]
            start = max(heapq.heappop(self.free), self.now)
            heapq.heappush(self.free, start + self.lengths[name])
            heapq.heappush(self.starts, (start, name))
            heapq.heappush(self.ends, (start + self.lengths[name], name))

    def wait(self, seconds: float) -> list[tuple[str, dict[str, Any]]]:
        with self._beside():
            self.is_measuring.wait()
            events = [self.now + seconds, *(end for end, _ in self.ends[:1])]
            if self.batch_ends is not None:
                events.append(self.batch_ends)
            self.now = max(self.now, min(events))
            ready = []
            while self.ends and self.ends[0][0] <= self.now:
                ready.append(heapq.heappop(self.ends)[1])
            for name in ready:
                self.at_work.pop(name, None)
            if self.batch_ends is not None and (self.batch_ends <= self.now or not self.ends):
                self.now = max(self.now, self.batch_ends)
                self.batch_ends = None
                self.released.set()
                time.sleep(0.05)  # in which its thread ends
            return [(name, {"state": "done", "record": self.records[name]}) for name in ready]

    def news(self) -> dict[str, dict[str, Any]]:
        """Every cell that is at work says how far it is, as often as it does on a node."""
        with self._beside():
            while self.starts and self.starts[0][0] <= self.now:
                self.at_work[heapq.heappop(self.starts)[1]] = 0.0
            said = [name for name, when in self.at_work.items() if self.now - when >= SECONDS_BETWEEN_WORDS]
            self.at_work |= dict.fromkeys(said, self.now)
            if self.word is not None:
                self.now, self.used = self.now + len(said) * self.word, self.used + len(said) * self.word
                return {}
            return dict.fromkeys(said, WORD)

    def exclude(self, node: str) -> None:
        raise AssertionError

    def timed(self, collect: Collect) -> Any:
        """A collector whose batches end on this clock."""

        def bring(batch: Any) -> dict[str, list[str]]:
            self.is_measuring.clear()
            self.released.clear()
            self.batches.append(collect(batch))
            if self.ends:
                self.batch_ends = self.now + self.batches[-1]
                self.is_measuring.set()
                self.released.wait()
            else:
                self.now += self.batches[-1]
                self.is_measuring.set()
            return {}

        return bring

    @contextmanager
    def _beside(self) -> Iterator[None]:
        """Count what the driver's loop has used until here, and leave out what the block uses."""
        spent = time.thread_time() - self.mark
        self.now, self.used = self.now + spent, self.used + spent
        yield
        self.mark = time.thread_time()


def recorded(cells: list[Cell]) -> dict[str, float]:
    """Seconds of so many cells as they were recorded: images a second of a board, at its budget of today.

    What is fitted (`kde`) shows no images and counts as no cell.
    """
    found = []
    for name in RECORDED:
        rows = json.loads((ROOT / "reports" / name / "leaderboard.json").read_text(encoding="utf-8"))["rows"]
        budget = load_params(ROOT / "params.yaml").board(name).n_images
        rates = [row["cost"]["images_per_second"] for row in rows]
        found += [budget / rate for rate in rates if rate]
    return {cell.name: found[i % len(found)] for i, cell in enumerate(cells)}


class Bench:
    """A board of dummy cells whose files lie in a remote, and a driver's collector of them."""

    def __init__(self, params: Params) -> None:
        self.cells = params.cells("digits")
        self.chains = [cell_chain(params, cell) for cell in self.cells]
        stages = load_yaml(boards.MAIN.read_text(encoding="utf-8"))["stages"]
        remote = Path("remote").resolve()
        config = f"[core]\n    remote = r\n['remote \"r\"']\n    url = {remote}\n"
        Path(".dvc/config").write_text(config, encoding="utf-8")
        repository.temporary().mkdir(exist_ok=True)
        self.place = Place({"url": str(remote)}, str(remote / "gm-bench"))
        self.records = {chain.name: made_up(chain, stages, remote) for chain in self.chains}
        order = order_of(self.cells, boards.cell_stages(params, "digits"))
        self.collector = Collector(Path("dvc.lock"), order, self.place, runner.environment())

    def collect(self, batch: Any) -> float:
        """Bring cells home for good."""
        before = time.thread_time() + of_children()
        lost = self.collector.collect(batch)
        assert not lost, lost
        assert all((chain.cell.folder / "metrics.json").exists() for chain, _ in batch)
        return time.thread_time() + of_children() - before

    def costs(self) -> numpy.ndarray:
        """CPU seconds of any batch, for each cell in the lock before, and for each cell of the batch.

        Fitted to batches of two sizes at three sizes of the lock.
        """
        many = max(2, len(self.chains) // BATCHES)
        known, rows = 0, []
        for size in (1, many, len(self.chains) // 2, 1, many, len(self.chains) // 4, 1, many):
            batch = [(chain, self.records[chain.name]) for chain in self.chains[known : known + size]]
            if size <= many:
                rows.append((1.0, known, size, self.collect(batch)))
            else:
                entries = {name: entry for _, content in batch for name, entry in content["lock"].items()}
                self.collector._merge(entries)
            known += size
        measured = numpy.array(rows)
        found, *_ = numpy.linalg.lstsq(measured[:, :3], measured[:, 3], rcond=None)
        show(any_batch=found[0], cell_in_the_lock=found[1], cell_of_the_batch=found[2])
        return found


def predicted(costs: numpy.ndarray) -> Collect:
    """What batches cost that come after one another, without bringing them."""
    known = 0

    def predict(batch: Any) -> float:
        nonlocal known
        known += len(batch)
        return float(costs @ (1.0, known - len(batch), len(batch)))

    return predict


def word_of_a_cell(bench: Bench) -> float:
    """CPU seconds of the driver for one word of a cell that trains."""
    nodes = Simulated(1, {}, {})
    driver = Driver(nodes, {}, Store(bench.place), lambda batch: {}, lambda text: None)
    parcel = Parcel("", "", (), (), "", {})
    driver.works = {chain.name: Work(chain, parcel) for chain in bench.chains[:100]}
    nodes.at_work = dict.fromkeys(driver.works, 0.0)
    nodes.now = SECONDS_BETWEEN_WORDS
    before = time.thread_time()
    driver._hear()
    return (time.thread_time() - before) / len(driver.works)


def simulate(bench: Bench, collect: Collect, n_workers: int, word: float | None = None) -> None:
    """Run dummy cells of a board on so many workers, and print how long it took beside the ideal."""
    chains = bench.chains
    for chain in chains:
        chain.state = "waiting"
    lengths = recorded(bench.cells)
    store = Store(bench.place)
    store.open()
    nodes = Simulated(n_workers, lengths, bench.records, word)
    ideal = Simulated(n_workers, lengths, {})
    for chain in chains:
        ideal.submit({"parcel": {"name": chain.name}})
    shortest = max(ideal.free)
    works = [Work(chain, Parcel(chain.name, "k" + chain.name, chain.stages, (), "", {})) for chain in chains]
    nodes.mark = time.thread_time()
    Driver(nodes, {}, store, nodes.timed(collect), lambda text: None).run(works)
    assert all(chain.state == "done" for chain in chains)
    show(
        workers=n_workers,
        cells=len(chains),
        mean_length=sum(lengths.values()) / len(lengths),
        ideal=shortest,
        took=nodes.now,
        ratio=nodes.now / shortest,
        driver_cpu_a_cell=(nodes.used + sum(nodes.batches)) / len(chains),
        of_loop=nodes.used / len(chains),
        batches=len(nodes.batches),
    )


def show(**found: float) -> None:
    sys.stdout.write(json.dumps({k: round(v, 3) for k, v in found.items()}) + "\n")
    sys.stdout.flush()
