"""Exact nearest neighbours and balls, from one sweep over the distances between two sets.

Every result is that of exact arithmetic on the given numbers, ties included, in four steps:

1. Identical rows are found by their bits, and each is gone through once, with its number of copies.
2. Blocks of squared distances are made by float32 products |a|² + |b|² − 2ab of rows moved by the joint mean
   (far from the origin that formula loses everything), each block once for all that is asked of its rows and
   of its columns. From the bound on the rounding error, (D + 16)·2⁻²⁴(|a|² + |b|²) in whatever order the sums
   are made, follow lower bounds of all distances and, while the blocks go by, ever tighter upper bounds of
   what is sought. Only pairs that may still matter are kept.
3. Where float32 leaves more of them than a few a row, the block is made again in float64.
4. What is left is decided by the float64 sum of (a − b)² of the given numbers. Distances that agree to
   D·2⁻⁵¹, the rounding of that sum, are ties.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from gm_bench.metrics.arithmetic import full_float32

# Rows of one block: on a CPU its distances (4 MB) stay in the cache while everything is read off them.
BLOCK = {"cpu": 1024, "cuda": 4096}
# Values that are compared by differences at once: 1 MB of float64.
CHUNK = 1 << 17
# Undecided pairs for each row and neighbour from which on a block is made again in float64.
MANY = 4
# Lower bounds of which only the least is kept for the k smallest.
GROUP = 32
# Values of a row from which its key is made.
KEYS = 64
LARGEST = torch.finfo(torch.float32).max


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
    rows = _Set(points)
    sought = _Smallest(rows, rows, k)
    for part in _sweep(rows, rows, block):
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
    one, other = _Set(a), _Set(b)
    of_a, of_b = _Smallest(one, other, 1), _Smallest(other, one, 1)
    in_b = None if b_radius is None else _Balls(one, other, b_radius)
    in_a = None if a_radius is None else _Balls(other, one, a_radius)
    for part in _sweep(one, other, block):
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
    one, other = _Set(a), _Set(b)
    sought = _Smallest(one, other, 1)
    for part in _sweep(one, other, block):
        sought.see(part)
    return _nearest(sought).squared


def tolerance(dimensions: int) -> float:
    """Ratio up to which two squared distances of D differences are the same but for rounding."""
    return 1 + dimensions * 2.0**-51


class _Set:
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
class _Block:
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
    again: Callable[[Tensor, Tensor], "_Block"] | None

    @cached_property
    def least(self) -> Tensor:
        """Least lower bound of each row, (r,)."""
        return self.lower.amin(dim=1)

    def of(self, hit: Tensor) -> Tensor:
        """Lower bounds of some rows, by their places in the block; in memory as the block lies."""
        if self.lower.is_contiguous():
            return self.lower.index_select(0, hit)
        return self.lower.T.index_select(1, hit).T

    def transposed(self) -> "_Block":
        again = self.again
        turned = None if again is None else lambda rows, columns: again(columns, rows).transposed()
        lower, slack = self.lower.T, self.column_slack
        return _Block(lower, self.columns, self.rows, slack, self.slack, self.scale, turned)

    def exactly(self, hit: Tensor) -> "_Block":
        """The same for some of its rows, by their places in the block, from float64 products."""
        assert self.again is not None
        return self.again(self.rows[hit], self.columns)


def _sweep(one: _Set, other: _Set, block: int | None) -> Iterator[_Block]:
    """All blocks of the distances between two sets; of a set with itself none below the diagonal."""
    size = block or BLOCK[one.rows.device.type]
    screen = _Screen(one, other)
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
        self.slack = _upwards(2 * share * squares + 2 * vanished)

    def exactly(self, places: Tensor) -> Tensor:
        """Some of the rows moved and scaled in float64."""
        return self.rows[places].double() * self.scale - self.shift


class _Screen:
    """Blocks of bounds on the squared distances between two sets.

    Both are scaled by a power of two so that no square overflows or vanishes.
    """

    def __init__(self, one: _Set, other: _Set) -> None:
        sets = [one.rows] if one is other else [one.rows, other.rows]
        mean = torch.stack([rows.sum(dim=0, dtype=torch.float64) for rows in sets]).sum(dim=0)
        mean /= sum(map(len, sets))
        widest = max(torch.maximum(rows.amax(dim=0) - mean, mean - rows.amin(dim=0)).amax() for rows in sets)
        scale = 2.0 ** -torch.frexp(widest).exponent.double()
        self.same = one is other
        self.one = _Side(one.rows, mean, scale)
        self.other = self.one if self.same else _Side(other.rows, mean, scale)
        self.scale = scale.square()

    def block(self, start: int, begin: int, size: int) -> _Block:
        here, there = slice(start, start + size), slice(begin, begin + size)
        a, b = self.one.scaled[here], self.other.scaled[there]
        lower = torch.addmm(self.other.low[there], a, b.T, alpha=-2)
        lower += self.one.low[here, None]
        if self.same and start == begin:
            lower.fill_diagonal_(torch.inf)
        rows, columns = self.one.places[here], self.other.places[there]
        return _Block(
            lower, rows, columns, self.one.slack[here], self.other.slack[there], self.scale, self.exactly
        )

    def exactly(self, rows: Tensor, columns: Tensor) -> _Block:
        """The bounds from float64 products."""
        a, b = self.one.exactly(rows), self.other.exactly(columns)
        share = _rounding(a.shape[1], 2.0**-53)
        squares, others = a.square().sum(dim=1), b.square().sum(dim=1)
        lower = torch.addmm((1 - share) * others, a, b.T, alpha=-2) + (1 - share) * squares[:, None]
        if self.same:
            lower[rows[:, None] == columns] = torch.inf
        return _Block(lower, rows, columns, 2 * share * squares, 2 * share * others, self.scale, None)


class _Pairs:
    """Pairs of rows of two sets that are still undecided, as blocks leave them."""

    def __init__(self, one: _Set, other: _Set) -> None:
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


class _Smallest:
    """The k smallest distances of every row of one set to another, as block after block goes by."""

    def __init__(self, one: _Set, other: _Set, k: int) -> None:
        self.one, self.other, self.k = one, other, k
        # Upper bounds, ascending; never inf, which is what stands for a row's distance to itself.
        self.best = torch.full((len(one), k), LARGEST, device=one.rows.device)
        self.undecided = _Pairs(one, other)

    def see(self, part: _Block) -> None:
        hit = (part.least <= self.best[part.rows, -1]).nonzero().squeeze(1)
        if len(hit) == 0:
            return
        rows, lower = part.rows[hit], part.of(hit)
        minima = part.least[hit, None] if self.k == 1 else _minima(lower)
        upper = _upwards(minima + (part.slack[hit, None].double() + part.column_slack.amax()))
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


class _Balls:
    """How many balls around rows of `other` hold each row of `one`."""

    def __init__(self, one: _Set, other: _Set, radius: Tensor) -> None:
        self.one, self.other = one, other
        self.radius = radius[other.first] * tolerance(one.rows.shape[1])
        self.number = torch.zeros(len(one), dtype=torch.int64, device=one.rows.device)
        self.undecided = _Pairs(one, other)

    def see(self, part: _Block) -> None:
        radius = self.radius[part.columns] * part.scale
        outer = radius if part.again is None else _upwards(radius)
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


def _nearest(sought: _Smallest) -> Nearest:
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


def _rounding(dimensions: int, unit: float) -> float:
    """Bound on the relative error of |a|² + |b|² − 2ab of centred numbers, in units of |a|² + |b|²."""
    share = (dimensions + 16) * unit
    return share / (1 - share)


def _upwards(values: Tensor) -> Tensor:
    """As float32, no less than they are."""
    single = values.float()
    return torch.nextafter(single, single.new_full((), torch.inf))
