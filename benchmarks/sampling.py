"""How many images a second each variant draws: python benchmarks/sampling.py [--device cuda]

Every variant with the network that its recipe has on a published grey and a published colour board, with
weights as they begin: a draw takes as long before training as after it. What is fitted in closed form is
fitted to images of noise. On a CPU one thread and the seconds of the processor; on a GPU those of the clock,
until the images are back. The first batch is not counted. Absolute figures are this machine's; what one
variant takes of another's time is what compares.
"""

import time
from collections.abc import Callable
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from gm_bench.cell import Cell
from gm_bench.config import Params, load_params
from gm_bench.reproducibility import make_deterministic, resolve
from gm_bench.running.stage import run
from gm_bench.training.job import Job
from gm_bench.training.sampling import draw
from gm_bench.training.state import build
from gm_bench.variants.base import contract as variants

BOARDS = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
N_FITTED, N_CLASSES = 2000, 10
ENOUGH = 2.0  # seconds: short spells in which a shared machine is slow
AT_MOST, BATCH_SIZE = 50, 100  # batches, images in each


def images_per_second(params: Params, board: str, variant: str, device: torch.device) -> float:
    """Images drawn a second, by the recipe that a variant has on a board.

    Raises:
        ConfigError: params.yaml has no such recipe.
    """
    grid, shape = params.board(board), BOARDS[board]
    recipe = params.recipe(variant, grid.recipe)
    model = build(Job(Cell(board, grid.datasets[0], variant, 0), recipe, 1), shape, N_CLASSES, device)
    generator = torch.Generator(device).manual_seed(0)
    images = torch.randint(0, 256, (N_FITTED, *shape), generator=generator, device=device, dtype=torch.uint8)
    data = {"images": images, "labels": torch.arange(N_FITTED, device=device) % N_CLASSES}
    model.begin(data)
    model.finish(data)
    model.eval()
    labels = torch.arange(BATCH_SIZE) % N_CLASSES if model.conditional else None
    clock: Callable[[], float] = time.process_time if device.type == "cpu" else time.perf_counter
    draw(model, labels, BATCH_SIZE, 0, device)
    began, n = clock(), 0
    while not n or (clock() - began < ENOUGH and n < AT_MOST):
        n += 1
        draw(model, labels, BATCH_SIZE, n, device)
    return n * BATCH_SIZE / (clock() - began)


def main(
    device: Annotated[str, typer.Option(help="cpu, cuda or auto")] = "cpu",
    only: Annotated[str, typer.Option(help="variants a,b,c; else all")] = "",
) -> None:
    """Print images a second of every variant on both boards."""
    make_deterministic()
    torch.set_num_threads(1)
    place, params = resolve(device), load_params()
    table = Table("variant", *(f"{board}, {shape}" for board, shape in BOARDS.items()), box=None)
    for variant in only.split(",") if only else variants.names():
        table.add_row(
            variant, *(f"{images_per_second(params, board, variant, place):,.0f}" for board in BOARDS)
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    run(main)
