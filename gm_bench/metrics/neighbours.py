"""Metrics of nearest neighbours: 1-NN accuracy, precision and recall, density and coverage.

All of them come from `distances.within` each set and `distances.between` the two.
"""

from dataclasses import dataclass
from math import fsum

import torch
from torch import Tensor

from gm_bench.metrics.candidates import tolerance
from gm_bench.metrics.distances import Between, Nearest, Within, between, within
from gm_bench.metrics.guards import check_pair


@dataclass(frozen=True)
class NearestNeighbourAccuracy:
    """Shares in [0, 1] of images told rightly: of all, of the real ones, of the fake ones."""

    overall: float
    real: float
    fake: float


@dataclass(frozen=True)
class PrecisionRecall:
    """Both in [0, 1], higher is better."""

    precision: float
    recall: float


@dataclass(frozen=True)
class DensityCoverage:
    """Density at least 0, best about 1; coverage in [0, 1], higher is better."""

    density: float
    coverage: float


@dataclass(frozen=True)
class Comparison:
    """All of them, and the squared distance of each fake row to its nearest real one, float64 (n,)."""

    accuracy: NearestNeighbourAccuracy
    manifold: PrecisionRecall
    balls: DensityCoverage
    fake_to_real: Tensor


def compare(
    fake: Tensor,
    real: Tensor,
    neighbours: int,
    known_fake: Within | None = None,
    known_real: Within | None = None,
) -> Comparison:
    """1-NN accuracy, precision and recall, density and coverage, from one sweep over the distances.

    Args:
        fake: features of generated images, (n, D), finite; on any device, where it is computed.
        real: features of real images, (n, D), as many.
        neighbours: k of the last two pairs, at least 1, below n.
        known_fake, known_real: `within(…, neighbours)` of the two sets where it was computed before.

    Raises:
        ValueError: sizes differ, not more rows than neighbours, or a value that is not finite.
    """
    _check(fake, real, neighbours)
    _check_sizes(fake, real)
    known_fake, known_real = known_fake or within(fake, neighbours), known_real or within(real, neighbours)
    swept = between(fake, real, known_fake.squared[:, neighbours - 1], known_real.squared[:, neighbours - 1])
    return Comparison(
        accuracy(known_fake, known_real, swept, fake.shape[1]),
        _precision_recall(swept),
        _density_coverage(swept, known_real, neighbours, fake.shape[1]),
        swept.a.squared,
    )


def leave_one_out_1nn(fake: Tensor, real: Tensor, block: int | None = None) -> NearestNeighbourAccuracy:
    """How well the nearest other image tells whether an image is real or fake.

    Each of the 2n images gets the label of its nearest neighbour (Euclidean) among the other 2n − 1. Where
    several are equally near it gets the share of them that carries its own label, so that neither the order
    of the rows nor which set comes first matters.
    Source: Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests"; Xu et al. 2018, "An empirical
    study on evaluation metrics of generative adversarial networks", §2.

    Best 0.5; without ties the expectation for two sets of one distribution is (n − 1)/(2n − 1). Both near 1:
    two separate sets. Low real with high fake accuracy: the fakes crowd amid the real images and lack their
    variety. Below 0.5 against the training images: the fakes are copies of them.

    Args:
        fake: features of generated images, (n, D), float32, finite; on any device, where it is computed.
        real: features of real images, (n, D); as many, since unequal sizes bias the accuracy towards the
            larger set.
        block: rows per block; changes the speed, never the result.

    Raises:
        ValueError: sizes differ, fewer than 2 rows each, or a value that is not finite.
    """
    check_pair(fake, real)
    _check_sizes(fake, real)
    known_fake, known_real = within(fake, 1, block), within(real, 1, block)
    return accuracy(known_fake, known_real, between(fake, real, block=block), fake.shape[1])


def precision_recall(fake: Tensor, real: Tensor, neighbours: int) -> PrecisionRecall:
    """Share of fake rows within the real manifold, and of real rows within the fake one.

    A manifold is the union of balls around its rows that reach to the row's k-th nearest fellow, that fellow
    included.
    Source: Kynkäänniemi et al. 2019, "Improved precision and recall metric …", eq. 1 and 2. Two sets of one
    distribution do not score 1; the floor says what they score.

    Args:
        fake: features of generated images, (N, D), finite.
        real: features of real images, (M, D).
        neighbours: k, at least 1, below N and M.

    Raises:
        ValueError: not more rows than neighbours, unequal D, or a value that is not finite.
    """
    _check(fake, real, neighbours)
    of_fake, of_real = (within(each, neighbours).squared[:, -1] for each in (fake, real))
    return _precision_recall(between(fake, real, of_fake, of_real))


def density_coverage(fake: Tensor, real: Tensor, neighbours: int) -> DensityCoverage:
    """How many real balls hold a fake row, on average and over k, and the share of real balls that hold any.

        density = 1/(kN) Σ_j Σ_i [fake_j in B(real_i)], coverage = 1/M Σ_i [any fake_j in B(real_i)]

    Source: Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models", eq. 4 and 5.
    B reaches to the k-th nearest fellow of a real row, that fellow included. For two sets of one distribution
    and N rows in each, the density is 1 in expectation (above 1 the fakes crowd where the real rows do) and
    the coverage 1 − Π_{i<k} (N − 1 − i)/(2N − 1 − i).

    Args:
        fake: features of generated images, (N, D), finite.
        real: features of real images, (M, D).
        neighbours: k, at least 1, below N and M.

    Raises:
        ValueError: not more rows than neighbours, unequal D, or a value that is not finite.
    """
    _check(fake, real, neighbours)
    known = within(real, neighbours)
    swept = between(fake, real, b_radius=known.squared[:, -1])
    return _density_coverage(swept, known, neighbours, fake.shape[1])


def _density_coverage(swept: Between, real: Within, k: int, dimensions: int) -> DensityCoverage:
    covered = swept.b.squared <= real.squared[:, k - 1] * tolerance(dimensions)
    return DensityCoverage(float(swept.a_in_b.double().mean()) / k, float(covered.double().mean()))


def _precision_recall(swept: Between) -> PrecisionRecall:
    precision, recall = ((held > 0).double().mean() for held in (swept.a_in_b, swept.b_in_a))
    return PrecisionRecall(float(precision), float(recall))


def accuracy(fake: Within, real: Within, swept: Between, dimensions: int) -> NearestNeighbourAccuracy:
    """`leave_one_out_1nn` from the sweeps within and between (fake, real) features of D dimensions."""
    n = len(fake.ties)
    of_fake, of_real = (
        fsum(_share_of_fellows(own, other, dimensions).tolist()) / n
        for own, other in ((fake, swept.a), (real, swept.b))
    )
    return NearestNeighbourAccuracy((of_fake + of_real) / 2, of_real, of_fake)


def _share_of_fellows(own: Within, other: Nearest, dimensions: int) -> Tensor:
    """Share of its own set among the rows that are nearest to each row, float64 (n,)."""
    nearest = own.squared[:, 0]
    limit = torch.minimum(nearest, other.squared) * tolerance(dimensions)
    fellows, others = own.ties * (nearest <= limit), other.ties * (other.squared <= limit)
    return fellows.double() / (fellows + others)


def _check(fake: Tensor, real: Tensor, neighbours: int) -> None:
    if neighbours < 1:
        raise ValueError(
            f"precision, recall, density and coverage need at least 1 neighbour, not {neighbours}"
        )
    check_pair(fake, real)
    if neighbours >= min(len(fake), len(real)):
        raise ValueError(
            f"precision, recall, density and coverage with {neighbours} neighbours need at least "
            f"{neighbours + 1} rows, not {len(fake)} fake and {len(real)} real ones: "
            "lower neighbours or raise n_samples"
        )


def _check_sizes(fake: Tensor, real: Tensor) -> None:
    if len(fake) != len(real):
        raise ValueError(
            f"the 1-NN accuracy needs as many fake as real rows, not {len(fake)} and {len(real)}: "
            "unequal sizes bias it"
        )
