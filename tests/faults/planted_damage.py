"""Does the gate see real damage? python tests/faults/planted_damage.py [--work FOLDER] [--only NAME …]

The grid of CI (tests/ci.py) is run as it is, accepted as baseline, run again under other seeds to see that
nothing fails, and then once for each way to break the code below. Every damage is an edit of a copy; this
repository is never touched. The outcomes stand in reports/gate/planted.md.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import ci  # noqa: E402

# Sets of seeds beside the baseline's own: one is judged, and tells whether chance alone fails; from the
# others the baseline knows the noise better than its four seeds alone could tell.
OTHER_SEEDS = {"other seeds": 100, "noise 1": ci.NOISE_SEEDS[0], "noise 2": ci.NOISE_SEEDS[1]}
NOISE_FROM = ("noise 1", "noise 2")
REPORT = ROOT / "reports/gate/planted.md"
MAKES_CELLS = """
import sys
from pipelines import evaluate, extractor, fetch, leaderboard, reference, resolve, sample, train
from gm_bench.config import load_params
params = load_params()
for dataset in params.board("digits").datasets:
    resolve.main("dataset", dataset)
    for stage in (fetch, extractor, reference):
        stage.main(dataset)
resolve.main("board", "digits")
for cell in params.cells("digits"):
    for stage in (train, sample, evaluate):
        stage.main(cell.board, cell.dataset, cell.variant, cell.seed)
leaderboard.main("digits")
"""


@dataclass(frozen=True)
class Damage:
    """An edit that makes the code wrong: `old`, which stands in `file` exactly once, becomes `new`."""

    name: str
    file: str
    old: str
    new: str


DAMAGES = [
    Damage(
        "wrong sign in a loss (wgan_gp, generator)",
        "gm_bench/variants/wgan.py",
        "return -fake.mean()\n",
        "return fake.mean()\n",
    ),
    Damage(
        "no critic updates",
        "gm_bench/training/loop.py",
        "                    state.optimisers[player].step()\n",
        '                    _ = player == "critic" or state.optimisers[player].step()\n',
    ),
    Damage(
        "half the learning-rate decay",
        "gm_bench/training/loop.py",
        "choice.lr * (1 - progress)",
        "choice.lr * (1 - progress / 2)",
    ),
    Damage(
        "shifted normalisation (real images 0.1 brighter)",
        "gm_bench/variants/base/contract.py",
        "values = from_uint8(values)",
        "values = 0.1 + from_uint8(values)",
    ),
    Damage(
        "frozen input layer (of every player)",
        "gm_bench/training/loop.py",
        "                        parameter.grad = laid_out_as(parameter, gradient)\n",
        "                        kept = parameter is not parameters[player][0]\n"
        "                        parameter.grad = laid_out_as(parameter, gradient) * kept\n",
    ),
    Damage(
        "frozen output layer (of every player)",
        "gm_bench/training/loop.py",
        "                        parameter.grad = laid_out_as(parameter, gradient)\n",
        "                        of_output = any(parameter is last for last in parameters[player][-2:])\n"
        "                        parameter.grad = laid_out_as(parameter, gradient) * (not of_output)\n",
    ),
    Damage(
        "sampling at the wrong scale (pixels up to 230)",
        "gm_bench/training/sampling.py",
        "to_uint8(samples)",
        "to_uint8((samples + 1) * 115 / 127.5 - 1)",
    ),
    Damage(
        "codes at the wrong scale (0.8 of the prior, GANs)",
        "gm_bench/variants/base/adversarial.py",
        "return self.decode(self.latent(n, generator), labels)",
        "return self.decode(0.8 * self.latent(n, generator), labels)",
    ),
    Damage(
        "always the same batch",
        "gm_bench/training/loop.py",
        "rows = order[state.images // recipe.batch_size]",
        "rows = order[0]",
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What `gm-bench check` said of a copy."""

    name: str
    code: int
    summary: str


def plant(damage: Damage, folder: Path) -> None:
    """Break a copy.

    Raises:
        ValueError: the code that is to be broken is no longer what it was.
    """
    file = folder / damage.file
    text = file.read_text(encoding="utf-8")
    if text.count(damage.old) != 1:
        raise ValueError(
            f"{damage.name}: {damage.file} has {text.count(damage.old)} times {damage.old.strip()!r}, "
            "not once: adapt the damage to the code"
        )
    file.write_text(text.replace(damage.old, damage.new), encoding="utf-8")


def run_grid(folder: Path) -> None:
    """All stages of a copy in one process: what its grid gives, without the seconds that DVC takes."""
    environ = os.environ | {"PYTHONPATH": str(folder), "GM_BENCH_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
    environ.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-c", MAKES_CELLS]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{folder.name}: the grid did not run\n{done.stderr[-3000:]}")


def outcome(name: str, folder: Path, baseline: Path) -> Outcome:
    summary = folder / "summary.md"
    code = ci.gm_bench(folder, "check", "--baseline", str(baseline), "--summary", str(summary))
    return Outcome(name, code, summary.read_text(encoding="utf-8"))


def evidence(summary: str) -> str:
    """The comparisons that failed, as the summary's table has them: variant, metric, difference."""
    lines = summary.partition("<details>")[0].splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| digits")]
    found = [f"{row[1]} {row[2]} {row[5]}" for row in rows if "worse" in row[-1]]
    return "; ".join([*(line[2:] for line in lines if line.startswith("- ")), *found]) or "–"


def report(outcomes: list[Outcome]) -> str:
    n_caught = sum(each.code == 1 for each in outcomes[1:])
    verdicts = {0: "passed", 1: "failed", 2: "not comparable"}
    lines = [
        "# Planted damage",
        "",
        "`python tests/faults/planted_damage.py` wrote this file.",
        "",
        f"The grid of CI ({', '.join(ci.GRID['variants'])}, seeds {', '.join(map(str, ci.GRID['seeds']))}, "
        f"{ci.N_IMAGES:,} images each) after the code was broken, judged by `gm-bench check` against the "
        f"undamaged code: {n_caught} of {len(outcomes) - 1} caught.",
        "",
        "| damage | check | what gave it away |",
        "| --- | --- | --- |",
        *(f"| {o.name} | {verdicts[o.code]} | {evidence(o.summary)} |" for o in outcomes),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, help="keep the copies there; what is there is not run again")
    parser.add_argument("--only", nargs="*", help="words of the damages to try; the report is printed only")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="planted-"))
    chosen = [d for d in DAMAGES if not options.only or any(word in d.name for word in options.only)]
    work.mkdir(parents=True, exist_ok=True)
    try:
        text, complete = try_all(chosen, work, options.jobs)
    finally:
        if options.work is None:
            shutil.rmtree(work)
    print(text)  # noqa: T201
    if not options.only:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(text, encoding="utf-8")
    sys.exit(0 if complete else 1)


def try_all(damages: list[Damage], work: Path, jobs: int) -> tuple[str, bool]:
    """Run everything; the report, and whether the gate was right about all of it."""
    folders = {name: work / name.replace(" ", "-") for name in ("undamaged", *OTHER_SEEDS)}
    folders |= {damage.name: work / damage.name.partition(" (")[0].replace(" ", "-") for damage in damages}
    due = {
        name: folder
        for name, folder in folders.items()
        if not (folder / "reports/digits/leaderboard.json").exists()
    }
    for name, folder in due.items():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        ci.make(folder)
        for damage in damages:
            if damage.name == name:
                plant(damage, folder)
        if name in OTHER_SEEDS:
            rename_seeds(folder, OTHER_SEEDS[name])
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run_grid, due.values()))
    for name in OTHER_SEEDS:
        ci.same_names(folders[name])
    baseline = work / "baseline.json"
    baseline.unlink(missing_ok=True)
    for name in (*NOISE_FROM, "undamaged"):
        if ci.gm_bench(folders[name], "check", "--update", "--baseline", str(baseline)):
            raise RuntimeError(f"the grid of {name} could not be made a baseline")
    outcomes = [
        outcome("none, other seeds", folders["other seeds"], baseline),
        *(outcome(damage.name, folders[damage.name], baseline) for damage in damages),
    ]
    return report(outcomes), [o.code for o in outcomes] == [0] + [1] * len(damages)


def rename_seeds(folder: Path, by: int) -> None:
    """Other seeds than those of the baseline: what chance alone makes of the same code."""
    shifted = [seed + by for seed in ci.GRID["seeds"]]
    ci.tiny.change(folder, lambda params: params["boards"]["digits"].update(seeds=shifted))


if __name__ == "__main__":
    main()
