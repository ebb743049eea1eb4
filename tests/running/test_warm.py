"""Processes forked from a warm server behave as those that `python -m` starts."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gm_bench.running import warm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="servers are for Linux")

MODULE = """
import atexit, json, os, signal, sys, threading, time
what, *rest = sys.argv[1:]
if what == "tell":
    print(json.dumps([rest, os.getcwd(), os.environ.get("WORD"), sys.path[0], __name__, os.getppid()]))
    print("complaint", file=sys.stderr)
elif what == "exit":
    sys.exit(int(rest[0]) if rest[0].isdigit() else rest[0])
elif what == "fail":
    raise RuntimeError("a bug")
elif what == "end":
    atexit.register(print, "at exit")
    threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
    sys.stdout.write("no newline, ")
elif what == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
elif what == "wait":
    print(os.getpid(), flush=True)
    time.sleep(60)
elif what == "read":
    print(sys.stdin.read())
elif what == "count":
    print(len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")), "torch" in sys.modules)
"""


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of processes of a server that has imported little."""
    (tmp_path / "some").mkdir()
    (tmp_path / "some/__init__.py").touch()
    (tmp_path / "some/module.py").write_text(MODULE)
    here = str(Path(__file__).resolve().parents[2])
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), here]), "PYTHONUNBUFFERED": "1"}
    with warm.server(environ, preloaded=("json", "no_such_module")):
        yield environ


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "some.module", *arguments]


def run(environ: dict[str, str], *arguments: str, folder: Path | None = None) -> tuple[int, str]:
    """Exit code and output of the module, from the server if `environ` names one."""
    reading, writing = os.pipe()
    process = warm.start(command(*arguments), environ, writing, str(folder) if folder else None)
    os.close(writing)
    with open(reading) as output:
        text = output.read()
    return process.wait(), text


def without_server(environ: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in environ.items() if key != warm.ADDRESS}


def test_a_temporary_folder_that_can_have_no_socket_goes_without_a_server(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("a" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    own = without_server(environ)
    with warm.server(own, preloaded=("json",)):
        assert warm.ADDRESS not in own
        assert run(own, "exit", "3") == (3, "")
    assert not list(long.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("exit", "0"), 0),
        (("exit", "3"), 3),
        (("exit", "130"), 130),
        (("exit", "words"), 1),
        (("fail",), 1),
        (("end",), 0),
        (("kill",), -signal.SIGKILL),
    ],
)
def test_a_process_ends_as_its_own_process_would(
    environ: dict[str, str], arguments: tuple[str, ...], code: int
) -> None:
    here, there = run(environ, *arguments), run(without_server(environ), *arguments)
    assert here[0] == there[0] == code
    assert here[1].splitlines()[-1:] == there[1].splitlines()[-1:]
    if arguments == ("end",):
        assert here[1] == there[1] == "no newline, thread\nat exit\n"


def test_it_has_the_callers_arguments_folder_and_environment(environ: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "else where"
    folder.mkdir()
    environ["WORD"] = "ü = 1"
    code, text = run(environ, "tell", "a b", "--c", folder=folder)
    told, complaint = text.splitlines()
    assert (code, complaint) == (0, "complaint")
    *same, parent = json.loads(told)
    assert same == [["a b", "--c"], str(folder), "ü = 1", str(folder), "__main__"]
    assert parent != os.getpid(), "the server forked it"
    assert "gm_bench.running.warm" in Path(f"/proc/{parent}/cmdline").read_text()


def test_without_a_server_it_is_a_process_of_its_own(environ: dict[str, str]) -> None:
    gone = environ | {warm.ADDRESS: "/nowhere/socket"}
    for surroundings in (without_server(environ), gone):
        assert isinstance(warm.start(command("exit", "4"), surroundings), subprocess.Popen)
        assert run(surroundings, "exit", "4") == (4, "")
    other = warm.start(["sh", "-c", "exit 5"], environ)
    assert isinstance(other, subprocess.Popen)
    assert other.wait() == 5


def test_it_has_one_thread_and_no_file_of_the_others(environ: dict[str, str]) -> None:
    reading, writing = os.pipe()
    waiting = warm.start(command("wait"), environ, writing)
    with open(reading) as output:
        os.close(writing)
        pid = int(output.readline())
        alone = run(without_server(environ), "count")
        assert run(environ, "count") == alone
        assert alone[1].split()[0] == "1"
        assert Path(f"/proc/{pid}/comm").read_text() == "some.module\n"
        os.kill(pid, signal.SIGTERM)
        assert waiting.wait() == -signal.SIGTERM


def test_several_work_side_by_side(environ: dict[str, str]) -> None:
    began = time.monotonic()
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(run(environ, "end")[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 8
    assert time.monotonic() - began < 60


DRIVER = """
import os, sys
from gm_bench.running import termination, warm
environ = dict(os.environ)
with termination.as_interrupt(), warm.server(environ, preloaded=()):
    process = warm.start([sys.executable, "-m", "some.module", *sys.argv[1:]], environ)
    try:
        print("ended", process.wait(), flush=True)
    except KeyboardInterrupt:
        print("interrupted", process.wait(), flush=True)
"""


def drive(environ: dict[str, str], *arguments: str, driver: str = DRIVER) -> subprocess.Popen[str]:
    """A program with a server, as a shell starts it: in a process group of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", driver, *arguments],
        env=without_server(environ),
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    if arguments[0] == "wait":
        process.stdout.readline()
    return process


def test_ctrl_c_reaches_the_process_and_not_the_server(environ: dict[str, str]) -> None:
    process = drive(environ, "wait")
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert output == f"interrupted {-signal.SIGINT}\n"
    assert process.returncode == 0


def test_ctrl_c_reaches_what_the_server_has_not_started_yet(environ: dict[str, str], tmp_path: Path) -> None:
    """The server is still at its imports; what it was asked for meanwhile does not begin."""
    begun = tmp_path / "begun"
    (tmp_path / "some/slow.py").write_text(
        f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(1)"
    )
    process = drive(environ, "tell", driver=DRIVER.replace("preloaded=()", "preloaded=('some.slow',)"))
    while not begun.exists():
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert output == "interrupted 130\n"
    assert process.returncode == 0


def test_sigterm_to_the_program_alone_ends_its_processes_as_ctrl_c_does(environ: dict[str, str]) -> None:
    process = drive(environ, "wait")
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert output == f"interrupted {-signal.SIGINT}\n"
    assert process.returncode == 0


def test_a_process_reads_what_the_caller_reads(environ: dict[str, str]) -> None:
    output, _ = drive(environ, "read").communicate("typed", timeout=60)
    assert output == "typed\nended 0\n"


def test_a_server_whose_program_was_killed_works_on_until_its_processes_end(
    environ: dict[str, str],
) -> None:
    process = drive(environ, "end")
    process.kill()
    assert process.stdout is not None
    assert process.stdout.read() in ("no newline, thread\nat exit\n", ""), "all of it or none"
    process.wait()
    deadline = time.monotonic() + 60
    while _has_members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _has_members(process.pid), "the server is still there"


def _has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_server_and_its_socket_are_gone_afterwards(environ: dict[str, str]) -> None:
    mine = {"PATH": os.environ["PATH"], "PYTHONPATH": environ["PYTHONPATH"]}
    with warm.server(mine, preloaded=()):
        address = mine[warm.ADDRESS]
        assert run(mine, "exit", "2") == (2, "")
        assert Path(address).parent.stat().st_mode & 0o077 == 0, "others may not ask"
    assert warm.ADDRESS not in mine
    assert not Path(address).parent.exists()
    with pytest.raises(OSError, match=r"."), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)


def test_dvc_runs_plain_stage_commands_by_the_server_and_others_by_the_shell(
    environ: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from dvc.stage.exceptions import StageCmdFailedError

    from gm_bench.running import dvc

    options = {"env": environ, "cwd": str(tmp_path), "close_fds": True, "shell": False}
    parents = []
    for cmd in ("python -m some.module tell x", "python -m some.module tell $((1 + 1))"):
        dvc.run_command("/bin/sh", cmd, **options)
        told = json.loads(capfd.readouterr().out)
        assert told[0] == [{"x": "x", "$((1": "2"}[cmd.split()[4]]]
        parents.append(Path(f"/proc/{told[-1]}/cmdline").exists())
    assert parents == [True, False], "the server is there, the shell is not"
    with pytest.raises(StageCmdFailedError, match=r"some.module exit 130, exited with 130"):
        dvc.run_command("/bin/sh", "python -m some.module exit 130", **options)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
