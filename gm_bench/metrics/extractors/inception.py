"""TensorFlow's Inception of 2015, the network that published distances are measured with, as an extractor.

Its weights are no part of this package: they are found or downloaded, and checked.
"""

from pathlib import Path
from typing import Any, Self

from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from gm_bench.metrics.extractors.features import Extractor
from gm_bench.metrics.extractors.pretrained import WeightFile, tensors_alone

FILE = "weights-inception-2015-12-05-6726825d.pth"
WEIGHTS = WeightFile(
    network="Inception",
    variable="GM_BENCH_INCEPTION_WEIGHTS",
    name=FILE,
    url=f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)
N_FEATURES, N_LOGITS = 2048, 1008


class InceptionExtractor(Extractor):
    """Its logits are read without their bias, as the Inception Score has always been computed."""

    name = "inception"
    preprocessing = "uint8, grey repeated to 3 channels, bilinear to 299x299 as TensorFlow 1, (x - 128) / 128"
    batch_size = 64
    own_classes = False

    @classmethod
    def of_weights(cls, path: Path, image_shape: tuple[int, int, int]) -> Self:
        """The network with the weights of a file whose content was checked.

        Raises:
            WeightsError: the file is no file of tensors.
        """
        with tensors_alone(path, WEIGHTS.url) as tensors:
            network = FeatureExtractorInceptionV3(
                "inception-v3-compat",
                ["2048", "logits_unbiased"],
                feature_extractor_weights_path=tensors,
                feature_extractor_internal_dtype="float32",
            )
        return cls(network, image_shape, 3, N_FEATURES, N_LOGITS)

    @classmethod
    def load(cls, folder: Path, record: dict[str, Any], image_shape: tuple[int, int, int]) -> Self:
        return cls.of_weights(WEIGHTS.find(), image_shape)

    @classmethod
    def published(cls) -> dict[str, Any]:
        WEIGHTS.find()
        return cls.describe(WEIGHTS.sha256, N_FEATURES, N_LOGITS, comparable="everywhere")
