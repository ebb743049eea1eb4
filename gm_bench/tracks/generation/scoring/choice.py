"""Which extractor sees real images of one's own, and how it is had."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import EXTRACTORS
from gm_bench.config import PARAMS_FILE
from gm_bench.data.images import Foreign
from gm_bench.data.originals import cache_folder
from gm_bench.metrics.extractors.features import Extractor, WeightsError
from gm_bench.metrics.extractors.lenet import LeNetExtractor, widths
from gm_bench.metrics.extractors.loading import find, load_extractor
from gm_bench.nets import lenet_reads
from gm_bench.nets.lenet import shape_of
from gm_bench.running.code import code_hash
from gm_bench.tracks.generation.scoring.request import AUTO, ScoringError

SEED = 0
LENET, INCEPTION, LITE = "lenet", "inception", "efficientnet_lite0"


def choose(choice: str, shape: tuple[int, int, int], labelled: bool, say: Callable[[str], None]) -> str:
    """The extractor that "auto" comes to; any other choice is itself.

    Labelled grey images of a size that it reads have a LeNet trained on them. Others are seen by Inception
    where its weights are at hand, so that the numbers compare with published ones, else by
    EfficientNet-Lite0, which is installed.

    Args:
        shape: (C, H, W) of the images.
        labelled: whether they have labels.
        say: told of Inception or EfficientNet-Lite0, and what gives the other.
    """
    if choice != AUTO:
        return choice
    if shape[0] == 1 and labelled and lenet_reads(shape):
        return LENET
    from gm_bench.metrics.extractors import inception  # half of the time that everything takes to import

    if inception.WEIGHTS.at_hand():
        say(f"extractor: {INCEPTION}, whose weights are at hand; --extractor {LITE} needs none")
        return INCEPTION
    say(
        f"extractor: {LITE}, since Inception's weights are not at hand: its distances are not those of "
        f"publications; with {inception.WEIGHTS.variable} or --extractor {INCEPTION} they are"
    )
    return LITE


def labels_of(real: Foreign, path: Path) -> Tensor:
    """Labels of real images (N,).

    Raises:
        ScoringError: they have none.
    """
    if real.labels is None:
        raise ScoringError(
            f"{path} has no labels to train a classifier on: put the images into one sub-folder per class "
            "(or an array 'labels' beside them), or choose another --extractor"
        )
    return real.labels


def own_extractor(
    real: Foreign,
    taught: Tensor,
    others: Tensor,
    name: str,
    path: Path,
    device: torch.device,
    say: Callable[[str], None],
    kept: Path,
) -> tuple[dict[str, Any], Extractor]:
    """A published one, or a LeNet taught with some of the images and tested on others.

    The LeNet is kept under a hash of the images and of the code that trains it.
    """
    shape = shape_of(real.images)
    if name != LENET:
        try:
            info = find(name).published()
            return info, find(name).load(kept, info, shape)
        except WeightsError as error:
            raise ScoringError(f"{error}; or give --extractor another value") from None
    from gm_bench.metrics.extractors import classifier

    labels = labels_of(real, path)
    split = [(real.images[places], labels[places]) for places in (taught, others)]
    hashes = [
        code_hash([classifier.__name__]),
        *(io.sha256_tensor(t) for pair in split for t in pair),
    ]
    folder = kept / f"own-{hashlib.sha256(''.join(hashes).encode()).hexdigest()[:16]}"
    if not (folder / "extractor.json").exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ScoringError(
                f"a classifier cannot be kept in {folder} ({error.strerror}): set XDG_CACHE_HOME to a folder "
                "that can be written"
            ) from None
        say(f"training a small classifier on {len(taught):,} images of {path}, once: it is kept in {folder}")
        trained = classifier.train_classifier(split[0], split[1], SEED, device)
        io.write_tensors(folder / "weights.safetensors", trained.weights)
        record = LeNetExtractor.describe(
            io.sha256_file(folder / "weights.safetensors"),
            *widths(trained.weights),
            comparable="among themselves",
            test_accuracy=trained.test_accuracy,
            weights="weights.safetensors",
        )
        io.write_json(folder / "extractor.json", record)
    return load_extractor(folder, shape)


def borrowed_extractor(dataset: str, shape: tuple[int, int, int]) -> tuple[dict[str, Any], Extractor]:
    """The extractor of a dataset: its stage's, else a pinned one."""
    folder = EXTRACTORS / dataset
    if not (folder / "extractor.json").exists():
        return LeNetExtractor.of_package(dataset, shape)
    return load_extractor(folder, shape)


def kept_extractors() -> Path:
    """Where classifiers trained on own images are kept: a repository that can be written, else the cache."""
    if PARAMS_FILE.exists() and os.access(EXTRACTORS if EXTRACTORS.exists() else Path(), os.W_OK):
        return EXTRACTORS
    return cache_folder() / "extractors"
