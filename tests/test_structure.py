"""The house keeps its order: imports run down, few touch the disk, nothing is listed twice."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest
from dvc.fs import localfs
from dvc.ignore import DvcIgnoreFilter

from gm_bench.running.code import closure
from gm_bench.yaml_text import load_yaml

MODULES = sorted([*Path("gm_bench").rglob("*.py"), *Path("pipelines").rglob("*.py")])
STAGE_FILES = [Path("dvc.yaml"), *sorted(Path("pipelines").rglob("stages.yaml"))]
ROOMS = {
    "data",
    "nets",
    "variants",
    "training",
    "metrics",
    "results",
    "report",
    "tracking",
    "running",
    "tracks",
    "cli",
}
# What a room may import of ours besides itself and the files at the top (io, cell, reproducibility, options).
MAY_IMPORT = {
    "data": set(),
    "nets": {"data.scale", "training.recipe"},
    "variants": {"nets", "data.scale", "training.recipe"},
    "training": {"variants", "nets", "data"},
    "metrics": {"nets", "data"},
    "results": {"metrics"},
    "report": {"results", "metrics"},
    "tracking": {"results", "report", "metrics", "running"},
    "tracks": {
        "training",
        "variants",
        "nets",
        "data",
        "metrics",
        "results",
        "report",
        "tracking",
        "config",
        "running",
    },
    "running": {
        "tracks",
        "tracking",
        "report",
        "results",
        "metrics",
        "variants",
        "training",
        "data",
        "config",
    },
    "cli": {"tracks", "running", "tracking", "report"},
}
# The audit and the search draw, measure and refuse with the functions of the main track.
EXCEPTIONS = {
    ("gm_bench/tracks/audit/measuring.py", "gm_bench.tracks.generation.evaluation"),
    ("gm_bench/tracks/search/training.py", "gm_bench.tracks.generation.drawing"),
    ("gm_bench/tracks/search/evaluating.py", "gm_bench.tracks.generation.evaluation"),
    ("gm_bench/tracks/search/stages.py", "gm_bench.tracks.generation.refusals"),
    ("gm_bench/tracks/search/track.py", "gm_bench.tracks.generation.pages"),
}
DISK_CALLS = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "mkdir", "unlink", "rename"}
DISK_CALLS |= {"save", "load_file", "save_file"}


@cache
def imports(file: str) -> frozenset[str]:
    """Modules named in any import statement of a file, late ones included."""
    found = set()
    for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "gm_bench" else ""


@pytest.mark.parametrize("file", STAGE_FILES, ids=str)
def test_no_module_is_listed_by_hand_in_a_pipeline(file: Path) -> None:
    for name, stage in load_yaml(file.read_text(encoding="utf-8"))["stages"].items():
        listed = [dep for dep in stage.get("deps", []) if dep.startswith(("gm_bench", "pipelines"))]
        assert not listed, name


@pytest.mark.parametrize("file", STAGE_FILES, ids=str)
def test_every_stage_calls_a_script_and_depends_on_what_was_resolved_for_it(file: Path) -> None:
    for name, stage in load_yaml(file.read_text(encoding="utf-8"))["stages"].items():
        script = stage["cmd"].split()[2].replace(".", "/") + ".py"
        assert Path(script).exists(), name
        resolved = [dep for dep in stage.get("deps", []) if dep.startswith("resolved/")]
        assert bool(resolved) != name.startswith("resolve"), name


@pytest.mark.parametrize("file", [str(f) for f in MODULES if f.parts[0] == "gm_bench" and len(f.parts) > 2])
def test_imports_run_down(file: str) -> None:
    own = Path(file).parts[1]
    for name in imports(file):
        assert name.partition(".")[0] not in ("pipelines", "tests")
        if room(name) not in ROOMS | {"config"} or room(name) == own:
            continue
        allowed = MAY_IMPORT[own]
        assert room(name) in allowed or any(name.startswith(f"gm_bench.{each}") for each in allowed), name


def test_params_are_read_without_knowing_a_track() -> None:
    above = {"tracks", "running", "tracking", "report", "cli"}
    assert not {name for name in closure(["gm_bench.config"]) if room(name) in above}


@pytest.mark.parametrize("file", [str(f) for f in MODULES if f.parts[:2] == ("gm_bench", "tracks")])
def test_no_track_imports_another(file: str) -> None:
    own = Path(file).parts[2]
    for name in imports(file):
        parts = name.split(".")
        if (
            parts[:2] == ["gm_bench", "tracks"]
            and len(parts) > 2
            and Path("gm_bench/tracks", parts[2]).is_dir()
        ):
            excused = any(file == f and name.startswith(m) for f, m in EXCEPTIONS)
            assert parts[2] == own or excused, name


@pytest.mark.parametrize("file", map(str, MODULES))
def test_one_place_for_mlflow_and_for_addresses(file: str) -> None:
    if not file.startswith("gm_bench/tracking/"):
        assert not any(n.partition(".")[0] == "mlflow" for n in imports(file))
    if file != "gm_bench/cell.py":
        text = Path(file).read_text(encoding="utf-8")
        assert not re.search(
            r"""Path\(\s*["'](runs|resolved|\.checkpoints|data|reference|extractors)["'/]""", text
        )


@pytest.mark.parametrize("file", [str(f) for f in MODULES if f.parts[:2] == ("gm_bench", "metrics")])
def test_metrics_are_functions_of_tensors(file: str) -> None:
    if "extractors" in Path(file).parts:
        return
    other = {n.partition(".")[0] for n in imports(file)} - {"gm_bench"} - sys.stdlib_module_names
    assert other <= {"torch", "numpy", "torch_fidelity"}
    assert {room(n) for n in imports(file)} <= {"", "metrics"}


@pytest.mark.parametrize(
    "file",
    [
        str(f)
        for f in MODULES
        if f.parts[1] in ("metrics", "nets", "variants") and "extractors" not in f.parts
    ],
)
def test_metrics_networks_and_variants_do_not_touch_the_disk(file: str) -> None:
    calls = [n.func for n in ast.walk(ast.parse(Path(file).read_text())) if isinstance(n, ast.Call)]
    names = {
        f.id if isinstance(f, ast.Name) else f.attr for f in calls if isinstance(f, ast.Name | ast.Attribute)
    }
    assert not names & DISK_CALLS


@pytest.mark.parametrize(
    "module", ["training.fit", "tracks.generation.measuring", "tracks.generation.drawing"]
)
def test_what_a_cell_runs_knows_neither_params_nor_screen_nor_store(module: str) -> None:
    """Their code is hashed: what they import makes cells stale when it changes."""
    for name in closure([f"gm_bench.{module}"]):
        assert room(name) not in ("config", "composition", "checking", "running", "tracking", "cli"), name
        assert name not in ("gm_bench.metrics.catalogue", "gm_bench.report.page", "gm_bench.report.charts"), (
            name
        )


def test_nothing_is_unpickled() -> None:
    """torch.load runs what the file says unless weights_only is set; pickle always does."""
    for file in map(str, MODULES):
        assert not {"pickle", "joblib", "cloudpickle", "dill"} & {n.partition(".")[0] for n in imports(file)}
        for node in ast.walk(ast.parse(Path(file).read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert any(
                    k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords
                ), file


def test_what_python_caches_is_no_dependency() -> None:
    """A stage that depends on a folder of code would else be stale as soon as the code ran."""
    ignored = DvcIgnoreFilter(localfs, str(Path.cwd())).is_ignored_file
    assert ignored(str(Path("gm_bench/metrics/__pycache__/frechet.cpython-311.pyc").resolve()))
    assert not ignored(str(Path("gm_bench/metrics/frechet.py").resolve()))
