"""CLIP's image encoder ViT-B/32, as torch-fidelity reads it, as an extractor.

Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision". Features
are the embedding that images share with texts, not normalised; there are no classes.
"""

import warnings
from pathlib import Path
from typing import Any, Self

from torch_fidelity.feature_extractor_clip import MODEL_METADATA, MODEL_URLS, FeatureExtractorCLIP

from gm_bench.metrics.extractors.features import Extractor, WeightsError
from gm_bench.metrics.extractors.pretrained import FeaturesAlone, WeightFile

MODEL = "clip-vit-b-32"  # as torch-fidelity calls it
WEIGHTS = WeightFile(
    network="CLIP",
    variable="GM_BENCH_CLIP_WEIGHTS",
    name="ViT-B-32.pt",
    url=MODEL_URLS[MODEL],
    sha256=MODEL_METADATA[MODEL]["hash"],
)
N_FEATURES = 512


class CLIPExtractor(Extractor):
    name = "clip"
    preprocessing = (
        "uint8, grey repeated to 3 channels, bilinear to 224x224 as TensorFlow 1, "
        "(x / 255 - (0.48145466, 0.4578275, 0.40821073)) / (0.26862954, 0.26130258, 0.27577711)"
    )
    batch_size = 64
    own_classes = False

    @classmethod
    def load(cls, folder: Path, record: dict[str, Any], image_shape: tuple[int, int, int]) -> Self:
        # The file is a program in TorchScript, which cannot be read as tensors alone: none but the one that
        # was published is opened.
        path = WEIGHTS.find()
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*torch.jit.load.* is deprecated")
                network = FeatureExtractorCLIP(
                    MODEL,
                    ["clip"],
                    feature_extractor_weights_path=str(path),
                    feature_extractor_internal_dtype="float32",
                )
        except RuntimeError as error:
            raise WeightsError(f"{path} is no TorchScript archive of CLIP: {WEIGHTS.remedy}") from error
        return cls(FeaturesAlone(network), image_shape, 3, N_FEATURES, 0)

    @classmethod
    def published(cls) -> dict[str, Any]:
        WEIGHTS.find()
        return cls.describe(WEIGHTS.sha256, N_FEATURES, 0, comparable="everywhere")
