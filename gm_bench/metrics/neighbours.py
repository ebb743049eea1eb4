"""Exact leave-one-out 1-nearest-neighbour accuracy, the two-sample test of which 50 % is the ideal."""

from dataclasses import dataclass
from math import fsum

import torch
from torch import Tensor

from gm_bench.metrics.arithmetic import full_float32
from gm_bench.metrics.guards import check_pair

# Rows of one block: its distances (1 MB) stay in the processor's cache while both their minima are taken.
BLOCK = 512
# Values that are compared by differences at once: 64 MB of float64.
CHUNK = 1 << 23


@dataclass(frozen=True)
class NearestNeighbourAccuracy:
    """Shares in [0, 1] of images told rightly: of all, of the real ones, of the fake ones."""

    overall: float
    real: float
    fake: float


def leave_one_out_1nn(fake: Tensor, real: Tensor, block: int = BLOCK) -> NearestNeighbourAccuracy:
    """How well the nearest other image tells whether an image is real or fake.

    Each of the 2n images gets the label of its nearest neighbour (Euclidean) among the other 2n − 1. Where
    several are equally near it gets the share of them that carries its own label, so that neither the order
    of the rows nor which set comes first matters.
    Source: Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests"; Xu et al. 2018, "An empirical
    study on evaluation metrics of generative adversarial networks", §2.

    Best 0.5; without ties the expectation for two sets of one distribution is (n − 1)/(2n − 1). Both near 1:
    two separate sets. Low real with high fake accuracy: the fakes crowd amid the real images and lack their
    variety. Below 0.5 against the training images: the fakes are copies of them.

    The result is that of exact arithmetic on the given numbers, ties included, in three steps:

    1. Identical rows are found by their bits and counted; they are each other's nearest, at distance 0.
    2. The rest are screened by float32 blocks of |a|² + |b|² − 2ab, moved by the joint mean (far from the
       origin that formula loses everything), each block made once for its rows and its columns. A bound on
       the rounding error, (D + 8)·2⁻²⁴(|a|² + |b|²) in whatever order the sums are made, says which blocks
       may hold a row's nearest neighbour: as a rule one.
    3. Those are gone through again in float64, and what is left within its rounding error is compared by
       (a − b)² of the given numbers. Distances that agree to D·2⁻⁵¹, the rounding of that sum, are ties.

    Args:
        fake: features of generated images, (n, D), float32, finite; on any device, where it is computed.
        real: features of real images, (n, D); as many, since unequal sizes bias the accuracy towards the
            larger set.
        block: rows per block; changes the speed, never the result.

    Raises:
        ValueError: sizes differ, fewer than 2 rows each, or a value that is not finite.
    """
    check_pair(fake, real)
    if len(fake) != len(real):
        raise ValueError(
            f"the 1-NN accuracy needs as many fake as real rows, not {len(fake)} and {len(real)}: "
            "unequal sizes bias it"
        )
    n = len(fake)
    # Adding 0 turns -0 into 0, whose bits are the same then.
    points, group = _distinct(torch.cat([fake, real]).float() + 0.0)
    is_fake = torch.arange(2 * n, device=group.device) < n
    n_fake = torch.bincount(group[is_fake], minlength=len(points))
    n_all = torch.bincount(group, minlength=len(points))

    # Per distinct point: among its nearest neighbours, how many are fake and how many there are.
    near_fake, near_all = n_fake.clone(), n_all.clone()
    alone = (n_all == 1).nonzero().squeeze(1)
    if len(alone):
        row, column = _nearest(points, alone, block)
        near_fake[alone] = 0
        near_all[alone] = 0
        near_fake.index_add_(0, row, n_fake[column])
        near_all.index_add_(0, row, n_all[column])
    itself = (n_all > 1).long()  # a row with copies does not count itself among them
    others = (near_all - itself)[group].double()
    fakes = near_fake[group] - (itself[group] & is_fake.long())
    right = torch.where(is_fake, fakes, others - fakes) / others

    of_fake, of_real = (fsum(part.tolist()) / n for part in (right[:n], right[n:]))
    return NearestNeighbourAccuracy((of_fake + of_real) / 2, of_real, of_fake)


def _distinct(points: Tensor) -> tuple[Tensor, Tensor]:
    """Rows without repetition (u, D), and for each given row its place among them, (N,)."""
    places: dict[bytes, int] = {}
    group = torch.tensor([places.setdefault(row.tobytes(), len(places)) for row in points.cpu().numpy()])
    first = torch.full((len(places),), len(points)).scatter_reduce(
        0, group, torch.arange(len(points)), "amin"
    )
    return points[first.to(points.device)], group.to(points.device)


def _nearest(points: Tensor, wanted: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """Pairs (point, neighbour) of every wanted point with all its nearest neighbours.

    Args:
        points: distinct rows, (u, D), float32, u at least 2.
        wanted: indices of points, (w,).

    Returns:
        Two index tensors (pairs,).
    """
    exact = _Centred(points)
    starts = list(range(0, len(points), block))
    lower, upper = _screen(exact, starts, block)
    bound = torch.full((len(points),), torch.inf, dtype=torch.float64, device=points.device)
    rows, columns, distances = [], [], []
    for number, start in enumerate(starts):
        candidates = wanted[lower[wanted, number] <= upper[wanted]]
        for row in candidates.split(max(1, CHUNK // max(block, points.shape[1]))):
            near, slack = exact.squared_distances(row, start, start + block)
            bound[row] = torch.minimum(bound[row], (near + slack).amin(dim=1))
            i, j = (near - slack <= bound[row, None]).nonzero(as_tuple=True)
            rows.append(row[i])
            columns.append(start + j)
            distances.append((near - slack)[i, j])
    row, column, distance = torch.cat(rows), torch.cat(columns), torch.cat(distances)
    possible = distance <= bound[row]
    row, column = row[possible], column[possible]
    squared = torch.zeros_like(distance[possible])  # which stands where there is nothing to compare with
    several = torch.bincount(row)[row] > 1
    squared[several] = _by_differences(points, row[several], column[several])
    order = squared.argsort()
    order = order[row[order].argsort(stable=True)]  # by point, the nearest first
    row, column, squared = row[order], column[order], squared[order]
    _, counts = row.unique_consecutive(return_counts=True)
    least = squared[counts.cumsum(0) - counts].repeat_interleave(counts)
    tied = squared <= least * (1 + points.shape[1] * 2.0**-51)
    return row[tied], column[tied]


def _screen(exact: "_Centred", starts: list[int], block: int) -> tuple[Tensor, Tensor]:
    """Bounds on squared distances from float32 products, each block of which is made once.

    Returns:
        lower: (u, blocks), no point of the block is nearer to the row.
        upper: (u,), the row's nearest neighbour is no farther.
    """
    points = exact.scaled
    squares = exact.squares.float()
    least = torch.empty(len(points), len(starts), device=points.device)
    with full_float32():
        for a, start in enumerate(starts):
            here = slice(start, start + block)
            for b in range(a, len(starts)):
                there = slice(starts[b], starts[b] + block)
                distance = torch.addmm(squares[there], points[here], points[there].T, alpha=-2)
                distance += squares[here, None]
                if a == b:
                    distance.fill_diagonal_(torch.inf)
                least[here, b] = distance.amin(dim=1)
                least[there, a] = distance.amin(dim=0)
    largest = torch.stack([exact.squares[start : start + block].amax() for start in starts])
    slack = _rounding(points.shape[1], 2.0**-24) * (exact.squares[:, None] + largest)
    slack += points.shape[1] * torch.finfo(torch.float32).tiny
    return least - slack, (least + slack).amin(dim=1)


class _Centred:
    """Points moved by their mean and scaled by a power of two, so that no square overflows or vanishes."""

    def __init__(self, points: Tensor) -> None:
        self.points = points
        self.mean = points.mean(dim=0, dtype=torch.float64)
        widest = torch.maximum(points.amax(dim=0) - self.mean, self.mean - points.amin(dim=0)).amax()
        self.scale = 2.0 ** -torch.frexp(widest).exponent.double()
        self.scaled = torch.cat([self._place(part).float() for part in points.split(BLOCK)])
        self.squares = torch.cat([part.double().square().sum(dim=1) for part in self.scaled.split(BLOCK)])

    def squared_distances(self, rows: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """From rows to a block, self excluded, and a bound on the error; scaled float64 (rows, columns)."""
        here, there = self._place(self.points[rows]), self._place(self.points[start:stop])
        squares = there.square().sum(dim=1)
        own = here.square().sum(dim=1)[:, None]
        distance = torch.addmm(squares, here, there.T, alpha=-2) + own
        columns = torch.arange(start, start + len(there), device=rows.device)
        distance[rows[:, None] == columns] = torch.inf
        return distance, _rounding(here.shape[1], 2.0**-53) * (own + squares)

    def _place(self, points: Tensor) -> Tensor:
        return (points - self.mean) * self.scale


def _rounding(dimensions: int, unit: float) -> float:
    """Bound on the relative error of |a|² + |b|² − 2ab of centred numbers, in units of |a|² + |b|²."""
    share = (dimensions + 8) * unit
    return share / (1 - share)


def _by_differences(points: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Squared distance of each pair of points in float64, (pairs,)."""
    size = max(1, CHUNK // points.shape[1])
    parts = [
        (points[i].double() - points[j].double()).square().sum(dim=1)
        for i, j in zip(rows.split(size), columns.split(size), strict=True)
    ]
    return torch.cat(parts)
