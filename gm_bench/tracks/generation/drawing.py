"""The stage sample, from files to files: the weights of a cell → its sample sets and a grid of samples."""

from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from gm_bench import io
from gm_bench.cell import DATA, EXTRACTORS, Cell
from gm_bench.data.dataset import read_split
from gm_bench.data.split import choose, hold_out
from gm_bench.metrics.extractors.features import extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.metrics.frechet import fid, moments
from gm_bench.nets.lenet import shape_of
from gm_bench.report.figures import image_grid, png_bytes
from gm_bench.reproducibility import derive, make_deterministic
from gm_bench.results.protocol import Protocol
from gm_bench.training import sampling
from gm_bench.variants.base.contract import Density, Variant, find

N_GRID, COLUMNS = 64, 8


class Settings(BaseModel):
    """What of a protocol the samples depend on: what only metrics read may change without drawing again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_samples: int
    draws: int
    bound_images: int
    bound_codes: int


def draw(cell: Cell, config: Protocol | Settings, n_validation: int, device: torch.device) -> int:
    """Write samples.safetensors and grid.png of a cell; a diverged cell gets none and a black grid.

    The seed of each draw, and of the labels that it is asked for, derives from the cell's seed and the place
    of the draw. A model with a density also says what it makes of held-out images.

    Args:
        config: the dataset's protocol, or what of it samples depend on.
        n_validation: training images that are held back: the best snapshot is chosen by them, where the
            recipe says so.

    Returns:
        How many sets were drawn.

    Raises:
        ValueError: what was drawn is not finite.
        FileError: a file of an earlier stage is missing or damaged.
    """
    make_deterministic()
    weights, metadata = io.read_tensors(cell.folder / "model.safetensors")
    shape = tuple(metadata["image_shape"])
    kind = find(cell.variant)
    density = kind.density if issubclass(kind, Density) else ""
    tensors = {"images": torch.empty((0, config.n_samples, *shape), dtype=torch.uint8)}
    grid = torch.zeros((N_GRID, *shape), dtype=torch.uint8)
    checkpoint: dict[str, Any] = {"rule": metadata["recipe"]["checkpoint"]}
    if metadata["status"] == "ok":
        if checkpoint["rule"] == "best":
            checkpoint["images"], weights = _best(cell, n_validation, device)
        model = sampling.load(weights, metadata, device)
        counts = metadata["class_counts"]
        tensors = draw_sets(model, counts, config.n_samples, config.draws, cell.seed, device)
        grid = tensors["images"][0, :N_GRID]
        if model.conditional:  # one row a class
            labels = torch.arange(len(counts)).repeat_interleave(COLUMNS)
            grid = sampling.draw(model, labels, len(labels), derive(cell.seed, "grid"), device)
        if isinstance(model, Density):
            tensors |= _bounds(model, model.conditional, cell, config, device)
    described = {
        "cell": cell.as_dict(),
        **{key: metadata[key] for key in ("status", "divergence", "training_key")},
        "density": density,
        "checkpoint": checkpoint,
    }
    io.write_tensors(cell.folder / "samples.safetensors", tensors, described)
    picture = image_grid(grid, columns=COLUMNS, scale=max(1, 32 // shape[-1]))
    io.write_bytes(cell.folder / "grid.png", png_bytes(picture))
    return len(tensors["images"])


def draw_sets(
    model: Variant, class_counts: list[int], n: int, draws: int, seed: int, device: torch.device
) -> dict[str, Tensor]:
    """Independent sets of samples, each with a seed and with labels of its own.

    Args:
        class_counts: images of each class that the model was trained on.

    Returns:
        `images`, uint8 (draws, n, C, H, W) and, for conditional variants, the `labels` that they were drawn
        for, int64 (draws, n).
    """
    images, labels = [], []
    for i in range(draws):
        if model.conditional:
            labels.append(sampling.draw_labels(class_counts, n, seed, i))
        given = labels[i] if model.conditional else None
        images.append(sampling.draw(model, given, n, derive(seed, "sample", i), device))
    tensors = {"images": torch.stack(images)}
    return tensors | {"labels": torch.stack(labels)} if model.conditional else tensors


def _best(cell: Cell, n_validation: int, device: torch.device) -> tuple[int, dict[str, Tensor]]:
    """The snapshot with the least FID against validation images: images shown before it, and its weights.

    The validation images are training images that are held back from training; the test split has no say.
    """
    snapshots, made = io.read_tensors(cell.folder / "snapshots.safetensors")
    images, labels = read_split(DATA / cell.dataset, "train")
    _, held_back = hold_out(labels, n_validation)
    _, extractor = load_extractor(EXTRACTORS / cell.dataset, shape_of(images))
    known = moments(extract(extractor, images[held_back], device).features)
    scores = [fid(extract(extractor, drawn, device).features, known) for drawn in snapshots["images"]]
    best = made["images_shown"][scores.index(min(scores))]
    return best, sampling.candidate(snapshots, best)


def _bounds(
    model: Density, conditional: bool, cell: Cell, config: Protocol | Settings, device: torch.device
) -> dict[str, Tensor]:
    """Bounds of the log-likelihood of held-out images, the first of those that the metrics read."""
    images, labels = read_split(DATA / cell.dataset, "test")
    key = f"{cell.dataset}.protocol.bound_images"
    places = choose(torch.arange(len(images)), config.bound_images, key, "test")
    given = labels[places] if conditional else None
    return sampling.likelihood_bounds(
        model, images[places], given, config.bound_codes, derive(cell.seed, "bounds"), device
    )
