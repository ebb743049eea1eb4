"""A trained cell in memory: the model that its samples were drawn with, and more samples of it."""

from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import Cell
from gm_bench.reproducibility import derive, deterministic
from gm_bench.training import sampling
from gm_bench.variants.base.contract import Variant


@dataclass(frozen=True)
class TrainedCell:
    """A trained model, in eval mode, with what sampling it needs.

    Args:
        cell: its address.
        model: on `device`.
        class_counts: images of each class that it was trained on; empty where they had no labels.
        device: computes.
    """

    cell: Cell
    model: Variant
    class_counts: tuple[int, ...]
    device: torch.device

    @property
    def n_classes(self) -> int:
        return len(self.class_counts)

    def generator(self, purpose: str, seed: int) -> torch.Generator:
        """A source of random numbers on the device, a different one for each purpose and seed."""
        return torch.Generator(self.device).manual_seed(derive(seed, purpose))

    def sample(self, n: int, seed: int, label: int | None = None) -> Tensor:
        """Draw n images.

        With the protocol's n and the cell's own seed they are the first draw of its samples.safetensors.

        Args:
            seed: of every draw; the same gives the same images.
            label: the class of all of them, for conditional variants; None draws classes as the training data
                has them.

        Returns:
            uint8 (n, C, H, W), on the CPU.

        Raises:
            ValueError: no images asked for, or a class that the model does not know.
        """
        if not isinstance(n, Integral) or n < 1:
            raise ValueError(f"{n!r} samples cannot be drawn: ask for a whole number from 1 up")
        if not isinstance(seed, Integral):
            raise ValueError(
                f"seed is {seed!r}: give a whole number, so that the same images can be drawn again"
            )
        with deterministic():
            labels = self._labels(n, seed, label)
            return sampling.draw(self.model, labels, n, derive(seed, "sample"), self.device)

    def _labels(self, n: int, seed: int, label: int | None) -> Tensor | None:
        if not self.model.conditional:
            if label is not None:
                raise ValueError(f"{self.cell.variant} is not conditional: draw from it without label")
            return None
        if label is None:
            return sampling.draw_labels(list(self.class_counts), n, seed, 0)
        if not 0 <= label < self.n_classes:
            raise ValueError(f"label is {label}; {self.cell} knows the classes 0 to {self.n_classes - 1}")
        return torch.full((n,), label)


def load(cell: Cell, device: torch.device, repository: Path = Path()) -> TrainedCell:
    """A cell from the weights in its folder: those that its samples are drawn with.

    Args:
        repository: that the cell was trained in.

    Raises:
        ValueError: it is not trained yet, or diverged.
        FileError: a file is damaged.
    """
    path = repository / cell.folder / "model.safetensors"
    if not path.exists():
        if path.with_name("metrics.json").exists():
            raise ValueError(
                f"{cell} is finished, but its weights are not here, as of cells of packs and of some tracks: "
                f"to train it here, move {path.parent} away and run gm-bench run --board {cell.board}"
            )
        raise ValueError(
            f"{cell} is not trained yet ({path} is missing): gm-bench run --board {cell.board} does it, "
            f"if it is a cell of that board (gm-bench list --board {cell.board}); --board names another"
        )
    weights, metadata = io.read_tensors(path)
    if metadata["status"] != "ok":
        raise ValueError(f"{cell} diverged in training: there is nothing to draw from")
    if metadata["recipe"].get("checkpoint") == "best":
        _, drawn = io.read_tensors(path.with_name("samples.safetensors"))
        snapshots, _ = io.read_tensors(path.with_name("snapshots.safetensors"))
        weights = sampling.candidate(snapshots, drawn["checkpoint"]["images"])
    model = sampling.load(weights, metadata, device)
    return TrainedCell(cell, model, tuple(metadata["class_counts"]), device)
