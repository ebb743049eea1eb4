"""Does the gate see real damage? python tests/faults/planted_damage.py [--work FOLDER] [--only WORD …]

The grid of CI (tests/ci.py) is run as it is, with the seeds of its baseline; then again under other seeds, to
see that chance alone does not fail; and then once for each way to break the code in broken_code.py. Each is
an edit of a copy: this repository is never touched. What does not run the broken code is taken from the
undamaged copy, as DVC would take it from its cache: what `resolve` writes tells. The verdicts are those of
`regression.judge`, the code behind `gm-bench check --resolve`. They stand in reports/gate/planted.md.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/faults")]

import ci  # noqa: E402
from broken_code import DAMAGES, Damage, plant  # noqa: E402

from gm_bench import io  # noqa: E402
from gm_bench.cell import REFERENCE, Cell  # noqa: E402
from gm_bench.metrics.catalogue import IMAGES  # noqa: E402
from gm_bench.report.gate import difference  # noqa: E402
from gm_bench.results.baseline import Baseline, of_board, with_seeds  # noqa: E402
from gm_bench.results.comparing import Verdict  # noqa: E402
from gm_bench.results.leaderboard import Entry, Key, Leaderboard  # noqa: E402
from gm_bench.results.regression import MOST_SEEDS, Wanted, judge  # noqa: E402
from gm_bench.results.schema import CellResult, Origin, cell_result  # noqa: E402

BOARD, DATASET = "digits", "digits"
OTHER_SEEDS = 100  # added to those of the baseline
REPORT = ROOT / "reports/gate/planted.md"
UNDAMAGED, CHANCE = "undamaged", "none, other seeds"
# Files of the stages of a dataset: no damage touches what makes them.
OF_DATASET = ("data", "extractors", "reference")
PREPARES = """
import sys
from pipelines import extractor, fetch, reference, resolve
from pathlib import Path
if not Path("reference", sys.argv[2], "floor.json").exists():
    resolve.main("dataset", sys.argv[2])
    for stage in (fetch, extractor, reference):
        stage.main(sys.argv[2])
resolve.main("board", sys.argv[1])
"""
# The stages of cells from the first one on whose file in resolved/ is another than in the folder argv[1].
SECONDS = "seconds.txt"  # of the CPU; beside a cell that is finished
MAKES_CELLS = """
import shutil, sys, time
from pathlib import Path
from pipelines import evaluate, sample, train
from gm_bench.cell import Cell
for words in sys.argv[2:]:
    board, dataset, variant, seed = words.split("/")
    cell, of = Cell(board, dataset, variant, int(seed)), Path(sys.argv[1])
    stages = {"train": train, "sample": sample, "evaluate": evaluate}
    if (of / cell.folder / "metrics.json").exists():
        shutil.copytree(of / cell.folder, cell.folder, dirs_exist_ok=True)
        while stages and (of / (same := cell.resolved(next(iter(stages))))).read_text() == same.read_text():
            del stages[next(iter(stages))]
    began = time.process_time()
    for stage in stages.values():
        stage.main(board, dataset, variant, int(seed), device="cpu")
    (cell.folder / "seconds.txt").write_text(str(time.process_time() - began))
"""


@dataclass
class Copy:
    """A copy of this repository whose cells are run when they are asked for.

    Args:
        folder: of the copy.
        of: the undamaged copy; None for that one itself.
        by: added to the seeds.
    """

    folder: Path
    of: Path | None
    by: int = 0
    ran: list[Cell] = field(default_factory=list)
    board: Leaderboard = field(init=False)

    def prepare(self) -> None:
        """Bring the stages of the dataset, and what those of the cells depend on, up to date."""
        for name in OF_DATASET:
            if self.of is not None:
                shutil.copytree(self.of / name, self.folder / name, dirs_exist_ok=True)
        self._python(PREPARES, BOARD, DATASET)
        floor = io.read_json(self.folder / REFERENCE / DATASET / "floor.json")
        budget = {"budget": ci.N_IMAGES}
        rows = [Entry(DATASET, v, "", "", (), 0, {}, budget) for v in ci.GRID["variants"]]
        protocol, values = {DATASET: floor["protocol"]}, {DATASET: floor["values"]}
        self.board = Leaderboard(BOARD, "generation", IMAGES, protocol, values, {}, {DATASET: rows})

    def run(self, wanted: Wanted) -> Leaderboard:
        """Run seeds of variants; the leaderboard with them and all earlier ones."""
        cells = [Cell(BOARD, d, v, seed + self.by) for (d, v), seeds in wanted.items() for seed in seeds]
        due = [cell for cell in cells if not (self.folder / cell.folder / SECONDS).exists()]
        of = self.folder / "nothing" if self.of is None or self.by else self.of
        self._python(MAKES_CELLS, str(of), *(f"{BOARD}/{cell}" for cell in due))
        self.ran += cells
        self.board = with_seeds(self.board, [self._read(cell) for cell in cells])
        return self.board

    def _read(self, cell: Cell) -> CellResult:
        """A cell, under the seed that it is asked for by."""
        folder = self.folder / cell.folder
        named = Cell(cell.board, cell.dataset, cell.variant, cell.seed - self.by)
        metrics = io.read_json(folder / "metrics.json") | {"cell": named.as_dict()}
        cost = io.read_json(folder / "cost.json")
        return cell_result(named, Origin("", ""), metrics, cost, [], str(folder / "metrics.json"))

    @property
    def minutes(self) -> float:
        """CPU time of its cells."""
        return sum(float(io.read_text(self.folder / cell.folder / SECONDS)) for cell in self.ran) / 60

    def _python(self, script: str, *arguments: str) -> None:
        environ = os.environ | {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", script, *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self.folder.name}: the grid did not run\n{done.stderr[-3000:]}")


@dataclass(frozen=True)
class Outcome:
    """What the gate said of a copy, how many cells it took beyond those of the grid, and its minutes."""

    name: str
    verdict: Verdict
    n_more: int
    minutes: float


def every(n: int) -> dict[Key, list[int]]:
    """The first `n` seeds of every variant."""
    return {(DATASET, variant): list(range(n)) for variant in ci.GRID["variants"]}


def try_one(name: str, copy: Copy, accepted: Baseline) -> Outcome:
    """Run the grid of a copy and judge it."""
    copy.prepare()
    board = copy.run(dict.fromkeys(every(0), ci.GRID["seeds"]))
    n_first = len(copy.ran)
    verdict = judge(accepted, board, copy.run)
    return Outcome(name, verdict, len(copy.ran) - n_first, copy.minutes)


def evidence(verdict: Verdict) -> str:
    """What failed: sentences, then variant, metric and difference."""
    found = [
        f"{c.variant} {IMAGES.title(c.metric)} {difference(c, IMAGES)} ({c.seeds[1]} seeds)"
        if c.variant in ci.GRID["variants"]
        else f"{c.variant} {IMAGES.title(c.metric)} {difference(c, IMAGES)}"
        for c in verdict.worse
    ]
    return "; ".join([*verdict.failures, *found]) or "–"


def report(outcomes: Sequence[Outcome]) -> str:
    damages = [each for each in outcomes if each.name != CHANCE]
    n_caught = sum(not each.verdict.passed for each in damages)
    lines = [
        "# Planted damage",
        "",
        "`python tests/faults/planted_damage.py` wrote this file.",
        "",
        f"The grid of CI ({', '.join(ci.GRID['variants'])}, seeds {', '.join(map(str, ci.GRID['seeds']))}, "
        f"{ci.N_IMAGES:,} images each) after the code was broken, judged as `gm-bench check --resolve` does "
        f"against {MOST_SEEDS} seeds a variant of the undamaged code: {n_caught} of {len(damages)} "
        "caught. More seeds: cells beyond those of the grid. Minutes: CPU time of all cells that ran; what "
        "does not run the broken code is taken from the undamaged code, as DVC does.",
        "",
        "| damage | check | more seeds | minutes | unchanged | what gave it away |",
        "| --- | --- | ---: | ---: | --- | --- |",
    ]
    for each in outcomes:
        unchanged = ", ".join(variant for _, variant in each.verdict.unchanged) or "–"
        said = "passed" if each.verdict.passed else "failed"
        lines.append(
            f"| {each.name} | {said} | {each.n_more} | {each.minutes:.1f} | {unchanged} | "
            f"{evidence(each.verdict)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, help="keep the copies there; cells that are there are not run")
    parser.add_argument("--only", nargs="*", help="words of the rows to try; the report is printed only")
    options = parser.parse_args()
    work = (options.work or Path(tempfile.mkdtemp(prefix="planted-"))).resolve()
    tried = [CHANCE, *DAMAGES]
    if options.only:
        tried = [each for each in tried if any(word in name_of(each) for word in options.only)]
    work.mkdir(parents=True, exist_ok=True)
    try:
        outcomes = try_all(tried, work)
    except ValueError as error:
        sys.exit(str(error))
    finally:
        if options.work is None:
            shutil.rmtree(work)
    text = report(outcomes)
    print(text)  # noqa: T201
    if not options.only:
        io.write_text(REPORT, text)
    sys.exit(0 if all(o.verdict.passed == (o.name == CHANCE) for o in outcomes) else 1)


def name_of(tried: Damage | str) -> str:
    return tried if isinstance(tried, str) else tried.name


def try_all(tried: Sequence[Damage | str], work: Path) -> list[Outcome]:
    """What the gate says of chance, where it is among these, and of damages."""
    undamaged = Copy(made(work / UNDAMAGED), None)
    undamaged.prepare()
    accepted = of_board(undamaged.run(every(MOST_SEEDS)), UNDAMAGED, seeds=tuple(ci.GRID["seeds"]))
    outcomes = []
    for each in tried:
        name = name_of(each)
        folder = work / name.partition(" (")[0].replace(" ", "-").replace(",", "")
        damage, by = (None, OTHER_SEEDS) if isinstance(each, str) else (each, 0)
        copy = Copy(made(folder, damage), undamaged.folder, by)
        outcomes.append(try_one(name, copy, accepted))
    return outcomes


def made(folder: Path, damage: Damage | None = None) -> Path:
    """A copy of this repository with the grid of CI, broken where a damage is given; what is there stays."""
    if not (folder / "params.yaml").exists():
        folder.mkdir(parents=True, exist_ok=True)
        ci.make(folder)
        if damage is not None:
            plant(damage, folder)
    return folder


if __name__ == "__main__":
    main()
