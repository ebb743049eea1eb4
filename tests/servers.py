"""Servers for tests, on free ports of this machine: MLflow's, a PostgreSQL cluster, an S3 store."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

S3_KEY = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
PATIENCE = 300.0  # seconds, for a machine that is busy
SERVER_ACCOUNT = "postgres"  # PostgreSQL does not run as root


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextmanager
def serving(database: str, folder: Path) -> Iterator[str]:
    """`mlflow server` as the README starts it, on a free port."""
    port = free_port()
    command = ["mlflow", "server", "--backend-store-uri", database]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--port", str(port)]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with running(command, quiet, folder, f"http://127.0.0.1:{port}") as address:
        yield address


@contextmanager
def running(command: list[str], environ: dict[str, str], folder: Path, address: str) -> Iterator[str]:
    """`python -m COMMAND` with one worker, from when it answers until the block ends."""
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command, "--workers", "1"],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=os.environ | environ,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not answers(address):
            assert server.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@contextmanager
def bucket(name: str) -> Iterator[str]:
    """An S3 server (Moto) of this process with one empty bucket; its address."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    urllib.request.urlopen(f"{address}/moto-api/reset", data=b"").close()  # it begins with the last one's
    boto3.client("s3", endpoint_url=address, **S3_KEY).create_bucket(Bucket=name)
    try:
        yield address
    finally:
        server.stop()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A cluster of its own with an empty database, on a free port, gone afterwards."""
    places = [str(each) for each in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    initdb = shutil.which("initdb", path=os.pathsep.join([*places, os.environ["PATH"]]))
    if initdb is None or importlib.util.find_spec("psycopg2") is None:
        pytest.skip("needs PostgreSQL (Debian: apt install postgresql) and psycopg2-binary")
    account = SERVER_ACCOUNT if os.geteuid() == 0 else None
    if account:
        shutil.chown(folder, account)
        for parent in folder.parents[:3]:  # pytest's folders are their owner's alone
            parent.chmod(parent.stat().st_mode | 0o011)
    data, port = folder / "data", free_port()
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    start = ["-D", data, "-o", options, "-l", folder / "log", "-w", "start"]
    control = Path(initdb).with_name("pg_ctl")
    for command in ([initdb, "-D", data, "-A", "trust", "-U", SERVER_ACCOUNT], [control, *start]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=account, cwd=folder)
    try:
        yield f"postgresql+psycopg2://{SERVER_ACCOUNT}@127.0.0.1:{port}/{SERVER_ACCOUNT}"
    finally:
        stop = [control, "-D", data, "-m", "immediate", "stop"]
        subprocess.run(stop, check=True, stdout=subprocess.DEVNULL, user=account, cwd=folder)
