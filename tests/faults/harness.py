"""A tiny pipeline to do harm to, what comes out of it when nobody does, and how to look at what is left."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny

from gm_bench.yaml_text import dump_yaml, load_yaml

HERE = Path(__file__).resolve().parent
CELLS = ("kde", "vae")
CHEAP = {"draws": 1, "kid_subsets": 10, "bound_images": 100, "bound_codes": 4, "floor_splits": 2}
N_IMAGES = 64 * 300  # some seconds of training, so that there is time to disturb it
REPRODUCIBLE = (
    "model.safetensors",
    "snapshots.safetensors",
    "samples.safetensors",
    "grid.png",
    "metrics.json",
)
OF_THE_CLOCK = ("seconds", "images_per_second", "peak_memory_bytes")
PATIENCE_SECONDS = 1800  # other jobs may leave little of the machine


class Skipped(Exception):
    """A fault that cannot be tried here; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """What a run left, as far as two undisturbed runs agree on it.

    `files` has hashes of everything that is reproducible; `table` is leaderboard.json less what was measured
    with a clock; `runs` counts the runs in MLflow by cell and state, superseded ones aside.
    """

    files: dict[str, str]
    table: Any
    runs: dict[tuple[str, str], int]


class Site:
    """A copy of this repository in which `gm-bench run` takes a minute at most."""

    def __init__(self, work: Path) -> None:
        self.folder = work / "grid"
        self.kept = work / "finished"
        self.undisturbed: Outcome | None = None

    def begin(self) -> None:
        """Nothing has been run yet."""
        shutil.rmtree(self.folder, ignore_errors=True)
        prepare(self.folder)

    def know(self) -> None:
        """Run everything once, undisturbed, unless an earlier call in the same folder has."""
        if not self.kept.exists():
            self.begin()
            self.run()
            self.folder.rename(self.kept)
        self.undisturbed = outcome(self.kept)

    def begin_finished(self) -> None:
        """Everything has been run; the copy stands where it was made, as MLflow demands."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.kept, self.folder, symlinks=True)

    def forget(self, *stages: str) -> None:
        """Take away what DVC knows of some stages, so that the next run really runs them."""
        shutil.rmtree(self.folder / ".dvc/cache/runs", ignore_errors=True)
        lock = self.folder / "dvc.lock"
        content = load_yaml(lock.read_text(encoding="utf-8"))
        for name in [name for name in content["stages"] if name.partition("@")[0] in stages]:
            del content["stages"][name]
        lock.write_text(dump_yaml(content), encoding="utf-8")

    def start(self, *command: str, **environ: str) -> subprocess.Popen[str]:
        """A command, `gm-bench run` if none is given, as a shell starts it: in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", *(command or ("gm_bench.cli", "run", "-j", "2"))],
            cwd=self.folder,
            env=environment(self.folder) | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, code: int = 0, **environ: str) -> str:
        """Run to the end, which must come with this exit code; what was printed."""
        return finish(self.start(**environ), code)

    def check(self) -> None:
        """Run once more, undisturbed: nothing is lost and nothing doubled."""
        self.run()
        self.compare()

    def compare(self, database: str = "mlflow.db") -> None:
        """What is there is what an undisturbed run leaves."""
        assert self.undisturbed is not None, "nothing to compare with: make it first"
        left = outcome(self.folder, database)
        assert left.files == self.undisturbed.files, differences(left.files, self.undisturbed.files)
        assert left.table == self.undisturbed.table
        assert left.runs == self.undisturbed.runs, differences(left.runs, self.undisturbed.runs)


def prepare(folder: Path) -> None:
    """The tiny grid with two cells, cheaply measured."""
    tiny.make(folder, variants=list(CELLS), seeds=[0])
    tiny.change(folder, cut_down)


def cut_down(params: dict[str, Any]) -> None:
    params["boards"]["digits"].update(n_images=N_IMAGES, n_snapshots=2)
    params["datasets"]["digits"]["protocol"].update(CHEAP)


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    python_path = os.pathsep.join([str(folder), str(HERE / "hook")])
    environ = os.environ | {"PATH": path, "PYTHONPATH": python_path, "GM_BENCH_DEVICE": "cpu"}
    environ.pop("MLFLOW_TRACKING_URI", None)
    return environ


def finish(process: subprocess.Popen[str], code: int) -> str:
    """Wait for a process, which must end with this exit code; what it printed."""
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code, f"exit code {process.returncode} instead of {code}:\n{output}"
    return output


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Look again and again; a process that ends before that is an error."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended too early:\n{process.communicate()[0]}")
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def signal_group(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal as a terminal does: to every process of the group."""
    os.killpg(process.pid, number)


def kill_group(process: subprocess.Popen[str]) -> None:
    """End whatever is left of the group."""
    try:
        signal_group(process, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def outcome(folder: Path, database: str = "mlflow.db") -> Outcome:
    """What there is in a folder after a run."""
    places = [p for part in ("data", "extractors", "reference") for p in (folder / part).rglob("*")]
    places += [folder / "runs/digits/digits" / cell / "0" / name for cell in CELLS for name in REPRODUCIBLE]
    return Outcome(
        files={
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in places
            if path.is_file()
        },
        table=timeless(json.loads((folder / "reports/digits/leaderboard.json").read_text(encoding="utf-8"))),
        runs=runs_in(folder / database),
    )


def timeless(content: Any) -> Any:
    """JSON without what a clock or a memory gauge measured."""
    if isinstance(content, dict):
        return {k: timeless(v) for k, v in content.items() if k.rpartition("/")[2] not in OF_THE_CLOCK}
    if isinstance(content, list):
        return [timeless(each) for each in content]
    return content


def runs_in(database: Path) -> dict[tuple[str, str], int]:
    """How many runs that were not deleted there are, by cell and state, less the superseded ones."""
    query = """
        SELECT name.value, state.value, runs.status FROM runs
        JOIN tags AS name ON name.run_uuid = runs.run_uuid AND name.key = 'gm_bench.cell'
        JOIN tags AS state ON state.run_uuid = runs.run_uuid AND state.key = 'gm_bench.status'
        WHERE runs.lifecycle_stage = 'active'
    """
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        rows = connection.execute(query).fetchall()
    finally:
        connection.close()
    return dict(Counter((name, f"{state}, {run}") for name, state, run in rows if state != "superseded"))


def published(database: Path) -> bool:
    """Whether the first run of a publishing, the floor's, is there."""
    return database.exists() and ("digits/floor", "current, FINISHED") in runs_in(database)


def differences(left: dict[Any, Any], expected: dict[Any, Any]) -> dict[Any, Any]:
    """What differs: found and expected."""
    return {
        key: (left.get(key), expected.get(key))
        for key in left.keys() | expected.keys()
        if left.get(key) != expected.get(key)
    }
