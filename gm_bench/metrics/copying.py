"""Copying told from plainness: what lies near to training images, against what lies near to held-out ones.

Samples without detail, as blurs and plain textures are, lie near to much that is real. If nothing was
copied, training and held-out images are alike to them, and as large a share of either has a sample that is as
near as a duplicate. Real images are counted, and not samples: many samples near one plain image say nothing
of copying. That held-out images say what is normal is the idea of Meehan et al. 2020, "A non-parametric test
to detect data-copying in generative models"; this share is the suite's own.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from gm_bench.metrics.memorisation import share_of_duplicates


@dataclass(frozen=True)
class Copied:
    """Training images that come out again.

    Args:
        share: of the training images with a near duplicate among the samples, less that of held-out images;
            0 in expectation where nothing is copied, and below it by noise.
        error: standard deviation of the share where nothing is copied.
    """

    share: float
    error: float


def copied(train_to_fake: Tensor, held_out_to_fake: Tensor, limit: float) -> Copied:
    """Training images with a near duplicate among the samples, beyond what held-out images have of them.

        share = p − q, error = √(c (1 − c) (1/M + 1/m))

    with p of M training and q of m held-out images that have one, and c the share of both together: the
    comparison of two proportions, exact in that which real images are held out is drawn by chance.

    Args:
        train_to_fake: squared distance of each training image to its nearest sample, (M,).
        held_out_to_fake: of each held-out image, (m,).
        limit: squared distance below which two images are near duplicates (`memorisation.duplicate_limit`).
    """
    n_train, n_held_out = len(train_to_fake), len(held_out_to_fake)
    p, q = (share_of_duplicates(squared, limit) for squared in (train_to_fake, held_out_to_fake))
    both = (p * n_train + q * n_held_out) / (n_train + n_held_out)
    return Copied(p - q, math.sqrt(both * (1 - both) * (1 / n_train + 1 / n_held_out)))
