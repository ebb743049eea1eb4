"""The reduced benchmark of CI: python tests/ci.py FOLDER makes a copy of this repository with its grid.

Small enough for minutes, and chosen so that the gate sees the damage that tests/faults/planted_damage.py
plants: a variant with a critic and one without, more seeds than the board digits has, and for wgan_gp two
updates of the critic a round and a learning rate so high that its samples rest on the decay (at usual rates
half the decay does no harm in so short a training).

The baseline is reports/gate/baseline-ci.json, with three times the seeds of the grid: where these cannot
tell, a candidate is given more, up to as many. `python tests/ci.py FOLDER --update` makes it anew.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import tiny

from gm_bench import io
from gm_bench.running import revision

BASELINE = tiny.ROOT / "reports/gate/baseline-ci.json"
GRID = {"datasets": ["digits"], "variants": ["vae", "wgan_gp"], "seeds": [0, 1, 2, 3]}
MOST_SEEDS = 12  # of a variant, in the baseline and where the gate is unclear
N_IMAGES = 64 * 750
PROTOCOL = {"draws": 3, "kid_subsets": 10}


def make(folder: Path, cache: Path | None = None) -> Path:
    """A copy of this repository in `folder`, cut down to the grid of CI; `cache` keeps DVC's cache."""
    tiny.make(folder, **GRID)
    tiny.change(folder, reduce)
    if cache is not None:
        with (folder / ".dvc/config.local").open("a", encoding="utf-8") as config:
            config.write(f"[cache]\n    dir = {cache.resolve()}\n")
    return folder


def reduce(params: dict[str, Any]) -> None:
    """Edit the content of params.yaml."""
    digits = params["datasets"]["digits"]
    params["boards"]["digits"].update(n_images=N_IMAGES, n_snapshots=1)
    digits["protocol"].update(PROTOCOL)
    optimiser = {"lr": 2.0e-2, "betas": [0.0, 0.9], "decay": "linear"}
    params["variants"]["wgan_gp"]["tiny"] = {"updates": {"critic": 1}, "optimiser": optimiser}


def gm_bench(folder: Path, *arguments: str) -> int:
    """Run a command of the copy in the copy; its exit code."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = os.environ | {"PATH": path, "PYTHONPATH": str(folder), "GM_BENCH_DEVICE": "cpu"}
    environ.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "gm_bench.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a folder that is not there yet, or empty")
    parser.add_argument("--run", action="store_true", help="run the grid and check it against the baseline")
    parser.add_argument("--update", action="store_true", help="run the grid and make it the baseline")
    parser.add_argument("--cache", type=Path, help="a folder for DVC's cache: cells found there are not run")
    parser.add_argument("--summary", type=Path, help="write the verdict there as Markdown")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if options.update:
        sys.exit(update(folder, options.cache))
    make(folder, options.cache)
    if not options.run:
        return
    if gm_bench(folder, "run"):
        sys.exit(1)
    summary = ["--summary", str(options.summary.resolve())] if options.summary else []
    resolving = ["--resolve", "--most-seeds", str(MOST_SEEDS)]
    sys.exit(gm_bench(folder, "check", "--baseline", str(BASELINE), *resolving, *summary))


def update(folder: Path, cache: Path | None) -> int:
    """Make the baseline anew; the exit code of what failed first."""
    copy = make(folder, cache)
    new = copy / "baseline.json"
    more = ["--update", "--resolve", "--most-seeds", str(MOST_SEEDS)]
    code = gm_bench(copy, "run") or gm_bench(copy, "check", *more, "--baseline", str(new))
    if code == 0:
        # The copy is no Git repository: the revision is the one of this.
        content = json.loads(new.read_text(encoding="utf-8")) | {"revision": revision.current()}
        io.write_json(BASELINE, content)
    return code


if __name__ == "__main__":
    main()
