"""Stage train: a cell → what the stage of images writes; of points, snapshots are pictures of the plane."""

from functools import partial

from gm_bench.cell import Cell
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Board, Dataset, Device, SaveEvery, Seed, Variant, run
from gm_bench.tracks.mode_collapse import course
from gm_bench.tracks.mode_collapse.mixtures import mixture
from gm_bench.tracks.mode_collapse.settings import MixtureSettings
from gm_bench.training.fit import fit
from pipelines.train import train


def main(
    board: Board,
    dataset: Dataset,
    variant: Variant,
    seed: Seed,
    device: Device = "auto",
    save_every: SaveEvery = 30.0,
) -> None:
    """Train one cell, going on from its checkpoint if it has one."""
    cell = Cell(board, dataset, variant, seed)
    points = resolved.read(cell.resolved("train")).get("mixture")
    if points is None:
        train(cell, device, save_every, fit)
    else:
        of = mixture(MixtureSettings.model_validate(points))
        train(cell, device, save_every, partial(course.train, of))


if __name__ == "__main__":
    run(main)
