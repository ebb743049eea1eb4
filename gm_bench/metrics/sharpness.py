"""Sharpness of images, which averaging over possible images takes away."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import conv2d

# Images whose Laplacians are held at once.
BATCH_SIZE = 1000
KERNEL = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


def laplacian_variance(images: Tensor) -> float:
    """Mean over images of the variance of the Laplacian: low where edges are soft, high where there is noise.

        Var(∇²I), ∇²I(x, y) = I(x+1, y) + I(x−1, y) + I(x, y+1) + I(x, y−1) − 4 I(x, y)

    Source: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy: a comparative study".
    Taken within the image's border, over all channels; at least 0, in squared grey levels. It means something
    beside that of real images: their ratio is best at 1, below it the fakes are blurred, above it noisy.

    Args:
        images: uint8 (N, C, H, W), H and W at least 3.

    Raises:
        ValueError: no images, another type, or too small ones.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or len(images) == 0:
        raise ValueError(
            f"sharpness reads uint8 images (N, C, H, W), not {images.dtype} {tuple(images.shape)}"
        )
    if min(images.shape[2:]) < 3:
        raise ValueError(f"sharpness needs images of at least 3×3, not {images.shape[2]}×{images.shape[3]}")
    total = 0.0
    for variances in _variances(images):
        total += float(variances.sum())
    return total / len(images)


def ratio_spread(images: Tensor) -> float:
    """Standard deviation of the ratio of two such means, each of another n images of the same kind.

        √(2 / n) sd(v) / mean(v), v the images' own variances

    Args:
        images: uint8 (n, C, H, W) that stand for the kind; not all of one colour.
    """
    variances = torch.cat(list(_variances(images)))
    return math.sqrt(2 / len(images)) * float(variances.std() / variances.mean())


def _variances(images: Tensor) -> Iterator[Tensor]:
    """Variance of the Laplacian of each image, float64, in batches."""
    channels = images.shape[1]
    kernel = KERNEL.repeat(channels, 1, 1, 1).to(images.device)
    for batch in images.split(BATCH_SIZE):
        # whole numbers up to 1,020: exact in float32
        edges = conv2d(batch.float(), kernel, groups=channels).double()
        yield edges.flatten(1).var(dim=1, correction=0)
