"""Cells that were made elsewhere and taken over from a pack (gm_bench/running/packing.py), and still hold.

DVC did not run their stages here, and would. They are up to date as long as recipe, code and data are what
they were made of and none of their files was changed since; then their stages count as fresh.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gm_bench.cell import DATA, Cell, resolved_of_dataset
from gm_bench.config import Params
from gm_bench.running import boards
from gm_bench.running.chains import cell_chain

UNPACKED = "unpacked"  # the state of a cell that holds but for data that is not here to be compared with
UNPACKED_MEANS = "unpacked: of this recipe and code; gm-bench run fetches the dataset and compares it too"
MARKER = "unpacked.json"
OF_DATASET = ("extractor", "weights", "reference")  # what numbers depend on besides stages of the cell
SPLITS = ("train", "test")


class Marker(BaseModel):
    """The content of unpacked.json: sha256 of what a cell was made of, by path, and of its files, by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    made_of: dict[str, str]
    files: dict[str, str]


def made_of(params: Params, cell: Cell) -> dict[str, str]:
    """Hex digest of every file that says what the numbers of a cell depend on, as it is now, by its path.

    Raises:
        OSError: one of its stages was not resolved.
    """
    of_cell = [cell.resolved(stage) for stage in boards.cell_stages(params, cell.board)]
    others = [resolved_of_dataset(cell.dataset, stage) for stage in OF_DATASET]
    others += [DATA / cell.dataset / f"{split}.safetensors" for split in SPLITS]
    return {path.as_posix(): sha256(path) for path in [*of_cell, *filter(Path.exists, others)]}


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def marker(cell: Cell) -> Marker | None:
    """What was written beside a cell when it was unpacked; None for one that was not, or not wholly."""
    try:
        return Marker.model_validate_json((cell.folder / MARKER).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def without_taken(params: Params, board: str, stale: Mapping[str, Any]) -> dict[str, Any]:
    """What DVC calls stale, less the stages of those taken cells that hold."""
    left, digest = dict(stale), cache(_digest)  # cells share data: each file is read once
    for cell in params.cells(board):
        if is_taken(cell, digest):
            for stage in cell_chain(params, cell).stages:
                left.pop(stage, None)
    return left


def _digest(path: Path) -> str | None:
    """That of a file; None where there is none."""
    return sha256(path) if path.is_file() else None


def awaits_data(cell: Cell) -> bool:
    """Whether a cell came in a pack and holds but for data that is not here yet to be compared with.

    Where it is made of no data, such as a claim, its dataset's own stages alone have not run here.
    """
    recorded = _recorded(cell)
    absent = [path for path in recorded if not path.exists()]
    of_data = [path for path in recorded if path.is_relative_to(DATA)]
    if not recorded or set(absent) - set(of_data) or (of_data and not absent):
        return False  # it came in none, a file is lost, recipe and code are not known here, or data is here
    return all(_digest(path) == known for path, known in recorded.items() if path not in absent)


def is_taken(cell: Cell, digest: Callable[[Path], str | None] = _digest) -> bool:
    """Whether a cell came in a pack and still holds.

    Args:
        digest: of a file, None where there is none.
    """
    recorded = _recorded(cell)
    return bool(recorded) and all(digest(path) == known for path, known in recorded.items())


def _recorded(cell: Cell) -> dict[Path, str]:
    """Hex digests of the files of a cell that came in a pack and of what it was made of; none of another."""
    mark = marker(cell)
    if mark is None:
        return {}
    files = {cell.folder / name: known for name, known in mark.files.items()}
    return files | {Path(path): known for path, known in mark.made_of.items()}
