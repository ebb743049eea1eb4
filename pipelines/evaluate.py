"""Stage evaluate: samples of one cell → metrics.json, every metric for every draw."""

from typing import Annotated

import typer

from gm_bench.cell import Cell
from gm_bench.config import load_params
from gm_bench.reproducibility import resolve
from gm_bench.running.stage import Device, run
from gm_bench.tracks.generation.measuring import measure


def main(
    board: Annotated[str, typer.Argument(help="a board of params.yaml")],
    dataset: Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")],
    variant: Annotated[str, typer.Argument(help="an entry of variants in params.yaml")],
    seed: int,
    device: Device = "auto",
) -> None:
    """Write metrics.json of one cell; a diverged cell gets no values."""
    cell = Cell(board, dataset, variant, seed)
    measured = measure(cell, load_params().dataset(dataset).protocol, resolve(device))
    means = {name: sum(values) / len(values) for name, values in measured["values"].items()}
    shown = ", ".join(f"{name} {mean:.3g}" for name, mean in means.items()) or measured["status"]
    typer.echo(f"{cell}: {shown}")


if __name__ == "__main__":
    run(main)
