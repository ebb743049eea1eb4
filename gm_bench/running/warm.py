"""Processes that begin with everything imported: a server that forks itself for every DVC and every stage.

To import torch, DVC and what metrics need takes more CPU than all else that is neither training nor measuring
in a small cell, and a cell has four processes. `gm-bench run` starts one server, which imports it all once.
A process that is asked of it gets the files, folder, environment and arguments of whoever asks, runs a module
as `python -m` does, and ends as a process does: signals of the terminal reach it, its exit code comes back. A
Ctrl-C that came before it began reaches it too: the server keeps that, and what it starts from then on ends.
The server itself never computes, so no thread is lost when it forks.

Where there is no server (`dvc repro` by hand, systems other than Linux, a temporary folder that can have no
socket), processes start as they always did.
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

ADDRESS = "GM_BENCH_SERVER"  # names the environment variable that holds the path of the server's socket
LENGTH = 8  # bytes in which the length of a message is written
INTERRUPTED = 130  # exit code of a stage that was asked to stop
LOST = 1  # exit code of a process whose server was killed, so that nobody knows its own
# What stages of the main track and DVC import. If a module fails to import, the stage is to say so.
PRELOADED = (
    "torch",
    "torch._dynamo",  # which the first step of an optimiser imports
    "gm_bench.config",
    "gm_bench.running.console",
    "gm_bench.running.resolve",
    "gm_bench.training.fit",
    "gm_bench.tracks.generation.drawing",
    "gm_bench.tracks.generation.measuring",
    "gm_bench.tracks.generation.reference",
    "dvc.cli.parser",
    "dvc.commands.repro",
    "dvc.repo.reproduce",
    "dvc.repo.status",
    "dvc.stage.cache",
    "dvc.stage.run",
)


@dataclass
class Process:
    """A process that a server was asked for."""

    connection: socket.socket

    def wait(self) -> int:
        """Its exit code, minus the number of the signal that killed it; as `subprocess.Popen.wait`."""
        message, _ = _receive(self.connection)
        self.connection.close()
        return LOST if message is None else int(message)


@contextlib.contextmanager
def server(environ: dict[str, str], preloaded: Sequence[str] = PRELOADED) -> Iterator[None]:
    """A server for as long as the block runs; `environ`, from which processes are started, then names it.

    A server whose gm-bench was killed works on until the processes that it was asked for have ended.

    Args:
        preloaded: the modules that it imports.
    """
    if sys.platform != "linux":
        yield
        return
    with tempfile.TemporaryDirectory(prefix="gm-bench-", ignore_cleanup_errors=True) as folder:
        address = str(Path(folder, "socket"))
        process = _started(address, environ, preloaded)
        if process is None:
            yield
            return
        environ[ADDRESS] = address
        try:
            yield
        finally:
            del environ[ADDRESS]
            assert process.stdin is not None
            process.stdin.close()  # which tells it to end
            process.wait()


def _started(
    address: str, environ: Mapping[str, str], preloaded: Sequence[str]
) -> "subprocess.Popen[bytes] | None":
    """The process of a server; None where there can be no socket, as of a long path."""
    with socket.socket(socket.AF_UNIX) as listener, _uninterrupted():
        try:
            listener.bind(address)
        except OSError:
            return None
        listener.listen(128)
        return subprocess.Popen(
            [sys.executable, "-m", "gm_bench.running.warm", str(listener.fileno()), *preloaded],
            stdin=subprocess.PIPE,
            env=environ,
            pass_fds=[listener.fileno()],
        )


def start(
    command: Sequence[str], environ: Mapping[str, str], output: int | None = None, folder: str | None = None
) -> "Process | subprocess.Popen[bytes]":
    """Start a command: through the server that `environ` names if it is `python -m`, else as a new process.

    Args:
        output: the file that gets what it prints, errors too; None for this process's own.
        folder: where it works; None for here.
    """
    module = _module_of(command)
    if module and ADDRESS in environ:
        connection = socket.socket(socket.AF_UNIX)
        files = [0, *((1, 2) if output is None else (output, output))]
        request = {
            "module": module,
            "arguments": command[3:],
            "folder": folder or os.getcwd(),
            "environ": dict(environ),
        }
        try:
            connection.connect(environ[ADDRESS])
            _send(connection, json.dumps(request), files)
            return Process(connection)
        except OSError:  # it has ended
            connection.close()
    return subprocess.Popen(
        command, env=environ, cwd=folder, stdout=output, stderr=None if output is None else subprocess.STDOUT
    )


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits for the end of the block; processes started in it never get it unless they ask for it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _module_of(command: Sequence[str]) -> str | None:
    """The module that this interpreter is to run."""
    return command[2] if len(command) > 2 and command[0] == sys.executable and command[1] == "-m" else None


def _send(connection: socket.socket, text: str, files: Sequence[int] = ()) -> None:
    """A message after its length; the files go with the length."""
    message = text.encode()
    socket.send_fds(connection, [len(message).to_bytes(LENGTH, "big")], files)
    connection.sendall(message)


def _receive(connection: socket.socket, n_files: int = 0) -> tuple[str | None, list[int]]:
    """A whole message, and the files that came with it; None where the other side ended before."""
    files: list[int] = []
    try:
        head, files, _, _ = socket.recv_fds(connection, LENGTH, n_files)
        length = int.from_bytes(head, "big")
        message = b""
        while head and len(message) < length and (part := connection.recv(length - len(message))):
            message += part
    except ConnectionError:
        return None, files
    return message.decode() if head and len(message) == length else None, files


def _serve(listener: socket.socket) -> dict[str, Any] | None:
    """Fork for every request; in the child return what it asks for, in the server None once all is over."""
    children: dict[int, socket.socket] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake)
    with selectors.DefaultSelector() as selector:
        for file in (sys.stdin, listener, woken):
            selector.register(file, selectors.EVENT_READ)
        is_wanted = True
        while is_wanted or children:
            ready = [key.fileobj for key, _ in selector.select()]
            if sys.stdin in ready:  # gm-bench closed it, or was killed
                selector.unregister(sys.stdin)
                is_wanted = False
            if woken in ready:
                os.read(woken, 4096)
                _tell_ends(children)
            if listener in ready:
                connection, _ = listener.accept()
                text, files = _receive(connection, 3)
                is_over = signal.SIGINT in signal.sigpending()  # a child has none of its parent's
                pid = os.fork() if text and len(files) == 3 else None
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    for other in (listener, connection, *children.values()):
                        other.close()
                    os.close(woken)
                    os.close(wake)
                    assert text is not None
                    return {**json.loads(text), "files": files, "is_over": is_over}
                for file in files:
                    os.close(file)
                if pid is None:
                    connection.close()
                else:
                    children[pid] = connection
    return None


def _tell_ends(children: dict[int, socket.socket]) -> None:
    """Give the exit codes of those that ended to whoever asked for them."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with children.pop(pid) as connection, contextlib.suppress(OSError):  # who asked may be gone
            _send(connection, str(os.waitstatus_to_exitcode(status)))


def _become(request: dict[str, Any]) -> NoReturn:
    """Run a module as `python -m` does, in a process that was just forked, and end."""
    for place, file in enumerate(request["files"]):
        os.dup2(file, place)
    for file in request["files"]:
        os.close(file)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if request["is_over"] or signal.SIGINT in signal.sigpending():  # before or since it was forked
        os._exit(INTERRUPTED)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(request["module"], encoding="utf-8")  # what ps and top call it
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environ"])
    sys.argv[1:] = request["arguments"]
    sys.path[0] = request["folder"]
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except BaseException as error:
        _end(error)
    _end(SystemExit(0))


def _end(error: BaseException) -> NoReturn:
    """End as the interpreter does, but leave memory to the system: to take it apart costs a second of CPU."""
    code = 1
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            sys.stderr.write(f"{error.code}\n")
    else:
        sys.excepthook(type(error), error, error.__traceback__)
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are not daemons
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code & 0xFF)


def main() -> None:
    """Serve on the socket whose number is the first argument, with the modules imported that follow."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    folder = Path(listener.getsockname()).parent
    for name in sys.argv[2:]:
        with contextlib.suppress(Exception):
            import_module(name)
    gc.collect()
    gc.freeze()  # or the first collection of every child would copy all of it
    request = _serve(listener)
    if request is not None:
        _become(request)
    shutil.rmtree(folder, ignore_errors=True)
    _end(SystemExit(0))


if __name__ == "__main__":
    main()
