"""literature (no stage of dvc.yaml): our boards beside published tables → docs/literature.md."""

from pathlib import Path

import typer

from gm_bench import io
from gm_bench.cell import reports_of
from gm_bench.config import Params, load_params
from gm_bench.report.literature import page
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.leaderboard_file import from_json
from gm_bench.results.literature import published
from gm_bench.running.stage import run
from gm_bench.tracks.track import find

PAGE, TABLE = Path("docs/literature.md"), "lucic_2018"


def main() -> None:
    """Write the page from every board that was run on a dataset of the published table."""
    params, table = load_params(), published(TABLE)
    boards = {name: board for name in params.boards if (board := _read(params, name, set(table["fid"])))}
    io.write_text(PAGE, page(boards, table))
    typer.echo(f"written: {PAGE}")


def _read(params: Params, name: str, datasets: set[str]) -> Leaderboard | None:
    grid, file = params.board(name), reports_of(name) / "leaderboard.json"
    if grid.track != "generation" or not set(grid.datasets) & datasets or not file.exists():
        return None
    return from_json(io.read_json(file), str(file), find(grid.track).catalogue)


if __name__ == "__main__":
    run(main)
