"""Extractors: networks whose features and logits the metrics read. A file of this folder is an extractor.

Besides them the folder holds what they share.
"""

import pkgutil

SHARED = ("classifier", "features", "layers", "loading", "pretrained")


def names() -> list[str]:
    """Names of the extractors there are: the files of this folder, less the shared ones."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in SHARED)
