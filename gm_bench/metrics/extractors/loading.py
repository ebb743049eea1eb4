"""The extractor of one dataset as its stage left it, ready to look at images."""

from pathlib import Path
from typing import Any

from gm_bench import io
from gm_bench.metrics.extractors.features import Extractor, load_inception, load_lenet
from gm_bench.metrics.extractors.inception import find_weights


class ExtractorError(ValueError):
    """An extractor's files contradict each other; the message says what to do."""


def load_extractor(folder: Path, image_shape: tuple[int, int, int]) -> tuple[dict[str, Any], Extractor]:
    """What extractor.json in a folder says, and the network itself, its weights checked against it.

    Args:
        image_shape: (C, H, W) of the images that it is to look at.

    Raises:
        ValueError: the weights are not those of the record, or do not fit the images.
        FileError: a file is missing or damaged.
    """
    info = io.read_json(folder / "extractor.json")
    if info["name"] == "inception":
        return info, load_inception(find_weights(), image_shape)
    weights = folder / info["weights"]
    if io.sha256_file(weights) != info["sha256"]:
        raise ExtractorError(
            f"{weights} is not the file that extractor.json names: run the extractor stage again"
        )
    return info, load_lenet(io.read_tensors(weights)[0], image_shape)
