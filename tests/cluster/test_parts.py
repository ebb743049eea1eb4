"""The parts of a run on a cluster that need no Ray: what is compared, granted, written and merged."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.running import dvc
from gm_bench.running.chains import Chain
from gm_bench.running.cluster import collecting, identity, places, pool, record, task
from gm_bench.running.cluster.checkpoints import Copies
from gm_bench.running.cluster.store import Place, Store
from gm_bench.tracks.diagnostics.checkpoint import Checkpoint, kept
from gm_bench.yaml_text import load_yaml

PACKAGES = {"torch": "2.15.0", "dvc": "3.67.1", "scipy": None}
OWN = {"python": "3.11.2", "packages": PACKAGES, "code": "aa", "commit": "one"}


def test_equal_nodes_are_fit_whatever_their_commit() -> None:
    assert identity.difference(OWN, {**OWN, "commit": "two"}) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"python": "3.11.3"}, "has Python 3.11.3, the driver 3.11.2: install that one there"),
        ({"packages": {**PACKAGES, "torch": "2.14.0"}}, "has torch 2.14.0, the driver 2.15.0"),
        ({"packages": {"torch": "2.15.0"}}, "has dvc not installed, the driver 3.67.1"),
        ({"code": "bb", "commit": "two"}, "runs other code for these cells (commit two, the driver one)"),
    ],
)
def test_what_differs_is_said_in_one_sentence(change: dict, expected: str) -> None:
    assert expected in (identity.difference(OWN, {**OWN, **change}) or "")


def test_a_node_is_compared_anew_only_when_its_code_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    found = dict(OWN)
    monkeypatch.setattr(identity, "here", lambda modules: asked.append(1) or found)
    stamps = ["a"]
    monkeypatch.setattr(identity, "_stamps", lambda: stamps)
    assert identity.checked(OWN, ["m"], tmp_path) is None
    assert identity.checked(OWN, ["m"], tmp_path) is None
    assert len(asked) == 1
    stamps[0] = "b"
    found["code"] = "bb"
    for _ in range(2):
        assert "runs other code" in (identity.checked(OWN, ["m"], tmp_path) or "")
    assert len(asked) == 3


def test_the_code_of_a_board_is_that_of_its_cells_and_of_the_node(params: Params) -> None:
    modules = identity.modules_of(params, "quick")
    assert {"gm_bench.variants.vae", "gm_bench.training.fit", "gm_bench.running.cluster.node"} <= set(modules)
    assert "gm_bench.variants.acgan" not in modules


def test_a_cell_that_was_granted_no_gpu_computes_on_the_cpu() -> None:
    cpu = {"CUDA_VISIBLE_DEVICES": "", "GM_BENCH_DEVICE": "cpu"}
    assert task.stage_environ({"CUDA_VISIBLE_DEVICES": "0,1"}, "cuda", 0.0) == cpu
    assert task.stage_environ({"CUDA_VISIBLE_DEVICES": "1"}, "cpu", 1.0) == cpu


def test_a_share_of_a_gpu_is_a_share_of_its_memory() -> None:
    whole = {"CUDA_VISIBLE_DEVICES": "1", "GM_BENCH_DEVICE": "cuda"}
    environ = {"CUDA_VISIBLE_DEVICES": "1", "OTHER": "x"}
    assert task.stage_environ(environ, "cuda", 1.0) == whole
    asked = "per_process_memory_fraction:0.25"
    assert task.stage_environ(environ, "cuda", 0.25) == {**whole, "PYTORCH_ALLOC_CONF": asked}
    environ["PYTORCH_ALLOC_CONF"] = "backend:native"
    assert task.stage_environ(environ, "cuda", 0.25)["PYTORCH_ALLOC_CONF"] == f"backend:native,{asked}"


def test_a_ray_that_does_not_start_in_time_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        def init(self, **options: object) -> None:
            raise Exception("The current node timed out during startup.")

        def shutdown(self) -> None: ...

    monkeypatch.delenv(pool.ADDRESS, raising=False)
    monkeypatch.setattr(pool, "_imported", lambda on: Busy())
    with (
        pytest.raises(ValueError, match=r"^Ray cannot be used at ray: The current node timed out"),
        pool.connected("ray", 1, None, "cpu"),
    ):
        pass


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (BrokenPipeError("of the output"), BrokenPipeError, "^of the output$"),
        (RuntimeError("the client\nis gone"), ValueError, "^the work at ray broke off: the client is gone; "),
    ],
)
def test_what_goes_wrong_while_ray_is_used_is_not_said_to_be_rays(
    error: Exception, kind: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Idle:
        shut = False

        def init(self, **options: object) -> None: ...

        def nodes(self) -> list[dict[str, object]]:
            return []

        def shutdown(self) -> None:
            self.shut = True

    ray = Idle()
    monkeypatch.delenv(pool.ADDRESS, raising=False)
    monkeypatch.setattr(pool, "_imported", lambda on: ray)
    with pytest.raises(kind, match=said), pool.connected("ray", 1, None, "cpu"):
        raise error
    assert ray.shut


def test_a_store_in_s3_without_its_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    with pytest.raises(ValueError, match=r"^s3://b/gm-bench is in S3, .*: pip install dvc-s3$"):
        Store(Place({}, "s3://b/gm-bench"))


def test_a_full_gpu_is_explained() -> None:
    from gm_bench.running.cluster.node import _explained

    lines = ["torch.OutOfMemoryError: CUDA out of memory."]
    assert _explained(lines, 0.25)[-1].endswith("its share of a GPU (0.25): ask for --gpus-per-cell 0.5")
    assert "a smaller batch" in _explained(lines, 1.0)[-1]
    assert _explained(["ValueError"], 0.25) == ["ValueError"]


def test_a_store_of_a_folder_writes_whole_files_and_notices_that_it_is_gone(tmp_path: Path) -> None:
    store = Store(Place({}, str(tmp_path / "store")))
    with pytest.raises(OSError, match="is not there"):
        store.write("a/b", b"1")
    assert not (tmp_path / "store").exists(), "an unmounted folder is not filled"
    store.open()
    assert (store.read("a/b"), store.names("a")) == (None, [])
    store.write("a/b", b"1")
    store.write("a/b", b"2")
    assert (store.read("a/b"), store.names("a")) == (b"2", ["a/b"])
    store.remove("a/b")
    store.remove("a/b")
    assert store.names("a") == []


def test_checkpoints_travel_by_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store, folder, told = Store(Place({}, str(tmp_path / "store"))), Path("c/cell"), []
    store.open()
    with Copies(store, folder, told.append):
        folder.mkdir(parents=True)
        (folder / "k.safetensors").write_bytes(b"state")
        (folder / "progress.json").write_text("{}")
    (folder / "k.safetensors").unlink()
    with Copies(store, folder, told.append) as second:
        second.fetch()
        assert (folder / "k.safetensors").read_bytes() == b"state"
        second.forget()
    assert store.names("c/cell") == []
    assert told == []


def test_finished_trials_travel_by_the_store_until_their_cell_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node is lost after the search, so that its trials are wanted again, and in trial 2."""
    monkeypatch.chdir(tmp_path)
    store, folder, told = Store(Place({}, str(tmp_path / "store"))), Path("c/cell"), []
    store.open()
    first = Copies(store, folder, told.append)
    written = {
        "k.safetensors": b"0",
        "trials/1/checkpoints/k.safetensors": b"1",
        "trials/1/checkpoints/progress.json": b"{}",
        "trials/1/checkpoints/.k.safetensors.x.safetensors": b"half of it",
        "trials/1/out/model.safetensors": b"weights",
        "trials/1/out/cost.json": b"{}",
    }
    for name, content in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    first._copy()
    assert store.names("c") == ["c/cell/k.safetensors", "c/cell/trials/1/checkpoints/k.safetensors"]
    shutil.rmtree(folder / "trials/1")
    (folder / "trials/1.json").write_text('{"fid": 1.5}')
    (folder / "trials/2/checkpoints").mkdir(parents=True)
    (folder / "trials/2/checkpoints/k.safetensors").write_bytes(b"2")
    (folder / "k.safetensors").unlink()
    first._copy()
    left = ["c/cell/k.safetensors", "c/cell/trials/1.json", "c/cell/trials/2/checkpoints/k.safetensors"]
    assert store.names("c/cell") == left
    shutil.rmtree(folder / "trials")
    first._copy()
    left.pop()
    assert store.names("c/cell") == left

    with Copies(store, folder, told.append) as second:
        second.fetch()
        assert (folder / "trials/1.json").read_text() == '{"fid": 1.5}'
        assert sorted(path.as_posix() for path in folder.rglob("*.*")) == left
        second.forget()
    assert (store.names("c"), told) == ([], [])


def test_an_experiment_goes_on_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one node has finished of a claim is not made again on the next, and its time counts."""
    monkeypatch.chdir(tmp_path)
    store, folder = Store(Place({}, str(tmp_path / "store"))), Path("c/cell")
    store.open()
    with Copies(store, folder, print), Checkpoint(folder, "key", 0.0, print).opened():
        assert kept("VAE/0", lambda: 86.8) == 86.8
        time.sleep(0.01)
        kept("VAE/1", lambda: 86.7)
    shutil.rmtree(folder)
    with Copies(store, folder, print) as second:
        second.fetch()
        gone_on = Checkpoint(folder, "key", 0.0, print)
        assert gone_on.seconds > 0.01
        with gone_on.opened():
            assert kept("VAE/0", lambda: 0.0) == 86.8
        second.forget()
    assert store.names("c") == []


def test_a_lock_gets_the_stages_of_cells_in_the_order_of_the_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".dvc/tmp").mkdir(parents=True)
    monkeypatch.setattr(collecting, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(collecting.runner, "output_of", lambda command, environ: None)
    lock = Path("dvc.lock")
    lock.write_text("schema: '2.0'\nstages:\n  fetch@d:\n    cmd: f\n")
    cells = [Cell("b", "d", name, 0) for name in "xyz"]
    order = collecting.order_of(cells, ("train", "sample"))
    collector = collecting.Collector(lock, order, Place({}, "s", is_cache=True), {})
    for name in "zx":
        cell = Cell("b", "d", name, 0)
        entries = {cell.stage(stage): {"cmd": f"{stage} {name}"} for stage in ("train", "sample")}
        content = {"lock": entries, "runs": {f"ab/{name}": "cmd: c\n"}}
        cell.checkpoints.mkdir(parents=True)
        assert collector.collect([(Chain(cell.name, tuple(entries), cell), content)]) == {}
        assert not cell.checkpoints.exists()
        with dvc.modify("dvc.lock") as written:
            written["stages"]["leaderboard"] = {"cmd": "l"}
    stages = load_yaml(lock.read_text())["stages"]
    assert list(stages) == [
        "fetch@d",
        *(f"{s}@d-{n}-0" for n in "xz" for s in ("train", "sample")),
        "leaderboard",
    ]
    assert stages["sample@d-z-0"] == {"cmd": "sample z"}
    assert (tmp_path / "cache/runs/ab/x").read_text() == "cmd: c\n"


def test_of_a_batch_only_the_lost_cells_are_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".dvc/tmp").mkdir(parents=True)
    monkeypatch.setattr(collecting, "cache_folder", lambda: tmp_path / "cache")
    failing = lambda command, environ: ["missing b"] if "b" in command else None  # noqa: E731
    monkeypatch.setattr(collecting.runner, "output_of", failing)
    collector = collecting.Collector(Path("dvc.lock"), [], Place({}, "s"), {})
    content = {"lock": {}, "runs": {}}
    assert collector.collect([(Chain(n, (n,)), content) for n in "abc"]) == {"b": ["missing b"]}


def test_a_damaged_record_is_none() -> None:
    assert record.unpacked(b"{") is None
    assert record.unpacked(b"[]") is None
    assert record.unpacked(record.packed({"lock": {}, "runs": {}})) == {"lock": {}, "runs": {}}


@pytest.mark.parametrize("on", ["http://head:1", "ray://", "rays", "head:6379"])
def test_what_is_no_ray_is_refused(on: str) -> None:
    with pytest.raises(ValueError, match="give ray, ray://auto or ray://HOST:PORT"):
        pool.check(on)


def test_without_ray_a_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'gm-bench\[cluster\]'"):
        pool.check("ray")


def test_no_other_command_imports_what_clusters_need() -> None:
    script = (
        "import sys, gm_bench.cli, gm_bench.running.driver\n"
        "print([name for name in sys.modules if name == 'ray' or name.startswith('gm_bench.running.clu')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_remote_of_dvc_is_what_nodes_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ["core.remote=far", "remote.far.url=s3://b/p/", "remote.far.endpointurl=http://h:1"]
    settings += ["remote.far.secret_access_key=secret", "remote.other.url=/x"]
    monkeypatch.setattr(places, "_dvc", lambda *arguments: "\n".join(settings))
    place = places.of_cluster()
    assert place == Place({"url": "s3://b/p/", "endpointurl": "http://h:1"}, "s3://b/p/gm-bench")
    settings[1] = "remote.far.url=ssh://host/p"
    with pytest.raises(ValueError, match="a cluster needs a folder or S3"):
        places.of_cluster()
    settings[:] = ["core.analytics=false"]
    with pytest.raises(ValueError, match="none is set here: dvc remote add"):
        places.of_cluster()


class _Ray:
    """Two nodes, one of them with two GPUs; a head without a core."""

    def nodes(self) -> list[dict]:
        def node(name: str, alive: bool = True, **resources: float) -> dict:
            return {"NodeID": name, "Alive": alive, "Resources": resources}

        return [
            node("head", GPU=8),
            node("a", CPU=4),
            node("b", CPU=4, GPU=2),
            node("c", False, CPU=1, GPU=9),
        ]


@pytest.mark.parametrize(
    ("share", "device", "expected"),
    [
        (None, None, (1.0, "cuda")),
        (None, "cpu", (0.0, "cpu")),
        (0.25, None, (0.25, "cuda")),
        (0.0, None, (0.0, "cpu")),
        (0.5, "cpu", (0.5, "cpu")),
    ],
)
def test_what_each_cell_is_granted(
    share: float | None, device: str | None, expected: tuple[float, str]
) -> None:
    made = pool.Pool(_Ray(), share, device, is_client=False)
    assert (made.share, made.device) == expected


def test_a_gpu_that_no_node_has_is_refused() -> None:
    with pytest.raises(ValueError, match="no node of this Ray has more than 2"):
        pool.Pool(_Ray(), 3.0, None, is_client=False)
    with pytest.raises(ValueError, match="each cell is to have 1 of a GPU"):
        pool.Pool(_Ray(), 0.0, "cuda", is_client=False)


def test_the_last_fit_node_is_missed() -> None:
    made = pool.Pool(_Ray(), 0.0, None, is_client=False)
    made.exclude("a")
    with pytest.raises(ValueError, match="no node of this Ray is fit"):
        made.exclude("b")


def test_nobody_elses_folder_is_worked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GM_BENCH_NODE_FOLDER", str(tmp_path / "own"))
    assert task.node_folder() == tmp_path / "own"
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(OSError, match="belongs to another user"):
        task.node_folder()
