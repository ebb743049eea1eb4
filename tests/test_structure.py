"""The house keeps its order: one-way imports, few that touch the disk, and DVC knows what a stage runs."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from dvc.fs import localfs
from dvc.ignore import DvcIgnoreFilter


def stages(file: str) -> dict[str, dict]:
    return yaml.safe_load(Path(file).read_text(encoding="utf-8"))["stages"]


# Script of each stage → its entry.
STAGES = {f"pipelines/{name}.py": entry for name, entry in stages("dvc.yaml").items()} | {
    f"pipelines/audit/{name}.py": entry for name, entry in stages("pipelines/audit/dvc.yaml").items()
}
MODULES = sorted([*Path("gm_bench").rglob("*.py"), *Path("pipelines").rglob("*.py")])

# Modules found by name at run time: the file that looks them up → the files that it may load.
BY_NAME = {
    "gm_bench/variants/base/contract.py": ["gm_bench/variants/${item.variant}.py"],
    "gm_bench/nets/network.py": [
        "gm_bench/nets/mlp.py",
        "gm_bench/nets/infogan.py",
        "gm_bench/nets/dcgan.py",
        "gm_bench/nets/resnet.py",
    ],
}
TOUCH_DISK = {"gm_bench/io.py", "gm_bench/tracking/store.py"}
DISK_CALLS = {
    "open",
    "read_text",
    "write_text",
    "read_bytes",
    "write_bytes",
    "mkdir",
    "unlink",
    "rename",
    "replace",
}


def file_of(module: str) -> str | None:
    """The file of a module of ours, None for other people's and for names that are no module."""
    path = module.replace(".", "/")
    return next((f for f in (f"{path}.py", f"{path}/__init__.py") if Path(f).exists()), None)


@cache
def imports(file: str) -> frozenset[str]:
    """Modules named in any import statement of a file, late ones included."""
    found = set()
    for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def ours(file: str) -> set[str]:
    """Files of this repository that a file imports or may load by name."""
    return {f for module in imports(file) if (f := file_of(module))} | set(BY_NAME.get(file, []))


def closure(file: str) -> set[str]:
    """All files of this repository that run when `file` does, less those that hold no code."""
    seen, open_ends = set(), {file}
    while open_ends:
        current = open_ends.pop()
        seen.add(current)
        files = (
            [current] if "${" not in current else sorted(map(str, Path("gm_bench/variants").glob("[!_]*.py")))
        )
        open_ends |= {found for f in files for found in ours(f)} - seen
    return {f for f in seen if "${" in f or any(not is_text(n) for n in ast.parse(Path(f).read_text()).body)}


def dvc_ignores(file: str) -> bool:
    return bool(DvcIgnoreFilter(localfs, str(Path.cwd())).is_ignored_file(str(Path(file).resolve())))


def is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@pytest.mark.parametrize("script", STAGES)
def test_deps_list_every_module_that_a_stage_runs(script: str) -> None:
    deps = [dep for dep in STAGES[script]["deps"] if dep.startswith(("gm_bench", "pipelines"))]
    needed = closure(script)
    assert sorted(f for f in needed if not any(f == dep or f.startswith(f"{dep}/") for dep in deps)) == []
    assert sorted(dep for dep in deps if dep.endswith(".py") and dep not in needed) == []


def test_every_stage_has_a_script_of_its_name_and_every_script_a_use() -> None:
    for script, entry in STAGES.items():
        module = script.removesuffix(".py").replace("/", ".")
        assert entry["cmd"].split()[:3] == ["python", "-m", module]


@pytest.mark.parametrize("file", map(str, MODULES))
def test_imports_run_one_way(file: str) -> None:
    names = imports(file)
    if file.startswith("gm_bench"):
        assert not any(n.partition(".")[0] in ("pipelines", "tests") for n in names)
    if file != "gm_bench/tracking/store.py":
        assert not any(n.partition(".")[0] == "mlflow" for n in names)
    own = {f for n in names if (f := file_of(n))} - {"gm_bench/__init__.py"}
    if file.startswith("gm_bench/variants/"):
        allowed = ("gm_bench/nets/", "gm_bench/variants/", "gm_bench/config.py")
        assert [f for f in own if not f.startswith(allowed)] == []
        other = {n.partition(".")[0] for n in names} - {"gm_bench"} - sys.stdlib_module_names
        assert other <= {"torch"}
    if file.startswith("gm_bench/metrics/") and "extractors" not in file:
        assert [f for f in own if not f.startswith("gm_bench/metrics/")] == []
        other = {n.partition(".")[0] for n in names} - {"gm_bench"} - sys.stdlib_module_names
        assert other <= {"torch", "numpy", "torch_fidelity"}


@pytest.mark.parametrize(
    "file",
    [
        str(f)
        for f in MODULES
        if str(f).startswith(("gm_bench/metrics", "gm_bench/nets", "gm_bench/variants"))
        and "extractors" not in str(f)
    ],
)
def test_metrics_networks_and_variants_do_not_touch_the_disk(file: str) -> None:
    calls = [n.func for n in ast.walk(ast.parse(Path(file).read_text())) if isinstance(n, ast.Call)]
    names = {
        f.id if isinstance(f, ast.Name) else f.attr for f in calls if isinstance(f, ast.Name | ast.Attribute)
    }
    assert not names & (DISK_CALLS - {"replace"} | {"save", "load_file", "save_file"})


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
    assert dvc_ignores("gm_bench/metrics/__pycache__/frechet.cpython-311.pyc")
    assert not dvc_ignores("gm_bench/metrics/frechet.py")
