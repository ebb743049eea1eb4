"""Whether DVC can work in this folder."""

import subprocess
import sys
from pathlib import Path

from gm_bench.cell import DATA, EXTRACTORS, REFERENCE, REPORTS, RESOLVED, RUNS
from gm_bench.running import boards

WRITTEN = (DATA, EXTRACTORS, REFERENCE, RESOLVED, RUNS, REPORTS, boards.FOLDER)  # where stages and DVC write


def folder() -> Path:
    """The folder of DVC's settings, here or further up.

    Raises:
        ValueError: there is none; the sentence says what to do.
    """
    here = Path.cwd()
    found = next((each / ".dvc" for each in (here, *here.parents) if (each / ".dvc").is_dir()), None)
    if found is None:
        raise ValueError(f"{here} has no .dvc, the folder of DVC's settings: run git init and dvc init")
    return found


def temporary() -> Path:
    """Where DVC keeps its locks, and this program its own."""
    return folder() / "tmp"


def check() -> None:
    """Return where DVC can work: in a folder with a pipeline, under Git or told to do without.

    Raises:
        ValueError: it cannot; the sentence says what to do.
    """
    here = Path.cwd()
    if not Path("dvc.yaml").is_file():
        raise ValueError(f"{here} has no dvc.yaml: run gm-bench in the folder of a clone of the benchmark")
    folder()
    if not any((each / ".git").exists() for each in (here, *here.parents)) and not _does_without_git():
        raise ValueError(
            f"{here} is not under Git, which DVC asks for: run git init, or, to do without, "
            "dvc config --local core.no_scm true"
        )
    written = [path for folder in WRITTEN for path in (folder, *folder.glob("*"))]
    outside = [p for p in written if p.is_symlink() and not p.resolve().is_relative_to(here.resolve())]
    if outside and not _does_without_git():
        raise ValueError(
            f"{outside[0]} is a link to {outside[0].resolve()}, outside of this folder, where DVC under Git "
            "keeps nothing that stages write: clone the benchmark onto that disk, mount it in the link's "
            "place, or do without Git, dvc config --local core.no_scm true"
        )


def _does_without_git() -> bool:
    """What DVC's settings say, wherever they stand."""
    command = [sys.executable, "-m", "dvc", "config", "core.no_scm"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return done.stdout.strip().lower() == "true"
