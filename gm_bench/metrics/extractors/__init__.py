"""Extractors: networks whose features and logits the metrics read. A file of this folder is an extractor.

Besides them the folder holds what they share.
"""

import pkgutil

SHARED = ("classifier", "features", "loading")


def names() -> list[str]:
    """Names of the extractors there are: the files of this folder, less the shared ones."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in SHARED)


def for_data(n_classes: int, channels: int) -> tuple[str, str]:
    """The extractor for a dataset of one's own that names none, and why, in words.

    Grey images with labels get a LeNet of their own. All others are seen by a network of natural images whose
    weights are installed, so that neither a download nor a machine decides.

    Args:
        n_classes: classes of the training images; 0 without labels.
        channels: 1 (grey) or 3 (colour).
    """
    if channels == 1 and n_classes > 1:
        return "lenet", f"grey images of {n_classes} classes: a LeNet trained on their own labels"
    kind = (
        "colour images"
        if channels == 3
        else f"grey images {'of one class' if n_classes else 'without labels'}"
    )
    return "efficientnet_lite0", f"{kind}: EfficientNet-Lite0 of ImageNet, whose weights are installed"
