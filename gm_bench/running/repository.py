"""Whether DVC can work in this folder."""

import subprocess
import sys
from pathlib import Path


def check() -> None:
    """Return where DVC can work: in a folder with a pipeline, under Git or told to do without.

    Raises:
        ValueError: it cannot; the sentence says what to do.
    """
    here = Path.cwd()
    if not Path("dvc.yaml").is_file():
        raise ValueError(f"{here} has no dvc.yaml: run gm-bench in the folder of a clone of the benchmark")
    upwards = (here, *here.parents)
    if not any((folder / ".dvc").is_dir() for folder in upwards):
        raise ValueError(f"{here} has no .dvc, the folder of DVC's settings: run git init and dvc init")
    if not any((folder / ".git").exists() for folder in upwards) and not _does_without_git():
        raise ValueError(
            f"{here} is not under Git, which DVC asks for: run git init, or, to do without, "
            "dvc config --local core.no_scm true"
        )


def _does_without_git() -> bool:
    """What DVC's settings say, wherever they stand."""
    command = [sys.executable, "-m", "dvc", "config", "core.no_scm"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return done.stdout.strip().lower() == "true"
