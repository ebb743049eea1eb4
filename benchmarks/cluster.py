"""What a cluster costs the driver and each cell: python benchmarks/cluster.py PART [...]

    bookkeeping   DVC's own work on boards of 100 to 1,000 cells: to parse, to say what is stale, to check out
    simulation    1,000 dummy cells on 8, 64 and 512 workers through the real driver: how far from ideal
    ray           dummy cells through a Ray of this machine: seconds of CPU and of the clock that a cell costs

Dummy cells have small files and lengths drawn with the spread of recorded ones, scaled so that an ideal run
lasts `--seconds`. Nodes of the simulation are a queue in this process, whose clock is the real one. Records
and DVC's files are real, and so is what the driver does with them. On a machine that does other work too,
seconds of the clock say little; those of the CPU are the driver's.
"""

import argparse
import hashlib
import heapq
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import tiny  # noqa: E402

from gm_bench.config import Params, load_params  # noqa: E402
from gm_bench.running import boards, runner  # noqa: E402
from gm_bench.running.cluster import record  # noqa: E402
from gm_bench.running.cluster.collecting import Collector, order_of  # noqa: E402
from gm_bench.running.cluster.executor import Driver, Work  # noqa: E402
from gm_bench.running.cluster.parcels import Parcel  # noqa: E402
from gm_bench.running.cluster.places import of_machine  # noqa: E402
from gm_bench.running.cluster.store import Store  # noqa: E402
from gm_bench.running.runner import Chain  # noqa: E402
from gm_bench.yaml_text import load_yaml  # noqa: E402

SPREAD = 0.5  # standard deviation of the logarithm of a cell's length, about that of the board digits


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


def cpu() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    return sum(r.ru_utime + r.ru_stime for r in map(resource.getrusage, (0, resource.RUSAGE_CHILDREN)))


def made_up(chain: Chain, stages: dict[str, Any], cache: Path) -> record.Record:
    """The record of a cell that did not run, whose small files lie in DVC's cache."""
    cell = chain.cell
    assert cell is not None
    axes = {"board": cell.board, **{f"item.{k}": str(v) for k, v in cell.as_dict().items() if k != "board"}}

    def filled(text: str) -> str:
        for name, value in axes.items():
            text = text.replace("${" + name + "}", value)
        return text

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
    """Workers in a queue: a cell that is given out ends its length after a worker is free."""

    def __init__(self, n_workers: int, lengths: dict[str, float], records: dict[str, record.Record]) -> None:
        self.free = [time.monotonic()] * n_workers
        self.lengths = lengths
        self.records = records
        self.ends: list[tuple[float, str]] = []
        self.began: float | None = None

    def submit(self, order: dict[str, Any]) -> None:
        name = order["parcel"]["name"]
        self.began = self.began or time.monotonic()
        end = max(heapq.heappop(self.free), time.monotonic()) + self.lengths[name]
        heapq.heappush(self.free, end)
        heapq.heappush(self.ends, (end, name))

    def wait(self, seconds: float) -> list[tuple[str, dict[str, Any]]]:
        if self.ends:
            time.sleep(min(seconds, max(0.0, self.ends[0][0] - time.monotonic())))
        ready = []
        while self.ends and self.ends[0][0] <= time.monotonic():
            ready.append(heapq.heappop(self.ends)[1])
        return [(name, {"state": "done", "record": self.records[name]}) for name in ready]

    def news(self) -> dict[str, dict[str, Any]]:
        return {}

    def exclude(self, node: str) -> None:
        raise AssertionError


def simulate(params: Params, n_workers: int, seconds: float, stop: int) -> None:
    """Run dummy cells of a board on so many workers, and print how long it took beside the ideal."""
    cells = params.cells("digits")[:stop]
    chains = [runner.cell_chain(params, cell) for cell in cells]
    stages = load_yaml(boards.MAIN.read_text(encoding="utf-8"))["stages"]
    place = of_machine()
    draws = random.Random(0)
    raw = [draws.lognormvariate(0, SPREAD) for _ in chains]
    scale = seconds * n_workers / sum(raw)
    lengths = {chain.name: length * scale for chain, length in zip(chains, raw, strict=True)}
    records = {chain.name: made_up(chain, stages, Path(place.remote["url"])) for chain in chains}
    store = Store(place)
    store.open()
    order = order_of(cells, boards.cell_stages(params, "digits"))
    lock = Path("dvc.lock")
    lock.unlink(missing_ok=True)
    collector = Collector(lock, order, place, runner.environment())
    batches: list[int] = []

    def collect(batch: Any) -> dict[str, list[str]]:
        batches.append(len(batch))
        return collector.collect(batch)

    nodes = Simulated(n_workers, lengths, records)
    works = [Work(chain, Parcel(chain.name, "k" + chain.name, chain.stages, (), "", {})) for chain in chains]
    ideal = Simulated(n_workers, lengths, {})
    for chain in chains:
        ideal.submit({"parcel": {"name": chain.name}})
    shortest = max(ideal.free) - (ideal.began or 0)
    used, began = cpu(), time.monotonic()
    Driver(nodes, {}, store, collect, lambda text: None).run(works)
    took, used = time.monotonic() - began, cpu() - used
    assert all(chain.state == "done" for chain in chains), [c.output for c in chains if c.state != "done"][:1]
    assert all((chain.cell.folder / "metrics.json").exists() for chain in chains if chain.cell)
    show(
        workers=n_workers,
        cells=len(chains),
        mean_length=sum(raw) * scale / len(raw),
        ideal=shortest,
        took=took,
        ratio=took / shortest,
        driver_cpu_a_cell=used / len(chains),
        batches=len(batches),
    )


def bookkeeping(sizes: list[int]) -> None:
    """What DVC itself takes on boards of several sizes, in CPU seconds."""
    for size in sizes:
        with board(size) as params:
            stages = runner.cell_chain(params, params.cells("digits")[0]).stages
            found = {"cells": size}
            for name, command in {
                "status": ["status", "--json", "dvc.yaml"],
                "checkout_of_one": ["checkout", "--force", *stages],
            }.items():
                before = cpu()
                subprocess.run(
                    [*runner.DVC, *command], env=runner.environment(), capture_output=True, check=False
                )
                found[name] = cpu() - before
            show(**found)


def on_ray(n_cells: int, jobs: int, length: float) -> None:
    """Dummy cells that sleep, through a Ray of this machine's own."""
    import benchmarks.cluster as here
    from gm_bench.running.cluster import pool

    began, used = time.monotonic(), cpu()
    with pool.connected("ray", jobs, 0.0, "cpu") as nodes:
        start = time.monotonic() - began
        task = nodes.ray.remote(here.sleep).options(num_cpus=1, max_retries=0)
        nodes.ray.get([task.remote(0.0) for _ in range(jobs)])  # starts the workers
        began = time.monotonic()
        references = [task.remote(length) for _ in range(n_cells)]
        nodes.ray.get(references)
        took = time.monotonic() - began
    ideal = n_cells * length / jobs
    show(
        cells=n_cells,
        workers=jobs,
        start=start,
        ideal=ideal,
        took=took,
        ratio=took / ideal,
        overhead_a_cell=(took - ideal) * jobs / n_cells,
        cpu_of_driver=cpu() - used,
    )


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def show(**found: float) -> None:
    sys.stdout.write(json.dumps({k: round(v, 3) for k, v in found.items()}) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("part", choices=("bookkeeping", "simulation", "ray"))
    parser.add_argument("--cells", type=int, nargs="+", default=[1000])
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 64, 512])
    parser.add_argument("--seconds", type=float, default=120.0, help="that an ideal run lasts")
    parser.add_argument("--length", type=float, default=2.0, help="of a cell that sleeps, with ray")
    options = parser.parse_args()
    if options.part == "bookkeeping":
        bookkeeping(options.cells)
    elif options.part == "ray":
        for jobs in options.workers:
            on_ray(options.cells[0], jobs, options.length)
    else:
        for n_cells in options.cells:
            for n_workers in options.workers:
                with board(n_cells) as params:
                    simulate(params, n_workers, options.seconds, n_cells)


if __name__ == "__main__":
    main()
