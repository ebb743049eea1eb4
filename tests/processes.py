"""Processes that tests have started, by where they work."""

import os
from pathlib import Path


def processes_in(folder: Path) -> list[int]:
    """Processes whose working folder lies in a folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if Path(os.readlink(link)).is_relative_to(folder):
                found.append(int(link.parts[2]))
        except OSError:
            continue
    return found
