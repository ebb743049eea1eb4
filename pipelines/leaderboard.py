"""leaderboard: every cell of the grid → MLflow, and from there → reports/leaderboard.{md,csv,json,html}."""

import sys
from pathlib import Path

from rich.console import Console

from gm_bench import io, leaderboard, record, report, tables
from gm_bench.config import load_params
from gm_bench.figures import image_grid, png_bytes
from gm_bench.record import Record
from gm_bench.stage import run
from gm_bench.tracking import Store
from gm_bench.variant import find

REPORTS = Path("reports")
N_REAL = 64
WIDTH_OF_PLAIN_OUTPUT = 150


def main() -> None:
    """Publish the cells of the grid, read them back, write and print the leaderboard."""
    grid = load_params()
    cells, datasets = grid.cells(), grid.grid.datasets
    records = [*map(read_floor, datasets), *(read_cell(*cell) for cell in cells)]
    store = Store()
    n_written = sum(store.publish(each) for each in records)
    for dataset in datasets:
        store.describe(
            dataset,
            [each.name for each in records if each.dataset == dataset and each.facts["kind"] == "cell"],
        )

    board = leaderboard.build(store.rows(datasets), cells)
    samples = {cell: io.read_bytes(_folder(*cell) / "grid.png") for cell in cells}
    files = {
        "md": tables.to_markdown(board),
        "csv": leaderboard.to_csv(board),
        "html": report.render(board, samples, {dataset: _real_images(dataset) for dataset in datasets}),
    }
    for suffix, text in files.items():
        io.write_text(REPORTS / f"leaderboard.{suffix}", text)
    io.write_json(REPORTS / "leaderboard.json", leaderboard.to_json(board))

    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_PLAIN_OUTPUT)
    for table in tables.rich_tables(board):
        console.print(table)
    console.print(f"{len(records)} runs in {store.place}, {n_written} of them new")
    console.print(f"written: {REPORTS}/leaderboard.html, .md, .csv, .json")


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
        picture=str(folder / "grid.png"),
    )


def read_floor(dataset: str) -> Record:
    """What the reference stage left of a dataset's floor."""
    file = Path("reference", dataset, "floor.json")
    card = io.read_json(Path("data", dataset, "card.json"))
    return record.of_floor(dataset, floor=io.read_json(file), card=card, file_hashes=[io.sha256_file(file)])


def _real_images(dataset: str) -> bytes:
    """Test images as a grid like those of the samples."""
    images = io.read_rows(Path("data", dataset, "test.safetensors"), "images", N_REAL)
    return png_bytes(image_grid(images, columns=8, scale=max(1, 32 // images.shape[-1])))


if __name__ == "__main__":
    run(main)
