"""Cells of whole boards in slices of time, without DVC: what benchmarks/gpu_day.sh boards runs.

    python benchmarks/gpu_day.py WORK OUT --seconds 540 --jobs 8 mnist fashion_mnist cifar10

WORK becomes a folder in which the stages run as scripts; what is there is not made again. Shortly before the
time is over cells in training are asked to save, and the next call goes on with them (its params.yaml is that
of WORK, a copy of the first call, where another budget may be set). OUT/BOARD.zip has the finished cells as
`gm-bench pack` would have written them: after `gm-bench unpack` elsewhere, `gm-bench run --board BOARD` makes
the leaderboard. The first seeds of the board come first.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from gm_bench.cell import Cell
from gm_bench.config import Params, load_params
from gm_bench.running import boards, packing, taken
from gm_bench.running.boards import Step
from gm_bench.running.runner import is_made
from gm_bench.running.warm import INTERRUPTED

ROOT = Path(__file__).resolve().parent.parent
SECONDS_TO_SAVE = 30
MADE_OF = "made_of.json"  # beside a cell since its training began: the code may be another at a later call


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

    def step(self, step: Step) -> bool:
        """Run a stage unless what it leaves is there; whether it ended well in time.

        When time is over training saves its state.
        """
        is_done = step.name != boards.RESOLVE_DATA and all(map(Path.exists, step.outs))
        return is_done or self.command(step.command)

    def command(self, command: str) -> bool:
        """Run the command of a stage; whether it ended well in time."""
        if self.is_over:
            return False
        words = command.split()[2:]  # less python -m
        log = Path("logs", f"{'-'.join(words)}.txt")
        log.parent.mkdir(exist_ok=True)
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *words], stdout=output, stderr=subprocess.STDOUT
            )
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
            self.failed[" ".join(words)] = log.read_text(encoding="utf-8").strip()[-500:]
        return code == 0

    def prepare(self, params: Params, board: str) -> list[Cell]:
        """Make what the cells of a board depend on; those of which all is there in time."""
        ready = [
            dataset
            for dataset in params.board(board).datasets
            if all(map(self.step, boards.steps_of_dataset(params, board, dataset)))
        ]
        is_resolved = bool(ready) and self.command(f"python -m pipelines.resolve board {board}")
        return [cell for cell in params.cells(board) if is_resolved and cell.dataset in ready]

    def cell(self, params: Params, cell: Cell) -> None:
        """Bring one cell as far as time allows."""
        note = cell.folder / MADE_OF
        if not note.exists():
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(json.dumps(taken.made_of(params, cell)), encoding="utf-8")
        all(map(self.step, boards.steps_of(params, cell)))  # as far as they end well


def pack(params: Params, board: str, out: Path) -> int:
    """Write OUT/BOARD.zip unless it would be empty; how many cells are finished."""
    cells = [cell for cell in params.cells(board) if is_made(cell)]
    made_of = {cell: json.loads((cell.folder / MADE_OF).read_text(encoding="utf-8")) for cell in cells}
    if cells:
        packing.pack(params, board, made_of, out / f"{board}.zip")
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
    (place / ".dvc").mkdir(parents=True, exist_ok=True)  # keeps which files a folder of images held
    for file in (boards.MAIN, *(path.relative_to(ROOT) for path in ROOT.glob("pipelines/*/stages.yaml"))):
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, place / file)
    if not (place / "params.yaml").exists():  # the first call's: later ones go on with what it began
        shutil.copy2(ROOT / "params.yaml", place)
    os.chdir(place)
    params = load_params()
    with ThreadPoolExecutor(options.jobs) as pool:
        cells = [cell for board in options.boards for cell in day.prepare(params, board)]
        list(pool.map(partial(day.cell, params), sorted(cells, key=lambda cell: cell.seed)))
    finished = {
        board: f"{pack(params, board, out)} of {len(params.cells(board))}" for board in options.boards
    }
    told = {"cells finished": finished, "failed": day.failed}
    (out / "boards.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
