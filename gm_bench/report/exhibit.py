"""What a cell left behind, as far as the pages show it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gm_bench.results.leaderboard import Cell

Json = Mapping[str, Any]


def in_file_name(name: str) -> str:
    """A name as part of a file name and of a link: different names stay different, none leads elsewhere."""
    return re.sub(r"[^A-Za-z0-9_]", lambda found: f"~{ord(found[0]):x}.", name)


def page_name(cell: Cell) -> str:
    """The file name of a cell's page."""
    dataset, variant, seed = cell
    return f"{in_file_name(dataset)}-{in_file_name(variant)}-{seed}.html"


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


@dataclass(frozen=True)
class Exhibit:
    """One cell.

    Args:
        cell: (dataset, variant, seed).
        metrics, cost: content of metrics.json and cost.json.
        history: rows of history.csv.
        samples: the first of the first draw, uint8 (n, C, H, W); None where the cell diverged.
        snapshots: samples from the same codes at moments of the training, uint8 (P, n, C, H, W), or None.
        images_shown: real images that training had been shown at each of those moments, ascending.
        pairs: samples nearest to a training image, nearest first.
    """

    cell: Cell
    metrics: Json
    cost: Json
    history: Sequence[Mapping[str, str]]
    samples: Tensor | None = None
    snapshots: Tensor | None = None
    images_shown: tuple[int, ...] = ()
    pairs: tuple[Pair, ...] = ()

    @property
    def variant(self) -> str:
        return self.cell[1]

    @property
    def seed(self) -> int:
        return self.cell[2]

    def curve(self, metric: str) -> list[tuple[int, float]]:
        """(images shown, value) of a metric against validation images while the cell trained."""
        curve = self.metrics.get("curve") or {}
        return (
            [
                (int(images), float(value))
                for images, value in zip(curve.get("images", ()), curve.get(metric, ()), strict=True)
            ]
            if metric in curve
            else []
        )

    def terms(self) -> dict[str, list[tuple[int, float]]]:
        """(images shown, value) of each term in history.csv that ends in /loss, less empty places."""
        names = [name for name in (self.history[0] if self.history else {}) if name.endswith("/loss")]
        return {
            name: [(int(float(row["images"])), float(row[name])) for row in self.history if row[name] != ""]
            for name in names
        }
