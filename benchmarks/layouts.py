"""What channels_last and products of matrices save on a CPU: python benchmarks/layouts.py [--batch 128]

The suite's loop trains the same network on images of noise, with the layers of gm_bench/nets/places.py and
with torch's own convolutions on contiguous maps, in turn on one thread. The figure is the median over pairs
of the ratio of images per CPU second, which a busy machine disturbs less than the clock. With --batch the
suite's layers have batches of that size, torch's own those of the recipe.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from gm_bench.cell import Cell
from gm_bench.config import load_params
from gm_bench.nets.places import ImageConv2d, ImageConvTranspose2d, ToMaps, ToRow
from gm_bench.reproducibility import make_deterministic
from gm_bench.running.stage import run
from gm_bench.training.in_memory import train_in_memory
from gm_bench.training.job import Job
from gm_bench.training.state import start

BATCHES = 15  # of a turn
SETS = {"mnist_cpu": (1, 28, 28), "cifar10_cpu": (3, 32, 32)}
VARIANTS = ("vae", "ns_gan", "wgan_gp", "sngan")


class PlainRow(nn.Flatten):
    """Maps as rows, channel by channel."""


class PlainMaps(nn.Unflatten):
    """Rows as maps, channel by channel."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__(1, shape)


def plain(model: nn.Module) -> nn.Module:
    """The model with torch's own layers on contiguous maps."""
    for name, layer in model.named_children():
        if isinstance(layer, ImageConv2d):
            layer.forward = partial(nn.Conv2d.forward, layer)
        elif isinstance(layer, ImageConvTranspose2d):
            layer.forward = partial(nn.ConvTranspose2d.forward, layer)
        elif isinstance(layer, ToRow):
            setattr(model, name, PlainRow())
        elif isinstance(layer, ToMaps):
            setattr(model, name, PlainMaps(layer.shape))
        else:
            plain(layer)
    return model.to(memory_format=torch.contiguous_format)


def turns(job: Job, data: dict[str, Tensor], own: bool) -> Callable[[], float]:
    """A call trains some more batches, and returns images per CPU second."""
    state = start(job, tuple(data["images"].shape[1:]), 10, torch.device("cpu"))
    if not own:
        plain(state.model)

    def turn() -> float:
        before, target = state.images, state.images + BATCHES * job.recipe.batch_size
        began = time.process_time()
        train_in_memory(state, job, data, stop_asked=lambda: state.images >= target)
        return (state.images - before) / (time.process_time() - began)

    return turn


def main(
    pairs: Annotated[int, typer.Option(min=1, help="of turns, of which the median counts")] = 12,
    batch: Annotated[
        int | None, typer.Option(min=1, help="with the suite's layers; else the recipe's")
    ] = None,
) -> None:
    """Print images per CPU second of both and their ratio."""
    make_deterministic()
    torch.set_num_threads(1)
    params = load_params()
    table = Table("board", "variant", "images/s", "torch's own", "ratio", "lowest … highest", box=None)
    for board, shape in SETS.items():
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (2000, *shape), dtype=torch.uint8, generator=generator)
        data = {"images": images, "labels": torch.arange(2000) % 10}
        for variant in VARIANTS:
            grid = params.board(board)
            cell = Cell(board, grid.datasets[0], variant, 0)
            recipe = params.recipe(variant, grid.recipe)
            of_own = recipe.model_copy(update={"batch_size": batch or recipe.batch_size})
            both = [turns(Job(cell, each, grid.n_images), data, each is of_own) for each in (of_own, recipe)]
            for turn in both:  # the first round counts operations
                turn()
            rates = torch.tensor([[turn() for turn in both] for _ in range(pairs)])
            ratios = rates[:, 0] / rates[:, 1]
            own, other = (f"{rate:,.0f}" for rate in rates.median(dim=0).values)
            spread = f"{ratios.min():.2f} … {ratios.max():.2f}"
            table.add_row(board, variant, own, other, f"{ratios.median():.2f}", spread)
    Console(width=110).print(table)


if __name__ == "__main__":
    run(main)
