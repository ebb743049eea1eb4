"""Files that are not what they were."""

import re
import signal
import sqlite3
import struct
from pathlib import Path

import tiny
from harness import Site, finish, signal_group, wait_until
from interruptions import training

ARTEFACTS = [
    "data/digits/train.safetensors",
    "data/digits/card.json",
    "extractors/digits/weights.safetensors",
    "reference/digits/features.safetensors",
    "reference/digits/floor.json",
    "runs/digits/digits/vae/0/model.safetensors",
    "runs/digits/digits/vae/0/cost.json",
    "runs/digits/digits/kde/0/samples.safetensors",
    "runs/digits/digits/vae/0/metrics.json",
    "runs/digits/digits/kde/0/metrics.json",
]


def truncated(site: Site) -> None:
    """Every kind of artefact cut in half: DVC sees it and brings back what it kept."""
    site.begin_finished()
    for name in ARTEFACTS:
        cut(site.folder / name)
    site.check()


def flipped(site: Site) -> None:
    """One bit of every kind of artefact flipped."""
    site.begin_finished()
    for name in ARTEFACTS:
        flip(site.folder / name)
    site.check()


def flipped_in_the_cache(site: Site) -> None:
    """A model and samples with a flipped bit, in DVC's cache as well: they are made again."""
    site.begin_finished()
    for name in ("vae/0/model.safetensors", "kde/0/samples.safetensors"):
        path = site.folder / "runs/digits/digits" / name
        kept = [p for p in (site.folder / ".dvc/cache/files").rglob("*") if same_content(p, path)]
        assert len(kept) == 1
        kept[0].chmod(0o644)
        flip(kept[0])
        path.unlink()
    site.check()


def checkpoint(site: Site) -> None:
    """Training is stopped, a bit of its checkpoint flips: it says so and begins anew."""
    site.begin_finished()
    site.forget("train", "sample", "evaluate")
    process = site.start()
    wait_until(training(site), process)
    signal_group(process, signal.SIGINT)
    finish(process, 130)
    [saved] = site.folder.glob(".checkpoints/digits/digits-vae-0/*.safetensors")
    content = saved.read_bytes()
    place = re.search(rb'images\\": (\d)', content)
    assert place is not None
    flip(saved, place.start(1))  # a number in the header: the file is as readable as before
    site.check()


def database(site: Site) -> None:
    """MLflow's database cut in half: one sentence says to delete it, and then it is made again."""
    site.begin_finished()
    cut(site.folder / "mlflow.db")
    output = site.run(code=255)
    assert "delete mlflow.db and rerun, it is rebuilt from the cells" in output, output
    assert "Traceback" not in output, output
    assert (site.folder / "reports/digits/leaderboard.md").exists(), "the last table was lost"
    (site.folder / "mlflow.db").unlink()
    site.check()


def database_value(site: Site) -> None:
    """One bit of one FID flipped in MLflow's database, otherwise whole: the run is replaced."""
    site.begin_finished()
    file = site.folder / "mlflow.db"
    connection = sqlite3.connect(file)
    query = "SELECT value FROM latest_metrics WHERE key = 'eval/fid' ORDER BY value DESC"
    value = struct.pack(">d", connection.execute(query).fetchone()[0])
    connection.close()
    content = file.read_bytes()
    assert value in content
    for place in [found.start() for found in re.finditer(re.escape(value), content)]:
        flip(file, place + 1, bit=3)
    site.check()


def bookkeeping(site: Site) -> None:
    """DVC's lock file and its table of locks cut in half, as a full disk leaves them."""
    site.begin_finished()
    table = site.folder / ".dvc/tmp/rwlock"
    table.write_text('{"write": {"runs', encoding="utf-8")
    site.check()
    lock = site.folder / "dvc.lock"
    lock.write_bytes(lock.read_bytes()[: lock.stat().st_size // 2] + b'\n"')
    output = site.run(code=1)
    assert "dvc.lock" in output, output
    assert "Traceback" not in output, output
    lock.unlink()
    before = (site.folder / "runs/digits/digits/vae/0/cost.json").read_bytes()
    site.check()
    assert (site.folder / "runs/digits/digits/vae/0/cost.json").read_bytes() == before, "trained again"


def diverged(site: Site) -> None:
    """A learning rate of 1e30: a row that says so, the other cell unharmed; put right, all is as before."""
    site.begin_finished()
    before = (site.folder / "params.yaml").read_bytes()
    kde = site.folder / "runs/digits/digits/kde/0/metrics.json"
    metrics_of_kde = kde.read_bytes()
    tiny.change(site.folder, lambda p: p["variants"]["vae"]["tiny"].update(optimiser={"lr": 1.0e30}))
    assert "diverged" in site.run()
    assert '"status": "diverged"' in (site.folder / "reports/digits/leaderboard.json").read_text(
        encoding="utf-8"
    )
    assert kde.read_bytes() == metrics_of_kde
    (site.folder / "params.yaml").write_bytes(before)
    site.check()


def cut(path: Path) -> None:
    """Leave the first half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flip(path: Path, place: int | None = None, bit: int = 0) -> None:
    """Flip one bit of a file, in its middle if no place is given."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1 << bit
    path.write_bytes(content)


def same_content(kept: Path, path: Path) -> bool:
    return (
        kept.is_file()
        and kept.stat().st_size == path.stat().st_size
        and kept.read_bytes() == path.read_bytes()
    )
