"""Stage sample: the weights of one cell → samples.safetensors and grid.png."""

import typer

from gm_bench.cell import Cell
from gm_bench.reproducibility import resolve
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Board, Dataset, Device, Seed, Variant, run
from gm_bench.tracks.generation.drawing import Settings, draw


def main(board: Board, dataset: Dataset, variant: Variant, seed: Seed, device: Device = "auto") -> None:
    """Draw the sample sets of one cell; a model with a density also says what it makes of held-out images."""
    cell = Cell(board, dataset, variant, seed)
    needs = resolved.read(cell.resolved("sample"))
    config = Settings(**{name: needs[name] for name in Settings.model_fields})
    n_sets = draw(cell, config, needs["n_validation"], resolve(device))
    typer.echo(f"{cell}: {n_sets} × {config.n_samples} samples")


if __name__ == "__main__":
    run(main)
