"""Stage evaluate: the weights of one cell → samples in the plane → metrics.json."""

import typer

from gm_bench.cell import Cell
from gm_bench.reproducibility import resolve
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Board, Dataset, Device, Seed, Variant, run
from gm_bench.tracks.mode_collapse.measuring import evaluate
from gm_bench.tracks.mode_collapse.settings import MixtureSettings


def main(board: Board, mixture: Dataset, variant: Variant, seed: Seed, device: Device = "auto") -> None:
    """Write metrics.json of one cell; a diverged cell gets no values."""
    cell = Cell(board, mixture, variant, seed)
    needs = resolved.read(cell.resolved("evaluate"))
    settings = MixtureSettings.model_validate(needs["mixture"])
    values = evaluate(cell, settings, needs["n_samples"], resolve(device))
    typer.echo(f"{cell}: {', '.join(f'{key} {value:.3g}' for key, value in values.items()) or 'diverged'}")


if __name__ == "__main__":
    run(main)
