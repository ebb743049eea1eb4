"""Stage evaluate: samples of one cell → metrics.json, every metric for every draw."""

import typer

from gm_bench.cell import Cell
from gm_bench.reproducibility import resolve
from gm_bench.results.protocol import Protocol
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Board, Dataset, Device, Seed, Variant, run
from gm_bench.tracks.generation.measuring import measure


def main(board: Board, dataset: Dataset, variant: Variant, seed: Seed, device: Device = "auto") -> None:
    """Write metrics.json of one cell; a diverged cell gets no values."""
    cell = Cell(board, dataset, variant, seed)
    protocol = Protocol.model_validate(resolved.read(cell.resolved("evaluate"))["protocol"])
    measured = measure(cell, protocol, resolve(device))
    means = {name: sum(values) / len(values) for name, values in measured["values"].items()}
    shown = ", ".join(f"{name} {mean:.4g}" for name, mean in means.items()) or measured["status"]
    typer.echo(f"{cell}: {shown}")


if __name__ == "__main__":
    run(main)
