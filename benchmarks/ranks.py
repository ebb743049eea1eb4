"""How often ranks and intervals mislead: python benchmarks/ranks.py [--runs 2000]

Boards are drawn of which every variant is as good as every other, with few seeds each, and judged by
gm_bench/results/ranking.py. A board misleads where any variant gets a rank other than 1, which should happen
in 5 of 100 at most; an interval should hold the true mean in 95 of 100.
"""

import random
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gm_bench.results.ranking import intervals, ranks
from gm_bench.running.stage import run

SPREADS = {  # standard deviations between seeds of the log of FID
    "alike": [0.08] * 12,
    "as observed on mnist_cpu": [
        0.042, 0.157, 0.015, 0.012, 0.148, 0.167, 0.052, 0.074, 0.068, 0.077, 0.006, 0.008,
    ],
    "as observed on fashion_mnist_cpu": [
        0.216, 0.279, 0.003, 0.112, 0.134, 0.059, 0.065, 0.011, 0.029, 0.020, 0.036, 0.0002,
    ],
}  # fmt: skip
SEEDS = (2, 3, 5)


def main(runs: Annotated[int, typer.Option(min=100, help="boards of each row")] = 2000) -> None:
    """Print how many boards of equal variants are ordered all the same, and how many intervals hold."""
    generator = random.Random(0)
    table = Table("spreads of the variants", "seeds", "boards that mislead", "intervals that hold", box=None)
    for name, spreads in SPREADS.items():
        for n_seeds in SEEDS:
            misled = held = 0
            for _ in range(runs):
                values = {
                    str(i): [generator.gauss(0.0, sd) for _ in range(n_seeds)] for i, sd in enumerate(spreads)
                }
                misled += set(ranks(values).values()) != {1}
                found = intervals(values, ratio=False).values()
                held += sum(low < 0.0 < high for low, high in filter(None, found))
            of_all = held / (runs * len(spreads))
            table.add_row(name, str(n_seeds), f"{misled / runs:.1%}", f"{of_all:.1%}")
    Console(width=110).print(table)


if __name__ == "__main__":
    run(main)
