"""Neighbour metrics: against scikit-learn, and against the bare products that they cannot do without.

    python -m benchmarks.neighbours [--n 10000] [--repeats 3]

All in one run of five minutes, one thread as every stage has, the medians of CPU seconds, which other work on
the machine disturbs little (scikit-learn runs once). What takes part must agree. scikit-learn resolves ties
by row order; the features here have none.

The neighbour metrics of one set of fakes are 1-NN against held-out and against training images, precision and
recall, density and coverage, and memorisation. They need the products of the fakes with themselves (half of
them, being symmetric), with the held-out and with the training images: 2.5 n² of them. What only real images
take part in is computed once for a dataset, and not here.
"""

import os
from statistics import median
from time import process_time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from torch import Tensor

DIMENSIONS = (128, 2048)  # of the LeNet and of Inception
NEIGHBOURS = 3
# Rows of the matrices whose bare products are timed: the fastest of 512, 1,024, 2,048 and 4,096 here.
BLOCK = 1024


def main(
    n: Annotated[int, typer.Option(min=2, help="rows of each set")] = 10_000,
    repeats: Annotated[int, typer.Option(min=1, help="runs of each, of which the median counts")] = 3,
) -> None:
    """Print seconds and their ratios for each dimension."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    import torch

    torch.set_num_threads(1)
    typer.echo(f"{n:,} rows in each set, one thread, CPU seconds, median of {repeats}")
    for dimensions in DIMENSIONS:
        generator = torch.Generator().manual_seed(0)
        fake, train = torch.randn(2, n, dimensions, generator=generator)
        real = 1.01 * torch.randn(n, dimensions, generator=generator)
        ours, theirs = against_scikit_learn(fake, real, repeats)
        typer.echo(
            f"D = {dimensions:>4}: 1-NN of gm-bench {ours:6.2f} s, of scikit-learn {theirs:6.2f} s, "
            f"ratio {theirs / ours:.1f}"
        )
        swept, bare = against_products(fake, real, train, repeats)
        typer.echo(
            f"D = {dimensions:>4}: all neighbour metrics {swept:6.2f} s, bare products {bare:6.2f} s, "
            f"ratio {swept / bare:.2f}"
        )


def against_scikit_learn(fake: "Tensor", real: "Tensor", repeats: int) -> tuple[float, float]:
    """Median seconds of gm-bench, and seconds of scikit-learn once, for leave-one-out 1-NN.

    Raises:
        ValueError: they disagree.
    """
    import numpy as np
    import torch
    from sklearn.neighbors import NearestNeighbors

    from gm_bench.metrics.neighbours import leave_one_out_1nn

    points = torch.cat([fake, real]).numpy()
    label = np.arange(len(points)) < len(fake)
    start = process_time()
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(points)
    expected = (label[nearest.kneighbors(None, return_distance=False)[:, 0]] == label).mean()
    theirs = process_time() - start
    ours = []
    for _ in range(repeats):
        start = process_time()
        accuracy = leave_one_out_1nn(fake, real)
        ours.append(process_time() - start)
        if abs(accuracy.overall - expected) > 1e-9:
            raise ValueError(f"gm-bench says {accuracy.overall} and scikit-learn {expected}")
    return median(ours), theirs


def against_products(fake: "Tensor", real: "Tensor", train: "Tensor", repeats: int) -> tuple[float, float]:
    """Median seconds of all neighbour metrics of one set of fakes, and of the float32 products they need."""
    from gm_bench.metrics.distances import between, nearest_squared, within
    from gm_bench.metrics.memorisation import memorisation
    from gm_bench.metrics.neighbours import accuracy, compare

    known_real, known_train = within(real, NEIGHBOURS), within(train, 1)
    held_out = nearest_squared(real, train)
    swept, bare = [], []
    for _ in range(repeats):
        start = process_time()
        own = within(fake, NEIGHBOURS)
        compare(fake, real, NEIGHBOURS, own, known_real)
        seen = between(fake, train)
        accuracy(own, known_train, seen, fake.shape[1])
        memorisation(seen.a.squared, held_out, 0.01)
        swept.append(process_time() - start)
        start = process_time()
        for rows in fake.split(BLOCK):
            for columns in real.split(BLOCK):
                rows @ columns.T
        bare.append(2.5 * (process_time() - start))
    return median(swept), median(bare)


if __name__ == "__main__":
    typer.run(main)
