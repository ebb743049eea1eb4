"""From images to features and logits, through the extractor interface of torch-fidelity."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.registry import register_feature_extractor

from gm_bench.metrics.arithmetic import full_float32
from gm_bench.metrics.extractors.inception import read_weights
from gm_bench.nets.lenet import from_weights

LENET = "gm-bench-lenet"
BATCH_SIZE = {"lenet": 256, "inception": 64}
PREPROCESSING = {
    "lenet": "uint8 at native size, x / 127.5 - 1",
    "inception": "uint8, grey repeated to 3 channels, bilinear to 299x299 as TensorFlow 1, (x - 128) / 128",
}


class LeNetExtractor(FeatureExtractorBase):
    """The LeNet as torch-fidelity's metrics read a network: layers `features` and `logits`.

    Args:
        name: as registered.
        features_list: the layers wanted, in this order.
        weights: tensors by name.
        image_shape: (C, H, W).
        options: whatever else torch-fidelity hands to every extractor.
    """

    def __init__(
        self,
        name: str,
        features_list: list[str],
        weights: dict[str, Tensor],
        image_shape: tuple[int, int, int],
        **options: Any,
    ) -> None:
        super().__init__(name, features_list)
        self.network = from_weights(weights, image_shape)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features, logits = self.network(images)
        layers = {"features": features, "logits": logits}
        return tuple(layers[name] for name in self.features_list)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return "features", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return {"isc": "logits", "fid": "features", "kid": "features", "prc": "features"}[metric]

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        raise NotImplementedError("the LeNet is not compiled")


register_feature_extractor(LENET, LeNetExtractor)


@dataclass(frozen=True)
class Extractor:
    """A network whose layers (features, logits) the metrics read.

    Args:
        name: lenet or inception.
        network: gives the two layers in this order for uint8 images.
        image_shape: (C, H, W) that it is meant for.
        channels: that the network itself reads; grey images are repeated up to it.
    """

    name: str
    network: FeatureExtractorBase
    image_shape: tuple[int, int, int]
    channels: int


@dataclass(frozen=True)
class Features:
    """What an extractor sees in a set of images, on the CPU.

    Args:
        features: float32 (N, D).
        logits: float32 (N, K).
    """

    features: Tensor
    logits: Tensor


def load_lenet(weights: dict[str, Tensor], image_shape: tuple[int, int, int]) -> Extractor:
    """The LeNet with these weights.

    Raises:
        ValueError: the weights do not fit the images.
    """
    network = LeNetExtractor(LENET, ["features", "logits"], weights=weights, image_shape=image_shape)
    return Extractor("lenet", network, image_shape, image_shape[0])


def load_inception(path: Path, image_shape: tuple[int, int, int]) -> Extractor:
    """TensorFlow's Inception of 2015 from a weight file whose content was checked.

    Its logits are read without their bias, as the Inception Score has always been computed. torch-fidelity
    opens weights in a way that can run code, so it gets a file of nothing but the tensors.

    Raises:
        WeightsError: the file is no file of tensors.
    """
    with TemporaryDirectory() as folder:
        tensors = Path(folder, path.name)
        torch.save(read_weights(path), tensors)
        network = FeatureExtractorInceptionV3(
            "inception-v3-compat",
            ["2048", "logits_unbiased"],
            feature_extractor_weights_path=str(tensors),
            feature_extractor_internal_dtype="float32",
        )
    return Extractor("inception", network, image_shape, 3)


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
    size = BATCH_SIZE[extractor.name]
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
