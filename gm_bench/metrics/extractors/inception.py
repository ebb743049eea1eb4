"""TensorFlow's Inception of 2015, the network that published distances are measured with, as an extractor.

Its weights are no part of this package: they are found or downloaded, and checked.
"""

import os
import urllib.error
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from gm_bench.io import sha256_file
from gm_bench.metrics.extractors.features import Extractor, WeightsError, read_weights

VARIABLE = "GM_BENCH_INCEPTION_WEIGHTS"
FILE = "weights-inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
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

        torch-fidelity opens weights in a way that can run code, so it gets a file of nothing but the tensors.

        Raises:
            WeightsError: the file is no file of tensors.
        """
        with TemporaryDirectory() as folder:
            tensors = Path(folder, path.name)
            torch.save(read_weights(path, f": replace it from {URL}"), tensors)
            network = FeatureExtractorInceptionV3(
                "inception-v3-compat",
                ["2048", "logits_unbiased"],
                feature_extractor_weights_path=str(tensors),
                feature_extractor_internal_dtype="float32",
            )
        return cls(network, image_shape, 3, N_FEATURES, N_LOGITS)

    @classmethod
    def load(cls, folder: Path, record: dict[str, Any], image_shape: tuple[int, int, int]) -> Self:
        return cls.of_weights(find_weights(), image_shape)

    @classmethod
    def published(cls) -> dict[str, Any]:
        find_weights()
        return cls.describe(SHA256, N_FEATURES, N_LOGITS, comparable="everywhere")


def at_hand() -> bool:
    """Whether a file of weights is named by the environment or was downloaded before."""
    return bool(os.environ.get(VARIABLE)) or _kept().is_file()


def find_weights() -> Path:
    """Path of the checked weight file.

    It is looked for where the environment variable `GM_BENCH_INCEPTION_WEIGHTS` points, else in torch-hub's
    folder, where torch-fidelity keeps it too, else downloaded to there.

    Raises:
        WeightsError: the file is missing and cannot be downloaded, or its content is another.
    """
    given = os.environ.get(VARIABLE)
    path = Path(given) if given else _kept()
    if given and not path.is_file():
        raise WeightsError(f"{VARIABLE} names {path}, which is no file: it must be {FILE} from {URL}")
    if not path.is_file():
        _download(path)
    if sha256_file(path) != SHA256:
        raise WeightsError(
            f"{path} is not the file {FILE} (its sha256 must be {SHA256}): replace it from {URL}"
        )
    return path


def _kept() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / FILE


def _download(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(path), hash_prefix=SHA256, progress=False)
    except (OSError, RuntimeError, urllib.error.URLError) as error:
        raise WeightsError(
            f"cannot download the Inception weights ({' '.join(str(error).split())}): get {URL} elsewhere "
            f"and put it at {path}, or point {VARIABLE} to it, or choose the extractor efficientnet_lite0, "
            "which needs no download"
        ) from error
