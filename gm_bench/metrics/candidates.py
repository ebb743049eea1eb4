"""Pairs of rows that may be nearest, or in a ball, as block after block of distances goes by.

Upper bounds grow ever tighter while the blocks go by, and only pairs of rows that may still matter are kept.
Where float32 leaves more of them than a few a row, the block is made again in float64; what is left is
decided by the float64 sum of (a − b)² of the given numbers.
"""

import numpy as np
import torch
from torch import Tensor

from gm_bench.metrics.blocks import Block, Rows, upwards

# Values that are compared by differences at once: 1 MB of float64.
CHUNK = 1 << 17
# Undecided pairs for each row and neighbour from which on a block is made again in float64.
MANY = 4
# Lower bounds of which only the least is kept for the k smallest.
GROUP = 32
LARGEST = torch.finfo(torch.float32).max


def tolerance(dimensions: int) -> float:
    """Ratio up to which two squared distances of D differences are the same but for rounding."""
    return 1 + dimensions * 2.0**-51


class Pairs:
    """Pairs of rows of two sets that are still undecided, as blocks leave them."""

    def __init__(self, one: Rows, other: Rows) -> None:
        self.one, self.other = one, other
        none = torch.zeros(0, dtype=torch.int64, device=one.rows.device)
        self.rows, self.columns, self.lower = [none], [none], [none.double()]

    def add(self, rows: Tensor, columns: Tensor, lower: Tensor) -> None:
        self.rows.append(rows)
        self.columns.append(columns)
        self.lower.append(lower.double())

    def measured(self, limit: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Row, column and true squared distance of each pair; less those whose lower bound is above the limit
        of their row."""
        row, column = torch.cat(self.rows), torch.cat(self.columns)
        if limit is not None:
            possible = torch.cat(self.lower) <= limit[row]
            row, column = row[possible], column[possible]
        size = max(1, CHUNK // self.one.rows.shape[1])
        squared = [
            (self.one.rows[i].double() - self.other.rows[j]).square_().sum(dim=1)
            for i, j in zip(row.split(size), column.split(size), strict=True)
        ]
        return row, column, torch.cat(squared)


class Smallest:
    """The k smallest distances of every row of one set to another, as block after block goes by."""

    def __init__(self, one: Rows, other: Rows, k: int) -> None:
        self.one, self.other, self.k = one, other, k
        # Upper bounds, ascending; never inf, which is what stands for a row's distance to itself.
        self.best = torch.full((len(one), k), LARGEST, device=one.rows.device)
        self.undecided = Pairs(one, other)

    def see(self, part: Block) -> None:
        hit = (part.least <= self.best[part.rows, -1]).nonzero().squeeze(1)
        if len(hit) == 0:
            return
        rows, lower = part.rows[hit], part.of(hit)
        minima = part.least[hit, None] if self.k == 1 else _minima(lower)
        upper = upwards(minima + (part.slack[hit, None].double() + part.column_slack.amax()))
        upper.clamp_(max=LARGEST)
        best = torch.cat([self.best[rows], upper], dim=1)
        best = best.amin(dim=1, keepdim=True) if self.k == 1 else best.topk(self.k, largest=False).values
        i, j = _at_most(lower, best[:, -1:])
        if part.again and len(i) > MANY * self.k * len(hit):
            self.see(part.exactly(hit))
            return
        self.best[rows] = best
        self.undecided.add(rows[i], part.columns[j], lower[i, j])

    def pairs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Row, column and true squared distance of all pairs that can be among the k smallest."""
        return self.undecided.measured(self.best[:, -1])


class Balls:
    """How many balls around rows of `other` hold each row of `one`."""

    def __init__(self, one: Rows, other: Rows, radius: Tensor) -> None:
        self.one, self.other = one, other
        self.radius = radius[other.first] * tolerance(one.rows.shape[1])
        self.number = torch.zeros(len(one), dtype=torch.int64, device=one.rows.device)
        self.undecided = Pairs(one, other)

    def see(self, part: Block) -> None:
        radius = self.radius[part.columns] * part.scale
        outer = radius if part.again is None else upwards(radius)
        hit = (part.least <= outer.amax()).nonzero().squeeze(1)
        if len(hit) == 0:
            return
        lower = part.of(hit)
        i, j = _at_most(lower, outer)
        hit = hit[i]
        row, column, over = part.rows[hit], part.columns[j], lower[i, j] - outer[j]
        safety = 1 + 2.0**-20  # for what rounding does to these few sums
        margin = part.slack[hit].double() + part.column_slack[j] + (outer - radius)[j]
        undecided = over >= -margin * safety
        left = int(undecided.sum())
        if part.again and left > MANY * len(lower):
            self.see(part.exactly(hit.unique()))
            return
        self.number.index_add_(0, row, self.other.count[column] * ~undecided)
        if left:
            self.undecided.add(row[undecided], column[undecided], over[undecided])

    def counts(self) -> Tensor:
        row, column, squared = self.undecided.measured()
        inside = squared <= self.radius[column]
        self.number.index_add_(0, row[inside], self.other.count[column[inside]])
        return self.number[self.one.group]


def _minima(lower: Tensor) -> Tensor:
    """Least of each group of columns, (r, groups); the k-th least of them is no less than that of all."""
    whole = lower.shape[1] // GROUP * GROUP
    groups = [lower[:, :whole].unflatten(1, (-1, GROUP)).amin(dim=2)] if whole else []
    rest = [lower[:, whole:]] if whole < lower.shape[1] else []
    return torch.cat([*groups, *rest], dim=1)


def _at_most(values: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
    """Places (row, column) of the values that do not exceed a limit that is broadcast to them."""
    if values.is_cuda:
        row, column = (values <= limit).nonzero(as_tuple=True)
        return row, column
    if not values.is_contiguous():
        column, row = _at_most(values.T.contiguous(), limit.T if limit.ndim == 2 else limit[:, None])
        return row, column
    # numpy finds few true values among many several times as fast as torch
    place = torch.from_numpy(np.flatnonzero(values.numpy() <= limit.numpy()))
    return place // values.shape[1], place % values.shape[1]
