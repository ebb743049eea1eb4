"""Sample grids over training time, as MLflow's image card shows them: a picture for each step of its slider.

The card opens at step 0 and shows a run only at steps that the run has exactly. So the model that was scored
stands at step 0, to be seen at once, and the snapshots of the training at whole percents of the budget, since
variants take them late by as many images as their rounds are long. Every picture says what it is.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from gm_bench import io
from gm_bench.report.figures import image_grid, labelled
from gm_bench.tracking.record import SINGLE, Pictures

N_SHOWN, COLUMNS = 64, 8
SIDE = 32  # images narrower than this are enlarged by whole factors


def grids_by_step(pictures: Pictures) -> dict[int, Image.Image]:
    """Sample grids by the step that they are shown at.

    Raises:
        FileError: a file is missing or damaged.
    """
    tensors, metadata = io.read_tensors(pictures.snapshots)
    frames = grids_of_snapshots(tensors["images"], metadata["images_shown"], pictures.budget)
    if pictures.grid is None:
        return frames
    scored = _labelled("the model that was scored", _read(pictures.grid))
    return {pictures.budget: scored} | frames | {SINGLE: scored}


def grids_of_snapshots(snapshots: Tensor, images_shown: Sequence[int], budget: int) -> dict[int, Image.Image]:
    """Grids of the snapshots, by images shown to training, rounded down to whole percents of the budget.

    Args:
        snapshots: (P, n, C, H, W), uint8; the first 64 images are shown.
        images_shown: to training before each snapshot, ascending.
        budget: images that training is shown in all.
    """
    grids = {}
    for images, n_shown in zip(snapshots, images_shown, strict=True):
        percents = min(n_shown, budget) * 100 // budget
        grid = image_grid(images[:N_SHOWN], COLUMNS, scale=max(1, SIDE // images.shape[-1]))
        grids[percents * budget // 100] = _labelled(f"{n_shown:,} images shown", grid)
    return grids


def _labelled(caption: str, picture: Tensor) -> Image.Image:
    return Image.fromarray(labelled({caption: picture}, columns=1).numpy())


def _read(path: Path) -> Tensor:
    """A picture (H, W, 1|3), uint8."""
    try:
        with Image.open(path) as picture:
            pixels = torch.from_numpy(np.array(picture))
    except FileNotFoundError:
        raise io.missing(path) from None
    except (UnidentifiedImageError, OSError) as error:
        raise io.damaged(path, error) from None
    return pixels if pixels.ndim == 3 else pixels.unsqueeze(-1)
