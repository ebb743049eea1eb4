"""Which programs hold a file, for the sentence that says who is waited for."""

import os
from pathlib import Path


def holders_of(file: Path) -> str:
    """The programs that hold a lock on a file or, where the system does not tell, have it open."""
    processes = sorted(_lockers(file) or _openers(file))
    return ", ".join(map(_named, processes)) or "another program"


def _lockers(file: Path) -> set[int]:
    try:
        inode = str(file.stat().st_ino)
        lines = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    found = set()
    for line in lines:
        words = line.replace("->", "").split()  # 1: POSIX  ADVISORY  WRITE 4711 fe:00:2146334 0 EOF
        if len(words) > 5 and words[5].rpartition(":")[2] == inode and words[4].isdigit():
            found.add(int(words[4]))
    return found - {0}


def _openers(file: Path) -> set[int]:
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == str(file):
                found.add(int(link.parts[2]))
        except OSError:
            continue
    return found - {os.getpid()}


def _named(process: int) -> str:
    try:
        name = Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return f"process {process}"
    return f"{name} (process {process})"
