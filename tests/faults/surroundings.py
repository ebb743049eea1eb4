"""A machine that does not play along: its disk, its clock, its network."""

import itertools
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import Site, Skipped, finish, kill_group, published, say, wait_until
from interruptions import stages_at_work, training
from servers import answers, free_port

DAY = 86_400  # seconds
FULL = "No space left on device; free some space or check the folder, then rerun"


def full_disk(site: Site) -> None:
    """The disk is full when train, sample and leaderboard begin, for all that they and DVC write."""
    with mounted(site.folder.parent / "disk", "-t", "tmpfs", "-o", "size=600m", "tmpfs") as disk:
        small = Site(disk)
        small.undisturbed = site.undisturbed
        small.begin()
        ballast = disk / "ballast"
        (disk / "tmp").mkdir()
        elsewhere = {"DVC_SITE_CACHE_DIR": str(disk / "site"), "TMPDIR": str(disk / "tmp")}
        for stage in ("train", "sample", "leaderboard"):
            process = small.start(GM_BENCH_FAULT=f"fill {stage} {ballast}", **elsewhere)
            output, _ = process.communicate()
            assert process.returncode in (1, 255), output
            say(f"    {stage}: " + " | ".join(line for line in output.splitlines() if "rror" in line))
            ballast.unlink()
        small.run(**elsewhere)
        small.compare()


def read_only_reports(site: Site) -> None:
    """reports/ is mounted read-only: one sentence, and the last table stays."""
    site.begin_finished()
    reports = site.folder / "reports"
    with mounted(reports, "--bind", str(reports)):
        command("mount", "-o", "remount,ro,bind", str(reports))
        output = site.run(code=255)
        assert "Read-only file system" in output, output
        assert (reports / "digits/leaderboard.md").exists()
    site.check()


def clock(site: Site) -> None:
    """The clock goes back a day while a cell trains and a week ahead while it is published."""
    site.begin_finished()
    site.forget("train", "sample", "evaluate")
    offset = site.folder / "offset"
    offset.write_text("0", encoding="utf-8")
    process = site.start(GM_BENCH_FAULT=f"clock all {offset}")
    wait_until(training(site), process)
    offset.write_text(str(-DAY), encoding="utf-8")
    wait_until(lambda: bool(stages_at_work(site.folder, "leaderboard")), process)
    offset.write_text(str(7 * DAY), encoding="utf-8")
    finish(process, 0)
    rows = (site.folder / "runs/digits/digits/vae/0/history.csv").read_text(encoding="utf-8").splitlines()[1:]
    moments = [int(row.split(",")[2]) for row in rows]
    assert min(b - a for a, b in itertools.pairwise(moments)) < -900 * DAY, "the clock did not jump"
    site.compare()
    site.check()


def server_gone(site: Site) -> None:
    """The tracking server is killed while a cell trains, and again while cells are published."""
    site.begin_finished()
    site.forget("train", "sample", "evaluate")
    port = free_port()
    uri = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    server = serve(site, port)
    run = site.start(**uri)
    wait_until(training(site), run)
    kill_group(server)
    output = finish(run, 255)
    assert "cannot be used" in output, output
    assert "check MLFLOW_TRACKING_URI and that the server runs" in output, output
    assert "Traceback" not in output, output

    server = serve(site, port)
    run = site.start(**uri)
    wait_until(lambda: published(site.folder / "server.db"), run)
    kill_group(server)
    output = finish(run, 255)
    assert "check MLFLOW_TRACKING_URI and that the server runs" in output, output

    server = serve(site, port)
    try:
        site.run(**uri)
        site.compare("server.db")
    finally:
        kill_group(server)


def serve(site: Site, port: int) -> subprocess.Popen[str]:
    """A tracking server on the loopback address, once it answers."""
    store = ("--backend-store-uri", "sqlite:///server.db", "--artifacts-destination", "server-artifacts")
    place = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    server = site.start("mlflow", "server", *store, *place, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")

    wait_until(lambda: answers(f"http://127.0.0.1:{port}"), server)
    threading.Thread(target=lambda: server.stdout and server.stdout.read(), daemon=True).start()
    return server


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount something on a folder, and take it away at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    command("mount", *options, str(folder))
    try:
        yield folder
    finally:
        command("umount", str(folder))


def command(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"needs root and the right to mount: {' '.join(words)}: {done.stderr.strip()}")
