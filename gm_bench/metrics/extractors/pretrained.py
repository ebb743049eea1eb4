"""What extractors share whose weights are published files: where the file is found, and how it is opened."""

import os
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from gm_bench.io import sha256_file
from gm_bench.metrics.extractors.features import WeightsError, read_weights

# What torch-fidelity makes of images for networks that were trained on ImageNet at 224 pixels.
AS_IMAGENET = (
    "uint8, grey repeated to 3 channels, bilinear to 224x224 as TensorFlow 1, "
    "(x / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)"
)


@dataclass(frozen=True)
class WeightFile:
    """A published file of weights.

    Args:
        network: whose weights they are, in sentences.
        variable: of the environment, which may name the file.
        name: of the file.
        url: where it is published.
        sha256: of its content.
    """

    network: str
    variable: str
    name: str
    url: str
    sha256: str

    def at_hand(self) -> bool:
        """Whether a file is named by the environment or was downloaded before."""
        return bool(os.environ.get(self.variable)) or self._kept().is_file()

    def find(self) -> Path:
        """Path of the file, its content checked.

        It is looked for where the environment variable points, else in torch-hub's folder, else downloaded
        to there.

        Raises:
            WeightsError: the file is missing and cannot be downloaded, or its content is another.
        """
        given = os.environ.get(self.variable)
        path = Path(given) if given else self._kept()
        if given and not path.is_file():
            raise WeightsError(
                f"{self.variable} names {path}, which is no file: it must be {self.name} from {self.url}"
            )
        if not path.is_file():
            self._download(path)
        if sha256_file(path) != self.sha256:
            raise WeightsError(
                f"{path} is not the file {self.name} (its sha256 must be {self.sha256}): {self.remedy}"
            )
        return path

    @property
    def remedy(self) -> str:
        """What to do about a file that is not the right one."""
        return f"replace it from {self.url}"

    def _kept(self) -> Path:
        return Path(torch.hub.get_dir()) / "checkpoints" / self.name

    def _download(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(self.url, str(path), hash_prefix=self.sha256, progress=False)
        except (OSError, RuntimeError, urllib.error.URLError) as error:
            raise WeightsError(
                f"cannot download the {self.network} weights ({' '.join(str(error).split())}): get "
                f"{self.url} elsewhere and put it at {path}, or point {self.variable} to it, or choose the "
                "extractor efficientnet_lite0, which needs no download"
            ) from error


@contextmanager
def tensors_alone(path: Path, url: str) -> Iterator[str]:
    """Path of a file of nothing but the tensors of a weight file, for as long as it is needed.

    torch-fidelity opens weights in a way that can run code.

    Args:
        path: of the weight file.
        url: where another one is to be had.

    Raises:
        WeightsError: there is something else in it, or it is no weight file.
    """
    with TemporaryDirectory() as folder:
        tensors = Path(folder, path.name)
        torch.save(read_weights(path, f": replace it from {url}"), tensors)
        yield str(tensors)


class FeaturesAlone(nn.Module):
    """A network that tells no classes apart, as an extractor reads it: features (N, D), logits (N, 0).

    Args:
        network: uint8 images (N, C, H, W) → its one layer, as torch-fidelity's networks give it: (features,).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        (features,) = self.network(images)
        return features, features[:, :0]
