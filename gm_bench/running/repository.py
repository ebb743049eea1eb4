"""Whether DVC can work in this folder, and what has to be mended there before."""

import json
import os
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
    links = {path: Path(os.path.realpath(path)) for path in written if path.is_symlink()}
    outside = [path for path, real in links.items() if not real.is_relative_to(here.resolve())]
    if outside and not _does_without_git():
        raise ValueError(
            f"{outside[0]} is a link to {links[outside[0]]}, outside of this folder, where DVC under Git "
            "keeps nothing that stages write: clone the benchmark onto that disk, mount it in the link's "
            "place, or do without Git, dvc config --local core.no_scm true"
        )


def mend_lock_table() -> None:
    """Remove the table of DVC's locks if its writer was killed, or out of space, halfway."""
    table = temporary() / "rwlock"
    if _is_whole(table):
        return
    from dvc.lock import make_lock  # late: rarely needed

    with make_lock(f"{table}.lock", wait=True):  # nobody is writing it now
        if not _is_whole(table):
            table.unlink()


def _does_without_git() -> bool:
    """What DVC's settings say, wherever they stand."""
    command = [sys.executable, "-m", "dvc", "config", "core.no_scm"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return done.stdout.strip().lower() == "true"


def _is_whole(table: Path) -> bool:
    try:
        json.loads(table.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True
