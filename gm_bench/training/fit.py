"""One cell from files to files: what a stage, a worker of a cluster, a test and a benchmark call."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.data.split import hold_out
from gm_bench.reproducibility import make_deterministic, set_precision
from gm_bench.training.checkpoint import Checkpoint, training_key
from gm_bench.training.cost import cost_of
from gm_bench.training.job import Job
from gm_bench.training.loop import train
from gm_bench.training.state import Progress, State, start
from gm_bench.variants.base.contract import LABELS

NO_TERMS = {"images", "round", "timestamp_ms"}


def fit(
    job: Job,
    data: Path,
    out: Path,
    checkpoints: Path,
    *,
    device: torch.device,
    save_every: float,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_note: Callable[[str], None] = lambda sentence: None,
    stop_asked: Callable[[], bool] = lambda: False,
) -> State:
    """Train a cell, going on from its checkpoint if it has one, and write what it became.

    A cell that diverged is written too, with the place where it did.

    Args:
        job: what is trained.
        data: folder of the dataset, which holds train.safetensors.
        out: folder for model.safetensors, snapshots.safetensors, history.csv and cost.json.
        checkpoints: folder of the checkpoints of this cell alone; removed at the end.
        save_every: seconds between checkpoints.
        on_progress: called at each of the 100 logging intervals.
        on_note: called with a sentence that is worth reading.
        stop_asked: true once the user wants to stop.

    Returns:
        The state at the end of training.

    Raises:
        ValueError: the recipe fits neither variant nor data.
        OSError: a file cannot be read or written.
        Interrupted: `stop_asked` became true; the same call goes on from there.
    """
    make_deterministic()
    set_precision(job.recipe.tf32)
    source = data / "train.safetensors"
    shown, class_counts = _training_set(source, job.n_validation)
    state = start(job, _shape(shown), len(class_counts), device)
    key = training_key(job, io.sha256_file(source), device)
    checkpoint = Checkpoint(checkpoints, key)
    complaint = checkpoint.restore(state)
    if complaint:
        on_note(complaint)
    if state.rounds:
        on_note(f"goes on from round {state.rounds}, {state.images:,} of {job.n_images:,} images")

    def on_row(progress: Progress) -> None:
        checkpoint.report(progress, state.history)
        on_progress(progress)

    train(
        state,
        job,
        {name: values.to(device) for name, values in shown.items()},
        on_row=on_row,
        save=checkpoint.save,
        save_every=save_every,
        stop_asked=stop_asked,
    )
    _write(out, job, state, class_counts, key, device)
    checkpoint.discard()
    return state


def _training_set(path: Path, n_validation: int) -> tuple[dict[str, Tensor], list[int]]:
    """The fields of the training split less its validation part, and how many there are of each class."""
    fields, _ = io.read_tensors(path)
    if not set(fields) - {LABELS}:
        raise ValueError(f"{path} holds nothing to train on: delete it and run the fetch stage again")
    n = len(next(iter(fields.values())))
    labels = fields.get(LABELS, torch.full((n,), -1))
    if n_validation:
        rows, _ = hold_out(labels, n_validation)
        fields, labels = {name: values[rows] for name, values in fields.items()}, labels[rows]
    return fields, labels[labels >= 0].bincount().tolist()


def _shape(fields: dict[str, Tensor]) -> tuple[int, ...]:
    """Of one image, (C, H, W), or of what there is in place of images."""
    name = "images" if "images" in fields else min(set(fields) - {LABELS})
    return tuple(fields[name].shape[1:])


def _write(
    folder: Path, job: Job, state: State, class_counts: list[int], key: str, device: torch.device
) -> None:
    recipe = job.recipe.model_dump(mode="json")
    outcome = {"status": "diverged" if state.divergence else "ok", "divergence": state.divergence}
    shape = state.model.image_shape
    metadata = {
        "cell": job.cell.as_dict(),
        **outcome,
        "image_shape": shape,
        "class_counts": class_counts,
        "recipe": recipe,
        "training_key": key,
    }
    io.write_tensors(folder / "model.safetensors", state.reported.state_dict(), metadata)
    drawn = list(state.snapshots.values())
    images = torch.stack(drawn) if drawn else torch.empty((0, 0, *shape)).byte()
    candidates = {
        f"{shown}.{name}": weights
        for shown, candidate in state.candidates.items()
        for name, weights in candidate.items()
    }
    moments = {"images_shown": list(state.snapshots), "training_key": key}
    io.write_tensors(folder / "snapshots.safetensors", {"images": images, **candidates}, moments)
    terms = sorted({name for row in state.history for name in row} - NO_TERMS)
    io.write_csv(folder / "history.csv", state.history, ["images", "round", "timestamp_ms", *terms])
    io.write_json(folder / "cost.json", _record(job, state, outcome, key, device))


def _record(
    job: Job, state: State, outcome: dict[str, Any], key: str, device: torch.device
) -> dict[str, Any]:
    return {
        "schema": 1,
        **outcome,
        "budget": job.n_images,
        **cost_of(state, device),
        "training_key": key,
        "versions": {"torch": torch.__version__},
        "network": job.recipe.network.name,
        "recipe": job.recipe.model_dump(mode="json"),
    }
