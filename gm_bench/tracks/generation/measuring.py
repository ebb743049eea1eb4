"""The stage evaluate, from files to files: every metric of every draw of a cell."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import EXTRACTORS, REFERENCE, Cell
from gm_bench.metrics.extractors.features import Extractor, Features, extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.nets.lenet import shape_of
from gm_bench.reproducibility import describe, make_deterministic
from gm_bench.results.protocol import LIKELIHOOD, Protocol, build_protocol, same_protocol
from gm_bench.tracks.generation.evaluation import (
    Reference,
    all_metrics,
    closest_pairs,
    curve_point,
    missing_classes,
)

SCHEMA = 2
CURVES = ("fid", "one_nn")
Json = dict[str, Any]


def measure(cell: Cell, config: Protocol, device: torch.device) -> Json:
    """Write metrics.json of a cell; a diverged cell gets no values.

    `values` has one number a draw. Models with a density have the means of its bounds among them, one for all
    draws, in nats. `curves` has FID and 1-NN accuracy of the snapshots of training, each with the images
    shown before it, against the validation images and so at a smaller N. `details` says what the density is
    of, which checkpoint was drawn from and, for every draw, which classes it misses and its samples nearest
    to training images: places in the draw and in the training split, and their distance over the median one
    of held-out images.

    Args:
        config: the dataset's protocol.

    Returns:
        What metrics.json says.

    Raises:
        ValueError: the samples or the reference are of another protocol, or a metric refuses them.
        FileError: a file of an earlier stage is missing or damaged.
    """
    make_deterministic()
    samples, made = io.read_tensors(cell.folder / "samples.safetensors")
    images = samples["images"]
    real, described = io.read_tensors(REFERENCE / cell.dataset / "features.safetensors")
    record, extractor = load_extractor(EXTRACTORS / cell.dataset, shape_of(images))
    protocol = build_protocol(
        cell.dataset, config, record, extractor.preprocessing, described["protocol"]["images_sha256"]
    )
    _check_reference(cell.dataset, protocol, described["protocol"])
    values: dict[str, list[float]] = {}
    details: Json = {"missing_classes": [], "closest_pairs": []}
    if made["status"] == "ok":
        _check_samples(images, config, cell.dataset)
        values, details = _measure_draws(samples, real, described["classes"], extractor, config, device)
    content = {
        "schema": SCHEMA,
        "cell": cell.as_dict(),
        "status": made["status"],
        "divergence": made["divergence"],
        "protocol": protocol,
        "values": values,
        "curves": _curves(cell, real, extractor, device),
        "details": {"density": made["density"], "checkpoint": made["checkpoint"], **details},
        "device": describe(device),
        "hashes": {"training_key": made["training_key"], "samples": io.sha256_tensor(images)},
    }
    io.write_json(cell.folder / "metrics.json", content)
    return content


def _measure_draws(
    samples: Mapping[str, Tensor],
    real: Mapping[str, Tensor],
    classes: list[str],
    extractor: Extractor,
    config: Protocol,
    device: torch.device,
) -> tuple[dict[str, list[float]], Json]:
    """Metric → one value a draw, and what each draw shows besides."""
    reference, places = Reference.from_tensors(real), real["train_places"]
    values: dict[str, list[float]] = {}
    missing, closest = [], []
    for i, draw in enumerate(samples["images"]):
        seen = extract(extractor, draw, device)
        labels = samples["labels"][i] if "labels" in samples else None
        for name, value in all_metrics(seen, draw, reference, config, device, labels).items():
            values.setdefault(name, []).append(value)
        missing.append([classes[label] for label in missing_classes(seen, reference)])
        pairs = closest_pairs(seen, reference)
        closest.append([pair | {"train": int(places[pair["train"]])} for pair in pairs])
    values |= {name: [float(samples[name].mean())] for name in LIKELIHOOD if name in samples}
    return values, {"missing_classes": missing, "closest_pairs": closest}


def _curves(
    cell: Cell, real: Mapping[str, Tensor], extractor: Extractor, device: torch.device
) -> dict[str, list[list[float]]]:
    """Metric → [images shown, value] of each snapshot of training."""
    snapshots, made = io.read_tensors(cell.folder / "snapshots.safetensors")
    validation = Features(real["validation_features"], real["validation_logits"])
    points = [curve_point(extract(extractor, s, device), validation, device) for s in snapshots["images"]]
    shown = made["images_shown"]
    return {name: [[n, point[name]] for n, point in zip(shown, points, strict=True)] for name in CURVES}


def _check_samples(images: Tensor, config: Protocol, dataset: str) -> None:
    """Refuse samples that are not as many as params.yaml says."""
    if images.shape[:2] != (config.draws, config.n_samples):
        raise ValueError(
            f"the samples are {images.shape[0]} draws of {images.shape[1]} images but datasets.{dataset}"
            f".protocol says {config.draws} of {config.n_samples}: run the sample stage again"
        )


def _check_reference(dataset: str, protocol: Json, of_reference: Json) -> None:
    """Refuse a reference that was made under another protocol."""
    difference = same_protocol(protocol, of_reference)
    if difference:
        raise ValueError(
            f"reference/{dataset} was made under another protocol ({difference}): run that stage again"
        )
