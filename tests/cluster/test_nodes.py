"""Cells on the nodes of a Ray of this machine: GM_BENCH_TEST_CLUSTER=1 pytest -m cluster (8 minutes).

Nodes, workers and the driver are processes of their own, the remote of DVC is a folder, GPUs are logical:
cells are granted them and compute on the CPU. What stands in the working folder is compared with what a local
run leaves.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tiny
from processes import processes_in

from gm_bench.yaml_text import load_yaml

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        find_spec("ray") is None, reason="Ray is not installed: pip install 'gm-bench[cluster]'"
    ),
    pytest.mark.skipif("GM_BENCH_TEST_CLUSTER" not in os.environ, reason="takes 8 minutes"),
    pytest.mark.xdist_group("cluster"),
]
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
CELLS = ("vae/0", "wgan/0")
EQUAL = ["model.safetensors", "samples.safetensors", "grid.png", "metrics.json"]
OWN_TIMES = ("history.csv", "cost.json")  # say how long it took
REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 600.0  # seconds; the machine may be busy


def environ(folder: Path, **more: str) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "PYTHONPATH": str(folder), "GM_BENCH_DEVICE": "cpu", **QUIET}
    return {**os.environ, **own, **more}


def gm_bench(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gm_bench.cli", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environ(folder, **more), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def working_folder(path: Path, remote: Path | None = None) -> Path:
    """A small board; the VAE trains for about half a minute, the WGAN for a little less."""
    path.mkdir()
    tiny.make(path, variants=["vae", "wgan"], seeds=[0], n_images=64 * 600)
    if remote is not None:
        (path / ".dvc/config").write_text(
            f"[core]\n    remote = shared\n['remote \"shared\"']\n    url = {remote}\n"
        )
    return path


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = working_folder(tmp_path_factory.mktemp("local") / "board")
    gm_bench(folder, "run", "-j", "1")
    return folder


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as pip installs it, and nothing else of the repository."""
    folder = tmp_path_factory.mktemp("package")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    source = folder / "source"
    for name in ("gm_bench", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(REPOSITORY / name, source / name)
    subprocess.run([*command, str(source)], check=True)
    shutil.rmtree(source)
    return folder


class Nodes:
    """A Ray whose head computes nothing, and nodes of one core and one logical GPU each."""

    def __init__(self, folder: Path) -> None:
        os.environ.update(QUIET)
        from ray.cluster_utils import Cluster

        self.folder = folder
        head = {"num_cpus": 0, "node_ip_address": "127.0.0.1", "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)

    @property
    def address(self) -> str:
        return self.cluster.address

    def add(self, code: Path, name: str) -> Any:
        own = environ(code, GM_BENCH_SAVE_EVERY="1", GM_BENCH_NODE_FOLDER=str(self.folder / name))
        before = dict(os.environ)
        os.environ.update(own)
        try:
            return self.cluster.add_node(num_cpus=1, num_gpus=1, node_ip_address="127.0.0.1")
        finally:
            os.environ.clear()
            os.environ.update(before)

    def kill(self, node: Any) -> None:
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    started = Nodes(tmp_path)
    yield started
    started.cluster.shutdown()


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.2)
    raise AssertionError("it did not happen")


def cells_at_work(node_folder: Path) -> list[str]:
    return [path.name.split(".")[1] for path in (node_folder / "cells").glob("*")]


def assert_as_local(folder: Path, local: Path) -> None:
    for cell in CELLS:
        for name in EQUAL:
            path = Path("runs/digits/digits", cell, name)
            assert (folder / path).read_bytes() == (local / path).read_bytes(), path
    assert without_times(folder) == without_times(local)
    assert list(without_times(folder)) == list(without_times(local)), "stages stand in the same order"
    board, expected = (
        json.loads((f / "reports/digits/leaderboard.json").read_text()) for f in (folder, local)
    )
    for content in (board, expected):
        for row in content["rows"]:
            for name in ("seconds", "seconds_sd", "cost"):
                row.pop(name, None)
    assert [row["metrics"] for row in board["rows"]] == [row["metrics"] for row in expected["rows"]]
    runs = [
        sorted(p.parent.name for p in (f / ".dvc/cache/runs").rglob("*") if p.is_file())
        for f in (folder, local)
    ]
    assert len(runs[0]) == len(runs[1])
    assert not [p for p in (folder / ".checkpoints").rglob("*") if p.is_file()]
    before = (folder / "dvc.lock").read_bytes()
    again = gm_bench(folder, "run")
    assert "to bring up to date" not in again.stderr, "DVC finds every cell fresh"
    assert (folder / "dvc.lock").read_bytes() == before


def without_times(folder: Path) -> dict[str, Any]:
    """dvc.lock less the hashes of files that say how long things took, and of the reports that repeat it."""
    stages = load_yaml((folder / "dvc.lock").read_text())["stages"]
    for entry in stages.values():
        for out in [*entry.get("outs", []), *entry.get("deps", [])]:
            if (
                out["path"].endswith(OWN_TIMES)
                or out["path"].startswith("reports/")
                or out["path"] == "runs/digits"
            ):
                out["md5"] = out["size"] = None
    return stages


def test_a_lost_node_and_a_killed_driver_change_nothing(
    nodes: Nodes, local: Path, package: Path, tmp_path: Path
) -> None:
    """The nodes have the package alone."""
    remote = tmp_path / "remote"
    folder = working_folder(tmp_path / "board", remote)
    first, second = nodes.add(package, "one"), nodes.add(package, "two")
    store = remote / "gm-bench"
    command = [
        sys.executable,
        "-m",
        "gm_bench.cli",
        "run",
        "--on",
        "ray",
        "--gpus-per-cell",
        "1",
        "--device",
        "cpu",
    ]
    own = environ(folder, RAY_ADDRESS=nodes.address)

    log = (tmp_path / "driver.log").open("w+")
    driver = subprocess.Popen(command, cwd=folder, env=own, stdout=log, stderr=log)
    until(lambda: len(list(store.glob(".checkpoints/digits/*/*.safetensors"))) == 2)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert not list(store.glob("records/*.json"))
    until(lambda: not processes_in(tmp_path / "one") and not processes_in(tmp_path / "two"))
    died = time.time()

    driver = subprocess.Popen(command, cwd=folder, env=own, stdout=log, stderr=log)
    until(lambda: cells_at_work(tmp_path / "one") and cells_at_work(tmp_path / "two"))
    seen = {path: path.stat().st_mtime for path in store.glob(".checkpoints/digits/*/*.safetensors")}
    (lost,) = cells_at_work(tmp_path / "two")
    until(lambda: any(p.stat().st_mtime > seen[p] for p in seen if lost in str(p) and p.exists()))
    nodes.kill(second)
    killed = time.time()
    until(lambda: not processes_in(tmp_path / "two"))
    nodes.add(package, "three")
    assert driver.wait(PATIENCE) == 0, (tmp_path / "driver.log").read_text()

    told = (tmp_path / "driver.log").read_text()
    assert f"{lost}: " in told
    assert "it goes on elsewhere" in told
    for cell in CELLS:
        rows = (folder / f"runs/digits/digits/{cell}/history.csv").read_text().splitlines()[1:]
        began = int(rows[0].split(",")[2]) / 1000
        assert began < died < killed, "its first rows are those of the first driver's training"
    assert_as_local(folder, local)
    assert first.any_processes_alive()


def test_a_node_of_another_version_is_not_used_and_said_to_be(
    nodes: Nodes, local: Path, tmp_path: Path
) -> None:
    """Its WGAN is written otherwise. The store goes away meanwhile and comes back."""
    remote = tmp_path / "remote"
    folder = working_folder(tmp_path / "board", remote)
    stale = tmp_path / "stale"
    shutil.copytree(folder, stale)
    module = stale / "gm_bench/variants/wgan.py"
    module.write_text(module.read_text() + "\nWEIGHT = 2.0\n")
    nodes.add(stale, "stale")
    nodes.add(folder, "fresh")
    command = [
        sys.executable,
        "-m",
        "gm_bench.cli",
        "run",
        "--on",
        "ray",
        "--device",
        "cpu",
        "--gpus-per-cell",
        "0.5",
    ]
    log = (tmp_path / "driver.log").open("w+")
    driver = subprocess.Popen(
        command, cwd=folder, env=environ(folder, RAY_ADDRESS=nodes.address), stdout=log, stderr=log
    )
    until(lambda: list(remote.glob("gm-bench/.checkpoints/digits/*/*.safetensors")))
    remote.rename(tmp_path / "gone")
    until(lambda: "checkpoints cannot be copied" in (tmp_path / "driver.log").read_text())
    (tmp_path / "gone").rename(remote)
    assert driver.wait(PATIENCE) == 0, (tmp_path / "driver.log").read_text()
    told = (tmp_path / "driver.log").read_text()
    assert told.count("is not used: it runs other code for these cells") == 1
    assert not (tmp_path / "stale/objects").exists()
    assert_as_local(folder, local)
