"""One trial of the stage search, run before it and beside others; the stage takes what it finds of them."""

from typing import Annotated

import typer

from gm_bench.cell import Cell
from gm_bench.reproducibility import resolve
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Board, Dataset, Device, Seed, Variant, run
from gm_bench.tracks.search.searching import run_trial

Number = Annotated[int, typer.Argument(min=0, help="of the trial; 0 is the recipe as it stands")]


def main(
    board: Board, dataset: Dataset, variant: Variant, seed: Seed, number: Number, device: Device = "auto"
) -> None:
    """Run a trial of one cell, unless it was run before."""
    cell = Cell(board, dataset, variant, seed)
    needs = resolved.read(cell.resolved("search"))
    run_trial(cell, needs, number, resolve(device), lambda text: typer.echo(f"{cell}: {text}"))


if __name__ == "__main__":
    run(main)
