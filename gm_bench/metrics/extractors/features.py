"""From images to features and logits: what an extractor is, and how it is read."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from gm_bench.metrics.arithmetic import full_float32


class WeightsError(ValueError):
    """Weights that cannot be had or are not the right ones; the message says what to do."""


class Extractor(ABC):
    """A network whose layers (features, logits) the metrics read.

    A file of this folder defines one, under the file's name.

    Attributes:
        name: that of its file.
        preprocessing: what becomes of an image before the first layer, in words; part of the protocol.
        batch_size: images in one pass.
        own_classes: whether it is trained on the labels of the dataset that it is for, so that its logits are
            of the dataset's own classes.

    Args:
        network: (features, logits) of uint8 images (N, channels, H, W).
        image_shape: (C, H, W) of the images that it is meant for.
        channels: that the network reads, a multiple of C; images are repeated up to it.
        n_features: D.
        n_logits: K.
    """

    name: ClassVar[str]
    preprocessing: ClassVar[str]
    batch_size: ClassVar[int]
    own_classes: ClassVar[bool]

    def __init__(
        self,
        network: nn.Module,
        image_shape: tuple[int, int, int],
        channels: int,
        n_features: int,
        n_logits: int,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.channels = channels
        self.n_features = n_features
        self.n_logits = n_logits

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, record: dict[str, Any], image_shape: tuple[int, int, int]) -> Self:
        """The network that the extractor stage left, or named, in a folder.

        Args:
            folder: extractors/DATASET.
            record: what extractor.json there says.
            image_shape: (C, H, W) of the images that it is to read.

        Raises:
            WeightsError: its weights are missing or are others than the record says.
            ValueError: they do not fit the images.
        """

    @classmethod
    def published(cls) -> dict[str, Any]:
        """The record (`describe`) of an extractor whose weights are published, after a look at the weights.

        Raises:
            WeightsError: they cannot be had, or this extractor is trained on a dataset's own labels.
        """
        raise WeightsError(f"{cls.name} has no published weights: it is trained on the labels of a dataset")

    @classmethod
    def describe(
        cls,
        sha256: str,
        n_features: int,
        n_logits: int,
        comparable: str,
        test_accuracy: float | None = None,
        weights: str | None = None,
    ) -> dict[str, Any]:
        """What extractor.json says.

        Args:
            sha256: of the weight file.
            comparable: whose numbers may stand beside each other: "everywhere" or "among themselves".
            weights: name of the weight file, where it lies beside the record.
        """
        return {
            "schema": 1,
            "name": cls.name,
            "sha256": sha256,
            "features": n_features,
            "logits": n_logits,
            "comparable": comparable,
            "test_accuracy": test_accuracy,
            "weights": weights,
        }


def read_weights(path: Path, remedy: str = "") -> dict[str, Tensor]:
    """The tensors of a published weight file by name; nothing else in it is brought to life.

    Args:
        remedy: how the sentence of an error goes on.

    Raises:
        WeightsError: there is something else in it, or it is no weight file.
    """
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of pickle's own class, and no module here imports pickle
        raise WeightsError(f"{path} holds more than tensors, or is no weight file{remedy}") from error
    return weights


@dataclass(frozen=True)
class Features:
    """What an extractor sees in a set of images, on the CPU.

    Args:
        features: float32 (N, D).
        logits: float32 (N, K).
    """

    features: Tensor
    logits: Tensor


def extract(extractor: Extractor, images: Tensor, device: torch.device) -> Features:
    """Features and logits of a set of images, both in one pass.

    Every batch has the same size, the last one being filled up with black images that are dropped again, so
    that what is seen in an image depends neither on its place nor on how many others there are.

    Args:
        images: uint8 (N, C, H, W), N at least 2.
        device: computes; the result is on the CPU.

    Raises:
        ValueError: `check_images` refuses them.
    """
    check_images(images, extractor.image_shape)
    size = extractor.batch_size
    network = extractor.network.to(device).eval()
    features, logits = [], []
    with torch.inference_mode(), full_float32():
        for batch in images.split(size):
            filled = batch.new_zeros((size, *batch.shape[1:]))
            filled[: len(batch)] = batch
            repeats = extractor.channels // batch.shape[1]
            seen = network(filled.to(device).repeat(1, repeats, 1, 1))
            features.append(seen[0][: len(batch)].float().cpu())
            logits.append(seen[1][: len(batch)].float().cpu())
    return Features(torch.cat(features), torch.cat(logits))


def check_images(images: Tensor, image_shape: tuple[int, int, int]) -> None:
    """Refuse images that would be measured, but not for what they are.

    Images of zeros alone pass: a collapsed generator may draw black.

    Raises:
        ValueError: not uint8 (N, C, H, W) of the given shape, fewer than 2, or no value but 0 and 1.
    """
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise ValueError(f"images must be uint8 (N, C, H, W), not {images.dtype} {tuple(images.shape)}")
    if tuple(images.shape[1:]) != tuple(image_shape):
        expected, given = ("×".join(map(str, shape)) for shape in (image_shape, images.shape[1:]))
        raise ValueError(
            f"images are {given} but the extractor is for {expected}: "
            "channels and size are never converted silently"
        )
    if len(images) < 2:
        raise ValueError(f"{len(images)} image has no distribution: at least 2 are needed")
    if int(images.max()) == 1:
        raise ValueError("images hold no value but 0 and 1: scale them to 0 … 255 before they are made uint8")
