"""Processes that are killed, stopped, or started twice."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
from harness import Site, finish, kill_group, published, say, signal_group, wait_until

# Stage, and the file in whose writing it is killed: the first and the last of each stage.
MOMENTS = [
    ("fetch", "train.safetensors"),
    ("fetch", "card.json"),
    ("extractor", "weights.safetensors"),
    ("extractor", "extractor.json"),
    ("reference", "features.safetensors"),
    ("reference", "floor.json"),
    ("train", "progress.json"),
    ("train", "cost.json"),
    ("sample", "samples.safetensors"),
    ("sample", "grid.png"),
    ("evaluate", "metrics.json"),
    ("leaderboard", "mlflow.db"),
    ("leaderboard", "leaderboard.md"),
    ("leaderboard", "digits-vae-0.html"),
]


def killed(site: Site) -> None:
    """kill −9 in every stage, twice: the stage alone, then gm-bench, DVC and the stage at once."""
    site.begin()
    for index, (stage, file) in enumerate(MOMENTS):
        who = "all" if index % 2 else "stage"
        if file == "mlflow.db":  # else it is there since the first training
            (site.folder / file).unlink()
        process = site.start(GM_BENCH_FAULT=f"kill {stage} {file} {who}")
        output, _ = process.communicate()
        assert process.returncode in ((-signal.SIGKILL,) if who == "all" else (1, 255)), (
            f"{stage} {file}:\n{output}"
        )
        say(f"    {stage}, writing {file}, {who} killed")
    site.check()


def orphaned(site: Site) -> None:
    """kill −9 of gm-bench alone while a cell trains: DVC and the stage work on, and are waited for."""
    site.begin_finished()
    site.forget("train", "sample", "evaluate")
    process = site.start()
    wait_until(training(site), process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    site.check()
    kill_group(process)


def ctrl_c(site: Site) -> None:
    """Ctrl-C while DVC looks around, while a cell trains, and while the leaderboard is published."""
    site.begin()
    moments = {
        "looking": lambda: True,
        "training": training(site),
        "publishing": lambda: published(site.folder / "mlflow.db"),
    }
    for name, come in moments.items():
        process = site.start()
        wait_until(come, process)
        if name == "looking":
            wait_until(lambda started=process: bool(psutil.Process(started.pid).children()), process)
        signal_group(process, signal.SIGINT)
        output = finish(process, 130)
        assert "interrupted; what was finished is kept, run the same command again to go on" in output, output
        assert "Traceback" not in output, output
        if name == "training":
            assert list(site.folder.glob(".checkpoints/digits/digits-vae-0/*.safetensors"))
        say(f"    {name}: stopped with exit code 130")
    site.check()


def two_at_once(site: Site) -> None:
    """Two `gm-bench run` begun together: one works, the other waits and finds everything done."""
    site.begin_finished()
    site.forget("train", "sample", "evaluate")
    outputs = [finish(process, 0) for process in (site.start(), site.start())]
    site.compare()
    waited = ["another gm-bench run is at work here" in output for output in outputs]
    assert sorted(waited) == [False, True], outputs
    assert ["to bring up to date" in output for output in outputs] == [not each for each in waited], outputs


def beside_dvc(site: Site) -> None:
    """`gm-bench run` while the user's own `dvc repro` is at work: it waits for what that one works on."""
    site.begin_finished()
    site.forget("evaluate")
    theirs = site.start("dvc", "repro", "evaluate@digits-vae-0")
    wait_until(lambda: bool(stages_at_work(site.folder, "evaluate")), theirs)
    site.check()
    finish(theirs, 0)


def training(site: Site) -> Callable[[], bool]:
    progress = site.folder / ".checkpoints/digits/digits-vae-0/progress.json"
    return progress.exists


def stages_at_work(folder: Path, stage: str) -> list[psutil.Process]:
    """Processes of a stage in a folder."""
    found = []
    module = f"pipelines.{stage}"
    for process in psutil.process_iter(["cmdline", "cwd", "name"]):
        is_one = module in (process.info["cmdline"] or []) or process.info["name"] == module[:15]
        if is_one and process.info["cwd"] == str(folder):
            found.append(process)
    return found
