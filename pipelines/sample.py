"""Stage sample: the weights of one cell → samples.safetensors and grid.png."""

from typing import Annotated

import typer

from gm_bench.cell import Cell
from gm_bench.config import load_params
from gm_bench.reproducibility import resolve
from gm_bench.running.stage import Device, run
from gm_bench.tracks.generation.drawing import draw


def main(
    board: Annotated[str, typer.Argument(help="a board of params.yaml")],
    dataset: Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")],
    variant: Annotated[str, typer.Argument(help="an entry of variants in params.yaml")],
    seed: int,
    device: Device = "auto",
) -> None:
    """Draw the sample sets of one cell; a model with a density also says what it makes of held-out images."""
    cell, entry = Cell(board, dataset, variant, seed), load_params().dataset(dataset)
    n_sets = draw(cell, entry.protocol, entry.training.n_validation, resolve(device))
    typer.echo(f"{cell}: {n_sets} × {entry.protocol.n_samples} samples")


if __name__ == "__main__":
    run(main)
