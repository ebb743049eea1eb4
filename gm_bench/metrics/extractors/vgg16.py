"""VGG-16 with torchvision's weights of ImageNet, as torch-fidelity reads it, as an extractor.

Source: Simonyan & Zisserman 2015, "Very deep convolutional networks for large-scale image recognition",
configuration D; its second fully connected layer, rectified, is what Kynkäänniemi et al. 2019 measure
precision and recall with. Its classes are not read.
"""

from pathlib import Path
from typing import Any, Self

from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16

from gm_bench.metrics.extractors.features import Extractor
from gm_bench.metrics.extractors.pretrained import AS_IMAGENET, FeaturesAlone, WeightFile, tensors_alone

WEIGHTS = WeightFile(
    network="VGG-16",
    variable="GM_BENCH_VGG16_WEIGHTS",
    name="vgg16-397923af.pth",
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
)
N_FEATURES = 4096


class VGG16Extractor(Extractor):
    name = "vgg16"
    preprocessing = AS_IMAGENET
    batch_size = 32
    own_classes = False

    @classmethod
    def load(cls, folder: Path, record: dict[str, Any], image_shape: tuple[int, int, int]) -> Self:
        with tensors_alone(WEIGHTS.find(), WEIGHTS.url) as tensors:
            network = FeatureExtractorVGG16(
                "vgg16",
                ["fc2_relu"],
                feature_extractor_weights_path=tensors,
                feature_extractor_internal_dtype="float32",
            )
        return cls(FeaturesAlone(network), image_shape, 3, N_FEATURES, 0)

    @classmethod
    def published(cls) -> dict[str, Any]:
        WEIGHTS.find()
        return cls.describe(WEIGHTS.sha256, N_FEATURES, 0, comparable="everywhere")
