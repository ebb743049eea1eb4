"""Stages of stacked digits: stacks to files, and what the samples of a trained cell show of their modes."""

from typing import Any

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import DATA, REFERENCE, Cell
from gm_bench.data.dataset import DataError, load
from gm_bench.metrics.extractors.lenet import LeNetExtractor, pinned_record
from gm_bench.report.figures import image_grid, png_bytes
from gm_bench.reproducibility import derive, make_deterministic
from gm_bench.results.schema import OK
from gm_bench.tracks.mode_collapse.files import N_DRAWS_OF_FLOOR, write_floor, write_metrics
from gm_bench.tracks.mode_collapse.stacked.modes import N_CHANNELS, judge, numbered, seen, stacked
from gm_bench.tracks.mode_collapse.stacked.settings import N_SHOWN, Stacks
from gm_bench.training import sampling

SEED_OF_STACKS = 0  # the same training set for every cell
CPU = torch.device("cpu")


def fetch(dataset: str, stacks: Stacks, source: dict[str, Any]) -> None:
    """Write training stacks and the card, how many there are of each mode, and the floor.

    The floor is of stacks of test images, whose modes the classifier says as it does for samples: its
    mistakes are in it.

    Args:
        source: loader of the grey dataset, and its options.

    Raises:
        DataError: the dataset cannot be had, or the classifier is pinned for other images.
    """
    options = dict(source)
    grey = load(options.pop("loader"), **options)
    if pinned_record(stacks.of, io.sha256_tensor(grey.train_images)) is None:
        raise DataError(
            f"the LeNet pinned for {stacks.of} was trained on other images than those of its source in "
            "params.yaml: stacked digits need the split that it is pinned for"
        )
    generator = torch.Generator().manual_seed(derive(SEED_OF_STACKS, dataset))
    images, labels = stacked(grey.train_images, grey.train_labels, stacks.n_images + N_SHOWN, generator)
    io.write_tensors(DATA / dataset / "train.safetensors", {"images": images})
    io.write_json(DATA / dataset / "card.json", {"dataset": dataset, **_said(stacks)})
    n_classes = len(grey.card.classes)
    counts = numbered(labels, n_classes).bincount(minlength=n_classes**N_CHANNELS)
    shown, _ = stacked(grey.test_images, grey.test_labels, N_SHOWN, generator)
    io.write_tensors(REFERENCE / dataset / "real.safetensors", {"counts": counts, "images": shown})
    record, extractor = _classifier(stacks, images)
    # Each test image is looked at once: a stack's classes are those of its parts.
    classes, probability = (said[:, 0] for said in seen(grey.test_images, extractor, CPU))
    parts = [
        torch.randint(len(classes), (stacks.n_samples, N_CHANNELS), generator=generator)
        for _ in range(N_DRAWS_OF_FLOOR)
    ]
    draws = [judge(classes[drawn], probability[drawn], counts, n_classes) for drawn in parts]
    write_floor(dataset, draws, _protocol(stacks, record))


def evaluate(cell: Cell, stacks: Stacks, device: torch.device) -> dict[str, float]:
    """Write metrics.json and grid.png of a trained cell; a diverged one gets neither values nor images."""
    make_deterministic()
    tensors, metadata = io.read_tensors(cell.folder / "model.safetensors")
    real, _ = io.read_tensors(REFERENCE / cell.dataset / "real.safetensors")
    record, extractor = _classifier(stacks, real["images"])
    values: dict[str, float] = {}
    images = torch.zeros_like(real["images"])
    if metadata["status"] == OK:
        images = draw(sampling.load(tensors, metadata, device), stacks.n_samples, cell.seed, device)
        values = judge(*seen(images, extractor, device), real["counts"], extractor.n_logits)
    write_metrics(cell, metadata, _protocol(stacks, record), values, {}, images, device)
    picture = image_grid(images[:N_SHOWN], columns=round(N_SHOWN**0.5), scale=1)
    io.write_bytes(cell.folder / "grid.png", png_bytes(picture))
    return values


def draw(model: sampling.Sampler, n: int, seed: int, device: torch.device) -> Tensor:
    """Samples (n, 3, H, W), uint8, of a model in eval mode."""
    return sampling.draw(model, None, n, derive(seed, "sample"), device)


def _classifier(stacks: Stacks, images: Tensor) -> tuple[dict[str, Any], LeNetExtractor]:
    """The record and the network that are pinned for the grey dataset of stacks (…, 3, H, W)."""
    height, width = images.shape[-2:]
    return LeNetExtractor.of_package(stacks.of, (1, height, width))


def _said(stacks: Stacks) -> dict[str, object]:
    return stacks.model_dump(include={"of", "n_images"})


def _protocol(stacks: Stacks, record: dict[str, Any]) -> dict[str, object]:
    """What the numbers depend on besides the samples."""
    extractor = {key: record[key] for key in ("name", "sha256", "test_accuracy")}
    return {"n_samples": stacks.n_samples, "stacked": _said(stacks), "extractor": extractor}
