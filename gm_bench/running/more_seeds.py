"""More seeds of a board's variants than params.yaml gives it, for the gate: run by DVC, beside the board.

Their cells are made as the board's own are, under the name BOARD.more: nothing that belongs to the board
changes, and what DVC has once run for the same code and recipe it takes from its cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import typer

from gm_bench.cell import Cell
from gm_bench.config import Params, load_params
from gm_bench.results.baseline import with_seeds
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.regression import Wanted
from gm_bench.results.schema import CellResult, Origin, read_cell
from gm_bench.running import boards, resolve, runner, termination
from gm_bench.running.chains import Chain
from gm_bench.running.overview import RunDisplay


@dataclass
class MoreSeeds:
    """A leaderboard that grows by the seeds that it is asked for.

    Args:
        board: as the stage leaderboard wrote it; it is replaced as it grows.
        jobs: cells side by side.
    """

    board: Leaderboard
    jobs: int

    def run(self, wanted: Wanted) -> Leaderboard:
        """Run seeds of variants; the leaderboard with them.

        Raises:
            ValueError: the leaderboard is of no board here, its cells are stale, or a cell failed.
            OSError: a file cannot be read or written.
        """
        params, name = load_params(), self.board.name
        if name not in params.boards:
            raise ValueError(
                f"the leaderboard is of '{name}', which is no board of params.yaml: more seeds can be run of "
                "those only"
            )
        environ = runner.environment()
        cells = [
            Cell(boards.more_of(name), dataset, variant, seed)
            for (dataset, variant), seeds in wanted.items()
            for seed in seeds
        ]
        with termination.as_interrupt(), runner.alone(typer.echo):
            runner.prepare(params, name, environ, typer.echo)
            _check_fresh(params, name)
            resolve.board(params, name, under=boards.more_of(name))
            files = {key: boards.write_more(params, name, *key, seeds) for key, seeds in wanted.items()}
            stages = boards.cell_stages(params, name)
            chains = [
                Chain(
                    cell.name,
                    tuple(
                        boards.address(files[cell.dataset, cell.variant], cell.stage(stage))
                        for stage in stages
                    ),
                    cell,
                )
                for cell in cells
            ]
            _run(chains, self.jobs, environ)
        self.board = with_seeds(self.board, _read(cells))
        return self.board


def _run(chains: Sequence[Chain], jobs: int, environ: dict[str, str]) -> None:
    with RunDisplay("more seeds", chains):
        runner.run_layer(chains, jobs, environ)
    failed = [chain.name for chain in chains if chain.state == "failed"]
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(chains)} further seeds failed ({', '.join(failed)}); the reasons stand "
            "above, what was finished is kept, and the same command goes on from there"
        )


def _check_fresh(params: Params, board: str) -> None:
    """Refuse a board whose cells are not of the present code: more seeds of it would be of another."""
    states = runner.cell_states(params, board, runner.stale_stages(params, board, typer.echo))
    old = [str(cell) for cell, state in states.items() if state != "fresh"]
    if old:
        raise ValueError(
            f"{len(old)} cells of the board {board} are stale or missing ({old[0]}): run gm-bench run "
            f"--board {board} before more seeds are added to them"
        )


def _read(cells: Sequence[Cell]) -> list[CellResult]:
    return [read_cell(cell, Origin("", "")) for cell in cells]
