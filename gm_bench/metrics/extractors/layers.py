"""Classifiers as torch-fidelity's metrics read a network."""

from torch import Tensor, nn
from torch_fidelity.feature_extractor_base import FeatureExtractorBase


class ClassifierLayers(FeatureExtractorBase):
    """The layers `features` and `logits` of a network of uint8 images (N, C, H, W).

    Args:
        name: as registered.
        features_list: the layers wanted, in this order.
        network: (features, logits) of what `prepared` makes of images.
    """

    def __init__(self, name: str, features_list: list[str], network: nn.Module) -> None:
        super().__init__(name, features_list)
        self.network = network

    def prepared(self, images: Tensor) -> Tensor:
        """What the first layer sees of images."""
        return images

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features, logits = self.network(self.prepared(images))
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
        raise NotImplementedError("classifiers are not compiled")
