"""train: a cell of a board → model.safetensors, snapshots.safetensors, history.csv, cost.json."""

import signal
import sys
from collections.abc import Callable

from gm_bench import reproducibility as devices
from gm_bench.cell import DATA, Cell
from gm_bench.running import resolve as resolved
from gm_bench.running.console import TrainingDisplay
from gm_bench.running.stage import Board, Dataset, Device, SaveEvery, Seed, Variant, run
from gm_bench.training.fit import fit
from gm_bench.training.job import Job
from gm_bench.training.recipe import Recipe
from gm_bench.training.state import Interrupted, State


def main(
    board: Board,
    dataset: Dataset,
    variant: Variant,
    seed: Seed,
    device: Device = "auto",
    save_every: SaveEvery = 30.0,
) -> None:
    """Train one cell, going on from its checkpoint if it has one."""
    train(Cell(board, dataset, variant, seed), device, save_every, fit)


def train(cell: Cell, device: str, save_every: float, fit: Callable[..., State]) -> None:
    """Train one cell with the display of the terminal.

    Args:
        fit: `gm_bench.training.fit.fit`, or what takes and gives the same.
    """
    needs = resolved.read(cell.resolved("train"))
    job = Job(
        cell,
        Recipe.model_validate(needs["recipe"]),
        needs["n_images"],
        needs["n_snapshots"],
        needs["n_validation"],
        needs["code"],
    )
    display = TrainingDisplay(str(cell), job.n_images)
    stop = _StopRequest()
    with display:
        try:
            state = fit(
                job,
                DATA / cell.dataset,
                cell.folder,
                cell.checkpoints,
                device=devices.resolve(device),
                save_every=save_every,
                on_progress=display.show,
                on_note=display.note,
                stop_asked=stop.asked,
            )
        except Interrupted as interrupted:
            display.note(str(interrupted))
            sys.exit(130)
    if state.divergence:
        where = state.divergence
        display.note(
            f"diverged at round {where['step']}: {where['player']} {where['term']} is {where['value']}"
        )


class _StopRequest:
    """Ctrl-C and SIGTERM as a wish, granted at the end of the round; a second one stops at once."""

    def __init__(self) -> None:
        self._asked = False
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        self._asked = True
        signal.signal(number, signal.SIG_DFL)

    def asked(self) -> bool:
        return self._asked


if __name__ == "__main__":
    run(main)
