"""Training with looks on the way: what a generator draws at several times, as pictures of the plane.

Training is that of every other cell, which keeps samples of images alone. So it is asked to stop where a look
is due, its state is read from the checkpoint that it leaves, and it goes on from there: the weights that it
ends with are the same to the last bit. The pictures stand where snapshots of images do, so that pages show
them with their slider.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.tracks.mode_collapse.measuring import N_SHOWN, draw
from gm_bench.tracks.mode_collapse.mixtures import Mixture
from gm_bench.tracks.mode_collapse.plane import SIDE, plane
from gm_bench.training.checkpoint import Checkpoint, training_key
from gm_bench.training.fit import fit
from gm_bench.training.job import Job
from gm_bench.training.state import Interrupted, Progress, State, start
from gm_bench.variants.base.contract import Variant

PERCENTS = (1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90)  # of the budget; and the end
SHAPE = (2, 1, 1)  # of a point
SNAPSHOTS = "snapshots.safetensors"


def train(
    of: Mixture,
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
    """`fit`, with a picture at each look in snapshots.safetensors.

    Args:
        of: the mixture whose points are shown; the others are those of `fit`.

    Raises:
        ValueError, OSError: see `fit`.
        Interrupted: `stop_asked` became true; the same call goes on from there.
    """
    key = training_key(job, io.sha256_file(data / "train.safetensors"), device)
    looks = Looks(checkpoints, key)
    shown = due = 0

    def follow(progress: Progress) -> None:
        nonlocal shown
        shown = progress.images
        on_progress(progress)

    def asked() -> bool:
        return stop_asked() or shown >= due

    while True:
        due = next_look(job.n_images, max(looks.pictures, default=0))
        try:
            state = fit(
                job,
                data,
                out,
                checkpoints,
                device=device,
                save_every=save_every,
                on_progress=follow,
                on_note=on_note,
                stop_asked=asked,
            )
            break
        except Interrupted:
            if shown < due:
                raise
        looks.add(shown, _picture(_resumed(job, checkpoints, key, device), job.seed, of, device))
        on_note = _say_nothing
    if state.divergence is None:
        looks.pictures[state.images] = _picture(state.reported, job.seed, of, device)
    looks.write(out / SNAPSHOTS)
    return state


class Looks:
    """Pictures by the number of points shown before; kept beside the checkpoint while a cell trains."""

    def __init__(self, folder: Path, key: str) -> None:
        self.path, self.key = folder / f"{key[:16]}-looks.safetensors", key
        self.pictures: dict[int, Tensor] = {}
        if self.path.exists():
            tensors, _ = io.read_tensors(self.path)
            self.pictures = {int(name): tensors[name] for name in sorted(tensors, key=int)}

    def add(self, n_shown: int, picture: Tensor) -> None:
        self.pictures[n_shown] = picture
        io.write_tensors(self.path, {str(n): each for n, each in self.pictures.items()})

    def write(self, path: Path) -> None:
        """As snapshots of one image each, (P, 1, 1, H, W), uint8."""
        drawn = list(self.pictures.values())
        images = torch.stack(drawn)[:, None] if drawn else torch.empty((0, 1, 1, SIDE, SIDE)).byte()
        metadata = {"images_shown": list(self.pictures), "training_key": self.key}
        io.write_tensors(path, {"images": images}, metadata)


def next_look(n_images: int, last: int) -> int:
    """Points shown at which the look after the one at `last` is due; more than all where there is none."""
    due = (n_images * percent // 100 for percent in PERCENTS)
    return next((images for images in due if images > last), n_images + 1)


def _picture(model: Variant, seed: int, of: Mixture, device: torch.device) -> Tensor:
    points = draw(model.eval(), N_SHOWN, seed, device)
    return plane(points, of)


def _resumed(job: Job, checkpoints: Path, key: str, device: torch.device) -> Variant:
    """The model of the checkpoint."""
    state = start(job, SHAPE, 0, device)
    Checkpoint(checkpoints, key).restore(state)
    return state.reported


def _say_nothing(sentence: str) -> None:
    """For what `fit` says each time that it goes on."""
