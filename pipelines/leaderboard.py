"""Stage leaderboard: the cells of a board → MLflow and reports/BOARD (see gm_bench.tracks.publishing)."""

from pathlib import Path

from gm_bench import io
from gm_bench.config import load_params
from gm_bench.report import tables
from gm_bench.results.schema import Origin
from gm_bench.running import revision
from gm_bench.running.boards import file_of
from gm_bench.running.publishable import would_lose
from gm_bench.running.runner import is_made
from gm_bench.running.stage import Board, run, screen
from gm_bench.tracking.record import lock_digest
from gm_bench.tracking.store import REVISION, Store
from gm_bench.tracks.publishing import publish
from gm_bench.tracks.track import find as find_track
from gm_bench.tracks.track import with_notes
from gm_bench.variants.base.contract import find as find_variant


def main(board: Board) -> None:
    """Publish those cells of a board that were made, read them back, print and write its leaderboard.

    Where the report that there is would lose cells, it stays and this one is written beside it.
    """
    params = load_params()
    cells = params.cells(board)
    known = params.datasets  # a track from outside may bring datasets of its own
    said = {name: known[name].note for name in params.board(board).datasets if name in known}
    track, store = with_notes(find_track(params.board(board).track), said), Store()
    lost = would_lose(board, [cell for cell in cells if not is_made(cell)])
    state = _state(file_of(params, board).with_suffix(".lock"))
    published = publish(track, cells, track.origin or _origin, store, state, beside=lost is not None)
    console = screen()
    for table in tables.rich_tables(published.board, track):
        console.print(table)
    for sentence in tables.missing_in_words(published.board):
        console.print(sentence, soft_wrap=True)
    console.print(
        f"{published.n_runs} runs in {store.place}, {published.n_written} of them new", soft_wrap=True
    )
    if lost:
        console.print(lost, soft_wrap=True)
    files = "leaderboard.html, .md, .csv, .json, metrics.json, curves.csv, cells/ and figures/"
    console.print(f"written: {published.folder}/{files}", soft_wrap=True)


def _origin(variant: str) -> Origin:
    model = find_variant(variant)
    return Origin(model.family, model.source)


def _state(lock: Path) -> dict[str, str]:
    """Which state of code and data this is, as far as Git and DVC tell."""
    tags = {REVISION: revision.current()}
    if lock.exists():
        tags["gm_bench.dvc_lock"] = lock_digest(io.read_text(lock))
    return tags


if __name__ == "__main__":
    run(main)
