"""Finished cells into the working folder, many at a time: DVC's lock, its run cache, and files by dvc pull.

A batch costs what DVC needs to start and to read and write the whole lock, so the driver gathers a 25th of
the board's cells, or whatever has finished meanwhile, into the next one: its work grows with the number of
cells and not with its square.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gm_bench.cell import Cell
from gm_bench.running import repository, runner
from gm_bench.running.chains import Chain
from gm_bench.running.cluster import record
from gm_bench.running.cluster.places import cache_folder
from gm_bench.running.cluster.record import Record
from gm_bench.running.cluster.store import Place


class Collector:
    """Merges records of a board's cells.

    Args:
        lock: the board's dvc.lock.
        order: the stages of the board's cells as they stand in the lock after a local run.
        place: what the files are pulled from.
        environ: of DVC's processes.
    """

    def __init__(self, lock: Path, order: Sequence[str], place: Place, environ: dict[str, str]) -> None:
        self.lock = lock
        self.order = order
        self.command = "checkout" if place.is_cache else "pull"
        self.environ = environ
        self.cache = cache_folder()

    def collect(self, finished: Sequence[tuple[Chain, Record]]) -> dict[str, list[str]]:
        """Bring finished cells here; those that could not be brought, with DVC's words."""
        self._merge({name: entry for _, content in finished for name, entry in content["lock"].items()})
        for _, content in finished:
            record.write_runs(content, self.cache)
        lost: dict[str, list[str]] = {}
        chains = [chain for chain, _ in finished]
        if self._pull(chains) is not None:
            for chain in chains:  # which of them?
                words = self._pull([chain])
                if words is not None:
                    lost[chain.name] = words
        for chain in chains:
            if chain.name not in lost and chain.cell is not None:
                shutil.rmtree(chain.cell.checkpoints, ignore_errors=True)
        return lost

    def _pull(self, chains: Sequence[Chain]) -> list[str] | None:
        stages = [stage for chain in chains for stage in chain.stages]
        return runner.output_of([*runner.DVC, self.command, "--force", *stages], self.environ)

    def _merge(self, entries: Mapping[str, Any]) -> None:
        from dvc.lock import make_lock  # late: DVC takes a second

        from gm_bench.running import dvc

        folder = repository.temporary()
        with (
            make_lock(str(folder / "lock"), tmp_dir=str(folder), friendly=True, wait=True),
            dvc.modify(str(self.lock)) as content,
        ):
            content.setdefault("schema", "2.0")
            stages = content.setdefault("stages", {})
            stages.update(entries)
            content["stages"] = arranged(stages, self.order)


def arranged(stages: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """A lock's stages with those of cells in the order of the board, as one local worker leaves them."""
    cells = [name for name in order if name in stages]
    is_cell = set(cells)
    arranged: dict[str, Any] = {}
    for name, entry in stages.items():
        if name not in is_cell:
            arranged[name] = entry
        elif name not in arranged:
            arranged |= {cell: stages[cell] for cell in cells}
    return arranged


def order_of(cells: Sequence[Cell], stages: Sequence[str]) -> list[str]:
    """Names of all stages of a board's cells, cell by cell."""
    return [cell.stage(stage) for cell in cells for stage in stages]
