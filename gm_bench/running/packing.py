"""Finished cells of a board as one file that travels, by git or mail: what its leaderboard is made of.

A pack is a zip of what the stage leaderboard reads of each cell, without weights and without samples that no
page shows, and of pack.json, which says what recipe, code and data each cell was made of. Where it is
unpacked, `run` makes only what is missing or of something else (`taken`).
"""

import hashlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from gm_bench import io
from gm_bench.cell import Cell, reports_of
from gm_bench.config import Params
from gm_bench.results.schema import Origin, read_cell
from gm_bench.running import boards
from gm_bench.running.taken import MARKER, Marker, marker, sha256
from gm_bench.tracks.track import find

INDEX = "pack.json"
LEFT_OUT = ("model.safetensors", "samples.safetensors")
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file in a zip: the same cells are the same bytes
# Of a zip with changed bytes; RuntimeError where they say encrypted, or a version that there is not.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError)


class PackedCell(BaseModel):
    """A cell of a pack: address, sha256 of what it was made of (by path) and of its files (by name)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    variant: str
    seed: int
    made_of: dict[str, str]
    files: dict[str, str]

    def of(self, board: str) -> Cell:
        """Its address."""
        return Cell(board, self.dataset, self.variant, self.seed)


class Index(BaseModel):
    """The content of pack.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    board: str
    cells: list[PackedCell]


@dataclass
class Unpacked:
    """What became of the cells of a pack: taken over, here already, or of no board here."""

    board: str
    taken: list[Cell] = field(default_factory=list)
    here: list[Cell] = field(default_factory=list)
    unknown: list[Cell] = field(default_factory=list)


def file_of(board: str) -> Path:
    """Where the pack of a board lies, if no other place is named."""
    return reports_of(board) / "cells.zip"


def pack(params: Params, board: str, cells: Mapping[Cell, Mapping[str, str]], path: Path) -> None:
    """Write finished cells of a board into a pack.

    Args:
        cells: each with what it was made of (`taken.made_of`).
        path: replaced if it is a pack of no other cells.

    Raises:
        ValueError: `path` holds something that would be lost.
        OSError: a file of a cell is missing or damaged, or the pack cannot be written.
    """
    if path.exists():
        _refuse_to_lose(path, cells)
    contents = {cell: _files(params, cell) for cell in cells}
    listed = [
        PackedCell(
            dataset=cell.dataset,
            variant=cell.variant,
            seed=cell.seed,
            made_of=dict(cells[cell]),
            files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        )
        for cell, files in contents.items()
    ]
    index = Index(version=1, board=board, cells=listed)
    with io.atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as file:
        _add(file, INDEX, index.model_dump_json(indent=1).encode())
        for cell, files in contents.items():
            for name, content in files.items():
                _add(file, f"{cell}/{name}", content)


def unpack(params: Params, path: Path) -> Unpacked:
    """Put the cells of a pack where `run` finds them; what is finished here already is left as it is.

    Raises:
        ValueError: the file is no pack, or of a board that params.yaml does not have.
        OSError: it cannot be read, is damaged, or a file cannot be written.
    """
    index = read_index(path)
    known = set(params.cells(index.board))
    found = Unpacked(index.board)
    with zipfile.ZipFile(path) as file:
        for each in index.cells:
            cell = each.of(index.board)
            if cell not in known:
                found.unknown.append(cell)
            elif _is_here(params, cell):
                found.here.append(cell)
            else:
                _place(cell, each, {name: _read(file, path, cell, name) for name in each.files}, path)
                found.taken.append(cell)
    return found


def read_index(path: Path) -> Index:
    """What stands in a pack.

    Raises:
        ValueError: the file is no pack.
        OSError: it is not there or cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as file:
            index = Index.model_validate_json(file.read(INDEX))
    except FileNotFoundError:
        raise io.FileError(f"{path} not found: gm-bench pack writes such a file") from None
    except (*DAMAGE, ValidationError):
        raise ValueError(f"{path} is no pack of this version: gm-bench pack writes one") from None
    if any(name == MARKER or name != Path(name).name for each in index.cells for name in each.files):
        raise ValueError(f"{path} names files that no cell has: it was not written by gm-bench pack")
    return index


def _refuse_to_lose(path: Path, cells: Mapping[Cell, Mapping[str, str]]) -> None:
    try:
        index = read_index(path)
    except ValueError:
        raise ValueError(
            f"{path} is there and is no pack of this version: name another file with --out"
        ) from None
    lost = [cell for cell in (each.of(index.board) for each in index.cells) if cell not in cells]
    if lost:
        raise ValueError(
            f"{path} holds {len(lost)} cells that are not finished here ({lost[0]} of {index.board}): take "
            f"them over with gm-bench unpack {path}, or name another file with --out"
        )


def _files(params: Params, cell: Cell) -> dict[str, bytes]:
    """Name → content of the files of a cell that travel."""
    outs = [path for path in boards.outs_of(params, cell) if path.name not in LEFT_OUT]
    files = {path.name: io.read_bytes(path) for path in outs}
    packed = find(params.board(cell.board).track).packed
    return files | (packed(read_cell(cell, Origin("", ""))) if packed else {})


def _add(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    file.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED, 9)


def _is_here(params: Params, cell: Cell) -> bool:
    """Whether files of a cell are here that did not come in a pack as they are."""
    brought = _brought(cell)
    outs = [path for path in boards.outs_of(params, cell) if path.exists()]
    return any(brought.get(path.name) != sha256(path) for path in outs)


def _brought(cell: Cell) -> Mapping[str, str]:
    """Name → sha256 of the files that came in a pack, by the marker; empty without one."""
    mark = marker(cell)
    return mark.files if mark else {}


def _read(file: zipfile.ZipFile, path: Path, cell: Cell, name: str) -> bytes:
    try:
        return file.read(f"{cell}/{name}")
    except DAMAGE as error:
        raise io.FileError(f"{path} is damaged at {cell}/{name} ({error}): get it again") from None


def _place(cell: Cell, packed: PackedCell, contents: Mapping[str, bytes], path: Path) -> None:
    """Write the files of a cell, the marker first: half of them are never taken for the user's own.

    What an earlier pack brought goes before, since the new marker does not know it.
    """
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != packed.files[name]:
            raise io.FileError(f"{path} is damaged at {cell}/{name}: get it again")
    for name, known in _brought(cell).items():
        old = cell.folder / name
        if old.is_file() and sha256(old) == known:
            old.unlink()
    io.write_json(cell.folder / MARKER, Marker(made_of=packed.made_of, files=packed.files).model_dump())
    for name, content in contents.items():
        io.write_bytes(cell.folder / name, content)


def listed(cells: Sequence[Cell]) -> str:
    """The first cells by name, for a sentence."""
    return ", ".join(map(str, cells[:3])) + (", …" if len(cells) > 3 else "")
