"""gm-bench: a benchmark of generative models that can be re-run.

From Python: `load_cell` gives a trained model to sample from, `evaluate` the numbers of any images.
"""

from typing import TYPE_CHECKING, Any

from gm_bench.defaults import BOARD

if TYPE_CHECKING:  # what these need takes seconds to import: only when they are called
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from gm_bench.tracks.generation.trained import TrainedCell

__all__ = ["evaluate", "load_cell"]


def load_cell(
    name: str, board: str = BOARD, *, repository: "str | os.PathLike[str]" = ".", device: str = "auto"
) -> "TrainedCell":
    """A trained model to sample from.

    Args:
        name: DATASET/VARIANT/SEED, such as "digits/vae/0".
        board: that the cell belongs to.
        repository: that it was trained in.
        device: auto (a GPU where there is one), cpu or cuda.

    Returns:
        `model`, in eval mode, and `sample(n, seed, label=None)`, which draws uint8 images (n, C, H, W).

    Raises:
        ValueError: the name is no cell, or the cell is not trained yet or diverged.
    """
    from pathlib import Path

    from gm_bench.cell import parse_cell
    from gm_bench.reproducibility import resolve
    from gm_bench.tracks.generation.trained import load

    return load(parse_cell([name], board), resolve(str(device)), Path(repository).expanduser())


def evaluate(
    fake: "str | os.PathLike[str] | NDArray[Any] | Tensor",
    real: "str | os.PathLike[str] | NDArray[Any] | Tensor",
    *,
    labels: "NDArray[Any] | Tensor | None" = None,
    extractor: str = "auto",
    channels: str | None = None,
    resize: int | None = None,
    allow_low_range: bool = False,
    range: "str | Sequence[float] | None" = None,
    n: int | None = None,
    draws: int | None = None,
    board: str | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Every metric of generated images against real ones, as `gm-bench evaluate` prints and writes them.

    Works outside a repository too. Images are a folder of image files, a .npz, .npy or .safetensors file, or
    an array or tensor, uint8 (N, C, H, W), (N, H, W) or (N, H, W, C).

    Args:
        fake: the images to be judged.
        real: real images; a file of `gm-bench reference export`; or, in a repository, a dataset of
            params.yaml. Numbers under the protocol of the last two may stand beside its leaderboard. Half of
            one's own real images are held out, the other half takes the place of training images.
        labels: classes of `real` in memory, whole numbers (N,). Folders have one sub-folder a class, files an
            array `labels`.
        extractor: for one's own real images: clip, dinov2, efficientnet_lite0, inception, lenet or vgg16 (a
            file of gm_bench/metrics/extractors), a dataset that has an extractor, or auto (a small classifier
            trained on labelled grey images of 8 to 64 pixels; for others inception where its weights are at
            hand, else efficientnet_lite0). clip, dinov2 and vgg16 tell no classes apart: they give no score.
        channels: grey or rgb converts both sets to that.
        resize: pixels a side to resize both to.
        allow_low_range: take images that use less than a quarter of 0 … 255 as they are.
        range: what floats span, (0, 1) or (-1, 1), in either set or in both; without it only uint8 is taken.
        n: images to compare on either side, for one's own real images; else as many as there are.
        draws: at most so many sets of n; else all that the images suffice for, or those of the protocol.
        board: whose leaderboard the numbers are held against; else the first of the dataset with a report.
        device: auto (a GPU where there is one), cpu or cuda.

    Returns:
        `values` (metric → one number a draw), `floor` (the same metrics of real images), `missing_classes`,
        `protocol`, `warnings`, and whether the numbers may stand beside the leaderboard.

    Raises:
        ValueError: the images do not do; the sentence says what to do.
    """
    from gm_bench.tracks.generation.scoring import api

    return api.evaluate(
        fake,
        real,
        labels=labels,
        extractor=extractor,
        channels=channels,
        resize=resize,
        allow_low_range=allow_low_range,
        floats=range,
        n=n,
        draws=draws,
        board=board,
        device=device,
    )
