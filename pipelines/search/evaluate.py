"""Stage evaluate: the best recipe and the one without a search, trained anew → metrics.json."""

import typer

from gm_bench.cell import Cell
from gm_bench.reproducibility import resolve
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Board, Dataset, Device, Seed, Variant, run
from gm_bench.tracks.search.evaluating import evaluate


def main(board: Board, dataset: Dataset, variant: Variant, seed: Seed, device: Device = "auto") -> None:
    """Write metrics.json, cost.json and history.csv of one cell."""
    cell = Cell(board, dataset, variant, seed)
    needs = resolved.read(cell.resolved("evaluate"))
    evaluate(cell, needs, resolve(device), lambda text: typer.echo(f"{cell}: {text}"))


if __name__ == "__main__":
    run(main)
