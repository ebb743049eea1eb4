"""What a cluster costs the driver and each cell: python benchmarks/cluster.py PART [...]

    bookkeeping   DVC's own work on boards of 100 to 1,000 cells: to say what is stale
    simulation    1,000 dummy cells on 8, 64 and 512 workers through the real driver: how far from ideal
    prediction    the same without bringing every batch home: what one costs is fitted to six that are, and a
                  word of a cell to a hundred
    ray           dummy cells through a Ray of this machine: seconds of CPU and of the clock that a cell costs
    cells         real cells of 640 images, by this machine alone and through a Ray of it: what a cell costs,
                  driver, start and transfer with it; of the whole machine, which must be idle otherwise

Dummy cells are those of benchmarks/cluster_simulation.py, which says what is real about them.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import tiny  # noqa: E402

from benchmarks.cluster_simulation import (  # noqa: E402
    Bench,
    board,
    of_children,
    predicted,
    show,
    simulate,
    word_of_a_cell,
)
from gm_bench.running import runner  # noqa: E402


def cpu() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    return time.process_time() + of_children()


def bookkeeping(sizes: list[int]) -> None:
    """What DVC itself takes to say what is stale on boards of several sizes, in CPU seconds."""
    for size in sizes:
        with board(size):
            before = cpu()
            command = [*runner.DVC, "status", "--json", "dvc.yaml"]
            subprocess.run(command, env=runner.environment(), capture_output=True, check=True)
            show(cells=size, status=cpu() - before)


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


def real_cells(n_cells: int, jobs: int) -> None:
    """The same cells by the local executor and through Ray, in folders of their own."""
    for name, how in (("local", []), ("ray", ["--on", "ray", "--device", "cpu"])):
        with tempfile.TemporaryDirectory() as where:
            folder = Path(where, "board")
            folder.mkdir()
            tiny.make(folder, variants=["vae"], seeds=list(range(n_cells + 1)), n_images=640)
            remote = f"[core]\n    remote = shared\n['remote \"shared\"']\n    url = {where}/remote\n"
            (folder / ".dvc/config").write_text(remote, encoding="utf-8")
            command = [sys.executable, "-m", "gm_bench.cli", "run", *how]
            timed(folder, *command, "--seeds", "0")  # the dataset with it
            none = timed(folder, *command, "--seeds", "0")
            all_of_them = timed(folder, *command, "-j", str(jobs))
            seconds, used = ((a - b) / n_cells for a, b in zip(all_of_them, none, strict=True))
            sys.stdout.write(f"{name}: ")
            show(cells=n_cells, jobs=jobs, seconds_a_cell=seconds, cpu_a_cell=used)


def timed(folder: Path, *command: str) -> tuple[float, float]:
    """Seconds, and CPU seconds of the machine, that a command takes."""
    began, used = time.monotonic(), of_machine()
    environ = os.environ | {"PYTHONPATH": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True)
    return time.monotonic() - began, of_machine() - used


def of_machine() -> float:
    """CPU seconds of all processes since the machine started."""
    times = psutil.cpu_times()
    return float(times.user + times.system)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("part", choices=("bookkeeping", "simulation", "prediction", "ray", "cells"))
    parser.add_argument("--cells", type=int, nargs="+", default=[1000])
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 64, 512])
    parser.add_argument("--costs", type=float, nargs=3, help="as a prediction printed them, not to fit again")
    parser.add_argument("--length", type=float, default=2.0, help="of a cell that sleeps, with ray")
    options = parser.parse_args()
    if options.part == "bookkeeping":
        bookkeeping(options.cells)
    elif options.part == "cells":
        for jobs in options.workers:
            real_cells(options.cells[0], jobs)
    elif options.part == "ray":
        for jobs in options.workers:
            on_ray(options.cells[0], jobs, options.length)
    elif options.part == "prediction":
        for n_cells in options.cells:
            with board(n_cells) as params:
                bench = Bench(params)
                costs = bench.costs() if options.costs is None else numpy.array(options.costs)
                word = word_of_a_cell(bench)
                for n_workers in options.workers:
                    simulate(bench, predicted(costs), n_workers, word)
    else:
        for n_cells, n_workers in itertools.product(options.cells, options.workers):
            with board(n_cells) as params:
                bench = Bench(params)
                simulate(bench, bench.collect, n_workers)


if __name__ == "__main__":
    main()
