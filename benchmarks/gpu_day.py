"""Cells of whole boards in slices of time, without DVC: what benchmarks/gpu_day.sh boards runs.

    python benchmarks/gpu_day.py WORK OUT --seconds 540 --jobs 8 mnist fashion_mnist cifar10

WORK becomes a folder in which the stages run as scripts; what is there is not made again. Shortly before the
time is over cells in training are asked to save, and the next call goes on with them (its params.yaml is that
of WORK, a copy of the first call, where another budget may be set). Of every finished cell
OUT/BOARD.tar has what the leaderboard's stage reads; of its datasets the card, the floor and the extractor's
record. The first seeds of the board come first.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gm_bench.cell import DATA, EXTRACTORS, REFERENCE, Cell
from gm_bench.config import Params, load_params

ROOT = Path(__file__).resolve().parent.parent
STAGES = (("train", "cost.json"), ("sample", "grid.png"), ("evaluate", "metrics.json"))
SECONDS_TO_SAVE = 30
INTERRUPTED = 130


class Day:
    """Runs stages as long as there is time.

    Args:
        seconds: until everything must have ended.
    """

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds - SECONDS_TO_SAVE
        self.failed: dict[str, str] = {}

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.end

    def stage(self, name: str, *arguments: object) -> bool:
        """Run one stage; whether it ended well in time. When time is over training saves its state."""
        words = [str(argument) for argument in arguments]
        if self.is_over:
            return False
        command = [sys.executable, "-m", f"pipelines.{name}", *words]
        log = Path("logs", f"{name}-{'-'.join(words)}.txt")
        log.parent.mkdir(exist_ok=True)
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            try:
                code = process.wait(max(0.1, self.end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGTERM)
                try:
                    code = process.wait(SECONDS_TO_SAVE / 2)
                except subprocess.TimeoutExpired:
                    process.kill()
                    code = process.wait()
        if code not in (0, INTERRUPTED, -signal.SIGTERM, -signal.SIGKILL):
            self.failed[f"{name} {' '.join(words)}"] = log.read_text(encoding="utf-8").strip()[-500:]
        return code == 0

    def cell(self, cell: Cell) -> None:
        """Bring one cell as far as time allows."""
        for name, last in STAGES:
            if (cell.folder / last).exists():
                continue
            if not self.stage(name, cell.board, cell.dataset, cell.variant, cell.seed):
                return


def dataset(day: Day, params: Params, name: str) -> None:
    """What the cells of a dataset need."""
    made = (
        ("fetch", DATA / name / "card.json"),
        ("extractor", EXTRACTORS / name / "extractor.json"),
        ("reference", REFERENCE / name / "floor.json"),
    )
    if day.stage("resolve", "dataset", name):
        for stage, last in made:
            if not last.exists() and not day.stage(stage, name):
                return


def pack(params: Params, board: str, out: Path) -> int:
    """Write OUT/BOARD.tar; how many cells are finished."""
    cells = [cell for cell in params.cells(board) if (cell.folder / "metrics.json").exists()]
    names = (
        "metrics.json",
        "cost.json",
        "history.csv",
        "grid.png",
        "samples.safetensors",
        "snapshots.safetensors",
    )
    with tarfile.open(out / f"{board}.tar", "w") as tar:
        for cell in cells:
            for name in names[: 4 if params.board(board).recipe == "colour" else None]:
                tar.add(cell.folder / name)
        for name in params.board(board).datasets:
            for path in (
                DATA / name / "card.json",
                EXTRACTORS / name / "extractor.json",
                REFERENCE / name / "floor.json",
            ):
                if path.exists():
                    tar.add(path)
    return len(cells)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("boards", nargs="+")
    parser.add_argument("--seconds", type=float, default=540.0)
    parser.add_argument("--jobs", type=int, default=8)
    options = parser.parse_args()
    day, out = Day(options.seconds), options.out.resolve()
    place = options.work.resolve() / "boards"
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "params.yaml").exists():  # the first call's: later ones go on with what it began
        shutil.copy2(ROOT / "params.yaml", place)
    os.chdir(place)
    params = load_params()
    with ThreadPoolExecutor(options.jobs) as pool:
        for board in options.boards:
            day.stage("resolve", "board", board)
            for name in params.board(board).datasets:
                dataset(day, params, name)
        cells = [cell for board in options.boards for cell in params.cells(board)]
        list(pool.map(day.cell, sorted(cells, key=lambda cell: cell.seed)))
    finished = {
        board: f"{pack(params, board, out)} of {len(params.cells(board))}" for board in options.boards
    }
    told = {"cells finished": finished, "failed": day.failed}
    (out / "boards.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
