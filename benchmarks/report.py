"""How large the report is and what it takes to write it, publishing included.

    python -m benchmarks.report [--variants 10] [--seeds 3]

The cells are made up (tests/fake_cells.py): colour images at 32×32 of random bytes, which nothing compresses,
ten snapshots each. Two datasets, so the defaults make 60 cells; `--variants 30 --seeds 1` makes 60 with as
many pictures of samples over time.
"""

import contextlib
import io as text
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Annotated

import typer

from gm_bench.yaml_text import dump_yaml, load_yaml

ROOT = Path(__file__).resolve().parents[1]
DATASETS = ("digits", "mnist")
SHAPE = (3, 32, 32)


def main(
    variants: Annotated[int, typer.Option(min=1, help="the first so many of params.yaml")] = 10,
    seeds: Annotated[int, typer.Option(min=1, help="of each variant")] = 3,
) -> None:
    """Print the size of the page, of the largest page of a cell, of all files, and CPU seconds."""
    sys.path.insert(0, str(ROOT / "tests"))
    from fake_cells import write_cell, write_dataset

    from pipelines.leaderboard import main as leaderboard

    params = load_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
    known = list(params["variants"])[:variants]
    if len(known) < variants:
        raise typer.BadParameter(f"params.yaml has only {len(known)} variants")
    grid = {"datasets": list(DATASETS), "variants": known, "seeds": list(range(seeds))}
    params["boards"]["digits"].update(grid)
    with TemporaryDirectory() as name:
        root = Path(name)
        (root / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")
        for dataset in DATASETS:
            write_dataset(root, dataset, shape=SHAPE)
            for i, variant in enumerate(known):
                for seed in range(seeds):
                    fid = [10.0 + i + 0.1 * seed]
                    write_cell(root, variant, seed, fid, dataset=dataset, shape=SHAPE, history_rows=100)
        os.chdir(root)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{root}/mlflow.db"
        began = process_time()
        with contextlib.redirect_stdout(text.StringIO()):
            leaderboard("digits")
        seconds = process_time() - began
        os.chdir(ROOT)
        sizes = {path: path.stat().st_size for path in (root / "reports").rglob("*") if path.is_file()}
        cells = [size for path, size in sizes.items() if path.parent.name == "cells"]
        page = sizes[root / "reports/digits/leaderboard.html"]
        n_pictures = len(DATASETS) * variants
        typer.echo(f"{len(cells)} cells, {n_pictures} pictures of samples, {SHAPE[1]}×{SHAPE[2]} in colour:")
        typer.echo(
            f"leaderboard.html {page / 1e6:.2f} MB, the largest page of a cell {max(cells) / 1e6:.2f} MB, "
            f"all files {sum(sizes.values()) / 1e6:.1f} MB, {seconds:.0f} CPU seconds"
        )


if __name__ == "__main__":
    typer.run(main)
