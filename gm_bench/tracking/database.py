"""The database file of a local tracking store: its address, its state and who else uses it.

MLflow migrates whatever SQLite file it is given, in place, and waits for a lock without a word. So the file
is looked through before MLflow sees it, and what is wrong with it becomes one sentence. Deleting it is
advised only where SQLite says that it is damaged.
"""

import re
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filelock import FileLock, Timeout
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from gm_bench import io
from gm_bench.tracking.holders import holders_of

SECONDS_BEFORE_A_WORD = 1.0
SECONDS_TO_WAIT = 60.0
SECONDS_IN_SQLITE = 20.0  # as MLflow waits in the midst of its work
DAMAGED = ("disk image is malformed", "file is not a database")  # SQLite's words where content is lost
BUSY = ("database is locked", "database table is locked")
UNWRITABLE = ("disk is full", "readonly database", "No space left", "Read-only file system", "quota exceeded")
OF_MLFLOW = frozenset({"alembic_version", "experiments", "runs"})
EXPERIMENTS = "gm-bench/"
Say = Callable[[str], None]


class TrackingError(ValueError):
    """The tracking store cannot be used; the message says what to do."""


def file_of(uri: str) -> Path | None:
    """The file that an SQLite address stands for, None for any other store.

    Raises:
        TrackingError: the address is none, or stands for a file that its writer hardly meant.
    """
    if not re.match(r"sqlite(\+\w+)?:", uri):
        return None
    try:
        url = make_url(uri)
    except ArgumentError as error:
        raise TrackingError(f"MLFLOW_TRACKING_URI is {uri}, which is no address: {error}") from None
    if url.host:
        raise TrackingError(f"MLFLOW_TRACKING_URI is {uri}: an address of a file has three slashes or more")
    if "?" in uri:
        raise TrackingError(
            f"MLFLOW_TRACKING_URI is {uri}: a question mark in a path is written %3F, and options after one "
            "are not taken"
        )
    if url.database in (None, "", ":memory:"):
        return None
    file, literal = Path(url.database), Path(uri.partition(":///")[2])
    if not file.parent.exists() and literal.parent.exists():
        raise TrackingError(
            f"MLFLOW_TRACKING_URI is {uri}, which stands for {file}; if {literal} was meant, "
            f"its address is {URL.create('sqlite', database=str(literal))}"
        )
    return file


class Database:
    """An SQLite file that MLflow keeps its store in.

    Args:
        file: where it is or shall be.
        say: is told who keeps the file, and that we wait.
    """

    def __init__(self, file: Path, say: Say) -> None:
        self.name = str(file)
        self.file = file.resolve()
        self.artifacts = self.file.parent / "mlartifacts"
        self.say = say
        self._subject = f"the MLflow store {file}"
        if file.is_symlink() and not self.file.exists():
            raise TrackingError(f"{file} is a link to {self.file}, which is not there: mend the link")
        if self.file.is_dir():
            raise TrackingError(
                f"{file} is a folder where MLflow's database belongs: move it, or name another file in "
                "MLFLOW_TRACKING_URI"
            )

    @property
    def address(self) -> str:
        """What MLflow is given.

        The driver is named because MLflow takes what follows `sqlite:///` for a path as it stands, and would
        make a folder of that name.
        """
        return address_of(self.file)

    @contextmanager
    def alone(self, writes: bool = True) -> Iterator[None]:
        """One process of ours at a time, and no other program that keeps us from reading (or writing)."""
        lock = FileLock(f"{self.file}.lock")
        wait = _Wait(self.name, Path(lock.lock_file), self.say)
        while True:
            try:
                lock.acquire(timeout=SECONDS_BEFORE_A_WORD)
                break
            except Timeout:
                wait.goes_on()
        try:
            if self.file.exists():
                self.wait_until_free(writes)
            yield
        finally:
            lock.release()

    def wait_until_free(self, writes: bool) -> None:
        """Return once no other program keeps us from reading, or from writing where that is meant.

        Raises:
            TrackingError: it takes too long.
        """
        wait = _Wait(self.name, self.file, self.say)
        question = "BEGIN EXCLUSIVE" if writes else "SELECT count(*) FROM sqlite_master"
        while self._is_busy(question):
            wait.goes_on()

    def _is_busy(self, question: str) -> bool:
        try:
            with closing(self._connect(SECONDS_BEFORE_A_WORD)) as connection:
                connection.execute(question)
        except sqlite3.Error as error:  # any other failure is for those to name who meet it
            return is_busy(error)
        return False

    def prepare(self, migrate: Callable[[Path], None], tables: Collection[str]) -> None:
        """Make a database that is not there; look one through that is. To be called while alone.

        Migration goes step by step: several processes at once, or a kill in between, would leave the file of
        no use. So it is done under another name.

        Args:
            migrate: makes MLflow's tables in a file.
            tables: names of all that this MLflow needs.

        Raises:
            TrackingError: the database is damaged, or not one of this MLflow.
        """
        self._sweep()
        if self.file.exists() and self.file.stat().st_size == 0:
            self.wait_until_free(writes=True)  # who holds an empty file is about to fill it
        found = self._tables()
        if not found:
            with io.atomic(self.file) as temporary:
                migrate(temporary)
            return
        damage = self.damage("quick_check")
        if damage:
            raise TrackingError(self.advice_on_damage(damage))
        if not found >= OF_MLFLOW:
            raise TrackingError(
                f"{self.name} holds tables of another program ({', '.join(sorted(found)[:3])}) and was left "
                "as it is: move it away, or name another file in MLFLOW_TRACKING_URI"
            )
        if not found >= set(tables):
            raise TrackingError(self.advice_on_version())
        self._mend_places()

    def damage(self, check: str = "integrity_check") -> str | None:
        """What SQLite finds wrong with the content; None where it finds nothing or cannot look."""
        try:
            with closing(self._connect()) as connection:
                verdict = str(connection.execute(f"PRAGMA {check}(1)").fetchone()[0])
        except sqlite3.Error as error:
            return str(error) if is_damage(error) else None
        return None if verdict == "ok" else verdict

    def advice_on_damage(self, reason: str) -> str:
        reason = " ".join(reason.split())
        return (
            f"{self._subject} is damaged ({reason}): delete {self.name} and rerun, it is rebuilt from the "
            "cells"
        )

    def advice_on_version(self) -> str:
        """What to do about a sound database with the tables of another MLflow."""
        with closing(self._connect()) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return (
            f"{self._subject} is of another version of MLflow (schema {row[0] if row else 'unfinished'}; "
            f"here is MLflow {version('mlflow')}) and was left as it is: copy it and run mlflow db upgrade "
            f"'{self.address}' if it is older, install its MLflow if it is newer, or move it away and rerun, "
            "then it is built anew from the cells"
        )

    def advice(self, error: Exception, reason: str) -> str:
        """What to do about a failure of the store.

        Args:
            error: with all that was said.
            reason: the part of it that is worth to be read.
        """
        said = str(error)
        if is_busy(error):
            return (
                f"{self.name} is in use by {holders_of(self.file)} ({reason}): end that program or wait "
                "for it, then rerun"
            )
        if is_damage(error):
            return self.advice_on_damage(reason)
        if "out-of-date database schema" in said:
            return self.advice_on_version()
        if any(words in said for words in UNWRITABLE):
            return f"{self._subject} cannot be written ({reason}): make room or permit it, then rerun"
        if isinstance(error, OSError) or "unable to open database file" in said:
            return (
                f"{self._subject} cannot be opened ({reason}): check MLFLOW_TRACKING_URI and the folder's "
                "permissions"
            )
        damage = self.damage()
        if damage:
            return self.advice_on_damage(damage)
        return (
            f"{self._subject} cannot be used ({reason}), though no damage was found: rerun; if that does not "
            "help, move it away and rerun, then it is built anew from the cells"
        )

    def _connect(self, timeout: float = SECONDS_IN_SQLITE) -> sqlite3.Connection:
        """Never makes a file; SQLite locks nothing until it is asked for something."""
        return sqlite3.connect(
            f"{self.file.as_uri()}?mode=rw", uri=True, timeout=timeout, isolation_level=None
        )

    def _tables(self) -> set[str]:
        if not self.file.exists() or self.file.stat().st_size == 0:
            return set()
        try:
            with closing(self._connect()) as connection:
                names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                raise TrackingError(self.advice_on_damage(str(error))) from None
            raise
        return {name for (name,) in names}

    def _sweep(self) -> None:
        """Remove what a killed migration left, and nothing that has another name than `io.atomic` gives."""
        ours = re.compile(
            re.escape(f".{self.file.name}.")
            + r"\w{8}"
            + re.escape(self.file.suffix)
            + r"(-journal|-wal|-shm)?"
        )
        for each in self.file.parent.iterdir():
            if ours.fullmatch(each.name):
                each.unlink()

    def _mend_places(self) -> None:
        """Let pictures be looked for beside the database: MLflow stores absolute paths, and a folder moves.

        Raises:
            TrackingError: the database came without its pictures, which are still where it was.
        """
        with closing(self._connect()) as connection:
            places = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
            roots = {root for name, place in places if (root := _root(name, place))} - {self.artifacts}
            if not roots:
                return
            for root in sorted(roots):
                if root.is_dir() and not self.artifacts.is_dir():
                    raise TrackingError(
                        f"{self.name} was made elsewhere, and its pictures are still in {root}: "
                        f"move or copy that folder to {self.artifacts}, then rerun"
                    )
            connection.execute("BEGIN IMMEDIATE")
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                for row, place in connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
                    for root in roots:
                        folder = folder_of(place)
                        if folder and folder.is_relative_to(root):
                            new = (self.artifacts / folder.relative_to(root)).as_uri()
                            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, row))
            connection.execute("COMMIT")


class _Wait:
    """Waiting for a file that others hold: a word at first, an end after a while."""

    def __init__(self, name: str, file: Path, say: Say) -> None:
        self.name, self.file, self.say = name, file, say
        self.began = time.monotonic()
        self.told = False

    def goes_on(self) -> None:
        if time.monotonic() - self.began >= SECONDS_TO_WAIT:
            raise TrackingError(
                f"{self.name} is in use by {holders_of(self.file)}, and was not free within "
                f"{SECONDS_TO_WAIT:.0f} s: end that program or wait for it, then rerun; nothing was changed"
            )
        if not self.told:
            self.told = True
            self.say(
                f"{self.name} is in use by {holders_of(self.file)}; waiting, up to {SECONDS_TO_WAIT:.0f} s"
            )


def address_of(file: Path) -> str:
    """The address by which MLflow and SQLAlchemy know a file."""
    return URL.create("sqlite+pysqlite", database=str(file.absolute())).render_as_string()


def folder_of(place: str) -> Path | None:
    """The local folder that MLflow writes to when it is given a place; None for one elsewhere."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(unquote(place)) if place.startswith("/") else None


def _root(experiment: str, place: str) -> Path | None:
    """The folder of all pictures, as the place of one experiment of ours tells it: ROOT/BOARD/DATASET."""
    folder = folder_of(place)
    if folder is None or not experiment.startswith(EXPERIMENTS):
        return None
    below = Path(experiment.removeprefix(EXPERIMENTS)).parts
    return Path(*folder.parts[: -len(below)]) if folder.parts[-len(below) :] == below else None


def is_busy(error: Exception) -> bool:
    return any(words in str(error) for words in BUSY)


def is_damage(error: Exception) -> bool:
    return any(words in str(error) for words in DAMAGED)
