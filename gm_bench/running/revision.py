"""What Git says about this tree: which revision it is, and what a file was in another one."""

import subprocess
from pathlib import Path

CODE = ("gm_bench", "pipelines", "params.yaml", "dvc.yaml")  # what numbers depend on


def current(folder: Path = Path()) -> str:
    """The commit that is checked out, and whether code was changed since; "unknown" outside of Git."""
    head = _git("rev-parse", "HEAD", folder=folder)
    if head is None:
        return "unknown"
    changed = _git("status", "--porcelain", "--", *CODE, folder=folder)
    return head.strip() + (" with uncommitted changes" if changed and changed.strip() else "")


def content_at(revision: str, path: Path) -> str | None:
    """A file as it was in a revision; None where the revision does not have it.

    Raises:
        ValueError: there is no such revision.
    """
    if _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") is None:
        raise ValueError(f"'{revision}' is neither a file nor a revision that Git knows here")
    return _git("show", f"{revision}:./{path.as_posix()}")


def _git(*arguments: str, folder: Path = Path()) -> str | None:
    """What Git prints; None where it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
