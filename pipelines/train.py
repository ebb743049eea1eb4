"""train: a cell of the grid → model.safetensors, history.csv, cost.json."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer

from gm_bench import io
from gm_bench import reproducibility as devices
from gm_bench.config import load_params
from gm_bench.data.dataset import read_split
from gm_bench.data.split import hold_out
from gm_bench.reproducibility import make_deterministic
from gm_bench.running.console import TrainingDisplay
from gm_bench.running.stage import Device, run
from gm_bench.training import loop as training
from gm_bench.training.checkpoint import Checkpoint, training_key


def main(
    dataset: str,
    variant: str,
    seed: int,
    device: Device = "auto",
    save_every: Annotated[float, typer.Option(help="seconds between checkpoints")] = 30.0,
) -> None:
    """Train one cell, going on from its checkpoint if it has one."""
    params = load_params()
    budget = params.dataset(dataset).training
    recipe = params.recipe(variant, dataset)
    job = training.Job(
        dataset, variant, seed, recipe, budget.n_images, budget.n_snapshots, budget.n_validation
    )
    make_deterministic()
    place = devices.resolve(device)
    images, labels = read_split(Path("data", dataset), "train")
    rows, _ = hold_out(labels, budget.n_validation)
    images, labels = images[rows], labels[rows]
    shape = (images.shape[1], images.shape[2], images.shape[3])
    class_counts = labels[labels >= 0].bincount().tolist()

    state = training.start(job, shape, len(class_counts), place)
    key = training_key(job, io.sha256_file(Path("data", dataset, "train.safetensors")), place)
    checkpoint = Checkpoint(job, key)
    complaint = checkpoint.restore(state)
    display = TrainingDisplay(f"{dataset} {variant} {seed}", job.n_images, state.images, state.rounds)
    if complaint:
        display.note(complaint)

    def on_row(progress: training.Progress) -> None:
        checkpoint.report(progress, state.history)
        display.show(progress)

    stop = _StopRequest()
    with display:
        try:
            training.train(
                state,
                job,
                images.to(place),
                labels.to(place),
                on_row=on_row,
                save=checkpoint.save,
                save_every=save_every,
                stop_asked=stop.asked,
            )
        except training.Interrupted:
            display.note(
                f"stopped at round {state.rounds}, {state.images:,} of {job.n_images:,} images; "
                "the state is saved, the same command goes on from there"
            )
            sys.exit(130)
    _write(Path("runs", dataset, variant, str(seed)), job, state, class_counts, key, place)
    checkpoint.discard()
    if state.divergence:
        where = state.divergence
        display.note(
            f"diverged at round {where['step']}: {where['player']} {where['term']} is {where['value']}"
        )


def _write(
    folder: Path,
    job: training.Job,
    state: training.State,
    class_counts: list[int],
    key: str,
    device: torch.device,
) -> None:
    recipe = job.recipe.model_dump(mode="json")
    outcome = {"status": "diverged" if state.divergence else "ok", "divergence": state.divergence}
    metadata = {
        "cell": {"dataset": job.dataset, "variant": job.variant, "seed": job.seed},
        **outcome,
        "image_shape": state.model.image_shape,
        "class_counts": class_counts,
        "recipe": recipe,
        "training_key": key,
    }
    io.write_tensors(folder / "model.safetensors", state.reported.state_dict(), metadata)
    snapshots = list(state.snapshots.values())
    images = torch.stack(snapshots) if snapshots else torch.empty((0, 0, *state.model.image_shape)).byte()
    moments = {"images_shown": list(state.snapshots), "training_key": key}
    candidates = {
        f"{shown}.{name}": weights
        for shown, candidate in state.candidates.items()
        for name, weights in candidate.items()
    }
    io.write_tensors(folder / "snapshots.safetensors", {"images": images, **candidates}, moments)
    terms = sorted({name for row in state.history for name in row} - {"images", "round", "timestamp_ms"})
    io.write_csv(folder / "history.csv", state.history, ["images", "round", "timestamp_ms", *terms])
    record = {
        "schema": 1,
        **outcome,
        "budget": job.n_images,
        **training.bill(state, device),
        "training_key": key,
        "versions": {"torch": torch.__version__},
        "network": job.recipe.network.name,
        "recipe": recipe,
    }
    io.write_json(folder / "cost.json", record)


class _StopRequest:
    """Ctrl-C and SIGTERM as a wish, granted at the end of the round; a second one stops at once."""

    def __init__(self) -> None:
        self._asked = False
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        self._asked = True
        signal.signal(number, signal.SIG_DFL)

    def asked(self) -> bool:
        return self._asked


if __name__ == "__main__":
    run(main)
