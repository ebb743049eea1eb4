"""One training of a recipe on the way through a search, from the dataset's files to a model in memory."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import DATA, Cell
from gm_bench.results.schema import COST, HISTORY, OK
from gm_bench.tracks.generation.drawing import draw_sets
from gm_bench.training import sampling
from gm_bench.training.fit import fit
from gm_bench.training.job import Job
from gm_bench.training.recipe import Recipe

SECONDS_BETWEEN_CHECKPOINTS = 30.0
Json = dict[str, Any]


@dataclass(frozen=True)
class Training:
    """How the trainings of a cell are alike.

    Args:
        cell: which variant on which dataset.
        n_images: budget of each, in real images shown.
        n_validation: training images that are held back from each.
        code: hash of the code that is run.
    """

    cell: Cell
    n_images: int
    n_validation: int
    code: str


@dataclass(frozen=True)
class Outcome:
    """What became of a training.

    Args:
        images: sets of samples, uint8 (draws, n, C, H, W); None where it diverged.
        labels: that they were drawn for, int64 (draws, n), for conditional variants.
        divergence: step, player, term and value where it did; None where it did not.
        cost, history: content of the files that training writes.
    """

    images: Tensor | None
    labels: Tensor | None
    divergence: Json | None
    cost: Json
    history: list[dict[str, str]]


def train(
    training: Training,
    recipe: Recipe,
    seed: int,
    n_samples: int,
    draws: int,
    folder: Path,
    device: torch.device,
) -> Outcome:
    """Train a recipe and draw from it.

    A training that is killed goes on from its checkpoint when it is asked for again.

    Args:
        seed: of the training and of the draws.
        folder: of its files while it trains and of no other training; removed at the end.
        n_samples, draws: images in a set, and sets.

    Raises:
        ValueError: the recipe fits neither variant nor data.
        OSError: a file cannot be read or written.
    """
    cell = training.cell
    job = Job(
        Cell(cell.board, cell.dataset, cell.variant, seed),
        recipe,
        training.n_images,
        n_validation=training.n_validation,
        code=training.code,
    )
    out, checkpoints = folder / "out", folder / "checkpoints"
    fit(
        job,
        DATA / cell.dataset,
        out,
        checkpoints,
        device=device,
        save_every=SECONDS_BETWEEN_CHECKPOINTS,
    )
    weights, metadata = io.read_tensors(out / "model.safetensors")
    cost, history = io.read_json(out / COST), io.read_csv(out / HISTORY)
    divergence = metadata["divergence"]
    sets: dict[str, Tensor] = {}
    if metadata["status"] == OK:
        model = sampling.load(weights, metadata, device)
        try:
            sets = draw_sets(model, metadata["class_counts"], n_samples, draws, seed, device)
        except ValueError:  # finite weights whose samples overflow
            divergence = {
                "step": cost["rounds"], "player": "sampling", "term": "images", "value": "not finite"
            }  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(sets.get("images"), sets.get("labels"), divergence, cost, history)


def key_of(content: Mapping[str, Any]) -> str:
    """Hex digest of everything that a result depends on."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def depends_on(training: Training, recipe: Recipe, seed: int, device: torch.device) -> Json:
    """What a training depends on besides its data, as far as a result of another day may differ by it."""
    return {
        "dataset": training.cell.dataset,
        "variant": training.cell.variant,
        "recipe": recipe.model_dump(mode="json"),
        "seed": seed,
        "n_images": training.n_images,
        "n_validation": training.n_validation,
        "code": training.code,
        "torch": torch.__version__,
        "device": device.type,
    }


def kept(file: Path, key: str) -> Json | None:
    """What an earlier run of a stage, which was killed, left of one piece of its work; None if nothing.

    Args:
        key: that of the work; what was left under another is of no use.
    """
    if not file.exists():
        return None
    try:
        content: Json = io.read_json(file)
        return content if content["key"] == key else None
    except (io.FileError, KeyError, TypeError):
        return None
