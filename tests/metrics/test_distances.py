"""The sweep over distances against loops in exact arithmetic, where products in float32 are misled."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from gm_bench.metrics.blocks import Block, Screen
from gm_bench.metrics.candidates import Pairs
from gm_bench.metrics.distances import between, nearest_squared, within


def exact_squares(a: Tensor, b: Tensor) -> list[list[Fraction]]:
    """Squared distances (n, m) of the float32 numbers, without any rounding."""
    one, other = ([[Fraction(value) for value in row] for row in each.tolist()] for each in (a, b))
    return [[sum(((x - y) ** 2 for x, y in zip(p, q, strict=True)), Fraction()) for q in other] for p in one]


def seeded(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


LATTICE = torch.randint(0, 3, (56, 3), generator=seeded(1)).float()
SETS = {
    "in general position": torch.randn(56, 3, generator=seeded(2)),
    "lattice": LATTICE,
    "lattice far away": LATTICE + 2**20,
    "thirds, which float32 rounds": LATTICE / 3,
    "few rows many times": LATTICE[:4].repeat(14, 1),
    "clusters tight and far apart": LATTICE[:4].repeat(14, 1) * 2**10
    + torch.randint(0, 9, (56, 3), generator=seeded(3)) * 2.0**-13,
    "one far off": torch.cat([torch.randn(55, 3, generator=seeded(4)), torch.full((1, 3), 1e6)]),
    "all the same": torch.ones(56, 3),
    "zeros of both signs": torch.tensor([0.0, -0.0, 1.0, -1.0]).repeat(42)[:168].reshape(56, 3),
}


@pytest.mark.parametrize("points", SETS.values(), ids=SETS)
@pytest.mark.parametrize(("k", "block"), [(1, None), (3, 10), (40, 17)])
def test_within_is_a_loop(points: Tensor, k: int, block: int | None) -> None:
    a = points[::2]
    k = min(k, len(a) - 1)
    squares = exact_squares(a, a)
    others = [sorted(row[:i] + row[i + 1 :]) for i, row in enumerate(squares)]
    result = within(a, k, block)
    # float64 sums of three squares, of numbers that float32 holds
    expected = torch.tensor([[float(value) for value in row[:k]] for row in others], dtype=torch.float64)
    assert torch.allclose(result.squared, expected, rtol=1e-15, atol=0)
    assert result.ties.tolist() == [row.count(row[0]) for row in others]


@pytest.mark.parametrize("points", SETS.values(), ids=SETS)
@pytest.mark.parametrize("block", [None, 10])
def test_between_is_a_loop(points: Tensor, block: int | None) -> None:
    a, b = points[:20], points[20:]
    squares = exact_squares(a, b)
    columns = [list(column) for column in zip(*squares, strict=True)]
    of_a, of_b = (
        [sorted(row[:i] + row[i + 1 :])[1] for i, row in enumerate(exact_squares(each, each))]
        for each in (a, b)
    )
    radii = [torch.tensor([float(value) for value in each], dtype=torch.float64) for each in (of_a, of_b)]
    result = between(a, b, *radii, block=block)
    for side, rows in ((result.a, squares), (result.b, columns)):
        least = torch.tensor([float(min(row)) for row in rows], dtype=torch.float64)
        assert torch.allclose(side.squared, least, rtol=1e-15, atol=0)
        assert side.ties.tolist() == [row.count(min(row)) for row in rows]
    assert result.a_in_b.tolist() == [sum(d <= r for d, r in zip(row, of_b, strict=True)) for row in squares]
    assert result.b_in_a.tolist() == [sum(d <= r for d, r in zip(row, of_a, strict=True)) for row in columns]
    assert torch.equal(nearest_squared(a, b, block), result.a.squared)
    assert between(a, b).a_in_b.sum() == 0


def test_rows_whose_bits_have_one_sum_are_still_told_apart() -> None:
    """The sum weighs the bits by 1, 3, 5: these two differ by 3 · 1 − 1 · 3 of the last place."""
    place = torch.tensor([[1, 1, 1], [4, 0, 1], [9, 9, 9]], dtype=torch.int32) + 0x3F800000
    rows = place.view(torch.float32)
    assert (within(rows, 1).squared > 0).all()
    assert within(torch.cat([rows, rows[:1]]), 1).ties.tolist() == [1, 2, 1, 1]


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**100])
def test_neither_squares_nor_radii_overflow_or_vanish(scale: float) -> None:
    a, b = torch.randn(50, 5), torch.randn(50, 5)
    radius = within(b, 2).squared[:, 1]
    plain, scaled = between(a, b, b_radius=radius), between(a * scale, b * scale, b_radius=radius * scale**2)
    assert torch.equal(scaled.a_in_b, plain.a_in_b)
    assert torch.equal(scaled.a.squared, plain.a.squared * scale**2)


def count_undecided(monkeypatch: pytest.MonkeyPatch, a: Tensor, b: Tensor) -> tuple[int, int]:
    """Pairs that were compared by differences, and rows of blocks that were made again in float64."""
    pairs, again = [], []
    measured, exactly = Pairs.measured, Screen.exactly

    def counted(self: Pairs, limit: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        result = measured(self, limit)
        pairs.append(len(result[0]))
        return result

    def remade(self: Screen, rows: Tensor, columns: Tensor) -> Block:
        again.append(len(rows))
        return exactly(self, rows, columns)

    monkeypatch.setattr(Pairs, "measured", counted)
    monkeypatch.setattr(Screen, "exactly", remade)
    between(a, b, within(a, 1).squared[:, 0], within(b, 1).squared[:, 0], block=100)
    return sum(pairs), sum(again)


@pytest.mark.parametrize("distance", [0, 1000])
def test_few_pairs_are_left_undecided_wherever_the_data_sit(
    monkeypatch: pytest.MonkeyPatch, distance: int
) -> None:
    a, b = torch.randn(2, 500, 16) + distance
    pairs, again = count_undecided(monkeypatch, a, b)
    # the nearest of 1,000 rows within and of 1,000 between, and no more than a tenth of that in doubt;
    # without moving the data to their mean all 500,000 pairs would be, at a distance of 1,000
    assert 2000 <= pairs < 2200
    assert again == 0


def test_what_float32_cannot_tell_apart_is_made_again_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    centres = torch.tensor([[1.0], [-1.0]]) * torch.full((2, 20), 2.0**10)
    a, b = (centres.repeat_interleave(250, dim=0) + torch.randn(500, 20) * 2.0**-6 for _ in "ab")
    pairs, again = count_undecided(monkeypatch, a, b)
    assert again > 1000
    assert pairs < 20_000  # of 500,000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("points", SETS.values(), ids=SETS)
def test_a_gpu_gives_the_same(points: Tensor) -> None:
    a, b = points[:20], points[20:]
    radii = within(a, 2).squared[:, 1], within(b, 2).squared[:, 1]
    here, there = between(a, b, *radii), between(a.cuda(), b.cuda(), *(r.cuda() for r in radii))
    assert torch.equal(there.a_in_b.cpu(), here.a_in_b)
    assert torch.equal(there.b_in_a.cpu(), here.b_in_a)
    assert torch.equal(there.a.ties.cpu(), here.a.ties)
