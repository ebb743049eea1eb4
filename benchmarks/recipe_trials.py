"""Trials of recipes, judged on validation images: python benchmarks/recipe_trials.py TRIALS.yaml

TRIALS.yaml names a board and lists trials, each a variant with what differs from its recipe on that board:

    board: mnist_cpu
    n_images: 128000
    n_held_back: 5000
    trials:
      - {variant: ns_gan}
      - {variant: ns_gan, ema: 0.999, network: {width: 64}}

Every trial trains seed 0 on the training split less the images that are held back, and is judged by those;
the test split is never read. A row a trial, failed ones too, is appended to reports/trials/BOARD.csv; a trial
that has a row of the same budget, images held back and whole recipe is not run again. A second run of a
board's trials waits for the first.
"""

import csv
import hashlib
import json
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from filelock import FileLock
from torch import Tensor

from gm_bench.cell import Cell
from gm_bench.composition import merged
from gm_bench.config import DatasetEntry, Params, load_params
from gm_bench.data.dataset import load
from gm_bench.data.split import hold_out
from gm_bench.metrics.extractors.features import Extractor, extract
from gm_bench.metrics.extractors.lenet import LeNetExtractor
from gm_bench.metrics.extractors.loading import find
from gm_bench.metrics.frechet import fid, moments
from gm_bench.metrics.neighbours import leave_one_out_1nn, precision_recall
from gm_bench.metrics.sharpness import laplacian_variance
from gm_bench.report.figures import image_grid, png_bytes
from gm_bench.reproducibility import make_deterministic
from gm_bench.running import repository
from gm_bench.running.stage import run
from gm_bench.training.in_memory import train_in_memory
from gm_bench.training.job import Job
from gm_bench.training.recipe import Recipe
from gm_bench.training.sampling import draw_snapshot
from gm_bench.training.state import start
from gm_bench.yaml_text import load_yaml

CPU = torch.device("cpu")
COLUMNS = (
    "board", "variant", "overlay", "n_images", "n_held_back", "recipe_sha256", "status", "seconds",
    "images_per_second", "fid_curve", "fid", "precision", "recall", "one_nn", "sharpness",
)  # fmt: skip


def outcome(
    board: str, dataset: str, entry: DatasetEntry, trial: dict[str, Any], recipe: Recipe
) -> dict[str, Any]:
    """Train one trial and judge it in the dataset's features: what its row says of that, and samples."""
    variant, n_held_back = trial["variant"], trial["n_held_back"]
    options = dict(entry.source)
    images, labels = load(options.pop("loader"), **options).split("train")
    seen, held_back = hold_out(labels, n_held_back)
    job = Job(Cell(board, dataset, variant, 0), recipe, trial["n_images"], 5, n_held_back)
    shown = {"images": images[seen], "labels": labels[seen]}
    state = start(job, tuple(images.shape[1:]), int(labels.max()) + 1, CPU)
    began = time.process_time()
    train_in_memory(state, job, shown)
    seconds = time.process_time() - began
    row = {
        "status": "diverged" if state.divergence else "ok",
        "seconds": round(seconds),
        "images_per_second": round(state.images / seconds),
    }
    if state.divergence:
        return row
    extractor = extractor_of(entry.protocol.extractor, dataset, tuple(images.shape[1:]))
    samples = draw_snapshot(state.reported, job, shown)
    return row | judged(extractor, state.snapshots, samples, images[held_back]) | {"samples": samples}


def extractor_of(name: str, dataset: str, image_shape: tuple[int, int, int]) -> Extractor:
    """A published network, or the LeNet that the package holds for a dataset."""
    extractor = find(name)
    if extractor.own_classes:
        return LeNetExtractor.of_package(dataset, image_shape)[1]
    return extractor.load(Path(), extractor.published(), image_shape)


def judged(
    extractor: Extractor, snapshots: dict[int, Tensor], samples: Tensor, real: Tensor
) -> dict[str, Any]:
    """FID at every snapshot, and at the end what else tells good samples from bad."""
    known = extract(extractor, real, CPU).features
    summary, drawn = moments(known), extract(extractor, samples, CPU).features
    curve = [fid(extract(extractor, each, CPU).features, summary) for each in snapshots.values()]
    coverage = precision_recall(drawn, known, 3)
    return {
        "fid_curve": " ".join(f"{value:.1f}" for value in curve),
        "fid": round(fid(drawn, summary), 2),
        "precision": round(coverage.precision, 3),
        "recall": round(coverage.recall, 3),
        "one_nn": round(leave_one_out_1nn(drawn, known).overall, 3),
        "sharpness": round(laplacian_variance(samples) / laplacian_variance(real), 3),
    }


def with_overlay(params: Params, variant: str, recipe: str, overlay: dict[str, Any]) -> Params:
    """The parameters with something else in a variant's own layer of a recipe."""
    entry = params.variants[variant]
    changed = entry | {recipe: merged(entry.get(recipe) or {}, overlay)}
    return params.model_copy(update={"variants": params.variants | {variant: changed}})


def sha256_of(recipe: Recipe) -> str:
    """Hash of a recipe, of which the order counts too: players are updated in it."""
    return hashlib.sha256(json.dumps(recipe.model_dump(mode="json")).encode()).hexdigest()[:12]


def main(
    trials: Path,
    out: Annotated[Path, typer.Option(help="folder of the table and of the grids of samples")] = Path(
        "reports/trials"
    ),
) -> None:
    """Run the trials that have no row yet, one after the other."""
    make_deterministic()
    asked, params = load_yaml(trials.read_text()), load_params()
    table = out / f"{asked['board']}.csv"
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(repository.temporary() / f"trials-{asked['board']}.lock"):
        for trial in asked["trials"]:
            add_row(table, params, trial, asked)


def add_row(table: Path, params: Params, trial: dict[str, Any], asked: dict[str, Any]) -> None:
    """Run a trial, unless the table has its row, and write row and samples."""
    rows = list(csv.DictReader(table.open())) if table.exists() else []
    grid, variant = params.board(asked["board"]), trial["variant"]
    overlay = {key: value for key, value in trial.items() if key != "variant"}
    recipe = with_overlay(params, variant, grid.recipe, overlay).recipe(variant, grid.recipe)
    settings = {
        "variant": variant,
        "overlay": json.dumps(overlay, sort_keys=True),
        "n_images": asked["n_images"],
        "n_held_back": asked["n_held_back"],
        "recipe_sha256": sha256_of(recipe),
    }
    if any(all(row[key] == str(value) for key, value in settings.items()) for row in rows):
        return
    row = {"board": asked["board"], **settings}
    dataset = grid.datasets[0]
    row |= outcome(asked["board"], dataset, params.datasets[dataset], settings, recipe)
    samples = row.pop("samples", None)
    if samples is not None:
        picture = table.with_name(f"{table.stem}-{len(rows)}.png")
        picture.write_bytes(png_bytes(image_grid(samples[:64], 8, 1)))
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if not rows:
            writer.writeheader()
        writer.writerow(row)
    typer.echo({key: value for key, value in row.items() if key != "board"})


if __name__ == "__main__":
    run(main)
