"""The reduced benchmark of CI: python tests/ci.py FOLDER makes a copy of this repository with its grid.

Small enough for minutes, and chosen so that the gate sees the damage that tests/faults/planted_damage.py
plants: a variant with a critic and one without, more seeds than the board digits has, and for wgan_gp two
critic updates in a round, so that rounds and images shown are not the same, and a learning rate so high that
its samples rest on the decay (at usual rates half the decay does no harm in so short a training).

The baseline is reports/gate/baseline-ci.json; `python tests/ci.py FOLDER --update` makes it anew: it runs the
grid in FOLDER three times, each under seeds of its own, and accepts the results. The last are compared with;
the first two tell how much noise there is, which four seeds know too badly to see small damage.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import tiny

BASELINE = tiny.ROOT / "reports/gate/baseline-ci.json"
GRID = {"datasets": ["digits"], "variants": ["vae", "wgan_gp"], "seeds": [0, 1, 2, 3]}
NOISE_SEEDS = (200, 300)  # added to the seeds
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
    params["variants"]["wgan_gp"]["tiny"] = {"updates": {"critic": 2}, "optimiser": optimiser}


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
    sys.exit(gm_bench(folder, "check", "--baseline", str(BASELINE), *summary))


def update(folder: Path, cache: Path | None) -> int:
    """Make the baseline anew; the exit code of what failed first."""
    BASELINE.unlink(missing_ok=True)
    for by in (*NOISE_SEEDS, 0):
        copy = make(folder / f"seeds-{by}", cache)
        seeds = [seed + by for seed in GRID["seeds"]]
        tiny.change(copy, lambda params, seeds=seeds: params["boards"]["digits"].update(seeds=seeds))
        if code := gm_bench(copy, "run"):
            return code
        same_names(copy)
        if code := accept(copy):
            return code
    return 0


def same_names(folder: Path) -> None:
    """Call other seeds what those of the baseline are called, so that they are compared and not missed."""
    file = folder / "reports/digits/leaderboard.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    for row in content["rows"]:
        row["seeds"] = GRID["seeds"]
    file.write_text(json.dumps(content), encoding="utf-8")


def accept(folder: Path) -> int:
    """Make the leaderboard of a copy the baseline; the revision is the one of this repository."""
    board = tiny.ROOT / "reports/gate/leaderboard-ci.json"
    board.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "reports/digits/leaderboard.json", board)
    command = ["check", "--update", "--baseline", str(BASELINE), "--leaderboard", str(board)]
    code = gm_bench(tiny.ROOT, *command)
    board.unlink()
    return code


if __name__ == "__main__":
    main()
