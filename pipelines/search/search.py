"""Stage search: as many trials of a variant's recipe as params.yaml says → trials.json."""

import typer

from gm_bench.cell import Cell
from gm_bench.reproducibility import resolve
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Board, Dataset, Device, Seed, Variant, run
from gm_bench.tracks.search.searching import search


def main(board: Board, dataset: Dataset, variant: Variant, seed: Seed, device: Device = "auto") -> None:
    """Run the trials of one cell that were not run yet."""
    cell = Cell(board, dataset, variant, seed)
    needs = resolved.read(cell.resolved("search"))
    found = search(cell, needs, resolve(device), lambda text: typer.echo(f"{cell}: {text}"))
    typer.echo(f"{cell}: the best is trial {found['best']}")


if __name__ == "__main__":
    run(main)
