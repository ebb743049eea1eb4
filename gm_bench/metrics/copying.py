"""Copies told from plain images: a copy lies near to one real image, a plain image near to many.

Samples without detail, as blurs and textures are, lie in the middle of the features, near to training
images and about as near to held-out ones. A copy lies far nearer to its original than to any other image.
That is the ratio by which Lowe 2004, "Distinctive image features from scale-invariant keypoints", §7.1, tells
true matches from chance; that held-out images say what is normal is the idea of Meehan et al. 2020, "A
non-parametric test to detect data-copying in generative models". The two together are this suite's own.
"""

from torch import Tensor

from gm_bench.metrics.memorisation import are_duplicates

RATIO = 2 / 3


def share_of_copies(to_one: Tensor, to_other: Tensor, limit: float) -> float:
    """Share of samples that are near duplicates of one set of images and far nearer to it than to another.

    Far nearer is at less than `RATIO` of the distance. A sample that is a duplicate of images of both sets is
    a copy of neither.

    Args:
        to_one: squared distance of each sample to its nearest image of the set that may be copied, (n,).
        to_other: to its nearest of the other set, (n,).
        limit: squared distance below which two images are near duplicates (`duplicate_limit`).
    """
    return float((are_duplicates(to_one, limit) & (to_one < RATIO**2 * to_other)).double().mean())
