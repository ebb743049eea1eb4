"""The address of a result: every path, stage name and file name of a cell comes from here and nowhere else.

A cell is one training of one variant on one dataset with one seed, as a board of params.yaml asks for it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RUNS, RESOLVED, CHECKPOINTS, REPORTS = (
    Path(name) for name in ("runs", "resolved", ".checkpoints", "reports")
)
DATA, EXTRACTORS, REFERENCE = (Path(name) for name in ("data", "extractors", "reference"))


@dataclass(frozen=True, order=True)
class Cell:
    """(board, dataset, variant, seed); printed as DATASET/VARIANT/SEED, as tables and commands name it."""

    board: str
    dataset: str
    variant: str
    seed: int

    def __str__(self) -> str:
        return f"{self.dataset}/{self.variant}/{self.seed}"

    @property
    def folder(self) -> Path:
        """Where the stages of the cell write."""
        return RUNS / self.board / self.dataset / self.variant / str(self.seed)

    @property
    def name(self) -> str:
        """What DVC calls it after the @ of a stage."""
        return f"{self.dataset}-{self.variant}-{self.seed}"

    def stage(self, stage: str) -> str:
        """The name of one of its stages in the dvc.yaml of its board."""
        return f"{stage}@{self.name}"

    def resolved(self, stage: str) -> Path:
        """The file that says what one of its stages depends on: recipe and code, the same for all seeds."""
        return RESOLVED / "boards" / self.board / self.dataset / self.variant / f"{stage}.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints while it trains."""
        return CHECKPOINTS / self.board / self.name

    @property
    def page(self) -> str:
        """The file name of its page in the report."""
        return f"{in_file_name(self.dataset)}-{in_file_name(self.variant)}-{self.seed}.html"

    def as_dict(self) -> dict[str, str | int]:
        """As records carry it."""
        return {"board": self.board, "dataset": self.dataset, "variant": self.variant, "seed": self.seed}


def parse_cell(words: Sequence[str], board: str) -> Cell:
    """The cell that a user names: DATASET/VARIANT/SEED, or the three apart.

    Raises:
        ValueError: the words are no cell.
    """
    parts = words[0].split("/") if len(words) == 1 else words
    if len(parts) != 3 or not all(parts) or not (parts[2].isascii() and parts[2].isdigit()):
        raise ValueError(f"'{' '.join(words)}' is no cell: give DATASET/VARIANT/SEED, such as digits/vae/0")
    return Cell(board, parts[0], parts[1], int(parts[2]))


def resolved_of_dataset(dataset: str, stage: str) -> Path:
    """The file that says what one of the stages of a dataset depends on."""
    return RESOLVED / "datasets" / dataset / f"{stage}.json"


def reports_of(board: str) -> Path:
    """Where the leaderboard stage of a board writes."""
    return REPORTS / board


def in_file_name(name: str) -> str:
    """A name as part of a file name and of a link: different names stay different, none leads elsewhere."""
    return re.sub(r"[^A-Za-z0-9_]", lambda found: f"~{ord(found[0]):x}.", name)
