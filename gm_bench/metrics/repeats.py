"""Repeats within a set of images, which no metric of distances to other images sees."""

import torch
from torch import Tensor


def distinct_share(images: Tensor) -> float:
    """Distinct images over all images, pixel by pixel; 1/N where all are one image, best 1.

    Real data may hold repeats of its own: the floor says how many.

    Args:
        images: uint8 (N, C, H, W).

    Raises:
        ValueError: no images, or another type.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or len(images) == 0:
        raise ValueError(
            f"repeats are looked for in uint8 images (N, C, H, W), not {images.dtype} {tuple(images.shape)}"
        )
    rows = images.cpu().flatten(1).contiguous().numpy()
    return len({row.tobytes() for row in rows}) / len(images)
