"""Bounds on the distances between two sets of rows, block by block, in float32 and where asked in float64.

Blocks of squared distances are made by products |a|² + |b|² − 2ab of rows moved by the joint mean (far from
the origin that formula loses everything). The bound on the rounding error is (D + 16)·2⁻²⁴(|a|² + |b|²) in
whatever order the sums are made.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gm_bench.metrics.arithmetic import full_float32

# Rows of one block: on a CPU its distances (4 MB) stay in the cache while everything is read off them.
BLOCK = {"cpu": 1024, "cuda": 4096}
# Values of a row from which its key is made.
KEYS = 64


class Rows:
    """Rows without repetition (u, D), how often each was given (u,), and the place of each given row (n,)."""

    def __init__(self, points: Tensor) -> None:
        points = points.float() + 0.0  # which turns -0 into 0, whose bits are the same then
        # Rows that differ in a sum of some of their bits differ; of the others, as a rule few, all count.
        bits = points[:, :: -(-points.shape[1] // KEYS)].contiguous().view(torch.int32).long()
        odd = 2 * torch.arange(bits.shape[1], device=points.device) + 1
        _, place, times = (bits * odd).sum(dim=1).unique(return_inverse=True, return_counts=True)
        leader = torch.arange(len(points), device=points.device)
        several = (times > 1)[place].nonzero().squeeze(1)
        seen: dict[bytes, int] = {}
        twins = [
            seen.setdefault(row.tobytes(), index)
            for index, row in zip(several.tolist(), points[several].cpu().numpy(), strict=True)
        ]
        leader[several] = torch.tensor(twins, dtype=torch.int64, device=points.device)
        self.first, self.group, self.count = leader.unique(return_inverse=True, return_counts=True)
        self.rows = points if len(self.first) == len(points) else points[self.first]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Block:
    """Bounds on the squared distances, scaled, of some rows of one set to consecutive rows of another.

    Args:
        lower: (r, c); the distance is at most lower + slack[:, None] + column_slack.
        rows, columns: their places in their sets, (r,) and (c,), ascending.
        scale: of distances, squared: what to multiply true squared distances with.
        again: gives the block of some of the rows in float64; None where this is it.
    """

    lower: Tensor
    rows: Tensor
    columns: Tensor
    slack: Tensor
    column_slack: Tensor
    scale: Tensor
    again: Callable[[Tensor, Tensor], "Block"] | None

    @cached_property
    def least(self) -> Tensor:
        """Least lower bound of each row, (r,)."""
        return self.lower.amin(dim=1)

    def of(self, hit: Tensor) -> Tensor:
        """Lower bounds of some rows, by their places in the block; in memory as the block lies."""
        if self.lower.is_contiguous():
            return self.lower.index_select(0, hit)
        return self.lower.T.index_select(1, hit).T

    def transposed(self) -> "Block":
        again = self.again
        turned = None if again is None else lambda rows, columns: again(columns, rows).transposed()
        lower, slack = self.lower.T, self.column_slack
        return Block(lower, self.columns, self.rows, slack, self.slack, self.scale, turned)

    def exactly(self, hit: Tensor) -> "Block":
        """The same for some of its rows, by their places in the block, from float64 products."""
        assert self.again is not None
        return self.again(self.rows[hit], self.columns)


def sweep(one: Rows, other: Rows, block: int | None) -> Iterator[Block]:
    """All blocks of the distances between two sets; of a set with itself none below the diagonal."""
    size = block or BLOCK[one.rows.device.type]
    screen = Screen(one, other)
    with full_float32():
        for start in range(0, len(one), size):
            for begin in range(start if one is other else 0, len(other), size):
                yield screen.block(start, begin, size)


class _Side:
    """One set moved by the joint mean and scaled, with what the bounds need."""

    def __init__(self, rows: Tensor, mean: Tensor, scale: Tensor) -> None:
        self.rows, self.scale = rows, scale.float()
        self.shift = (mean * scale).float()  # one for both sets, so that its rounding moves nothing
        self.places = torch.arange(len(rows), device=rows.device)
        size = BLOCK["cpu"]
        self.scaled = (rows * self.scale).sub_(self.shift)
        squares = torch.cat([part.double().square().sum(dim=1) for part in self.scaled.split(size)])
        share = _rounding(rows.shape[1], 2.0**-24)
        vanished = rows.shape[1] * torch.finfo(torch.float32).tiny  # products too small for float32
        self.low = ((1 - share) * squares - vanished).float()
        self.slack = upwards(2 * share * squares + 2 * vanished)

    def exactly(self, places: Tensor) -> Tensor:
        """Some of the rows moved and scaled in float64."""
        return self.rows[places].double() * self.scale - self.shift


class Screen:
    """Blocks of bounds on the squared distances between two sets.

    Both are scaled by a power of two so that no square overflows or vanishes.
    """

    def __init__(self, one: Rows, other: Rows) -> None:
        sets = [one.rows] if one is other else [one.rows, other.rows]
        mean = torch.stack([rows.sum(dim=0, dtype=torch.float64) for rows in sets]).sum(dim=0)
        mean /= sum(map(len, sets))
        widest = max(torch.maximum(rows.amax(dim=0) - mean, mean - rows.amin(dim=0)).amax() for rows in sets)
        scale = 2.0 ** -torch.frexp(widest).exponent.double()
        self.same = one is other
        self.one = _Side(one.rows, mean, scale)
        self.other = self.one if self.same else _Side(other.rows, mean, scale)
        self.scale = scale.square()

    def block(self, start: int, begin: int, size: int) -> Block:
        here, there = slice(start, start + size), slice(begin, begin + size)
        a, b = self.one.scaled[here], self.other.scaled[there]
        lower = torch.addmm(self.other.low[there], a, b.T, alpha=-2)
        lower += self.one.low[here, None]
        if self.same and start == begin:
            lower.fill_diagonal_(torch.inf)
        rows, columns = self.one.places[here], self.other.places[there]
        return Block(
            lower, rows, columns, self.one.slack[here], self.other.slack[there], self.scale, self.exactly
        )

    def exactly(self, rows: Tensor, columns: Tensor) -> Block:
        """The bounds from float64 products."""
        a, b = self.one.exactly(rows), self.other.exactly(columns)
        share = _rounding(a.shape[1], 2.0**-53)
        squares, others = a.square().sum(dim=1), b.square().sum(dim=1)
        lower = torch.addmm((1 - share) * others, a, b.T, alpha=-2) + (1 - share) * squares[:, None]
        if self.same:
            lower[rows[:, None] == columns] = torch.inf
        return Block(lower, rows, columns, 2 * share * squares, 2 * share * others, self.scale, None)


def _rounding(dimensions: int, unit: float) -> float:
    """Bound on the relative error of |a|² + |b|² − 2ab of centred numbers, in units of |a|² + |b|²."""
    share = (dimensions + 16) * unit
    return share / (1 - share)


def upwards(values: Tensor) -> Tensor:
    """As float32, no less than they are."""
    single = values.float()
    return torch.nextafter(single, single.new_full((), torch.inf))
