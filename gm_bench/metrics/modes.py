"""Which classes a generator draws, by the classifier's predictions."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gm_bench.metrics.guards import check_features


@dataclass(frozen=True)
class ModeCoverage:
    """What a classifier sees of the classes.

    Args:
        hit: classes that at least one image is taken for; higher is better.
        divergence: KL(predicted ‖ training labels) in nats; lower is better, 0 is best.
        missing: classes of the training images that no image is taken for.
    """

    hit: int
    divergence: float
    missing: tuple[int, ...]


def mode_coverage(logits: Tensor, class_counts: Tensor) -> ModeCoverage:
    """Classes hit and the divergence of their shares from the training set's.

        Σ_c p(c) ln(p(c) / q(c)), p of the predictions, q of the training labels

    Source: Metz et al. 2017, "Unrolled generative adversarial networks", §3.3.1 (stacked MNIST); Lin et al.
    2018, "PacGAN". The classifier's own mistakes are in it; the floor shows how many.

    Args:
        logits: of generated images, (N, K), finite; the class of an image is its largest.
        class_counts: training images of each class, int64 (K,).

    Raises:
        ValueError: other sizes, values that are not finite, or an image is taken for a class that has no
            training image, where the divergence is infinite.
    """
    check_features(logits, "fake", least=1)
    if class_counts.shape != logits.shape[1:]:
        raise ValueError(
            f"the extractor tells {logits.shape[1]} classes apart but the training labels have "
            f"{len(class_counts)}: run the extractor stage again"
        )
    counts = torch.bincount(logits.argmax(dim=1).cpu(), minlength=len(class_counts))
    drawn = counts > 0
    unknown = (drawn & (class_counts == 0)).nonzero().flatten().tolist()
    if unknown:
        raise ValueError(
            f"images are taken for classes without a training image ({', '.join(map(str, unknown))}), where "
            "class_kl is infinite: train the extractor on the classes of the training split"
        )
    p, q = counts[drawn].double() / counts.sum(), class_counts[drawn].double() / class_counts.sum()
    missing = ((class_counts > 0) & ~drawn).nonzero().flatten().tolist()
    return ModeCoverage(int(drawn.sum()), float((p * (p / q).log()).sum()), tuple(missing))


def class_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of images that the classifier takes for the class they were asked for; from 0 to 1, best 1.

    Source: Shmelkov et al. 2018, "How good is my GAN?", §3.1 (GAN-test). It sees wrong and unclear images,
    never missing variety.

    Args:
        logits: of generated images, (N, K), finite.
        labels: the classes asked for, int64 (N,), 0 to K − 1.

    Raises:
        ValueError: other sizes or labels, or values that are not finite.
    """
    check_features(logits, "fake", least=1)
    if labels.dtype != torch.int64 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"labels must be int64, one for each of {len(logits)} images, "
            f"not {labels.dtype} {tuple(labels.shape)}"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        raise ValueError(
            f"labels run from {int(labels.min())} to {int(labels.max())} but the extractor knows "
            f"{logits.shape[1]} classes"
        )
    return float((logits.argmax(dim=1) == labels.to(logits.device)).double().mean())
