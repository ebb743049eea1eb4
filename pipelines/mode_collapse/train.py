"""Stage train: a cell → what the stage of images writes; snapshots.safetensors has pictures of the plane."""

from functools import partial

from gm_bench.cell import Cell
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Board, Dataset, Device, Seed, Variant, run
from gm_bench.tracks.mode_collapse import course
from gm_bench.tracks.mode_collapse.mixtures import mixture as mixture_of
from gm_bench.tracks.mode_collapse.settings import MixtureSettings
from pipelines.train import SaveEvery, train


def main(
    board: Board,
    mixture: Dataset,
    variant: Variant,
    seed: Seed,
    device: Device = "auto",
    save_every: SaveEvery = 30.0,
) -> None:
    """Train one cell, going on from its checkpoint if it has one."""
    cell = Cell(board, mixture, variant, seed)
    settings = MixtureSettings.model_validate(resolved.read(cell.resolved("train"))["mixture"])
    train(cell, device, save_every, partial(course.train, mixture_of(settings)))


if __name__ == "__main__":
    run(main)
