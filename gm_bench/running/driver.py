"""What `gm-bench run`, `list`, `show` and `audit` do: DVC's work on one board, with a display."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import typer

from gm_bench.cell import parse_cell
from gm_bench.config import ConfigError, Params, load_params
from gm_bench.running import boards, publishable, runner, taken, termination, warm
from gm_bench.running.chains import (
    Chain,
    board_chain,
    cell_chain,
    dataset_chain,
    fetch_chain,
    part_of,
    parts_of,
)
from gm_bench.running.gpus import DEVICE
from gm_bench.running.stage import screen
from gm_bench.tracks.settings import check_board, check_boards, explained_cell, refuse_board

Layer = Callable[[Sequence[Chain], Callable[[str], None]], None]  # runs chains; is given what tells the user


def run(
    board: str | None,
    jobs: int,
    device: str | None,
    on: str | None = None,
    gpus_per_cell: float | None = None,
    **axes: str | None,
) -> None:
    """Bring a board, or a part of it, up to date and publish the leaderboard of what there is.

    Args:
        board: an entry of params.yaml; None for the first.
        jobs: cells side by side on this machine.
        on: the Ray that cells are given to; None for processes of this machine.
        gpus_per_cell: the share of a GPU that each cell has on a Ray; None for one where there are any.
        axes: datasets, variants, seeds: comma-separated values that cut the board down, or None.

    Raises:
        ConfigError: the board cannot be run.
        ValueError: a dataset or a cell failed; what was finished is kept.
    """
    params = load_params()
    name = board or params.default_board
    check_board(params, name)
    environ = runner.environment(device)
    part = part_of(params, name, **axes)

    def here(due: Sequence[Chain], say: Callable[[str], None]) -> None:
        runner.run_layer(due, jobs, environ)

    with termination.as_interrupt(), runner.alone(typer.echo), ExitStack() as stack:
        runner.prepare(params, name, environ, typer.echo)
        # Those of the part, and those of cells that came in a pack: their leaderboard needs the floor too.
        known = {cell.dataset for cell in params.cells(name) if runner.is_made(cell)}
        needed = [each for each in params.board(name).datasets if each in {*part.datasets, *known}]
        fetching = [fetch_chain(params, name, dataset) for dataset in needed]
        stale = runner.stale_stages(params, name, typer.echo)
        if _bring_up_to_date("fetch", fetching, stale, params, here, environ, stack):
            params = load_params()  # numbers may follow from what was fetched
            runner.prepare(params, name, environ, typer.echo)
            stale = runner.stale_stages(params, name, typer.echo)
        refuse_board(params, name)
        cells = [
            cell
            for cell in params.cells(name)
            if cell.dataset in part.datasets and cell.variant in part.variants and cell.seed in part.seeds
        ]
        datasets = [dataset_chain(params, name, dataset) for dataset in needed]
        if _bring_up_to_date("datasets", datasets, stale, params, here, environ, stack):
            stale = runner.stale_stages(params, name, typer.echo)
        chains = [cell_chain(params, cell) for cell in cells]
        layer = here if on is None else _on_ray(on, gpus_per_cell, params, name, jobs, device, environ)
        _bring_up_to_date("cells", chains, stale, params, layer, environ, stack)
        states = runner.cell_states(params, name, stale)
        old, missing = (
            [cell for cell in states if cell not in cells and states[cell] in named]
            for named in (("stale", taken.UNPACKED), ("missing",))
        )
        if old:
            typer.echo(
                f"the leaderboard of {name} is left as it is: {len(old)} of its cells ({old[0]}, …) are of "
                f"another recipe, code or data, or of data that is not here yet: gm-bench run --board {name} "
                "brings them up to date, and gm-bench show prints one cell"
            )
            return
        if publishable.would_lose(name, missing):
            sys.exit(runner.attend([sys.executable, "-m", "pipelines.leaderboard", name], environ))
        chain = board_chain(params, name, "leaderboard")
        sys.exit(runner.attend([*runner.DVC, "repro", "--single-item", *chain.stages], environ))


def _on_ray(
    on: str,
    gpus_per_cell: float | None,
    params: Params,
    board: str,
    jobs: int,
    device: str | None,
    environ: dict[str, str],
) -> Layer:
    """What runs cells on a Ray; which is not touched before there are any to run."""
    from gm_bench.running.cluster import executor, pool

    pool.check(on)
    asked = device or environ.get(DEVICE)

    def there(due: Sequence[Chain], say: Callable[[str], None]) -> None:
        with pool.connected(on, jobs, gpus_per_cell, None if asked == "auto" else asked) as nodes:
            executor.run_layer(due, params, board, nodes, environ, say, pool.is_own(on))

    return there


def audit(device: str | None) -> int:
    """Run the audit's stages; the exit code."""
    params = load_params()
    with termination.as_interrupt(), runner.alone(typer.echo):
        file = boards.write_audit(params)
        return runner.attend([*runner.DVC, "repro", str(file)], runner.environment(device))


def pack(board: str | None, out: Path | None) -> None:
    """Write those cells of a board that are finished and up to date into a pack.

    Raises:
        ValueError: there are none, or the file holds something that would be lost.
    """
    from gm_bench.running import packing

    params = load_params()
    name = board or params.default_board
    with runner.alone(typer.echo):
        runner.prepare(params, name, runner.environment(), typer.echo)
        states = runner.cell_states(params, name, runner.stale_stages(params, name, typer.echo))
        fresh = [cell for cell, state in states.items() if state == "fresh"]
        if not fresh:
            raise ValueError(
                f"no cell of the board {name} is finished and up to date: gm-bench run --board {name} "
                "makes them"
            )
        path = out or packing.file_of(name)
        packing.pack(params, name, {cell: taken.made_of(params, cell) for cell in fresh}, path)
    typer.echo(f"written: {path}, {len(fresh)} of {len(states)} cells of the board {name}")


def unpack(path: Path) -> None:
    """Take over the cells of a pack.

    Raises:
        ValueError: the file is no pack, or of no board here.
    """
    from gm_bench.running import packing

    params = load_params()
    with runner.alone(typer.echo):
        found = packing.unpack(params, path)
    typer.echo(f"{len(found.taken)} cells of the board {found.board} were taken over")
    if found.here:
        typer.echo(f"{len(found.here)} are here already and stay as they are: {packing.listed(found.here)}")
    if found.unknown:
        typer.echo(
            f"{len(found.unknown)} are not on the board and were left out: {packing.listed(found.unknown)}; "
            f"add them to boards.{found.board} in params.yaml and unpack again"
        )
    typer.echo(
        f"gm-bench run --board {found.board} makes what is missing or of another recipe, code or data, and "
        "the leaderboard"
    )


def show_inventory(board: str | None) -> None:
    """Print the state of a board's cells; where none is named all there is, and those of the first."""
    from gm_bench.running.overview import print_cells, print_inventory

    params = load_params()
    check_boards(params)
    name = board or params.default_board
    if board is None:
        from gm_bench.variants.base.contract import find

        def described(variant: str) -> tuple[str, str]:
            try:
                found = find(variant)
            except Exception as error:  # whatever the file of one variant raises, others are listed
                return "–", f"cannot be imported: {type(error).__name__}: {error}"
            return found.family, found.source

        print_inventory(params, name, {variant: described(variant) for variant in params.variants})
    states = runner.states_now(params, name)
    print_cells(params, name, states)
    if runner.UNKNOWN in states.values():
        typer.echo("unknown: a stage is at work, and DVC tells fresh from stale after it")
    if taken.UNPACKED in states.values():
        typer.echo(taken.UNPACKED_MEANS)


def show_cell(words: Sequence[str], board: str | None) -> None:
    """Print all that is known of one cell; of a board or a dataset its numbers and where they come from."""
    from gm_bench.running import inspection
    from gm_bench.tracks.track import find as find_track

    params = load_params()
    if len(words) == 1 and (words[0] in params.boards or words[0] in params.datasets):
        for name, dataset in _pairs(params, words[0], board):
            check_board(params, name)
            screen().print(inspection.numbers(params, dataset, name))
        return
    name = board or params.default_board
    check_board(params, name)
    cell = parse_cell(words, name)
    if cell.dataset not in params.board(name).datasets:  # those of other tracks are not of images
        params.entry(cell.dataset)
    settings, origins = explained_cell(params, cell)
    if cell in params.cells(name):
        state = runner.states_now(params, name)[cell]
        state += ", taken over from a pack: its weights are not here" if taken.is_taken(cell) else ""
    else:
        state = f"not on the board {name}"
    steps = boards.steps_of(params, cell)
    file, catalogue = boards.file_of(params, name), find_track(params.board(name).track).catalogue
    screen().print(inspection.describe(cell, state, settings, origins, file, steps, catalogue))


def _pairs(params: Params, name: str, board: str | None) -> list[tuple[str, str]]:
    """(board, dataset) that a name stands for: all of a board, or a dataset on the first board with it.

    Args:
        board: of which the name is a dataset; None where it may be either.
    """
    if board is not None:
        known = params.board(board).datasets
        if name not in known:
            raise ConfigError(f"the board {board} has no dataset {name}; it has {', '.join(known)}")
        return [(board, name)]
    if name in params.boards:
        return [(name, dataset) for dataset in params.boards[name].datasets]
    with_it = [each for each, grid in params.boards.items() if name in grid.datasets]
    if not with_it:
        raise ConfigError(f"no board of params.yaml has the dataset {name}: add it to one")
    return [(with_it[0], name)]


def _bring_up_to_date(
    title: str,
    chains: Sequence[Chain],
    stale: Mapping[str, object],
    params: Params,
    layer: Layer,
    environ: dict[str, str],
    stack: ExitStack,
) -> bool:
    """Run those chains that have a stale stage, with a display and live curves; whether there were any.

    Args:
        stale: what DVC says now, by stage.
        layer: runs them.
        stack: ends the server of warm processes, which the first layer with something to do starts.
    """
    from gm_bench.running.overview import RunDisplay
    from gm_bench.tracking.live import LiveCurves

    due = [chain for chain in chains if stale.keys() & set(chain.stages)]
    if not due:
        return False
    for chain in due:
        chain.parts = parts_of(params, chain, stale)
    if warm.ADDRESS not in environ:
        stack.enter_context(warm.server(environ))
    with RunDisplay(title, due) as display, LiveCurves(due, display.say):
        layer(due, display.say)
    failed = [chain.name for chain in due if chain.state == "failed"]
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(due)} {title} failed ({', '.join(failed)}); the reasons stand above, "
            "what was finished is kept, and the same command goes on from there"
        )
    return True
