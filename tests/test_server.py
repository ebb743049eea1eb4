"""The same store behind a tracking server: over HTTP, on SQLite and on a real PostgreSQL."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_cells import record_of, write_cell, write_dataset
from servers import postgresql, serving
from stores import content, in_child, kill_at_call, runs_of
from typer.testing import CliRunner

from gm_bench import cli
from gm_bench.cell import Cell
from gm_bench.metrics.catalogue import IMAGES
from gm_bench.tracking import store as tracking
from gm_bench.tracking.database import TrackingError
from gm_bench.tracking.record import curves
from gm_bench.tracking.store import Store
from gm_bench.tracking.views import Columns
from gm_bench.tracks.publishing import floor_record

pytestmark = pytest.mark.xdist_group("server")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated
) -> Iterator[str]:
    """Of a server that nobody has used; the tests below fill it in the order they stand."""
    folder = tmp_path_factory.mktemp("server")
    if request.param == "sqlite":
        shutil.copy(migrated, folder / "server.db")
        with serving(f"sqlite:///{folder}/server.db", folder) as served:
            yield served
    else:
        with (
            postgresql(tmp_path_factory.mktemp("postgresql")) as database,
            serving(database, folder) as served,
        ):
            yield served


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path)
    return tmp_path


def test_a_server_holds_what_a_local_store_holds(here: Path, address: str, migrated: Path) -> None:
    write_cell(here, "wgan", 0, n_snapshots=2)
    write_cell(here, "gan", 0, diverged_at=7)
    records = [floor_record("digits", "digits"), record_of("wgan", 0), record_of("gan", 0)]
    shutil.copy(migrated, here / "mlflow.db")
    local, remote = Store(f"sqlite:///{here}/mlflow.db"), Store(address)
    for store in (local, remote):
        assert [store.publish(record) for record in records] == [True] * 3
        assert [store.publish(record) for record in records] == [False] * 3
    of_cells = [
        {name: told for name, told in content(each).items() if "floor" not in name[0]}
        for each in (local, remote)
    ]
    assert of_cells[0] == of_cells[1]
    frames = [
        each.rows(["digits/digits"]).drop(columns="run_id").sort_values(["kind", "variant"])
        for each in (local, remote)
    ]
    columns = sorted(frames[0].columns)
    assert frames[0][columns].to_csv(index=False) == frames[1][columns].to_csv(index=False)


def test_a_live_run_on_a_server_is_completed(here: Path, address: str) -> None:
    folder = write_cell(here, "vae", 0, n_snapshots=0)
    record = record_of("vae", 0)
    store = Store(address)
    history = tracking.io.read_csv(folder / "history.csv")
    live = store.begin_live(Cell("digits", "digits", "vae", 0), "cd" * 32, curves(history[:5]))
    store.log_live(live, curves(history[5:12]))
    assert store.publish(record) is True
    (run,) = [run for run in runs_of(store) if run.data.tags[tracking.NAME] == "digits/vae/0"]
    assert (run.info.run_id, run.data.tags[tracking.STATUS]) == (live, tracking.CURRENT)
    series = store._client.get_metric_history(live, "train/critic/loss")
    assert [(m.step, m.value) for m in series] == [
        (int(row["images"]), float(row["critic/loss"])) for row in history
    ]


@pytest.mark.parametrize("last_call", [2, 5])
def test_killed_while_it_publishes_to_a_server(here: Path, address: str, last_call: int) -> None:
    write_cell(here, "lsgan", last_call, n_snapshots=0)
    record = record_of("lsgan", last_call)

    def publish() -> None:
        store = Store(address)
        kill_at_call(store, last_call)
        store.publish(record)

    assert in_child(publish) == -signal.SIGKILL
    store = Store(address)
    assert store.publish(record) is True
    name = f"digits/lsgan/{last_call}"
    (run,) = [run for run in runs_of(store) if run.data.tags[tracking.NAME] == name]
    assert run.data.tags[tracking.STATUS] == tracking.CURRENT


def test_two_people_on_one_server_do_not_mix(
    here: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of both match one another's under SQL's LIKE, where _ stands for any letter."""
    means = {}
    for owner, value in (("a_b", 3.0), ("axb", 5.0)):
        monkeypatch.setenv("GM_BENCH_OWNER", owner)
        write_cell(here, "bigan", 0, (value,))
        store = Store(address)
        assert store.publish(floor_record("digits", "digits"))
        assert store.publish(record_of("bigan", 0))
        means[owner] = value
    for owner, value in means.items():
        monkeypatch.setenv("GM_BENCH_OWNER", owner)
        store = Store(address)
        rows = store.rows(["digits/digits"])
        (fid,) = rows.loc[rows["kind"] == "cell", "eval/fid"]
        assert fid == value
        assert list(store.pages()) == ["digits/digits"]
    monkeypatch.setenv("GM_BENCH_OWNER", "two words")
    with pytest.raises(TrackingError, match="set GM_BENCH_OWNER to a name of letters"):
        Store(address)


def test_the_ui_of_a_server_is_the_servers_own(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(address).describe("digits/digits", Columns(IMAGES, ["fid"]))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    told = CliRunner().invoke(cli.app, ["ui"])
    assert told.exit_code == 0
    assert told.output.startswith(f"digits/digits: {address}/#/experiments/1/runs?viewStateShareKey=")
