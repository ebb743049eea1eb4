"""Memorisation: samples that lie nearer to training images than held-out images do.

Everything is measured in feature space from the distance of an image to its nearest training image; what is
normal is said by held-out images of the same number, which nobody can have copied.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_LEAK = 0.01  # share of held-out images
LEAK = 0.25  # of the median distance of held-out images to their nearest training image


@dataclass(frozen=True)
class Memorisation:
    """How near samples are to training images.

    Args:
        distance_ratio: median distance to the nearest training image over that of held-out images; best 1,
            below it the samples are nearer than real images are.
        duplicates: share of exact and near duplicates; of real images about the quantile it is made with.
        exact: share of samples with the very features of a training image.
    """

    distance_ratio: float
    duplicates: float
    exact: float


def memorisation(fake_squared: Tensor, held_out_squared: Tensor, quantile: float) -> Memorisation:
    """Ratio of distances and share of duplicates.

    A near duplicate is a sample that is nearer to its nearest training image than the `quantile` of held-out
    images to theirs. That held-out distances say what is normal is the idea of Meehan et al. 2020, "A
    non-parametric test to detect data-copying in generative models"; the ratio of medians and the rule for
    duplicates are this suite's own.

    Args:
        fake_squared: squared distance of each sample to its nearest training image, (n,).
        held_out_squared: of each held-out image to its nearest among the same training images, (m,).
        quantile: above 0, below 1.

    Raises:
        ValueError: more than half of the held-out images are copies of training images.
    """
    middle = median_distance(held_out_squared)
    if middle == 0:
        raise ValueError(
            "more than half of the held-out images are copies of training images: "
            "nearness to them says nothing here, split the data again"
        )
    limit = duplicate_limit(held_out_squared, quantile)
    return Memorisation(
        distance_ratio=median_distance(fake_squared) / middle,
        duplicates=share_of_duplicates(fake_squared, limit),
        exact=share_of_duplicates(fake_squared, 0.0),
    )


@dataclass(frozen=True)
class Leak:
    """Held-out images that training images resemble too much, as where frames of a film are split at random.

    Args:
        exact: those with the very features of a training image.
        near: those nearer to one than `LEAK` of the median distance, the exact ones among them.
        of: held-out images.
    """

    exact: int
    near: int
    of: int

    @property
    def sentence(self) -> str:
        """What it does to the numbers; empty where there is next to nothing of it."""
        if self.near < LEAST_LEAK * self.of:
            return ""
        return (
            f"{self.near:,} of {self.of:,} held-out images have a near duplicate among the training images "
            f"({self.exact:,} of them exact), so the floor is too low, and a model that copies looks good: "
            "keep what belongs together on one side of the split (groups of the loader folder), or remove "
            "duplicates"
        )


def leak(held_out_squared: Tensor) -> Leak:
    """How many held-out images have a near duplicate among the training images.

    Distances of independent images to their nearest lie about their median; a share far below it comes of
    images that belong together. This suite's own rule.

    Args:
        held_out_squared: squared distance of each held-out image to its nearest training image, (n,).
    """
    distances = held_out_squared.double().sqrt()
    near = (distances < LEAK * distances.median()) | (distances == 0)
    return Leak(int((distances == 0).sum()), int(near.sum()), len(distances))


def duplicate_limit(held_out_squared: Tensor, quantile: float) -> float:
    """Squared distance that this share of held-out images lies below; distances are interpolated."""
    if not 0 < quantile < 1:
        raise ValueError(f"the quantile that makes a near duplicate must lie between 0 and 1, not {quantile}")
    return float(torch.quantile(held_out_squared.double().sqrt(), quantile).square())


def share_of_duplicates(squared: Tensor, limit: float) -> float:
    """Share of squared distances that are 0 or below the limit."""
    return float(are_duplicates(squared, limit).double().mean())


def are_duplicates(squared: Tensor, limit: float) -> Tensor:
    """Which of the squared distances are 0 or below the limit, bool of their shape."""
    return (squared < limit) | (squared == 0)


def median_distance(squared: Tensor) -> float:
    """Median of the distances whose squares are given."""
    return float(torch.quantile(squared.double().sqrt(), 0.5))
