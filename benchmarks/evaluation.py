"""Where the seconds of an evaluation go: python benchmarks/evaluation.py

One draw of N images through the LeNet extractor and every metric, one thread, the median of several runs.
"""

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from gm_bench import io, pinned
from gm_bench.determinism import make_deterministic
from gm_bench.features import extract, load_lenet
from gm_bench.metrics.fidelity import classifier_score, fid, kid, precision_recall
from gm_bench.metrics.neighbours import leave_one_out_1nn

CPU = torch.device("cpu")
SETS = {"digits": (800, 8, 400), "mnist": (10_000, 28, 1000)}  # N, side, KID subset


def main(repeats: Annotated[int, typer.Option(help="runs, of which the median counts")] = 3) -> None:
    """Print seconds and share of each step."""
    make_deterministic()
    for dataset, (n, side, subset) in SETS.items():
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (2, n, 1, side, side), dtype=torch.uint8, generator=generator)
        extractor = load_lenet(io.read_tensors(pinned.FOLDER / pinned.file_name(dataset))[0], (1, side, side))
        fake, real = (extract(extractor, each, CPU) for each in images)
        a, b = fake.features, real.features
        steps: dict[str, Callable[[], object]] = {
            "extract features": lambda e=extractor, i=images: extract(e, i[0], CPU),
            "FID": lambda a=a, b=b: fid(a, b),
            "KID": lambda a=a, b=b, m=subset: kid(a, b, 100, m),
            "classifier score": lambda f=fake: classifier_score(f.logits, 10),
            "precision, recall": lambda a=a, b=b: precision_recall(a, b, 3),
            "1-NN, one of two": lambda a=a, b=b: leave_one_out_1nn(a, b),
        }
        seconds = {name: median_seconds(step, repeats) for name, step in steps.items()}
        total = sum(seconds.values()) + seconds["1-NN, one of two"]
        table = Table(
            "step", "seconds", "share", title=f"N = {n:,}, D = {a.shape[1]}: {total:.2f} s", box=None
        )
        for name, value in seconds.items():
            table.add_row(name, f"{value:.3f}", f"{value / total:.0%}")
        Console().print(table)


def median_seconds(step: Callable[[], object], repeats: int) -> float:
    """Median wall time of a few calls after one that warms up."""
    step()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    typer.run(main)
