"""What is trained."""

from dataclasses import dataclass
from typing import Any

from gm_bench.cell import Cell
from gm_bench.training.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """A cell with its recipe, its budget and the code that trains it.

    Args:
        cell: which dataset, variant and seed.
        recipe: how the variant is trained.
        n_images: the budget, in real images shown.
        n_snapshots: moments, evenly spread over the budget, at each of which samples are drawn.
        n_validation: training images that are held back; as many samples are drawn at each moment.
        code: hash of the code that trains it.
    """

    cell: Cell
    recipe: Recipe
    n_images: int
    n_snapshots: int = 0
    n_validation: int = 0
    code: str = ""

    @property
    def seed(self) -> int:
        return self.cell.seed

    @property
    def variant(self) -> str:
        return self.cell.variant

    def determines(self) -> dict[str, Any]:
        """All of it that the trained weights depend on, for a key: not the board, which trains nothing."""
        return {
            "dataset": self.cell.dataset,
            "variant": self.cell.variant,
            "seed": self.cell.seed,
            "recipe": self.recipe.model_dump(mode="json"),
            "n_images": self.n_images,
            "n_snapshots": self.n_snapshots,
            "n_validation": self.n_validation,
            "code": self.code,
        }
