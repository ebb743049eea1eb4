"""What runs in Ray's own processes: one cell as a child process, and what all cells say of themselves."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gm_bench.running import gpus

FOLDER = "GM_BENCH_NODE_FOLDER"  # names the environment variable of the folder in which a node's cells work
ALLOCATOR = "PYTORCH_ALLOC_CONF"
LINES_KEPT = 200


def run_cell(order: dict[str, Any], common: dict[str, str], board: Any) -> dict[str, Any]:
    """Run one cell on this node, or see whether the node is fit to: what became of it, and where.

    Args:
        order: parcel (None to look at the node only), identity, modules, place, device, share.
        common: files that all cells need.
        board: an actor of `Board`, told how far the cell is; or None.
    """
    import ray

    node = ray.get_runtime_context().get_node_id()
    host = os.uname().nodename
    shown = _place(host)
    name = order["parcel"]["name"] if order["parcel"] else ""

    def tell(news: dict[str, Any]) -> None:
        if board is not None:
            board.tell.remote(name, {**news, "place": shown})

    tell({"state": "starting"})
    environ = stage_environ(os.environ, order["device"], order["share"])
    result = run_process({**order, "common": common, "environ": environ}, node_folder(), tell)
    return {**result, "node": node, "host": host, "place": shown}


def run_process(
    order: dict[str, Any], folder: Path, tell: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Run `node.py` in a process that ends when this one does; its result.

    A process that was killed is reported as lost.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "gm_bench.running.cluster.node", str(folder)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        result: dict[str, Any] | None = None
        with process.stdin, process.stdout:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                news = json.loads(line)
                result = news.get("result", result)
                if "result" not in news:
                    tell(news)
            code = process.wait()
        if result is not None:
            return result
        errors.seek(0)
        output = errors.read().decode(errors="replace").splitlines()[-LINES_KEPT:]
    if code < 0:
        return {"state": "lost", "why": f"its process was killed by signal {-code}"}
    return {"state": "failed", "output": output}


def stage_environ(environ: Mapping[str, str], device: str, share: float) -> dict[str, str]:
    """What stages find in their environment: one GPU and their part of its memory, or none.

    Args:
        environ: of Ray's process, where CUDA_VISIBLE_DEVICES is what Ray granted.
        device: cuda, or cpu where the cell is to compute there, whatever it was granted.
        share: of a GPU, 0 for none.
    """
    if device == "cpu" or not share:
        return gpus.without({})
    chosen = {gpus.VISIBLE: environ.get(gpus.VISIBLE, ""), gpus.DEVICE: "cuda"}
    if share < 1:
        asked = f"per_process_memory_fraction:{share:g}"
        chosen[ALLOCATOR] = ",".join(filter(None, [environ.get(ALLOCATOR), asked]))
    return chosen


def node_folder() -> Path:
    """Where the cells of this node work: the user's own folder, on a local disk.

    Raises:
        OSError: it belongs to somebody else.
    """
    default = Path(tempfile.gettempdir(), f"gm-bench-node-{os.getuid()}")
    folder = Path(os.environ.get(FOLDER, default))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise OSError(f"{folder} belongs to another user: set {FOLDER} to a folder of your own on each node")
    return folder


def _place(host: str) -> str:
    granted = os.environ.get(gpus.VISIBLE, "")
    return f"{host}, GPU {granted}" if granted else host


class Board:
    """What cells at work say of themselves; an actor without a core of its own."""

    def __init__(self) -> None:
        self.said: dict[str, dict[str, Any]] = {}

    def tell(self, name: str, news: dict[str, Any]) -> None:
        self.said[name] = {**self.said.get(name, {}), **news}

    def news(self) -> dict[str, dict[str, Any]]:
        """All that was said since the last call: cell → state, place, progress, note."""
        said, self.said = self.said, {}
        return said
