"""How often ranks and intervals mislead, and what they see: python benchmarks/ranks.py [--runs 2000]

Boards are drawn with few seeds a variant and spreads alike or as observed on committed boards, and judged by
gm_bench/results/ranking.py. Of those on which every variant is as good as every other, one misleads where any
gets a rank other than 1, which should happen in 5 of 100 at most; an interval should hold the true mean in 95
of 100. Of boards on which each variant has 1.5 times the FID of the one before it, the share of pairs of
neighbours is counted that have unequal ranks.
"""

import math
import random
import statistics
from itertools import pairwise
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gm_bench import io
from gm_bench.cell import reports_of
from gm_bench.metrics.catalogue import IMAGES
from gm_bench.results.leaderboard_file import from_json
from gm_bench.results.ranking import intervals, ranks
from gm_bench.running.stage import run

BOARDS = ("mnist_cpu", "fashion_mnist_cpu")  # whose observed spreads are taken for the true ones
SEEDS = (2, 3, 5)
STEP = math.log(1.5)


def noise_of(board: str) -> dict[str, tuple[float, str]]:
    """Standard deviation between seeds of the log of FID and its kind, of each variant with several seeds."""
    file = reports_of(board) / "leaderboard.json"
    rows = from_json(io.read_json(file), str(file), IMAGES).by_key.values()
    return {
        row.variant: (statistics.stdev(map(math.log, row.metrics["fid"].values)), row.kind_of_noise)
        for row in rows
        if row.metrics["fid"].n > 1
    }


def main(runs: Annotated[int, typer.Option(min=100, help="boards of each row")] = 2000) -> None:
    """Print how many boards of equal variants are ordered all the same, and how many intervals hold."""
    generator = random.Random(0)
    columns = ("boards that mislead", "intervals that hold", "1.5 times apart: told apart")
    table = Table("spreads of the variants", "seeds", *columns, box=None)
    observed = {f"as observed on {board}": noise_of(board) for board in BOARDS}
    for name, noise in ({"alike": {str(i): (0.08, "") for i in range(12)}} | observed).items():
        kinds = {variant: kind for variant, (_, kind) in noise.items()}
        for n_seeds in SEEDS:
            misled = held = seen = 0
            for _ in range(runs):
                values = {
                    v: [generator.gauss(0.0, sd) for _ in range(n_seeds)] for v, (sd, _) in noise.items()
                }
                misled += set(ranks(values, kinds).values()) != {1}
                found = intervals(values, ratio=False, kinds=kinds).values()
                held += sum(low < 0.0 < high for low, high in filter(None, found))
                order = generator.sample(list(values), len(values))
                apart = {v: [x + STEP * order.index(v) for x in xs] for v, xs in values.items()}
                places = ranks(apart, kinds)
                seen += sum(places[one] != places[next_] for one, next_ in pairwise(order))
            shares = (misled / runs, held / (runs * len(noise)), seen / (runs * (len(noise) - 1)))
            table.add_row(name, str(n_seeds), *(f"{share:.1%}" for share in shares))
    Console(width=110).print(table)


if __name__ == "__main__":
    run(main)
