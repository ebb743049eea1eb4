"""What `gm-bench ui` does: name the pages and become a server of the local store."""

import os
import socket
import sys

import typer

from gm_bench.tracking import database
from gm_bench.tracking.address import tracking_uri
from gm_bench.tracking.store import Store, TrackingError

LOOPBACK = "127.0.0.1"
N_NAMED = 3


def main(port: int) -> None:
    """Print where each dataset's runs are shown; without a server of the user's, become one on `port`.

    Raises:
        TrackingError: there is no store, or it cannot be read.
    """
    uri = tracking_uri()
    file = database.file_of(uri)
    if file is not None and not file.exists():
        raise TrackingError(f"{file} is not there yet: make repro publishes the results into it")
    served = uri.startswith("http")
    if not served:
        _check_port(port)
    store = Store(uri)
    address = store.place.rstrip("/") if served else f"http://{LOOPBACK}:{port}"
    for dataset, page in store.pages().items():
        typer.echo(f"{dataset}: {address}/{page}")
    _say_what_is_missing(store.without_files())
    if served:
        return
    options = ["--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    given = {
        "MLFLOW_BACKEND_STORE_URI": store.address,  # not among the options, where ps shows a password to all
        # The server's own job queue, eight processes, is for features that a benchmark has no use for.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", "ui", *options], os.environ | given)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise TrackingError(
                f"port {port} cannot be used ({error.strerror}): name a free one, --port 5001"
            ) from None


def _say_what_is_missing(runs: list[str]) -> None:
    if runs:
        named = ", ".join(runs[:N_NAMED]) + (", …" if len(runs) > N_NAMED else "")
        typer.echo(
            f"{len(runs)} runs have lost their pictures ({named}): "
            "gm-bench run --board NAME publishes those of a board again",
            err=True,
        )
