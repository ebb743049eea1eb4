"""Where data and results travel through, as DVC's settings say."""

import subprocess
from pathlib import Path

from gm_bench.running import repository
from gm_bench.running.cluster.store import BESIDE, S3, Place
from gm_bench.running.runner import DVC, environment

PASSED = (
    "url",
    "endpointurl",
    "region",
    "profile",
    "use_ssl",
    "ssl_verify",
)  # credentials stay where they are
WANTED = "dvc remote add --default NAME FOLDER, a folder that all nodes see, or s3://BUCKET/FOLDER"


def of_cluster() -> Place:
    """The default remote of DVC, for nodes that share it.

    Raises:
        ValueError: there is none, or it is neither a folder nor S3.
    """
    settings = dict(line.partition("=")[::2] for line in _dvc("config", "--list").splitlines())
    name = settings.get("core.remote")
    if not name:
        raise ValueError(
            f"data and results of a cluster travel through a remote of DVC, and none is set here: {WANTED}"
        )
    prefix = f"remote.{name}."
    of_remote = {key.removeprefix(prefix): text for key, text in settings.items() if key.startswith(prefix)}
    url = of_remote.get("url", "")
    if "://" in url and not url.startswith(S3):
        raise ValueError(f"the remote {name} of DVC is {url}, but a cluster needs a folder or S3: {WANTED}")
    remote = {key: text for key, text in of_remote.items() if key in PASSED}
    return Place(remote, f"{url.rstrip('/')}/{BESIDE}")


def of_machine() -> Place:
    """DVC's own cache, for a Ray that runs on this machine alone: nothing travels."""
    store = (repository.temporary() / "cluster").resolve()
    return Place({"url": str(cache_folder())}, str(store), is_cache=True)


def cache_folder() -> Path:
    """Where DVC keeps what it has."""
    return Path(_dvc("cache", "dir").strip())


def _dvc(*arguments: str) -> str:
    done = subprocess.run(
        [*DVC, *arguments], capture_output=True, text=True, errors="replace", env=environment(), check=False
    )
    if done.returncode:
        raise ValueError(f"dvc {' '.join(arguments)} failed in {Path.cwd()}: {done.stderr.strip()}")
    return done.stdout
