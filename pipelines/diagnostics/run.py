"""Stage run: one claim with one seed → metrics.json, cost.json, history.csv."""

import typer

from gm_bench.cell import Cell
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Board, Dataset, SaveEvery, Seed, Variant, run
from gm_bench.tracks.diagnostics.measuring import measure


def main(board: Board, group: Dataset, claim: Variant, seed: Seed, save_every: SaveEvery = 30.0) -> None:
    """Run the experiment of a claim, or go on with it, and write what it measured."""
    cell = Cell(board, group, claim, seed)
    needs = resolved.read(cell.resolved("run"))
    outcome = measure(cell, needs["budget"], needs["code"], save_every=save_every, on_note=typer.echo)
    typer.echo(f"{cell}: {', '.join(f'{key} {value:.4g}' for key, value in outcome.values.items())}")


if __name__ == "__main__":
    run(main)
