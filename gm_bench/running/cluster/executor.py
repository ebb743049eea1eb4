"""The driver of a cluster's cells: gives them out, lost ones again, and brings finished ones home."""

import json
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from gm_bench.config import Params
from gm_bench.replacing import replacing
from gm_bench.running import boards, runner
from gm_bench.running.chains import Chain, dataset_chain
from gm_bench.running.cluster import checkpoints, identity, parcels, places, record
from gm_bench.running.cluster.collecting import Collector, order_of
from gm_bench.running.cluster.parcels import Parcel
from gm_bench.running.cluster.record import Record
from gm_bench.running.cluster.store import Place, Store
from gm_bench.running.runner import PROGRESS

BATCHES = 25  # in which the cells of a run come home at most; each costs work on the whole board's lock
MOST_LOSSES = 10  # of one cell, each time with its worker or node; after that the cell itself is to blame
SECONDS_BETWEEN_LOOKS = 1.0
Say = Callable[[str], None]


class Nodes(Protocol):
    """What the driver needs of `pool.Pool`."""

    def submit(self, order: dict[str, Any]) -> None: ...
    def wait(self, seconds: float) -> list[tuple[str, dict[str, Any]]]: ...
    def news(self) -> dict[str, dict[str, Any]]: ...
    def exclude(self, node: str) -> None: ...


@dataclass
class Work:
    """One cell on its way, or a part of what is to be done for it.

    Args:
        of: the cell, of a part.
        parts: how many parts are on their way, of a cell that waits for them.
    """

    chain: Chain
    parcel: Parcel
    of: "Work | None" = None
    parts: int = 0
    began: float = field(default_factory=time.monotonic)
    losses: int = 0


class Driver:
    """Brings cells up to date on nodes.

    Args:
        nodes: where they run.
        order: what every cell is given besides its parcel.
        store: where records lie.
        collect: brings finished cells into the working folder; see `Collector.collect`.
        say: tells the user of what is not a state of one cell.
    """

    def __init__(
        self,
        nodes: Nodes,
        order: dict[str, Any],
        store: Store,
        collect: Callable[[Sequence[tuple[Chain, Record]]], dict[str, list[str]]],
        say: Say,
    ) -> None:
        self.nodes = nodes
        self.order = order
        self.store = store
        self.collect = collect
        self.say = say
        self.works: dict[str, Work] = {}
        self.finished: list[tuple[Chain, Record]] = []
        self.notes: set[str] = set()
        self.refused: set[str] = set()

    def run(self, works: Sequence[Work]) -> None:
        """Bring cells up to date; afterwards the state of each chain is "done" or "failed"."""
        self.works = {work.chain.name: work for work in works}
        known = set(self.store.names(record.FOLDER))
        for work in works:
            found = self._recorded(work) if record.name_of(work.parcel.key) in known else None
            if found is not None:
                self._finish(work, found)
            elif work.chain.parts:
                self._give_parts(work)
            else:
                self._give(work)
        least = math.ceil(len(works) / BATCHES)
        at_work = {work.chain.name for work in works} - {chain.name for chain, _ in self.finished}
        with ThreadPoolExecutor(max_workers=1) as pool:
            collecting: Future[None] | None = None
            while at_work or self.finished or collecting:
                for name, result in self.nodes.wait(SECONDS_BETWEEN_LOOKS if at_work else 0):
                    if self._took(self.works[name], result):
                        at_work.discard(name)  # a cell: of parts it knows nothing
                self._hear()
                if collecting and (collecting.done() or not at_work):
                    collecting.result()
                    collecting = None
                is_due = len(self.finished) >= least or (self.finished and not at_work)
                if is_due and collecting is None:
                    batch, self.finished = self.finished, []
                    collecting = pool.submit(self._bring, batch)

    def _recorded(self, work: Work) -> Record | None:
        content = self.store.read(record.name_of(work.parcel.key))
        return None if content is None else record.unpacked(content)

    def _give(self, work: Work) -> None:
        work.chain.state, work.chain.place = "waiting", ""
        self.nodes.submit({**self.order, "parcel": work.parcel.as_dict()})

    def _give_parts(self, work: Work) -> None:
        """Give out the parts of a cell's work, and the cell itself once they have ended."""
        work.parts = len(work.chain.parts)
        for number, command in enumerate(work.chain.parts):
            name = f"{work.chain.name}, part {number + 1}"
            part = Work(Chain(name, ()), replace(work.parcel, name=name, part=command), work)
            self.works[name] = part
            self._give(part)

    def _end_part(self, work: Work, whole: Work, result: dict[str, Any]) -> None:
        """Count a part that has ended, well or not: what it left undone, the cell's stages do."""
        whole.parts -= 1
        n_parts = len(whole.chain.parts)
        whole.chain.output += result.get("output", [])[-1:]
        whole.chain.state = f"{n_parts - whole.parts} of {n_parts} parts"
        del self.works[work.chain.name]
        if not whole.parts:
            whole.chain.output.clear()
            self._give(whole)

    def _took(self, work: Work, result: dict[str, Any]) -> bool:
        """Take what a node says of a cell; whether that was the last word."""
        state, where = result["state"], result.get("host", "its node")
        if work.of is not None and state in ("done", "failed"):
            self._end_part(work, work.of, result)
        elif state == "done":
            self._finish(work, result["record"])
        elif state == "unfit":
            self.refuse(result)
            self._give(work)
            return False
        elif state in ("lost", "stopped"):
            work.losses += 1
            if work.losses < MOST_LOSSES:
                self.say(
                    f"{work.chain.name}: {where} lost it ({result.get('why', state)}); it goes on elsewhere"
                )
                self._give(work)
                return False
            why = [f"lost {MOST_LOSSES} times with its worker: {result.get('why', state)}"]
            if work.of is not None:
                self._end_part(work, work.of, {"output": why})
            else:
                self._fail(work, why)
        else:
            work.chain.place = where
            self._fail(work, result["output"])
        return True

    def refuse(self, result: dict[str, Any]) -> None:
        """Say once that a node is not used, and why."""
        if result["node"] not in self.refused:
            self.refused.add(result["node"])
            self.say(f"the node {result['host']} is not used: it {result['why']}")
        self.nodes.exclude(result["node"])

    def _finish(self, work: Work, content: Record) -> None:
        work.chain.state = "collect"
        self.finished.append((work.chain, content))

    def _fail(self, work: Work, output: list[str]) -> None:
        work.chain.output = output
        self._end(work.chain, "failed")

    def _end(self, chain: Chain, state: str) -> None:
        chain.seconds = time.monotonic() - self.works[chain.name].began
        chain.state = state

    def _bring(self, batch: Sequence[tuple[Chain, Record]]) -> None:
        """Bring finished cells home; a record whose files are gone from the remote is forgotten."""
        lost = self.collect(batch)
        for chain, _ in batch:
            if chain.name in lost:
                self.store.remove(record.name_of(self.works[chain.name].parcel.key))
                chain.output = [*lost[chain.name], "the same command runs it again"]
            self._end(chain, "failed" if chain.name in lost else "done")

    def _hear(self) -> None:
        """Take what cells say of themselves: state and place, how far training is, notes."""
        for name, news in self.nodes.news().items():
            if name not in self.works:  # a part that has ended
                continue
            chain = self.works[name].chain
            if chain.state in ("collect", "done", "failed"):
                continue
            chain.state, chain.place = news.get("state", chain.state), news.get("place", chain.place)
            if news.get("progress") and chain.cell is not None:
                with replacing(chain.cell.checkpoints / PROGRESS) as temporary:
                    temporary.write_text(json.dumps(news["progress"]), encoding="utf-8")
            note = news.get("note")
            if note and note not in self.notes:
                self.notes.add(note)
                self.say(f"{name}: {note}")


def run_layer(
    chains: Sequence[Chain],
    params: Params,
    board: str,
    pool: Any,
    environ: dict[str, str],
    say: Say,
    is_own: bool,
) -> None:
    """Run chains of cells on a Ray, as `runner.run_layer` does on this machine.

    Args:
        pool: from `pool.connected`.
        is_own: that Ray is of this machine alone, so that DVC's cache serves as the remote.

    Raises:
        ValueError: there is no usable remote, or no node is fit.
        OSError: the store cannot be reached.
    """
    place = places.of_machine() if is_own else places.of_cluster()
    modules = identity.modules_of(params, board)
    own = identity.here(modules)
    order = {"identity": own, "modules": modules, "place": place.as_dict()}
    works = [
        Work(chain, parcel)
        for chain, parcel in zip(chains, parcels.parcels(params, chains, own, pool.device), strict=True)
    ]
    store = Store(place)
    store.open()
    _push_datasets(params, chains, place, environ)
    _offer_checkpoints(works, store)
    lock = boards.file_of(params, board).with_suffix(".lock")
    stages = order_of(params.cells(board), boards.cell_stages(params, board))
    driver = Driver(pool, order, store, Collector(lock, stages, place, environ).collect, say)
    pool.open(parcels.common_files(place))
    for result in pool.look_at_nodes(order):
        if result["state"] == "failed":
            result["why"] = f"cannot run gm-bench ({' '.join(result['output'][-1:])})"
        if result["state"] in ("unfit", "failed"):
            driver.refuse(result)
    driver.run(works)


def _push_datasets(params: Params, chains: Sequence[Chain], place: Place, environ: dict[str, str]) -> None:
    """Bring the files that cells depend on to the remote."""
    if place.is_cache:
        return
    names = sorted({(chain.cell.board, chain.cell.dataset) for chain in chains if chain.cell})
    stages = [stage for board, name in names for stage in dataset_chain(params, board, name).stages]
    failed = runner.output_of([*runner.DVC, "push", *stages], environ)
    if failed is not None:
        raise ValueError(f"dvc push failed: {' '.join(failed[-3:])}")


def _offer_checkpoints(works: Sequence[Work], store: Store) -> None:
    """Give the store what cells have left in the working folder, when they were trained here and stopped."""
    for work in works:
        for path in checkpoints.files(Path(work.parcel.checkpoints)):
            name = path.as_posix()
            if not store.has(name):
                store.write(name, path.read_bytes())
