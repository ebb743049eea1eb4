"""Where the CPU seconds of a run go, beside another revision: python benchmarks/overhead.py [--against TREE]

    git worktree add /elsewhere 0b0434b
    python benchmarks/overhead.py --against /elsewhere

Copies each tree, cuts its grid down to some cells of digits at the budget that params.yaml says, and lets
`gm-bench run` make all of it from nothing, one cell at a time. Every process writes down its CPU seconds when
it ends; the total is what the system says of all of them. What a stage spends before its work begins is, for
a process of its own, what `python -m pipelines.STAGE --help` takes; a process that a warm server forked has
no such part. "rest a cell" is all that is neither training, drawing nor measuring, nor spent once a run.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
WORK = ("train", "sample", "evaluate")  # stages of a cell
NOTE = """
import atexit, json, os, resource, sys

def note():
    used = resource.getrusage(resource.RUSAGE_SELF)
    line = {"argv": sys.orig_argv + sys.argv, "stage": os.environ.get("DVC_STAGE", "").partition("@")[0],
            "seconds": used.ru_utime + used.ru_stime}
    with open(os.environ["GM_BENCH_NOTES"], "a") as file:
        file.write(json.dumps(line) + "\\n")

atexit.register(note)
"""


def site(tree: Path, folder: Path, variants: list[str], n_images: int | None) -> Path:
    """A copy of what Git tracks in a tree, with a grid of a few cells and a DVC of its own."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=tree, check=True, capture_output=True, text=True)
    for name in filter(None, listing.stdout.split("\0")):
        if (tree / name).is_file() and not name.startswith(("tests/", "reports/")) and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, folder / name)
    (folder / ".dvc/config.local").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    params: dict[str, Any] = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    grid = params["boards"]["digits"] if "boards" in params else params["grid"]
    budget = grid if "boards" in params else params["datasets"]["digits"]["training"]
    grid.update(variants=variants, seeds=[0])
    if n_images is not None:
        budget.update(n_images=n_images)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    (folder / "notes").mkdir()
    (folder / "notes/sitecustomize.py").write_text(NOTE, encoding="utf-8")
    return folder


def spent(command: list[str], folder: Path) -> tuple[float, list[dict[str, Any]]]:
    """CPU seconds of a command with all its children, and what each process wrote down."""
    notes = folder / "notes/notes"
    notes.unlink(missing_ok=True)
    environ = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(folder), str(folder / "notes")]),
        "GM_BENCH_NOTES": str(notes),
        "GM_BENCH_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
    }
    environ.pop("MLFLOW_TRACKING_URI", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]


def measure(folder: Path, n_cells: int) -> dict[str, float]:
    """CPU seconds by part: of a cell for its stages, of the whole run for what is done once."""
    total, notes = spent([sys.executable, "-m", "gm_bench.cli", "run", "-j", "1"], folder)
    parts: Counter[str] = Counter()
    work = 0.0
    begins = {stage: _beginning(stage, folder) for stage in WORK}
    for note in notes:
        stage, argv = note["stage"], note["argv"]
        if stage in WORK:
            is_own = f"pipelines.{stage}" in argv
            begin = begins[stage] if is_own else 0.0
            parts[f"{stage}: its work"] += (note["seconds"] - begin) / n_cells
            parts["stages: to begin"] += begin / n_cells
            work += note["seconds"] - begin
        elif "repro" in argv and "train@" in " ".join(argv):
            parts["DVC"] += note["seconds"] / n_cells
    cells = n_cells * (parts["stages: to begin"] + parts["DVC"])
    parts["rest a cell"] = parts["stages: to begin"] + parts["DVC"]
    parts["once a run"] = total - work - cells
    parts["all"] = total
    status, _ = spent(
        [sys.executable, "-m", "gm_bench.running.dvc" if _has_driver(folder) else "dvc", "status"], folder
    )
    parts["dvc status"] = status
    parts["21 cells"] = parts["once a run"] + 21 * (total - parts["once a run"]) / n_cells
    return dict(parts)


def _has_driver(folder: Path) -> bool:
    return (folder / "gm_bench/running/dvc.py").exists()


def _beginning(stage: str, folder: Path) -> float:
    """CPU seconds that a stage of its own process takes before it does anything."""
    _, notes = spent([sys.executable, "-m", f"pipelines.{stage}", "--help"], folder)
    return float(notes[0]["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, help="the top of another working tree")
    parser.add_argument("--variants", default="vae,ns_gan,wgan_gp", help="one cell of each, a,b,c")
    parser.add_argument("--images", type=int, help="another budget")
    options = parser.parse_args()
    variants = options.variants.split(",")
    trees = [tree.resolve() for tree in (options.against, ROOT) if tree]
    with tempfile.TemporaryDirectory() as work:
        measured = [
            measure(site(tree, Path(work, str(i)), variants, options.images), len(variants))
            for i, tree in enumerate(trees)
        ]
    table = Table(
        "CPU seconds", *(str(tree) for tree in trees), *(["ratio"] if len(trees) > 1 else []), box=None
    )
    for part in measured[-1]:
        values = [each.get(part, 0.0) for each in measured]
        ratio = [f"{values[1] / values[0]:.2f}" if values[0] else "–"] if len(trees) > 1 else []
        table.add_row(part, *(f"{value:.1f}" for value in values), *ratio)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
