"""Stage fetch: one dataset as two checked splits and a card, from its source or a mirror."""

from pathlib import Path
from typing import Annotated

import typer

from gm_bench.config import load_params
from gm_bench.data.dataset import check_target, load, save
from gm_bench.running.stage import run


def main(dataset: Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")]) -> None:
    """Write data/DATASET/{train,test}.safetensors and card.json."""
    source = load_params().dataset(dataset).source
    folder = Path("data", dataset)
    check_target(folder)
    loaded = load(source.loader, **source.options)
    save(loaded, folder)
    shape = "×".join(str(extent) for extent in loaded.train_images.shape[1:])
    typer.echo(
        f"{dataset}: {len(loaded.train_images):,} training and {len(loaded.test_images):,} test images "
        f"({shape}) from {loaded.came_from}"
    )
    for warning in loaded.warnings:
        typer.echo(f"{dataset}: {warning}", err=True)


if __name__ == "__main__":
    run(main)
