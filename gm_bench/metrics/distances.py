"""Exact nearest neighbours and balls, from one sweep over the distances between two sets.

Every result is that of exact arithmetic on the given numbers, ties included, in four steps:

1. Identical rows are found by their bits, and each is gone through once, with its number of copies
   (`blocks.Rows`).
2. Blocks of bounds on the squared distances are made in float32, each block once for all that is asked of its
   rows and of its columns (`blocks.sweep`). Only pairs that may still matter are kept (`candidates`).
3. Where float32 leaves more of them than a few a row, the block is made again in float64.
4. What is left is decided by the float64 sum of (a − b)² of the given numbers. Distances that agree to
   D·2⁻⁵¹, the rounding of that sum, are ties.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gm_bench.metrics.blocks import Rows, sweep
from gm_bench.metrics.candidates import Balls, Smallest, tolerance


@dataclass(frozen=True)
class Nearest:
    """The nearest rows of another set.

    Args:
        squared: squared distance, float64 (n,).
        ties: how many rows are equally near, int64 (n,), at least 1.
    """

    squared: Tensor
    ties: Tensor


@dataclass(frozen=True)
class Within:
    """The nearest other rows of the same set.

    Args:
        squared: squared distances to the k nearest, ascending, float64 (n, k).
        ties: how many other rows are as near as the first, int64 (n,), at least 1.
    """

    squared: Tensor
    ties: Tensor

    def to(self, device: torch.device) -> "Within":
        return Within(self.squared.to(device), self.ties.to(device))


@dataclass(frozen=True)
class Between:
    """What one sweep over the distances of two sets says.

    Args:
        a: for each row of the first set its nearest of the second.
        b: for each row of the second set its nearest of the first.
        a_in_b: how many balls around rows of the second set hold each row of the first, int64 (n,).
        b_in_a: how many balls around rows of the first set hold each row of the second, int64 (m,).
    """

    a: Nearest
    b: Nearest
    a_in_b: Tensor
    b_in_a: Tensor


def within(points: Tensor, k: int, block: int | None = None) -> Within:
    """The k nearest fellows of every row, itself excluded.

    Args:
        points: (n, D), finite, n above k; read as float32.
        k: at least 1.
        block: rows per block; changes the speed, never the result.
    """
    rows = Rows(points)
    sought = Smallest(rows, rows, k)
    for part in sweep(rows, rows, block):
        sought.see(part)
        if part.rows[0] != part.columns[0]:
            sought.see(part.transposed())
    row, column, squared = sought.pairs()
    weight = rows.count[column]
    tied = squared <= _least(row, squared, len(rows))[row] * tolerance(rows.rows.shape[1])
    ties = torch.zeros_like(rows.count).index_add_(0, row[tied], weight[tied])
    ties = torch.where(rows.count > 1, rows.count - 1, ties)
    # A row with copies has those nearest, at distance 0.
    row = torch.cat([torch.arange(len(rows), device=row.device), row])
    squared = torch.cat([squared.new_zeros(len(rows)), squared])
    weight = torch.cat([rows.count - 1, weight])
    return Within(_first(row, squared, weight, len(rows), k)[rows.group], ties[rows.group])


def between(
    a: Tensor,
    b: Tensor,
    a_radius: Tensor | None = None,
    b_radius: Tensor | None = None,
    block: int | None = None,
) -> Between:
    """Nearest neighbours from set to set, and who lies in whose ball, its surface included.

    Args:
        a, b: (n, D) and (m, D), finite, on one device; read as float32.
        a_radius, b_radius: squared radius of the ball around each row, float64 (n,) and (m,), the same for
            equal rows; None where the balls are of no interest, and their counts 0.
        block: rows per block; changes the speed, never the result.
    """
    one, other = Rows(a), Rows(b)
    of_a, of_b = Smallest(one, other, 1), Smallest(other, one, 1)
    in_b = None if b_radius is None else Balls(one, other, b_radius)
    in_a = None if a_radius is None else Balls(other, one, a_radius)
    for part in sweep(one, other, block):
        turned = part.transposed()
        of_a.see(part)
        of_b.see(turned)
        if in_b:
            in_b.see(part)
        if in_a:
            in_a.see(turned)
    return Between(
        _nearest(of_a),
        _nearest(of_b),
        in_b.counts() if in_b else torch.zeros_like(one.group),
        in_a.counts() if in_a else torch.zeros_like(other.group),
    )


def nearest_squared(a: Tensor, b: Tensor, block: int | None = None) -> Tensor:
    """Squared distance of every row of a (n, D) to its nearest of b (m, D), float64 (n,)."""
    one, other = Rows(a), Rows(b)
    sought = Smallest(one, other, 1)
    for part in sweep(one, other, block):
        sought.see(part)
    return _nearest(sought).squared


def _nearest(sought: Smallest) -> Nearest:
    row, column, squared = sought.pairs()
    one, other = sought.one, sought.other
    least = _least(row, squared, len(one))
    tied = squared <= least[row] * tolerance(one.rows.shape[1])
    ties = torch.zeros_like(one.count).index_add_(0, row[tied], other.count[column[tied]])
    return Nearest(least[one.group], ties[one.group])


def _least(row: Tensor, squared: Tensor, n: int) -> Tensor:
    """Least value of each row (n,), inf where it has none."""
    return torch.full((n,), torch.inf, dtype=torch.float64, device=row.device).scatter_reduce(
        0, row, squared, "amin"
    )


def _first(row: Tensor, squared: Tensor, weight: Tensor, n: int, k: int) -> Tensor:
    """The k least values of each row, (n, k), each value standing `weight` times."""
    order = squared.argsort()
    order = order[row[order].argsort(stable=True)]
    order = order.repeat_interleave(weight[order].clamp(max=k))
    row, squared = row[order], squared[order]
    counts = torch.bincount(row, minlength=n)
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    kept = place < k
    result = squared.new_full((n, k), torch.inf)
    result[row[kept], place[kept]] = squared[kept]
    return result
