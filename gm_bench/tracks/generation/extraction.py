"""The stage extractor, from files to files: the network whose features the metrics of a dataset read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import DATA, EXTRACTORS
from gm_bench.data.dataset import read_split
from gm_bench.metrics.extractors import lenet
from gm_bench.metrics.extractors.classifier import train_classifier
from gm_bench.metrics.extractors.lenet import LeNetExtractor
from gm_bench.metrics.extractors.loading import find
from gm_bench.reproducibility import make_deterministic

SEED = 0
Split = tuple[Tensor, Tensor]


def prepare(
    dataset: str, name: str, device: torch.device, say: Callable[[str], None], pin: bool = False
) -> dict[str, Any]:
    """Write extractors/DATASET: pinned weights, newly trained ones, or the hash of published ones.

    Args:
        name: of the extractor.
        device: trains.
        say: is told of each epoch of training.
        pin: train anew, on the CPU, and keep the weights in the package.

    Returns:
        What extractor.json says.

    Raises:
        ValueError: the weights cannot be had, or the labels do not do for training.
    """
    extractor, out = find(name), EXTRACTORS / dataset
    if extractor.own_classes:
        on = torch.device("cpu") if pin else device
        record = _of_labels(dataset, out / "weights.safetensors", pin, on, say)
    elif pin:
        raise ValueError(f"the extractor of {dataset} is {name}, whose weights are not trained here")
    else:
        record = extractor.published()
    io.write_json(out / "extractor.json", record)
    return record


def _of_labels(
    dataset: str, weights: Path, pin: bool, device: torch.device, say: Callable[[str], None]
) -> dict[str, Any]:
    """Write the weights of a LeNet for a dataset: those pinned for its training images, else trained."""
    train = read_split(DATA / dataset, "train")
    train_sha256 = io.sha256_tensor(train[0])
    record = None if pin else lenet.pinned_record(dataset, train_sha256)
    if record:
        io.write_bytes(weights, lenet.read_pinned(dataset, record))
        accuracy = record["test_accuracy"]
    else:
        accuracy = _train(dataset, train, weights, device, say)
    sha256 = io.sha256_file(weights)
    if pin:
        record = {
            "sha256": sha256,
            "test_accuracy": accuracy,
            "train_sha256": train_sha256,
            "seed": SEED,
            "command": f"python -m pipelines.extractor {dataset} --pin",
            "torch": torch.__version__.partition("+")[0],
        }
        lenet.pin(dataset, weights, record)
    return LeNetExtractor.describe(
        sha256,
        *lenet.widths(io.read_tensors(weights)[0]),
        comparable="everywhere" if record else "among themselves",
        test_accuracy=accuracy,
        weights=weights.name,
    )


def _train(
    dataset: str, train: Split, weights: Path, device: torch.device, say: Callable[[str], None]
) -> float:
    def on_epoch(epoch: int, n_epochs: int) -> None:
        say(f"{dataset}: classifier for the features, epoch {epoch} of {n_epochs}")

    make_deterministic()
    trained = train_classifier(train, read_split(DATA / dataset, "test"), SEED, device, on_epoch)
    io.write_tensors(weights, trained.weights)
    return trained.test_accuracy
