"""Stage evaluate: the weights of one cell → samples → metrics.json and a picture."""

import typer

from gm_bench.cell import Cell
from gm_bench.reproducibility import resolve
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Board, Dataset, Device, Seed, Variant, run
from gm_bench.tracks.mode_collapse.measuring import evaluate
from gm_bench.tracks.mode_collapse.settings import MixtureSettings
from gm_bench.tracks.mode_collapse.stacked import measuring as of_stacks
from gm_bench.tracks.mode_collapse.stacked.settings import Stacks


def main(board: Board, dataset: Dataset, variant: Variant, seed: Seed, device: Device = "auto") -> None:
    """Write metrics.json of one cell; a diverged cell gets no values."""
    cell = Cell(board, dataset, variant, seed)
    needs = resolved.read(cell.resolved("evaluate"))
    if "stacks" in needs:
        values = of_stacks.evaluate(cell, Stacks.model_validate(needs["stacks"]), resolve(device))
    else:
        mixture = MixtureSettings.model_validate(needs["mixture"])
        values = evaluate(cell, mixture, needs["n_samples"], resolve(device))
    typer.echo(f"{cell}: {', '.join(f'{key} {value:.4g}' for key, value in values.items()) or 'diverged'}")


if __name__ == "__main__":
    run(main)
