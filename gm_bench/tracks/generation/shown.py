"""Those samples of a cell that pages show.

They are read from its samples.safetensors or, of a cell that came in a pack, from shown.safetensors, which
holds them alone: `images`, uint8 (k, C, H, W), whose metadata name the place of each among all draws.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from gm_bench import io
from gm_bench.cell import Cell
from gm_bench.results.schema import OK, CellResult

SAMPLES, SHOWN, SNAPSHOTS = "samples.safetensors", "shown.safetensors", "snapshots.safetensors"
N_SHOWN = 64  # samples on the page of a cell
N_OF_SNAPSHOT = 36  # images of each snapshot in a pack: as many as a page shows
Place = tuple[int, int]  # draw, image


def first(result: CellResult) -> list[Place]:
    """The places of the first samples of the first draw."""
    return [(0, i) for i in range(min(N_SHOWN, result.protocol["n_samples"]))]


def nearest(result: CellResult) -> list[Place]:
    """The places of the samples of the first draw that are nearest to a training image, nearest first."""
    draws = result.details["closest_pairs"]
    return [(0, pair["sample"]) for pair in draws[0]] if draws else []


def read(cell: Cell, places: Sequence[Place]) -> Tensor:
    """The samples at these places, (len(places), C, H, W).

    Raises:
        FileError: the file is missing or damaged, or a pack did not bring one of them.
    """
    whole, part = cell.folder / SAMPLES, cell.folder / SHOWN
    if whole.exists() or not part.exists():
        return io.read_places(whole, "images", places)
    tensors, metadata = io.read_tensors(part)
    at = {tuple(place): i for i, place in enumerate(metadata["places"])}
    missing = [place for place in places if place not in at]
    if missing:
        raise io.FileError(f"{part} lacks the sample {missing[0]}: gm-bench unpack brings it anew")
    return tensors["images"][[at[place] for place in places]]


def packed(result: CellResult) -> dict[str, bytes]:
    """What pages show of the files of a cell that are too large to travel, by file name.

    Raises:
        FileError: a file is missing or damaged.
    """
    snapshots, metadata = io.read_tensors(result.cell.folder / SNAPSHOTS)
    files = {SNAPSHOTS: _content({"images": snapshots["images"][:, :N_OF_SNAPSHOT]}, metadata)}
    if result.status == OK:
        places = list(dict.fromkeys([*first(result), *nearest(result)]))
        files[SHOWN] = _content({"images": read(result.cell, places)}, {"places": places})
    return files


def _content(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> bytes:
    """What a safetensors file of these holds."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "packed.safetensors")
        io.write_tensors(path, tensors, metadata)
        return path.read_bytes()
