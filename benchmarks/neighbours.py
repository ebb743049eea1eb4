"""Leave-one-out 1-NN accuracy: ours against scikit-learn's brute force, as a ratio measured in one run.

    python -m benchmarks.neighbours [--n 10000] [--repeats 3] [--threads 2]

Both get the same cores and the same float32 features, take turns, and must agree; the medians are compared.
scikit-learn resolves ties by row order and the features here have none.
"""

import os
from statistics import median
from time import perf_counter
from typing import Annotated

import typer

DIMENSIONS = (128, 2048)  # of the LeNet and of Inception


def main(
    n: Annotated[int, typer.Option(help="rows of each of the two sets")] = 10_000,
    repeats: Annotated[int, typer.Option(help="runs of each, of which the median counts")] = 3,
    threads: Annotated[int, typer.Option(help="threads of both")] = os.cpu_count() or 1,
) -> None:
    """Print seconds and their ratio for each dimension."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    import torch

    torch.set_num_threads(threads)
    typer.echo(f"{n:,} + {n:,} rows, {threads} threads, median of {repeats}")
    for dimensions in DIMENSIONS:
        generator = torch.Generator().manual_seed(0)
        fake = torch.randn(n, dimensions, generator=generator)
        real = 1.01 * torch.randn(n, dimensions, generator=generator)
        ours, theirs = compare(fake, real, repeats)
        typer.echo(
            f"D = {dimensions:>4}: gm-bench {ours:6.2f} s, scikit-learn {theirs:6.2f} s, "
            f"ratio {theirs / ours:.1f}"
        )


def compare(fake, real, repeats: int) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Median seconds of gm-bench and of scikit-learn.

    Raises:
        ValueError: they disagree.
    """
    import numpy as np
    import torch
    from sklearn.neighbors import NearestNeighbors

    from gm_bench.metrics.neighbours import leave_one_out_1nn

    points = torch.cat([fake, real]).numpy()
    label = np.arange(len(points)) < len(fake)
    ours, theirs = [], []
    for _ in range(repeats):
        start = perf_counter()
        accuracy = leave_one_out_1nn(fake, real)
        ours.append(perf_counter() - start)
        start = perf_counter()
        nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(points)
        expected = (label[nearest.kneighbors(None, return_distance=False)[:, 0]] == label).mean()
        theirs.append(perf_counter() - start)
        if abs(accuracy.overall - expected) > 1e-9:
            raise ValueError(f"gm-bench says {accuracy.overall} and scikit-learn {expected}")
    return median(ours), median(theirs)


if __name__ == "__main__":
    typer.run(main)
