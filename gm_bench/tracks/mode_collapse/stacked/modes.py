"""Stacks of grey images, the modes that they have by construction, and those that samples show.

Source: Metz et al. 2017, "Unrolled generative adversarial networks", §3.3.1: three digits of MNIST, drawn
independently, in the channels of one image have 10³ = 1,000 modes. The measure is that of Srivastava et al.
2017, "VEEGAN", §4.1, and Lin et al. 2018, "PacGAN", §4.2.
"""

import torch
from torch import Tensor

from gm_bench.metrics.extractors.features import Extractor, extract

N_CHANNELS = 3


def stacked(images: Tensor, labels: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """n stacks of images drawn independently, with replacement.

    Args:
        images: (N, 1, H, W), uint8.
        labels: (N,), the class of each.

    Returns:
        Images (n, 3, H, W), and the classes of their channels (n, 3).
    """
    drawn = torch.randint(len(images), (n, N_CHANNELS), generator=generator)
    return images[:, 0][drawn], labels[drawn]


def numbered(classes: Tensor, n_classes: int) -> Tensor:
    """Classes of the channels (n, 3) → modes (n,): numbers to the base `n_classes`, red first."""
    first, second, third = classes.unbind(dim=1)
    return (first * n_classes + second) * n_classes + third


def seen(images: Tensor, extractor: Extractor, device: torch.device) -> Tensor:
    """The class that a classifier of grey images takes each channel of images (n, C, H, W) for, (n, C)."""
    logits = extract(extractor, images.flatten(0, 1)[:, None], device).logits
    return logits.argmax(dim=1).unflatten(0, images.shape[:2])


def judge(modes: Tensor, real: Tensor) -> dict[str, float]:
    """What the modes of samples say.

    Args:
        modes: of each sample, (n,), int64, 0 to K − 1.
        real: how often each mode is among the real images, (K,).

    Returns:
        modes: that at least one sample is of, best K.
        reverse_kl: KL(modes of the samples ‖ modes of the real images) in nats, best 0.

    Raises:
        ValueError: no sample, or one of a mode that no real image is of, where the divergence is infinite.
    """
    counts = modes.bincount(minlength=len(real))
    drawn = counts > 0
    if not drawn.any() or bool((drawn & (real == 0)).any()):
        raise ValueError(
            f"{len(modes)} samples cannot be judged: there must be some, and each of a mode that real images "
            "have; where they have not all, set n_images of the stacked digits higher in params.yaml"
        )
    p, q = counts[drawn].double() / counts.sum(), real[drawn].double() / real.sum()
    return {"modes": float(drawn.sum()), "reverse_kl": float((p * (p / q).log()).sum())}
