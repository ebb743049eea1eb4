"""Stage fetch: one dataset as two checked splits and a card, from its source or a mirror."""

import typer

from gm_bench.cell import DATA, resolved_of_dataset
from gm_bench.data.dataset import check_target, load, save
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Dataset, run


def main(dataset: Dataset) -> None:
    """Write data/DATASET/{train,test}.safetensors and card.json."""
    source = dict(resolved.read(resolved_of_dataset(dataset, "fetch"))["source"])
    folder = DATA / dataset
    check_target(folder)
    loaded = load(source.pop("loader"), **source)
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
