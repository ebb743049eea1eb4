"""sample: model.safetensors → samples.safetensors, grid.png."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gm_bench import io
from gm_bench import reproducibility as devices
from gm_bench.config import Protocol, load_params
from gm_bench.data.dataset import read_split
from gm_bench.data.split import choose, hold_out
from gm_bench.metrics.extractors.features import extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.metrics.frechet import fid, moments
from gm_bench.nets.lenet import shape_of
from gm_bench.report.figures import image_grid, png_bytes
from gm_bench.reproducibility import derive, make_deterministic
from gm_bench.running.stage import Device, run
from gm_bench.training import sampling
from gm_bench.variants.base.contract import Density, find

N_GRID, COLUMNS = 64, 8


def main(dataset: str, variant: str, seed: int, device: Device = "auto") -> None:
    """Draw the sample sets of one cell; a model with a density tells what it makes of held-out images."""
    protocol = load_params().dataset(dataset).protocol
    folder = Path("runs", dataset, variant, str(seed))
    make_deterministic()
    place = devices.resolve(device)
    weights, metadata = io.read_tensors(folder / "model.safetensors")
    shape = tuple(metadata["image_shape"])
    kind = find(variant)
    density = kind.density if issubclass(kind, Density) else ""
    n, draws, counts = protocol.n_samples, protocol.draws, metadata["class_counts"]
    tensors = {"images": torch.empty((0, n, *shape), dtype=torch.uint8)}
    grid = torch.zeros((N_GRID, *shape), dtype=torch.uint8)
    checkpoint: dict[str, Any] = {"rule": metadata["recipe"]["checkpoint"]}
    if metadata["status"] == "ok":
        if checkpoint["rule"] == "best":
            checkpoint["images"], weights = _best(folder, dataset, place)
        model = sampling.load(weights, metadata, place)
        if model.conditional:
            tensors["labels"] = torch.stack([sampling.draw_labels(counts, n, seed, i) for i in range(draws)])
        sets = []
        for i in range(draws):
            labels = tensors["labels"][i] if model.conditional else None
            sets.append(sampling.draw(model, labels, n, derive(seed, "sample", i), place))
        tensors["images"] = torch.stack(sets)
        grid = sets[0][:N_GRID]
        if model.conditional:  # one row a class
            asked = torch.arange(len(counts)).repeat_interleave(COLUMNS)
            grid = sampling.draw(model, asked, len(asked), derive(seed, "grid"), place)
        if isinstance(model, Density):
            tensors |= _bounds(model, model.conditional, dataset, protocol, seed, place)
    keys = ("cell", "status", "divergence", "training_key")
    described = {key: metadata[key] for key in keys} | {"density": density, "checkpoint": checkpoint}
    io.write_tensors(folder / "samples.safetensors", tensors, described)
    io.write_bytes(
        folder / "grid.png", png_bytes(image_grid(grid, columns=COLUMNS, scale=max(1, 32 // shape[-1])))
    )
    print(f"{dataset} {variant} {seed}: {len(tensors['images'])} × {protocol.n_samples} samples")  # noqa: T201


def _best(folder: Path, dataset: str, device: torch.device) -> tuple[int, dict[str, Tensor]]:
    """The snapshot with the least FID against validation images: images shown before it, and its weights.

    The validation images are training images that are held back from training; the test split has no say.
    """
    snapshots, made = io.read_tensors(folder / "snapshots.safetensors")
    images, labels = read_split(Path("data", dataset), "train")
    _, held_back = hold_out(labels, load_params().dataset(dataset).training.n_validation)
    _, extractor = load_extractor(Path("extractors", dataset), shape_of(images))
    known = moments(extract(extractor, images[held_back], device).features)
    scores = [fid(extract(extractor, drawn, device).features, known) for drawn in snapshots["images"]]
    best = made["images_shown"][scores.index(min(scores))]
    return best, sampling.candidate(snapshots, best)


def _bounds(
    model: Density, conditional: bool, dataset: str, protocol: Protocol, seed: int, device: torch.device
) -> dict[str, Tensor]:
    """Bounds of the log-likelihood of held-out images, the first of those that the metrics read."""
    images, labels = read_split(Path("data", dataset), "test")
    key = f"{dataset}.protocol.bound_images"
    places = choose(torch.arange(len(images)), protocol.bound_images, key, "test")
    told = labels[places] if conditional else None
    return sampling.likelihood_bounds(
        model, images[places], told, protocol.bound_codes, derive(seed, "bounds"), device
    )


if __name__ == "__main__":
    run(main)
