"""Leave-one-out 1-NN accuracy: ours against scikit-learn's brute force, as a ratio measured in one run.

    python -m benchmarks.neighbours [--n 10000] [--repeats 3]

Both get one thread, as every stage does, and the same float32 features, take turns, and must agree; the
medians of their CPU seconds are compared, which other work on the machine disturbs little. scikit-learn
resolves ties by row order; the features here have none.
"""

import os
from statistics import median
from time import process_time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from torch import Tensor

DIMENSIONS = (128, 2048)  # of the LeNet and of Inception


def main(
    n: Annotated[int, typer.Option(help="rows of each of the two sets")] = 10_000,
    repeats: Annotated[int, typer.Option(help="runs of each, of which the median counts")] = 3,
) -> None:
    """Print seconds and their ratio for each dimension."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    import torch

    torch.set_num_threads(1)
    typer.echo(f"{n:,} + {n:,} rows, one thread, CPU seconds, median of {repeats}")
    for dimensions in DIMENSIONS:
        generator = torch.Generator().manual_seed(0)
        fake = torch.randn(n, dimensions, generator=generator)
        real = 1.01 * torch.randn(n, dimensions, generator=generator)
        ours, theirs = compare(fake, real, repeats)
        typer.echo(
            f"D = {dimensions:>4}: gm-bench {ours:6.2f} s, scikit-learn {theirs:6.2f} s, "
            f"ratio {theirs / ours:.1f}"
        )


def compare(fake: "Tensor", real: "Tensor", repeats: int) -> tuple[float, float]:
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
        start = process_time()
        accuracy = leave_one_out_1nn(fake, real)
        ours.append(process_time() - start)
        start = process_time()
        nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(points)
        expected = (label[nearest.kneighbors(None, return_distance=False)[:, 0]] == label).mean()
        theirs.append(process_time() - start)
        if abs(accuracy.overall - expected) > 1e-9:
            raise ValueError(f"gm-bench says {accuracy.overall} and scikit-learn {expected}")
    return median(ours), median(theirs)


if __name__ == "__main__":
    typer.run(main)
