"""A board's cells → MLflow, and from there → reports/BOARD: tables, pages, charts, files for DVC's own words.

reports/BOARD/leaderboard.{md,csv,json,html}, figures/ (charts with their numbers), cells/ (a page each),
metrics.json (means, for `dvc metrics`) and curves.csv (while training, for `dvc plots`). Where the report has
cells that are missing here it stays, and the same files of those that are here go to reports/BOARD/part,
until the report is made anew.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gm_bench import io
from gm_bench.cell import Cell, reports_of
from gm_bench.report import cell_page, page, tables
from gm_bench.report.charts import Chart, csv_of
from gm_bench.report.display import Display, Samples
from gm_bench.report.drawing import standalone
from gm_bench.results import aggregation, leaderboard_file
from gm_bench.results.leaderboard import Leaderboard, LeaderboardError
from gm_bench.results.schema import METRICS, OK, CellResult, Origin, read_card, read_cell, read_floor
from gm_bench.tracking import record
from gm_bench.tracking.record import Pictures, Record
from gm_bench.tracking.store import Store
from gm_bench.tracking.views import Columns
from gm_bench.tracks.track import Track

PART = "part"  # folder of a report beside the one that it does not replace
N_REAL = 64  # real images beside the samples
SUFFIXES = (".csv", ".svg", ".html")  # of what a report writes into figures/ and cells/
GRID, SNAPSHOTS = "grid.png", "snapshots.safetensors"


@dataclass(frozen=True)
class Published:
    """The leaderboard, where its report is, how many runs it has in the store, and how many are new there."""

    board: Leaderboard
    folder: Path
    n_runs: int
    n_written: int


def publish(
    track: Track,
    cells: Sequence[Cell],
    origin: Callable[[str], Origin],
    store: Store,
    revision: Mapping[str, str],
    beside: bool = False,
) -> Published:
    """Publish those cells of one board that were made, read them back, and write its reports.

    Args:
        track: that of the board.
        cells: all of one board; the reports say which are missing.
        origin: variant → what it says it is.
        store: where runs go.
        revision: tags that say which state of code and data this is.
        beside: the board's report has more and stays: this one goes beside it, only cells go into the store.

    Raises:
        FileError: a file of a cell or of a dataset is missing or damaged, or a report cannot be written.
        ResultError: files of a cell do not belong together.
        LeaderboardError: the results cannot stand in one table, or there are none.
        TrackingError: the store cannot be used.
    """
    name = cells[0].board
    made = [cell for cell in cells if (cell.folder / METRICS).exists()]
    if not made:
        raise LeaderboardError(f"no cell of {name} was made yet: gm-bench run --board {name} makes them")
    datasets = list(dict.fromkeys(cell.dataset for cell in made))
    results = [read_cell(cell, origin(cell.variant)) for cell in made]
    records = [
        *(floor_record(name, dataset) for dataset in datasets),
        *(cell_record(result, track) for result in results),
    ]
    n_written = sum(store.publish(each) for each in records)
    rows = store.rows([f"{name}/{dataset}" for dataset in datasets])
    board = aggregation.build(rows, made, track.catalogue, track.name)
    board = replace(board, missing=tuple(cell for cell in cells if cell not in made))
    folder = reports_of(name) / PART if beside else reports_of(name)
    write_reports(board, track, results, folder)
    if beside:
        return Published(board, folder, len(records), n_written)
    for dataset in datasets:
        n_written += store.publish(_leaderboard_record(board, dataset, track, records, revision))
        table = board.main_metrics(dataset)
        columns = Columns(track.catalogue, table, track.metric_pairs, has_samples=track.samples is not None)
        store.describe(f"{name}/{dataset}", columns)
    return Published(board, folder, len(records) + len(datasets), n_written)


def cell_record(result: CellResult, track: Track) -> Record:
    """The run that stands for a cell in the tracking store."""
    pictures = None
    if track.samples is not None:
        folder = result.cell.folder
        grid = folder / GRID if result.status == OK else None
        pictures = Pictures(grid, folder / SNAPSHOTS, result.cost["budget"])
    return record.of_cell(result, read_card(result.dataset), track.row_details, pictures)


def floor_record(board: str, dataset: str) -> Record:
    """The run that stands for a dataset's floor."""
    return record.of_floor(board, read_floor(dataset), read_card(dataset))


def write_reports(board: Leaderboard, track: Track, results: Sequence[CellResult], folder: Path) -> None:
    """All files of a report.

    Args:
        results: the board's cells.
        folder: of the report.
    """
    drawn = {d: track.charts(board, d, [r for r in results if r.dataset == d]) for d in board.datasets}
    files = {"leaderboard.csv": leaderboard_file.to_csv(board), "curves.csv": curves_csv(results)}
    files |= (track.pages or _pages)(track, board, results, drawn)
    for name, content in files.items():
        io.write_text(folder / name, content)
    facts = {key: track.row_facts(board, entry) for key, entry in board.by_key.items()}
    io.write_json(folder / "leaderboard.json", leaderboard_file.to_json(board, facts))
    io.write_json(folder / "metrics.json", leaderboard_file.to_metrics(board))
    figures = {
        name: content
        for of_dataset in drawn.values()
        for chart in of_dataset
        for name, content in _files_of(chart).items()
    }
    for output in ("figures", "cells"):  # of the stage, also where a track has none of them
        (folder / output).mkdir(parents=True, exist_ok=True)
    for name, content in figures.items():
        io.write_text(folder / "figures" / name, content)
    _remove_others(folder / "figures", figures)
    _remove_others(folder / "cells", {Path(name).name for name in files})
    _remove_part(folder / PART, {*files, "leaderboard.json", "metrics.json"})


def _pages(
    track: Display,
    board: Leaderboard,
    results: Sequence[CellResult],
    drawn: Mapping[str, Sequence[Chart]],
) -> dict[str, str]:
    """What people read, by file name: table, page, and a page for each cell."""
    samples = {result.cell: track.samples(result) for result in results} if track.samples else {}
    real = {dataset: track.real(dataset, N_REAL) for dataset in board.datasets} if track.real else {}
    return {
        "leaderboard.md": tables.to_markdown(board, track),
        "leaderboard.html": page.render(board, results, track, drawn, samples, real),
        **_cell_pages(board, track, results, samples),
    }


def curves_csv(results: Sequence[CellResult]) -> str:
    """Metrics while training: a line for each time of each cell, a column for each metric."""
    metrics = sorted({metric for result in results for metric in result.curves})
    lines: list[list[Any]] = []
    for result in results:
        at: dict[int, dict[str, float]] = {}
        for metric, curve in result.curves.items():
            for images, value in curve:
                at.setdefault(images, {})[metric] = value
        for images, values in sorted(at.items()):
            line = [result.dataset, result.variant, result.seed, images]
            lines.append([*line, *(values.get(metric, "") for metric in metrics)])
    return csv_of(["dataset", "variant", "seed", "images", *metrics], lines)


def _files_of(chart: Chart) -> dict[str, str]:
    """Its numbers and, where it is a single picture, the picture, by file name."""
    files = {f"{chart.name}.csv": chart.table}
    if len(chart.panels) == 1 and not chart.panels[0].label:
        files[f"{chart.name}.svg"] = standalone(chart.panels[0].svg)
    return files


def _remove_others(folder: Path, written: Collection[str]) -> None:
    """What earlier reports left in a folder; what others have put there stays."""
    for path in folder.glob("*"):
        if path.name not in written and path.suffix in SUFFIXES and path.is_file():
            path.unlink()


def _remove_part(part: Path, written: Collection[str]) -> None:
    """The earlier report of a part that lay beside this one; what others have put there stays."""
    for folder in (part / "figures", part / "cells"):
        _remove_others(folder, ())
    for name in written:
        (part / name).unlink(missing_ok=True)
    for folder in (part / "figures", part / "cells", part):
        with suppress(OSError):  # it is not there, or not empty
            folder.rmdir()


def _cell_pages(
    board: Leaderboard,
    track: Display,
    results: Sequence[CellResult],
    samples: Mapping[Cell, Samples],
) -> dict[str, str]:
    pages = {}
    for result in results:
        siblings = [r.cell for r in results if (r.dataset, r.variant) == (result.dataset, result.variant)]
        pages[f"cells/{result.cell.page}"] = cell_page.render(
            result,
            track,
            floor=board.floors[result.dataset],
            floor_sd=board.floor_sds[result.dataset],
            siblings=sorted(siblings),
            samples=samples.get(result.cell),
        )
    return pages


def _leaderboard_record(
    board: Leaderboard, dataset: str, track: Track, records: Sequence[Record], revision: Mapping[str, str]
) -> Record:
    """A dataset's leaderboard with the reports, as a run of its own."""
    of_dataset = [each for each in records if each.dataset == dataset]
    files = [reports_of(board.name) / f"leaderboard.{suffix}" for suffix in ("html", "md", "csv", "json")]
    return record.of_leaderboard(
        board.name,
        dataset,
        table=tables.main_table(board, dataset, track),
        files={file.name: io.read_text(file) for file in files},
        card=of_dataset[0].card,
        ended_ms=max(each.ended_ms for each in of_dataset),
        revision=revision,
    )
