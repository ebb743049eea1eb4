"""The database file: what is said of one that is in use, of another program or damaged; paths; moves."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from fake_cells import record_of, write_cell, write_dataset
from servers import serving
from stores import runs_of, start_child

from gm_bench.tracking import database
from gm_bench.tracking.database import Database, address_of, file_of, folder_of
from gm_bench.tracking.store import Store, TrackingError
from gm_bench.tracks.publishing import floor_record

NAMES = ("50%20off", "q?y", "a#b", "two words", "Größe", "runs[1]", 'it\'s "so"', "a+b&c=d", "%", "[red]")
OLDER = "10d65552106a"  # a schema that MLflow once had


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated: Path) -> Path:
    """A working folder with a dataset and an empty store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(migrated, tmp_path / "mlflow.db")
    write_dataset(tmp_path)
    return tmp_path


def change(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@contextmanager
def held(file: Path, statement: str = "BEGIN EXCLUSIVE") -> Iterator[int]:
    """Another program that has begun a transaction and does not end it; yields its process."""
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute(sys.argv[2]);"
        "c.execute('SELECT count(*) FROM sqlite_master').fetchone(); print('held', flush=True);"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(file), statement]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            yield other.pid
        finally:
            other.kill()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SECONDS_BEFORE_A_WORD", 0.1)
    monkeypatch.setattr(database, "SECONDS_TO_WAIT", 0.4)


def named(process: int) -> str:
    comm = Path(f"/proc/{process}/comm")
    return f"{comm.read_text().strip()} (process {process})" if comm.exists() else "another program"


# What keeps it: before it is opened, while it is empty, and a reader that lets nobody write.


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("empty", "statement"),
    [(False, "BEGIN EXCLUSIVE"), (True, "BEGIN EXCLUSIVE"), (True, "BEGIN IMMEDIATE")],
)
def test_a_database_in_use_is_waited_for_and_never_called_damaged(
    here: Path, empty: bool, statement: str
) -> None:
    file = here / "mlflow.db"
    if empty:  # who is about to fill it lets others read until then
        file.write_bytes(b"")
    before = file.read_bytes()
    said: list[str] = []
    with held(file, statement) as process:
        who = named(process)
        with pytest.raises(TrackingError) as refused:
            Store(say=said.append)
    assert said == [f"mlflow.db is in use by {who}; waiting, up to 0 s"]
    assert str(refused.value) == (
        f"mlflow.db is in use by {who}, and was not free within 0 s: "
        "end that program or wait for it, then rerun; nothing was changed"
    )
    assert file.read_bytes() == before
    assert Store(say=said.append).pages() == {}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "BEGIN"])
def test_who_only_reads_or_has_not_written_yet_keeps_nobody_from_looking(here: Path, statement: str) -> None:
    store = Store()
    record = floor_record("digits", "digits")
    with held(here / "mlflow.db", statement):
        assert Store().pages() == {}
        with pytest.raises(TrackingError, match=r"is in use by .* nothing was changed"):
            store.publish(record)
    assert store.publish(record) is True


def test_a_lock_that_ends_costs_a_word_and_nothing_else(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(database, "SECONDS_BEFORE_A_WORD", 0.1)
    with held(here / "mlflow.db") as process:
        monkeypatch.setattr(database._Wait, "goes_on", _let_go(database._Wait.goes_on, process))
        assert Store().pages() == {}
    assert capsys.readouterr().err.count("is in use by") == 1


def _let_go(goes_on, process: int):
    """Waiting that ends the other program after its third look."""
    looks = iter(range(10))

    def counted(wait: database._Wait) -> None:
        goes_on(wait)
        if next(looks) == 2:
            os.kill(process, 9)

    return counted


def test_locked_in_the_midst_of_publishing_is_no_damage(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our look and MLflow's work: MLflow's own words for it become ours."""
    store, record = Store(), floor_record("digits", "digits")
    monkeypatch.setattr(Database, "wait_until_free", lambda *_: None)
    engine = store._client._tracking_client.store.engine
    _shorten(engine, monkeypatch)
    with held(here / "mlflow.db") as process:
        who = named(process)
        with pytest.raises(TrackingError) as refused:
            store.publish(record)
    assert f"mlflow.db is in use by {who}" in str(refused.value)
    assert "delete" not in str(refused.value)


def _shorten(engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow waits 20 s; a test does not."""
    from sqlalchemy import event

    def shortened(connection, cursor, statement, parameters, context, executemany):
        return statement.replace("busy_timeout = 20000", "busy_timeout = 50"), parameters

    event.listen(engine, "before_cursor_execute", shortened, retval=True)


@pytest.mark.usefixtures("impatient")
def test_another_process_of_ours_is_named_too(here: Path) -> None:
    def hold() -> None:
        with Database(Path("mlflow.db"), print).alone():
            Path("held").touch()
            sys.stdin.close()
            os.kill(os.getpid(), 19)  # stopped, as with Ctrl-Z

    child = start_child(hold)
    os.waitpid(child, os.WUNTRACED)
    said: list[str] = []
    try:
        with pytest.raises(TrackingError, match=f"is in use by .*process {child}"):
            Store(say=said.append)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert len(said) == 1


# What is no damage.


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["DROP TABLE runs"], "holds tables of another program .* was left as it is: move it away"),
        (["DROP TABLE alembic_version"], "holds tables of another program"),
        (["DROP TABLE jobs"], "is of another version of MLflow"),
        (["DROP TABLE jobs", f"UPDATE alembic_version SET version_num = '{OLDER}'"], f"schema {OLDER}"),
        (["UPDATE alembic_version SET version_num = 'f00dfeedf00d'"], "schema f00dfeedf00d; here is MLflow"),
        (["DELETE FROM alembic_version"], "schema unfinished"),
    ],
)
def test_a_sound_database_that_is_not_ours_is_left_as_it_is(
    here: Path, statements: list[str], expected: str
) -> None:
    change(here / "mlflow.db", "PRAGMA foreign_keys = OFF", *statements)
    before = (here / "mlflow.db").read_bytes()
    with pytest.raises(TrackingError, match=expected) as refused:
        Store(f"sqlite:///{here}/mlflow.db")
    assert "delete" not in str(refused.value)
    assert (here / "mlflow.db").read_bytes() == before


def test_a_database_of_another_program_gets_no_tables_of_mlflow(here: Path) -> None:
    change(here / "own.db", "CREATE TABLE experiments (name TEXT)", "INSERT INTO experiments VALUES ('mine')")
    before = (here / "own.db").read_bytes()
    with pytest.raises(TrackingError, match=r"own\.db holds tables of another program \(experiments\)"):
        Store("sqlite:///own.db")
    assert (here / "own.db").read_bytes() == before


def test_a_folder_a_dead_link_and_an_empty_file(here: Path) -> None:
    file = here / "mlflow.db"
    file.unlink()
    file.mkdir()
    with pytest.raises(TrackingError, match=r"mlflow\.db is a folder where .*: move it"):
        Store()
    file.rmdir()
    file.symlink_to(here / "gone" / "mlflow.db")
    with pytest.raises(TrackingError, match=r"mlflow\.db is a link to .*gone/mlflow\.db, which is not there"):
        Store()
    assert file.is_symlink()
    file.unlink()
    file.touch()
    assert Store(f"sqlite:///{file}").pages() == {}


def test_an_empty_database_behind_a_link_is_made_where_the_link_points(here: Path) -> None:
    target = here / "disk" / "real.db"
    target.parent.mkdir()
    target.touch()
    (here / "link.db").symlink_to(target)
    Store("sqlite:///link.db").publish(floor_record("digits", "digits"))
    assert (here / "link.db").is_symlink()
    assert target.stat().st_size > 0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sqlite3.OperationalError("attempt to write a readonly database"), "cannot be written .* permit it"),
        (sqlite3.OperationalError("database or disk is full"), "cannot be written .*: make room"),
        (OSError(28, "No space left on device"), "cannot be written .*: make room"),
        (PermissionError(13, "Permission denied"), "cannot be opened .* permissions"),
        (sqlite3.OperationalError("unable to open database file"), "cannot be opened .* permissions"),
        (sqlite3.OperationalError("disk I/O error"), "though no damage was found: rerun; .*move it away"),
        (sqlite3.DatabaseError("malformed database schema (x)"), "though no damage was found"),
    ],
)
def test_no_failure_but_damage_advises_deletion(here: Path, error: Exception, expected: str) -> None:
    store = Store(f"sqlite:///{here}/mlflow.db")
    with pytest.raises(TrackingError, match=expected) as refused, store._alone():
        raise error
    assert "delete" not in str(refused.value)


def test_damage_is_established_where_the_failure_does_not_name_it(here: Path) -> None:
    store = Store(f"sqlite:///{here}/mlflow.db")
    content = bytearray((here / "mlflow.db").read_bytes())
    content[8192:65536] = bytes(range(256)) * ((65536 - 8192) // 256)
    (here / "mlflow.db").write_bytes(content)
    with pytest.raises(TrackingError, match=r"is damaged .*: delete .*mlflow\.db and rerun"), store._alone():
        raise sqlite3.OperationalError("disk I/O error")


def test_only_what_a_killed_migration_left_is_swept(here: Path) -> None:
    left_over = [here / name for name in (".mlflow.db.ab_1cd2e.db", ".mlflow.db.ab_1cd2e.db-journal")]
    own = [here / name for name in (".mlflow.db.backup", ".mlflow.db.2024-01-01.db", ".mlflow.db.x")]
    for each in (*left_over, *own):
        each.touch()
    Store(f"sqlite:///{here}/mlflow.db")
    assert not any(each.exists() for each in left_over)
    assert all(each.exists() for each in own)


# Paths are data.


@pytest.mark.parametrize("name", NAMES)
def test_an_address_stands_for_its_file_and_a_place_for_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    assert file_of(address_of(folder / "mlflow.db")) == folder / "mlflow.db"
    assert folder_of((folder / "mlartifacts").as_uri()) == folder / "mlartifacts"


@pytest.mark.parametrize("name", NAMES)
def test_a_store_works_in_a_folder_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(migrated, "mlflow.db")
    write_dataset(folder)
    write_cell(folder, "wgan", 0, n_snapshots=1)
    store = Store()
    record = record_of("wgan", 0)
    assert store.publish(record) is True
    assert store.publish(record) is False
    assert list(Store().rows(["digits/digits"])["eval/fid"]) == [11.0]
    assert store.place == "sqlite:///mlflow.db"
    (run,) = runs_of(store)
    pictures = list(
        (folder / "mlartifacts" / "digits" / "digits" / run.info.run_id / "artifacts" / "images").iterdir()
    )
    assert len(pictures) == 2 * 3
    assert os.listdir(tmp_path) == [name], "nothing is written beside the folder"


def test_a_database_is_made_in_a_folder_of_an_odd_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "q?y 50%20off#[1]"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert Store().pages() == {}
    assert os.listdir(tmp_path) == [folder.name]
    assert sorted(os.listdir(folder)) == ["mlflow.db", "mlflow.db.lock"]


def test_a_server_of_a_store_in_such_a_folder_serves_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated: Path
) -> None:
    folder = tmp_path / "q?y 50%20off#[1]"
    folder.mkdir()
    monkeypatch.chdir(folder)
    shutil.copy(migrated, "mlflow.db")
    write_dataset(folder)
    write_cell(folder, "wgan", 0, n_snapshots=1)
    store = Store("sqlite:///mlflow.db")
    store.publish(record_of("wgan", 0))
    (run,) = runs_of(store)
    with serving(store.address, folder) as served:
        client = Store(served)._client
        names = [file.path for file in client.list_artifacts(run.info.run_id, "images")]
        assert len(names) == 2 * 3
        loaded = Path(client.download_artifacts(run.info.run_id, names[0], str(tmp_path)))
    stored = folder / "mlartifacts" / "digits" / "digits" / run.info.run_id / "artifacts" / names[0]
    assert loaded.read_bytes() == stored.read_bytes()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("sqlite:///{}/q?y/mlflow.db", "a question mark in a path is written %3F"),
        (
            "sqlite:///{}/50%20off/mlflow.db",
            r"if .*/50%20off/mlflow\.db was meant, its address is .*50%2520off",
        ),
        ("sqlite://mlflow.db", "has three slashes or more"),
    ],
)
def test_an_address_that_stands_for_another_file_than_was_meant(
    tmp_path: Path, address: str, expected: str
) -> None:
    for name in ("q?y", "50%20off"):
        (tmp_path / name).mkdir()
    with pytest.raises(TrackingError, match=expected):
        Store(address.format(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["50%20off", "q?y"]


def test_other_stores_have_no_file() -> None:
    addresses = ("http://127.0.0.1:5000", "postgresql://a:b@c/d?sslmode=x", "sqlite://", "sqlite:///:memory:")
    assert [file_of(address) for address in addresses] == [None] * 4
    assert file_of("sqlite:///a%20b/x.db") == Path("a b/x.db")


# After a move.


def published(folder: Path) -> Store:
    write_cell(folder, "wgan", 0, n_snapshots=1)
    store = Store("sqlite:///mlflow.db")
    for record in (floor_record("digits", "digits"), record_of("wgan", 0)):
        store.publish(record)
    return store


def move(folder: Path, to: Path, keep: bool = False) -> None:
    """The folder itself stays: pytest would give its name to another test, and MLflow knows stores by it."""
    shutil.copytree(folder, to)
    if not keep:
        shutil.rmtree(folder)
        folder.mkdir()


def pictures_of(store: Store) -> list[Path]:
    return [
        place
        for run in runs_of(store)
        if run.data.tags["kind"] == "cell" and (place := folder_of(run.info.artifact_uri))
    ]


@pytest.mark.parametrize("copied", [False, True])
def test_a_store_that_was_moved_or_copied_shows_its_pictures(
    here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, copied: bool
) -> None:
    published(here)
    elsewhere = tmp_path_factory.mktemp("moved") / "half%20way"
    move(here, elsewhere, copied)
    monkeypatch.chdir(elsewhere)
    store = Store("sqlite:///mlflow.db")
    assert store.without_files() == []
    (place,) = pictures_of(store)
    assert place.is_relative_to(elsewhere / "mlartifacts" / "digits" / "digits")
    assert len(list((place / "images").iterdir())) == 2 * 3
    assert store.publish(record_of("wgan", 0)) is False
    write_cell(elsewhere, "wgan", 1, n_snapshots=1)
    store.publish(record_of("wgan", 1))
    assert len(list((elsewhere / "mlartifacts" / "digits" / "digits").iterdir())) == 2
    if copied:
        assert len(list((here / "mlartifacts" / "digits" / "digits").iterdir())) == 1


def test_a_store_of_before_with_plain_paths_is_read_after_a_move(
    here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(here)
    change(
        here / "mlflow.db",
        "UPDATE experiments SET artifact_location = replace(artifact_location, 'file://', '')",
        "UPDATE runs SET artifact_uri = replace(artifact_uri, 'file://', '')",
    )
    assert Store(f"sqlite:///{here}/mlflow.db").without_files() == []
    elsewhere = tmp_path_factory.mktemp("moved") / "new"
    move(here, elsewhere)
    monkeypatch.chdir(elsewhere)
    assert Store("sqlite:///mlflow.db").without_files() == []


def test_a_database_that_left_its_pictures_behind(
    here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    published(here)
    elsewhere = tmp_path_factory.mktemp("moved")
    shutil.copy(here / "mlflow.db", elsewhere / "mlflow.db")
    before = (elsewhere / "mlflow.db").read_bytes()
    expected = (
        f"was made elsewhere, and its pictures are still in {here}/mlartifacts: move or copy that folder"
    )
    with pytest.raises(TrackingError, match=expected):
        Store(f"sqlite:///{elsewhere}/mlflow.db")
    assert (elsewhere / "mlflow.db").read_bytes() == before
    shutil.copytree(here / "mlartifacts", elsewhere / "mlartifacts")
    assert Store(f"sqlite:///{elsewhere}/mlflow.db").without_files() == []


def test_experiments_of_the_user_stay_where_they_are(
    here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = published(here)
    for name, place in (("own", "/data/own"), ("bucket", "s3://bucket/own")):
        store._client.create_experiment(name, place)
    elsewhere = tmp_path_factory.mktemp("moved") / "new"
    move(here, elsewhere)
    monkeypatch.chdir(elsewhere)
    moved = Store(f"sqlite:///{elsewhere}/mlflow.db")
    places = [moved._client.get_experiment_by_name(name).artifact_location for name in ("own", "bucket")]
    assert places == ["/data/own", "s3://bucket/own"]


def test_pictures_that_are_gone_are_said_and_published_again(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from gm_bench import cli

    monkeypatch.setattr("os.execve", lambda *_: None)
    store = published(here)
    shutil.rmtree(here / "mlartifacts")
    assert store.without_files() == ["digits/wgan/0"]
    told = CliRunner().invoke(cli.app, ["ui"])
    assert (
        "1 runs have lost their pictures (digits/wgan/0): gm-bench run --board NAME publishes" in told.output
    )
    assert store.publish(floor_record("digits", "digits")) is False, "it never had any"
    assert store.publish(record_of("wgan", 0)) is True
    assert store.without_files() == []
    assert "lost" not in CliRunner().invoke(cli.app, ["ui"]).output
