"""The database file of a local tracking store: made whole or not at all, and looked through."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from gm_bench import io


def file_of(uri: str) -> Path | None:
    """The file behind a `sqlite:///` address, None for any other store."""
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    return Path(path) if uri.startswith("sqlite:///") and path not in ("", ":memory:") else None


def prepare(database: Path, migrate: Callable[[Path], None]) -> None:
    """Make a database that is not there; look one through that is. To be called by one process at a time.

    Migration goes step by step: several processes at once, or a kill in between, would leave the file of no
    use. So it is done under another name.

    Raises:
        sqlite3.DatabaseError: the database is damaged.
    """
    for left_over in database.parent.glob(f".{database.name}.*"):
        left_over.unlink()
    if not database.exists() or database.stat().st_size == 0:
        with io.atomic(database) as temporary:
            migrate(temporary)
        return
    connection = sqlite3.connect(database)
    try:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        connection.close()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
