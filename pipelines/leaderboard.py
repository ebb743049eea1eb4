"""leaderboard: every cell of the grid → MLflow, and from there → reports/leaderboard.{md,csv,json,html}.

Beside them the pages of the cells (reports/cells) and the charts with their numbers (reports/figures).
"""

from pathlib import Path

from gm_bench import io
from gm_bench.config import load_params
from gm_bench.report import cell_page, page, tables
from gm_bench.report.charts import charts
from gm_bench.report.drawing import standalone
from gm_bench.report.exhibit import Exhibit, Json, Pair, page_name
from gm_bench.results import leaderboard
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.running import revision
from gm_bench.running.stage import run, screen
from gm_bench.tracking import record
from gm_bench.tracking.record import Record
from gm_bench.tracking.store import REVISION, Store
from gm_bench.variants.base.contract import find

REPORTS = Path("reports")
N_SHOWN = 64  # samples on the page of a cell, and real images beside them


def main() -> None:
    """Publish the cells of the grid, read them back, write and print the leaderboard."""
    grid = load_params()
    cells, datasets = grid.cells(), grid.grid.datasets
    records = [*map(read_floor, datasets), *(read_cell(*cell) for cell in cells)]
    store = Store()
    n_written = sum(store.publish(each) for each in records)

    board = leaderboard.build(store.rows(datasets), cells)
    exhibits = [read_exhibit(*cell) for cell in cells]
    drawn = {d: charts(board, d, [e for e in exhibits if e.cell[0] == d]) for d in datasets}
    real = {d: io.read_rows(Path("data", d, "test.safetensors"), "images", N_SHOWN) for d in datasets}
    files = {
        "md": tables.to_markdown(board),
        "csv": leaderboard.to_csv(board),
        "html": page.render(board, exhibits, real, drawn),
    }
    for suffix, text in files.items():
        io.write_text(REPORTS / f"leaderboard.{suffix}", text)
    io.write_json(REPORTS / "leaderboard.json", leaderboard.to_json(board))
    for chart in (chart for of_dataset in drawn.values() for chart in of_dataset):
        io.write_text(REPORTS / "figures" / f"{chart.name}.csv", chart.table)
        if len(chart.panels) == 1 and not chart.panels[0].label:
            io.write_text(REPORTS / "figures" / f"{chart.name}.svg", standalone(chart.panels[0].svg))
    write_cell_pages(board, exhibits)
    vouched = state()
    for dataset in datasets:
        n_written += store.publish(leaderboard_record(board, dataset, records, vouched))
        store.describe(dataset, tables.main_metrics(board, dataset))

    console = screen()
    for table in tables.rich_tables(board):
        console.print(table)
    console.print(
        f"{len(records) + len(datasets)} runs in {store.place}, {n_written} of them new", soft_wrap=True
    )
    console.print(
        f"written: {REPORTS}/leaderboard.html, .md, .csv, .json, cells/ and figures/", soft_wrap=True
    )


def _folder(dataset: str, variant: str, seed: int) -> Path:
    return Path("runs", dataset, variant, str(seed))


def read_cell(dataset: str, variant: str, seed: int) -> Record:
    """What the stages left of a cell."""
    folder = _folder(dataset, variant, seed)
    files = [folder / name for name in ("metrics.json", "cost.json", "history.csv")]
    model = find(variant)
    return record.of_cell(
        dataset,
        variant,
        seed,
        family=model.family,
        source=model.source,
        metrics=io.read_json(files[0]),
        cost=io.read_json(files[1]),
        history=io.read_csv(files[2]),
        card=io.read_json(Path("data", dataset, "card.json")),
        file_hashes=[io.sha256_file(file) for file in files],
        grid=folder / "grid.png",
        snapshots=folder / "snapshots.safetensors",
    )


def read_floor(dataset: str) -> Record:
    """What the reference stage left of a dataset's floor."""
    file = Path("reference", dataset, "floor.json")
    card = io.read_json(Path("data", dataset, "card.json"))
    return record.of_floor(dataset, floor=io.read_json(file), card=card, file_hashes=[io.sha256_file(file)])


def leaderboard_record(
    board: Leaderboard, dataset: str, records: list[Record], vouched: dict[str, str]
) -> Record:
    """A dataset's leaderboard with the reports, as a run of its own."""
    of_dataset = [each for each in records if each.dataset == dataset]
    files = [REPORTS / f"leaderboard.{suffix}" for suffix in ("html", "md", "csv", "json")]
    return record.of_leaderboard(
        dataset,
        table=tables.main_table(board, dataset),
        files={file.name: io.read_text(file) for file in files},
        card=of_dataset[0].card,
        ended_ms=max(each.ended_ms for each in of_dataset),
        revision=vouched,
    )


def state() -> dict[str, str]:
    """Which state of code and data this is, as far as Git and DVC tell."""
    tags = {REVISION: revision.current()}
    if Path("dvc.lock").exists():
        tags["gm_bench.dvc_lock"] = record.lock_digest(io.read_text(Path("dvc.lock")))
    return tags


def read_exhibit(dataset: str, variant: str, seed: int) -> Exhibit:
    """What a cell left behind to be looked at."""
    folder = _folder(dataset, variant, seed)
    metrics: Json = io.read_json(folder / "metrics.json")
    samples, pairs = None, []
    if metrics["status"] == "ok":
        n = min(N_SHOWN, metrics["protocol"]["n_samples"])
        samples = io.read_places(folder / "samples.safetensors", "images", [(0, i) for i in range(n)])
        pairs = metrics["details"]["closest_pairs"][0]
    snapshots, moments = io.read_tensors(folder / "snapshots.safetensors")
    return Exhibit(
        cell=(dataset, variant, seed),
        metrics=metrics,
        cost=io.read_json(folder / "cost.json"),
        history=io.read_csv(folder / "history.csv"),
        samples=samples,
        snapshots=snapshots["images"] if len(snapshots["images"]) else None,
        images_shown=tuple(moments["images_shown"]),
        pairs=_read_pairs(folder / "samples.safetensors", dataset, pairs),
    )


def _read_pairs(samples: Path, dataset: str, pairs: list[Json]) -> tuple[Pair, ...]:
    """The images of the pairs that the evaluation names."""
    if not pairs:
        return ()
    drawn = io.read_places(samples, "images", [(0, pair["sample"]) for pair in pairs])
    trained = io.read_places(
        Path("data", dataset, "train.safetensors"), "images", [(pair["train"],) for pair in pairs]
    )
    return tuple(
        Pair(sample, train, pair["distance_ratio"])
        for sample, train, pair in zip(drawn, trained, pairs, strict=True)
    )


def write_cell_pages(board: Leaderboard, exhibits: list[Exhibit]) -> None:
    """A page for each cell under reports/cells."""
    entries = {(e.dataset, e.variant): e for dataset in board.datasets for e in board.entries[dataset]}
    for exhibit in exhibits:
        dataset, variant, _ = exhibit.cell
        entry = entries[dataset, variant]
        rendered = cell_page.render(
            exhibit,
            family=entry.family,
            source=entry.source,
            floor=board.floors[dataset],
            floor_sd=board.floor_sds[dataset],
            siblings=[(dataset, variant, seed) for seed in entry.seeds],
        )
        io.write_text(REPORTS / "cells" / page_name(exhibit.cell), rendered)


if __name__ == "__main__":
    run(main)
