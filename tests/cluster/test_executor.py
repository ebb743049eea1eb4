"""What the driver of a cluster does of what becomes of cells, with made-up nodes: no Ray, no DVC."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from gm_bench.cell import Cell
from gm_bench.running.chains import Chain, Command
from gm_bench.running.cluster import executor, record
from gm_bench.running.cluster.executor import MOST_LOSSES, Driver, Work
from gm_bench.running.cluster.parcels import Parcel
from gm_bench.running.cluster.store import Place, Store

RECORD: record.Record = {"lock": {"train@a": {"outs": []}}, "runs": {}}
DONE = {"state": "done", "record": RECORD, "host": "n1", "node": "1"}
LOST = {"state": "lost", "why": "the node died"}
FAILED = {"state": "failed", "output": ["a reason"], "host": "n1", "node": "1"}
UNFIT = {"state": "unfit", "why": "has Python 3.12", "host": "n2", "node": "2"}


class Nodes:
    """Gives the next of the prepared results whenever a cell is submitted."""

    def __init__(self, **results: list[dict[str, Any]]) -> None:
        self.results = results
        self.submitted: list[str] = []
        self.parts: list[Command] = []
        self.excluded: list[str] = []
        self.ended: list[tuple[str, dict[str, Any]]] = []
        self.said: list[dict[str, dict[str, Any]]] = []

    def submit(self, order: dict[str, Any]) -> None:
        name = order["parcel"]["name"]
        self.submitted.append(name)
        self.parts.append(order["parcel"]["part"])
        self.ended.append((name, self.results[name].pop(0)))

    def wait(self, seconds: float) -> list[tuple[str, dict[str, Any]]]:
        ended, self.ended = self.ended[:1], self.ended[1:]
        return ended

    def news(self) -> dict[str, dict[str, Any]]:
        return self.said.pop(0) if self.said else {}

    def exclude(self, node: str) -> None:
        self.excluded.append(node)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run cells called as the results are; their chains, what was said, the batches that were collected."""
    monkeypatch.chdir(tmp_path)

    def run(
        nodes: Nodes,
        gone: tuple[str, ...] = (),
        note: Path | None = None,
        parts: Mapping[str, tuple[Command, ...]] = MappingProxyType({}),
    ) -> tuple[dict[str, Chain], list[str], list[list[str]]]:
        said: list[str] = []
        batches: list[list[str]] = []

        def collect(batch: Any) -> dict[str, list[str]]:
            batches.append([chain.name for chain, _ in batch])
            if note is not None:
                note.touch()
            return {chain.name: ["missing"] for chain, _ in batch if chain.name in gone}

        chains = [
            Chain(name, (f"train@{name}",), Cell("b", "d", name, 0), parts=parts.get(name, ()))
            for name in nodes.results
            if ", part " not in name
        ]
        works = [
            Work(chain, Parcel(chain.name, f"key-{chain.name}", chain.stages, (), "c", {}))
            for chain in chains
        ]
        store = Store(Place({}, str(tmp_path / "store")))
        store.open()
        Driver(nodes, {}, store, collect, said.append).run(works)
        return {chain.name: chain for chain in chains}, said, batches

    return run


def test_many_cells_come_home_in_few_batches(run: Callable[..., Any]) -> None:
    """They end one after another; each batch costs work on the lock of the whole board."""
    names = [f"c{number:02}" for number in range(60)]
    _, _, batches = run(Nodes(**{name: [DONE] for name in names}))
    assert [name for batch in batches for name in batch] == names
    assert min(len(batch) for batch in batches[:-1]) >= 3
    assert len(batches) <= 20


def test_few_cells_come_home_one_by_one(run: Callable[..., Any]) -> None:
    """The second one never ends while the first is away."""
    nodes = Nodes(a=[DONE], b=[DONE])
    seen: list[str] = []

    def wait(seconds: float) -> list[tuple[str, dict[str, Any]]]:
        if len(nodes.ended) == 1 and not Path("brought").exists():
            seen.append("waiting")
            assert len(seen) < 1000, "the first cell is not brought home before the second has ended"
            time.sleep(0.01)
            return []
        return nodes.ended and [nodes.ended.pop(0)]

    nodes.wait = wait  # type: ignore[method-assign]
    _, _, batches = run(nodes, note=Path("brought"))
    assert batches == [["a"], ["b"]]


def test_a_cell_is_given_out_once_its_parts_have_ended(run: Callable[..., Any]) -> None:
    """One part is lost with its node and given out again, one fails, and one is lost again and again."""
    part = {"state": "done", "output": ["trial 1"], "host": "n1", "node": "1"}
    names = [f"a, part {number}" for number in (1, 2, 3)]
    results = {names[0]: [LOST, part], names[1]: [FAILED], names[2]: [LOST] * MOST_LOSSES}
    nodes = Nodes(a=[DONE], b=[DONE], **results)
    commands = tuple(("trial", str(number)) for number in range(3))
    chains, said, batches = run(nodes, parts={"a": commands})
    assert nodes.submitted[:4] == [*names, "b"]
    assert nodes.submitted[-1] == "a"
    assert sorted(nodes.submitted) == ["a", *names[:1] * 2, names[1], *names[2:] * MOST_LOSSES, "b"]
    assert nodes.parts[:4] == [*commands, ()]
    assert nodes.parts[-1] == ()
    assert {chain.state for chain in chains.values()} == {"done"}
    assert said[0] == "a, part 1: its node lost it (the node died); it goes on elsewhere"
    assert sorted(name for batch in batches for name in batch) == ["a", "b"]


def test_parts_of_a_cell_that_was_finished_anywhere_are_not_run(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    store = Store(Place({}, str(tmp_path / "store")))
    store.open()
    store.write(record.name_of("key-a"), record.packed(RECORD))
    nodes = Nodes(a=[])
    chains, _, _ = run(nodes, parts={"a": (("trial", "0"),)})
    assert (chains["a"].state, nodes.submitted) == ("done", [])


def test_a_lost_cell_goes_on_elsewhere(run: Callable[..., Any]) -> None:
    nodes = Nodes(a=[LOST, LOST, DONE], b=[DONE])
    chains, said, batches = run(nodes)
    assert {name: chain.state for name, chain in chains.items()} == {"a": "done", "b": "done"}
    assert nodes.submitted == ["a", "b", "a", "a"]
    assert said == ["a: its node lost it (the node died); it goes on elsewhere"] * 2
    assert sorted(name for batch in batches for name in batch) == ["a", "b"]


def test_a_cell_that_takes_its_worker_with_it_each_time_is_given_up(run: Callable[..., Any]) -> None:
    nodes = Nodes(a=[LOST] * MOST_LOSSES)
    chains, _, batches = run(nodes)
    assert chains["a"].state == "failed"
    assert chains["a"].output == [f"lost {MOST_LOSSES} times with its worker: the node died"]
    assert (len(nodes.submitted), batches) == (MOST_LOSSES, [])


def test_a_cell_that_fails_by_itself_is_not_repeated(run: Callable[..., Any]) -> None:
    nodes = Nodes(a=[FAILED], b=[DONE])
    chains, _, _ = run(nodes)
    assert (chains["a"].state, chains["a"].output, chains["a"].place) == ("failed", ["a reason"], "n1")
    assert chains["b"].state == "done"
    assert nodes.submitted == ["a", "b"]


def test_an_unfit_node_is_said_once_and_gets_no_more_cells(run: Callable[..., Any]) -> None:
    nodes = Nodes(a=[UNFIT, DONE], b=[UNFIT, DONE])
    chains, said, _ = run(nodes)
    assert {chain.state for chain in chains.values()} == {"done"}
    assert said == ["the node n2 is not used: it has Python 3.12"]
    assert set(nodes.excluded) == {"2"}


def test_a_cell_with_a_record_is_not_run_again(run: Callable[..., Any], tmp_path: Path) -> None:
    records = tmp_path / "store/records"
    records.mkdir(parents=True)
    (records / "key-a.json").write_text(json.dumps(RECORD))
    (records / "key-b.json").write_text("{")  # a damaged one says nothing
    nodes = Nodes(a=[], b=[DONE])
    chains, _, _ = run(nodes)
    assert {chain.state for chain in chains.values()} == {"done"}
    assert nodes.submitted == ["b"]


def test_a_record_whose_files_are_gone_is_forgotten(run: Callable[..., Any], tmp_path: Path) -> None:
    records = tmp_path / "store/records"
    records.mkdir(parents=True)
    (records / "key-a.json").write_text(json.dumps(RECORD))
    chains, _, _ = run(Nodes(a=[], b=[DONE]), gone=("a",))
    assert {name: chain.state for name, chain in chains.items()} == {"a": "failed", "b": "done"}
    assert chains["a"].output == ["missing", "the same command runs it again"]
    assert not (records / "key-a.json").exists()


def test_what_cells_say_is_shown_where_a_local_run_leaves_it(run: Callable[..., Any], tmp_path: Path) -> None:
    nodes = Nodes(a=[LOST, DONE])
    progress = {"key": "k", "images": 5, "history": []}
    nodes.said = [{"a": {"state": "train", "place": "n1", "progress": progress, "note": "slow"}}] * 2
    chains, said, _ = run(nodes)
    assert json.loads((tmp_path / ".checkpoints/b/d-a-0/progress.json").read_text()) == progress
    assert said.count("a: slow") == 1
    assert chains["a"].place == "n1"


def test_checkpoints_of_a_local_run_are_offered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(Place({}, str(tmp_path / "store")))
    store.open()
    store.write("c/old.safetensors", b"further")
    for name in ("old", "new"):
        Path("c").mkdir(exist_ok=True)
        Path(f"c/{name}.safetensors").write_bytes(b"local")
    work = Work(Chain("a", ()), Parcel("a", "k", (), (), "c", {}))
    executor._offer_checkpoints([work], store)
    assert store.read("c/old.safetensors") == b"further"
    assert store.read("c/new.safetensors") == b"local"
