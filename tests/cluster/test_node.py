"""One cell on a node, without Ray: a process that pulls, runs a small stage, pushes, and leaves a record."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from processes import processes_in

from gm_bench.running.cluster import identity, parcels, record, task
from gm_bench.running.cluster.store import Place, Store
from gm_bench.yaml_text import dump_yaml

slow = pytest.mark.skipif("GM_BENCH_TEST_CLUSTER" not in os.environ, reason="takes a minute")
MODULES = ["gm_bench.running.cluster.store"]
# Doubles a number; fails, or waits for ever, where the data says so.
SCRIPT = """
import pathlib, time
number = int(pathlib.Path("data/d.txt").read_text())
if number < 0:
    raise SystemExit("torch.OutOfMemoryError: no memory" if number == -1 else time.sleep(600))
pathlib.Path("out.txt").write_text(str(2 * number))
"""
# A multiple of the number into the checkpoints.
PART = """
import pathlib, sys
folder = pathlib.Path(".checkpoints/c/trials")
folder.mkdir(parents=True, exist_ok=True)
print(len(list(folder.glob("*.json"))), "there before")
number = int(pathlib.Path("data/d.txt").read_text())
(folder / f"{sys.argv[1]}.json").write_text(str(2 * number * int(sys.argv[1])))
"""
STAGES = {
    "fetch": {"cmd": "python -m pipelines.fetch", "outs": ["data/d.txt"]},
    "train": {"cmd": "python -m pipelines.train", "deps": ["data/d.txt"], "outs": ["out.txt"]},
}


def dvc(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "gm_bench.running.dvc", "--cd", str(folder), *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    place = Place({"url": str(tmp_path / "remote")}, str(tmp_path / "remote/gm-bench"))
    Store(place).open()
    monkeypatch.chdir(tmp_path)
    return order_for(place)


def order_for(place: Place) -> dict[str, Any]:
    """What the driver gives of a cell; a pipeline of two stages is written into this folder."""
    stages = {
        name: {**stage, "matrix": {"dataset": ["d"]}, "outs": stage["outs"]} for name, stage in STAGES.items()
    }
    common = {
        "dvc.yaml": dump_yaml({"stages": stages}),
        "pipelines/__init__.py": "",
        "pipelines/train.py": SCRIPT,
        "params.yaml": "{}",
    }
    Path("pipelines").mkdir()
    Path("params.yaml").write_text("{}")
    common |= {".dvc/config": parcels.common_files(place)[".dvc/config"]}
    return {
        "common": common,
        "place": place.as_dict(),
        "modules": MODULES,
        "identity": identity.here(MODULES),
    }


def given(order: dict[str, Any], number: int, tmp_path: Path) -> dict[str, Any]:
    """The order for a cell whose data is a number."""
    driver = tmp_path / "driver"
    for name, text in {**order["common"], "data/d.txt": str(number)}.items():
        (driver / name).parent.mkdir(parents=True, exist_ok=True)
        (driver / name).write_text(text)
    dvc(driver, "commit", "--force", "fetch@d")
    dvc(driver, "push", "fetch@d")
    lock = (driver / "dvc.lock").read_text()
    parcel = parcels.Parcel("cell", "k", ("train@d",), ("fetch@d",), ".checkpoints/c", {"dvc.lock": lock})
    return {**order, "parcel": parcel.as_dict(), "environ": {}, "share": 0.25}


def test_a_cell_goes_from_files_to_files(order: dict[str, Any], tmp_path: Path) -> None:
    node, told = tmp_path / "node", []
    for name in (".nfs0001", "lost+found", "999999999.killed.x"):
        (node / "cells" / name).mkdir(parents=True)
    result = task.run_process(given(order, 21, tmp_path), node, told.append)
    assert result["state"] == "done", result
    (out,) = result["record"]["lock"]["train@d"]["outs"]
    digest = out["md5"]
    assert (tmp_path / "remote/files/md5" / digest[:2] / digest[2:]).read_text() == "42"
    assert len(result["record"]["runs"]) == 1
    stored = (tmp_path / "remote/gm-bench" / record.name_of("k")).read_bytes()
    assert record.unpacked(stored) == result["record"]
    assert [news["state"] for news in told if "state" in news][-1] == "push"
    left = sorted(path.name for path in (node / "cells").iterdir())
    assert left == [".nfs0001", "lost+found"], "what is no cell of a killed process is not ours"
    kept = [path for path in (node / "objects").rglob("*") if path.is_file()]
    assert [path.read_text() for path in kept] == ["21"], (
        "the dataset stays for the next cell, results do not"
    )


def test_what_a_part_leaves_is_found_by_the_next_one_and_by_the_cell(
    order: dict[str, Any], tmp_path: Path
) -> None:
    node = tmp_path / "node"
    node.mkdir()
    order["common"]["pipelines/part.py"] = PART
    whole = given(order, 21, tmp_path)
    store = Store(Place(**order["place"]))
    for name in ("1", "2"):
        part = {**whole["parcel"], "name": f"cell, part {name}", "part": ["pipelines.part", name]}
        result = task.run_process({**whole, "parcel": part}, node, lambda news: None)
        assert (result["state"], result["output"][-1]) == ("done", f"{int(name) - 1} there before")
    kept = [".checkpoints/c/trials/1.json", ".checkpoints/c/trials/2.json"]
    assert store.names(".checkpoints") == kept
    assert [store.read(name) for name in kept] == [b"42", b"84"]
    assert task.run_process(whole, node, lambda news: None)["state"] == "done"
    assert store.names(".checkpoints") == [], "the cell is finished"


@pytest.mark.cluster
@slow
def test_a_part_that_fails_brings_its_words(order: dict[str, Any], tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    order["common"]["pipelines/part.py"] = PART
    whole = given(order, 21, tmp_path)
    part = {**whole["parcel"], "part": ["pipelines.part", "no number"]}
    result = task.run_process({**whole, "parcel": part}, node, lambda news: None)
    assert result["state"] == "failed"
    assert result["output"][-1].startswith("ValueError")


@pytest.mark.cluster
@slow
def test_a_cell_that_fails_brings_its_words(order: dict[str, Any], tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    result = task.run_process(given(order, -1, tmp_path), node, lambda news: None)
    assert result["state"] == "failed"
    assert any("OutOfMemoryError" in line for line in result["output"])
    assert result["output"][-1].endswith("ask for --gpus-per-cell 0.5")
    assert not (tmp_path / "remote/gm-bench" / record.name_of("k")).exists()


def test_a_node_of_another_kind_says_so_and_does_nothing(order: dict[str, Any], tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    other = {**order["identity"], "python": "3.11.99"}
    result = task.run_process(
        {**order, "identity": other, "parcel": None, "environ": {}}, node, lambda n: None
    )
    assert result["state"] == "unfit"
    assert "the driver 3.11.99" in result["why"]
    assert task.run_process({**order, "parcel": None, "environ": {}}, node, lambda n: None) == {
        "state": "fit"
    }


@pytest.mark.cluster
@slow
@pytest.mark.parametrize("how", ["giver", "process"])
def test_nothing_is_left_at_work_when_the_giver_is_killed(
    order: dict[str, Any], tmp_path: Path, how: str
) -> None:
    """Whoever gave the cell is killed, or the process itself: its stage, a process of its own, ends too."""
    node = tmp_path / "node"
    node.mkdir()
    whole = given(order, -2, tmp_path)
    script = tmp_path / "giver.py"
    script.write_text(
        "import json, pathlib, sys\nfrom gm_bench.running.cluster.task import run_process\n"
        "tell = lambda news: print(news, flush=True)\n"
        f"run_process(json.load(sys.stdin), pathlib.Path({str(node)!r}), tell)\n"
    )
    giver = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert giver.stdin is not None
    assert giver.stdout is not None
    giver.stdin.write(json.dumps(whole))
    giver.stdin.close()
    for line in giver.stdout:
        if "'train'" in line:
            break
    threading.Thread(target=giver.stdout.read, daemon=True).start()
    at_work = processes_in(node)
    assert len(at_work) > 1
    if how == "giver":
        giver.kill()
    else:
        first = min(at_work)
        os.kill(first, 9)
    giver.wait()
    end = time.monotonic() + 20
    while processes_in(node) and time.monotonic() < end:
        time.sleep(0.1)
    assert processes_in(node) == []
