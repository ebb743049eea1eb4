"""Where the tracking store is, whose the experiments on it are, and how its address is shown."""

import getpass
import os
import re

from gm_bench.tracking.database import TrackingError

DEFAULT_URI = "sqlite:///mlflow.db"


def owner() -> str:
    """Whose experiments these are on a server that others use too: GM_BENCH_OWNER, else the user's name.

    Raises:
        TrackingError: a name that cannot be one.
    """
    try:
        name = os.environ.get("GM_BENCH_OWNER") or getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have them
        name = ""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise TrackingError(
            f"'{name}' cannot name your experiments on an MLflow server: set GM_BENCH_OWNER to a name of "
            "letters, digits, '.', '_' and '-'"
        )
    return name


def tracking_uri() -> str:
    """Where runs go: MLFLOW_TRACKING_URI, else a database in the working folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def without_password(text: str) -> str:
    """A text with addresses in it, fit to be shown: a password ends at the last @, whatever stands in it."""
    return re.sub(r"://[^/\s]\S*@", "://…@", text)
