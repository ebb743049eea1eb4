"""Extractors by name, and the one of a dataset as its stage left it."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

from gm_bench import io
from gm_bench.metrics.extractors import names
from gm_bench.metrics.extractors.features import Extractor


class ExtractorError(ValueError):
    """There is no such extractor; the message lists those there are."""


def find(name: str) -> type[Extractor]:
    """The extractor in the file of that name.

    Raises:
        ExtractorError: no such file, or it defines no extractor.
    """
    if name not in names():
        raise ExtractorError(
            f"unknown extractor '{name}'; gm_bench/metrics/extractors/ holds: {', '.join(names())}"
        )
    module = import_module(f"gm_bench.metrics.extractors.{name}")
    found = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
    classes = [c for c in found if issubclass(c, Extractor)]
    if len(classes) != 1 or classes[0].name != name:
        raise ExtractorError(
            f"gm_bench/metrics/extractors/{name}.py must define one Extractor of the name '{name}'"
        )
    return classes[0]


def load_extractor(folder: Path, image_shape: tuple[int, int, int]) -> tuple[dict[str, Any], Extractor]:
    """What extractor.json in a folder says, and the network itself, its weights checked against it.

    Args:
        image_shape: (C, H, W) of the images that it is to look at.

    Raises:
        ValueError: the weights are not those of the record, or do not fit the images.
        FileError: a file is missing or damaged.
    """
    record = io.read_json(folder / "extractor.json")
    return record, find(record["name"]).load(folder, record, image_shape)
