"""Which folders belong to the stages, so that nobody's originals are read from where DVC deletes.

DVC removes what a stage is to write before the stage runs. Whatever lies in such a folder is lost at the
next run, so a source in one is refused before anything is read or written.
"""

from collections.abc import Sequence
from pathlib import Path

from gm_bench.cell import CHECKPOINTS, DATA, EXTRACTORS, REFERENCE, REPORTS, RESOLVED, RUNS
from gm_bench.data.dataset import DataError, own_name

AUDIT = Path("audit")
OWNED = (EXTRACTORS, REFERENCE, RUNS, REPORTS, RESOLVED, AUDIT, CHECKPOINTS)
REPOSITORY = ("dvc.yaml", "params.yaml")  # without them nothing in the working folder is a stage's
REMEDY = "keep originals in data/NAME or outside this repository"


def check_source(path: Path, named_by: str, owned: Sequence[Path] = OWNED) -> None:
    """Refuse a source that stages write to, wherever links and `..` lead.

    Args:
        path: folder or file that is to be read; it need not exist.
        named_by: what the user named it with, to begin the sentence.
        owned: folders of the stages, below the working folder.

    Raises:
        DataError: the source is one of those folders, lies in one, or contains one.
    """
    if not any(Path(name).exists() for name in REPOSITORY):
        return
    try:
        real = path.expanduser().resolve()
    except (OSError, RuntimeError) as error:  # a circle of links, or no such home
        raise DataError(f"{named_by} is {path}, which cannot be followed ({error})") from None
    for folder in owned:
        if _within(real, folder):
            raise DataError(
                f"{named_by} is {path}, which lies in {folder}, and what lies there is deleted when the "
                f"stages run again: {REMEDY}"
            )
        if folder.resolve().is_relative_to(real) or _within(Path.cwd(), real):
            raise DataError(
                f"{named_by} is {path}, which contains {folder}, where stages write images of their own: "
                f"name a folder of nothing but originals; {REMEDY}"
            )


def is_own(root: Path, name: str) -> bool:
    """Whether a file in the top of a source folder was left there by the fetch stage or by DVC.

    Args:
        root: the source; it may be data/NAME.
    """
    return own_name(name) and _same(root.resolve().parent, DATA)


def _within(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, also where upper and lower case name one folder."""
    return path.is_relative_to(folder.resolve()) or any(_same(p, folder) for p in (path, *path.parents))


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return path.resolve() == other.resolve()
