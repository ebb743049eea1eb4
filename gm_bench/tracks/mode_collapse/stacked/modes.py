"""Stacks of grey images, the modes that they have by construction, and those that samples show.

A classifier names a mode for whatever it is shown, strokes that are no digit among them, so that samples of
no quality have hundreds of modes. Hence the share of samples of which it is sure, which is this suite's own.

Source: Metz et al. 2017, "Unrolled generative adversarial networks", §3.3.1: three digits of MNIST, drawn
independently, in the channels of one image have 10³ = 1,000 modes. The measure is that of Srivastava et al.
2017, "VEEGAN", §4.1, and Lin et al. 2018, "PacGAN", §4.2.
"""

import torch
from torch import Tensor

from gm_bench.metrics.extractors.features import Extractor, extract

N_CHANNELS = 3
SURE = 0.9  # probability of its class from which on a digit is one


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


def seen(images: Tensor, extractor: Extractor, device: torch.device) -> tuple[Tensor, Tensor]:
    """What a classifier of grey images takes each channel of images (n, C, H, W) for.

    Returns:
        The class (n, C), int64, and its probability (n, C).
    """
    logits = extract(extractor, images.flatten(0, 1)[:, None], device).logits
    probability, classes = logits.softmax(dim=1).max(dim=1)
    return classes.unflatten(0, images.shape[:2]), probability.unflatten(0, images.shape[:2])


def judge(classes: Tensor, probability: Tensor, real: Tensor, n_classes: int) -> dict[str, float]:
    """What the modes of samples say.

    Args:
        classes, probability: what the three channels of each sample are taken for, as `seen` says it, (n, 3).
        real: how often each mode is among the real images, (K,).
        n_classes: of the classifier; its third power is K.

    Returns:
        modes: that at least one sample is of, best K.
        high_quality: share of samples all three channels of which have at least the probability `SURE`.
        reverse_kl: KL(modes of the samples ‖ modes of the real images) in nats, best 0.

    Raises:
        ValueError: no sample, or one of a mode that no real image is of, where the divergence is infinite.
    """
    counts = numbered(classes, n_classes).bincount(minlength=len(real))
    drawn = counts > 0
    if not drawn.any() or bool((drawn & (real == 0)).any()):
        raise ValueError(
            f"{len(classes)} samples cannot be judged: there must be some, and each of a mode that real "
            "images have; where they have not all, set n_images of the stacked digits higher in params.yaml"
        )
    p, q = counts[drawn].double() / counts.sum(), real[drawn].double() / real.sum()
    return {
        "modes": float(drawn.sum()),
        "high_quality": float((probability >= SURE).all(dim=1).double().mean()),
        "reverse_kl": float((p * (p / q).log()).sum()),
    }
