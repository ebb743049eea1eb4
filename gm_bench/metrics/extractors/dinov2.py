"""DINOv2's vision transformer ViT-B/14, as an extractor.

Features are the normalised class token; it was trained without labels, so there are no classes. Images are
prepared as torch-fidelity does it. Its own network is code that it downloads, so here it has ours.
"""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2
from torch_fidelity.registry import register_feature_extractor

from gm_bench.metrics.extractors.features import Extractor, read_weights
from gm_bench.metrics.extractors.pretrained import AS_IMAGENET, FeaturesAlone, WeightFile
from gm_bench.nets.dinov2 import from_weights

REGISTERED = "gm-bench-dinov2-vit-b-14"
WEIGHTS = WeightFile(
    network="DINOv2",
    variable="GM_BENCH_DINOV2_WEIGHTS",
    name="dinov2_vitb14_pretrain.pth",
    url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth",
    sha256="0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
)
N_FEATURES = 768


class DinoV2Layers(FeatureExtractorDinoV2):
    """torch-fidelity's extractor, whose constructor takes no weights, with weights.

    Args:
        name: as registered.
        features_list: the layers wanted; there is `dinov2` alone.
        weights: tensors by name.
        options: whatever else torch-fidelity hands to every extractor.
    """

    def __init__(
        self, name: str, features_list: list[str], weights: dict[str, Tensor], **options: Any
    ) -> None:
        FeatureExtractorBase.__init__(self, name, features_list)
        self.feature_extractor_internal_dtype = torch.float32
        self.model = from_weights(weights)


register_feature_extractor(REGISTERED, DinoV2Layers)


class DinoV2Extractor(Extractor):
    name = "dinov2"
    preprocessing = AS_IMAGENET
    batch_size = 32
    own_classes = False

    @classmethod
    def load(cls, folder: Path, record: dict[str, Any], image_shape: tuple[int, int, int]) -> Self:
        weights = read_weights(WEIGHTS.find(), f": {WEIGHTS.remedy}")
        network = DinoV2Layers(REGISTERED, ["dinov2"], weights)
        return cls(FeaturesAlone(network), image_shape, 3, N_FEATURES, 0)

    @classmethod
    def published(cls) -> dict[str, Any]:
        WEIGHTS.find()
        return cls.describe(WEIGHTS.sha256, N_FEATURES, 0, comparable="everywhere")
