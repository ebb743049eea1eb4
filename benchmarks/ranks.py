"""How often ranks and intervals mislead: python benchmarks/ranks.py [--runs 2000]

Boards are drawn of which every variant is as good as every other, with few seeds each and spreads alike or as
observed on committed boards, and judged by gm_bench/results/ranking.py. A board misleads where any variant
gets a rank other than 1, which should happen in 5 of 100 at most; an interval should hold the true mean in 95
of 100.
"""

import json
import math
import random
import statistics
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gm_bench.results.ranking import intervals, ranks
from gm_bench.running.stage import run

BOARDS = ("mnist_cpu", "fashion_mnist_cpu")  # whose observed spreads are taken for the true ones
SEEDS = (2, 3, 5)


def spreads_of(board: str) -> list[float]:
    """Standard deviations between seeds of the log of FID, of each variant of a committed leaderboard."""
    rows = json.loads(Path(f"reports/{board}/leaderboard.json").read_text(encoding="utf-8"))["rows"]
    return [statistics.stdev(map(math.log, row["metrics"]["fid"]["values"])) for row in rows]


def main(runs: Annotated[int, typer.Option(min=100, help="boards of each row")] = 2000) -> None:
    """Print how many boards of equal variants are ordered all the same, and how many intervals hold."""
    generator = random.Random(0)
    table = Table("spreads of the variants", "seeds", "boards that mislead", "intervals that hold", box=None)
    observed = {f"as observed on {board}": spreads_of(board) for board in BOARDS}
    for name, spreads in ({"alike": [0.08] * 12} | observed).items():
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
