"""Chains of stages, those of a cell, a dataset or a board: what the runner gives to DVC as one process."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gm_bench.cell import Cell
from gm_bench.config import Board, ConfigError, Params
from gm_bench.running import boards
from gm_bench.tracks.settings import cell_parts

Command = tuple[str, ...]


@dataclass
class Chain:
    """Stages that run one after another, and how far they are.

    Args:
        name: as it is shown.
        stages: as DVC addresses them from the top of the repository.
        cell: whose stages they are; None for those of a dataset or a whole board.
        place: where it runs, as it is shown; empty where there is one place only.
        parts: commands of `python -m` that may be run before, side by side and in any order, each of which
            does a part of the stages' work; what one leaves undone, the stages do.
    """

    name: str
    stages: tuple[str, ...]
    cell: Cell | None = None
    state: str = "waiting"
    seconds: float = 0.0
    output: list[str] = field(default_factory=list)
    place: str = ""
    parts: tuple[Command, ...] = ()


def dataset_chain(params: Params, board: str, dataset: str) -> Chain:
    stages = boards.dataset_stages(params, board, dataset)
    return Chain(dataset, tuple(stage for stage in stages if _name(stage) != boards.RESOLVE_DATA))


def cell_chain(params: Params, cell: Cell) -> Chain:
    file = boards.file_of(params, cell.board)
    stages = boards.cell_stages(params, cell.board)
    return Chain(cell.name, tuple(boards.address(file, cell.stage(stage)) for stage in stages), cell)


def parts_of(params: Params, chain: Chain, stale: Iterable[str]) -> tuple[Command, ...]:
    """The parts of those of a chain's stages that are stale, as the board's track has them."""
    if chain.cell is None:
        return ()
    changed = {stage.rpartition(":")[2] for stage in stale}
    parts = cell_parts(params, chain.cell)
    return tuple(
        each for stage, found in parts.items() if chain.cell.stage(stage) in changed for each in found
    )


def board_chain(params: Params, board: str, stage: str) -> Chain:
    """A stage that a board has once: resolve or leaderboard."""
    return Chain(stage, (boards.address(boards.file_of(params, board), stage),))


def fetch_chain(params: Params, board: str, dataset: str) -> Chain:
    """The first stage of a dataset alone; of no stages where its track has no such stage."""
    return Chain(dataset, tuple(stages_of_dataset(params, board, dataset, "fetch")))


def stages_of_dataset(params: Params, board: str, dataset: str, stage: str) -> list[str]:
    """The stage of that name of a dataset, as DVC addresses it; empty where its track has none."""
    stages = boards.dataset_stages(params, board, dataset)
    return [each for each in stages if _name(each) == stage]


def _name(stage: str) -> str:
    """That of a stage without its file and what it is of."""
    return stage.rpartition(":")[2].partition("@")[0]


def part_of(params: Params, name: str, **axes: str | None) -> Board:
    """A board cut down to the values that a user names, comma by comma; nothing is written anywhere.

    Args:
        axes: datasets, variants, seeds; None for all that the board has.

    Raises:
        ConfigError: a value that the board does not have.
    """
    board = params.board(name)
    chosen: dict[str, list[Any]] = {}
    for axis, text in axes.items():
        known = getattr(board, axis)
        if text is not None:
            asked = text.split(",")
            missing = [value for value in asked if value not in map(str, known)]
            if missing:
                raise ConfigError(
                    f"--{axis}: the board {name} has no {missing[0]}; it has {', '.join(map(str, known))}. "
                    f"Add it to boards.{name}.{axis} in params.yaml, or write a board of your own there"
                )
            chosen[axis] = [value for value in known if str(value) in asked]
    return board.model_copy(update=chosen)
