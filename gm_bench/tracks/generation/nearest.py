"""Samples beside the training images nearest to them, as pictures of a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import DATA
from gm_bench.report.pictures import Figure, Gallery, exact_grid, grid_picture
from gm_bench.results.schema import CellResult
from gm_bench.tracks.generation import shown


@dataclass(frozen=True)
class Pair:
    """A sample and the training image nearest to it.

    Args:
        sample: (C, H, W), uint8.
        train: the same.
        distance_ratio: their distance in features over the median one of held-out images to theirs.
    """

    sample: Tensor
    train: Tensor
    distance_ratio: float


def pairs(result: CellResult) -> list[Pair]:
    """The samples of the first draw that are nearest to a training image, nearest first.

    Raises:
        FileError: a file is missing or damaged.
    """
    if not shown.nearest(result):
        return []
    places: list[dict[str, Any]] = result.details["closest_pairs"][0]
    drawn = shown.read(result.cell, shown.nearest(result))
    train = DATA / result.dataset / "train.safetensors"
    trained = io.read_places(train, "images", [(place["train"],) for place in places])
    return [
        Pair(sample, image, place["distance_ratio"])
        for sample, image, place in zip(drawn, trained, places, strict=True)
    ]


def galleries(results: Sequence[CellResult], n_bytes: int) -> list[Gallery]:
    """The samples nearest to training images, of each of the cells."""
    return nearest_of_variants([(result, pairs(result)) for result in results], n_bytes)


def nearest_of_variants(found: Sequence[tuple[CellResult, Sequence[Pair]]], n_bytes: int) -> list[Gallery]:
    """A picture of the pairs of each cell, as far as there are any."""
    figures = tuple(
        Figure(
            heading=result.variant,
            caption=f"nearest {of_cell[0].distance_ratio:.2f}",
            picture=grid_picture(_rows(of_cell), len(of_cell), n_bytes),
            text=_text(result, of_cell),
        )
        for result, of_cell in found
        if of_cell
    )
    note = (
        "Upper row: the samples of a variant that lie nearest to a training image; beneath each, that image. "
        "Beside the name: how far the nearest pair is apart, as a share of the median distance of held-out "
        "images to theirs; near 0 it is a copy."
    )
    return [Gallery("Nearest training images", "", note, figures)] if figures else []


def cell_galleries(result: CellResult) -> list[Gallery]:
    """The samples of one cell that are nearest to training images, exact."""
    return nearest_of_cell(result, pairs(result))


def nearest_of_cell(result: CellResult, found: Sequence[Pair]) -> list[Gallery]:
    """A picture of the pairs of one cell, if there are any."""
    if not found:
        return []
    ratios = ", ".join(f"{pair.distance_ratio:.2f}" for pair in found)
    caption = f"Distance over the median one of held-out images: {ratios}."
    figure = Figure(result.variant, caption, exact_grid(_rows(found), len(found)), _text(result, found))
    return [
        Gallery("Nearest training images", "samples above, training images beneath", "", (figure,)),
    ]


def _rows(found: Sequence[Pair]) -> Tensor:
    """The samples, then the training images that are nearest to them."""
    return torch.stack([pair.sample for pair in found] + [pair.train for pair in found])


def _text(result: CellResult, found: Sequence[Pair]) -> str:
    cell = result.cell
    return (
        f"the {len(found)} samples of {cell.variant} on {cell.dataset}, seed {cell.seed}, that are nearest "
        "to a training image, above those images"
    )
