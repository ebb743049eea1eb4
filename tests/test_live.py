"""Curves of cells in training reach MLflow once, and publishing completes the run that shows them."""

import shutil
import signal
from pathlib import Path

import pytest
from fake_cells import record_of, write_cell, write_dataset
from stores import content, in_child, kill_at_call

from gm_bench import io
from gm_bench.cell import Cell
from gm_bench.running.chains import Chain
from gm_bench.tracking import store as tracking
from gm_bench.tracking.live import LiveCurves, Watch
from gm_bench.tracking.store import Store

CELL = Cell("digits", "digits", "vae", 0)
CHAIN = Chain(CELL.name, (CELL.stage("train"),), CELL)
BEGAN_MS = 1_700_000_000_000
ROWS = [
    {"images": 64.0 * i, "round": i, "timestamp_ms": BEGAN_MS + i, "model/loss": 1 / i} for i in (1, 2, 3)
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated: Path) -> Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(migrated, tmp_path / "mlflow.db")
    write_dataset(tmp_path)
    return Store(f"sqlite:///{tmp_path}/mlflow.db")


def report(n_rows: int, key: str = "abc", rows: list[dict] = ROWS) -> None:
    io.write_json(CELL.checkpoints / "progress.json", {"key": key, "history": rows[:n_rows]})


def runs(store: Store) -> list:
    return store._client.search_runs([store._experiment("digits/digits")])


def series(store: Store, run: str) -> list[tuple[int, int, float]]:
    history = store._client.get_metric_history(run, "train/model/loss")
    return [(m.step, m.timestamp, m.value) for m in history]


def test_each_row_is_told_once(store: Store) -> None:
    watch, chain = Watch(store), CHAIN
    watch.look(chain)
    assert runs(store) == []  # nothing known yet
    for n_rows in (1, 1, 3):
        report(n_rows)
        watch.look(chain)
    (run,) = runs(store)
    assert run.info.run_name == "vae · 0 · in training"
    assert run.data.tags[tracking.STATUS] == "live"
    expected = [(64 * i, BEGAN_MS + i, 1 / i) for i in (1, 2, 3)]
    assert series(store, run.info.run_id) == expected


def test_another_watch_goes_on_with_what_a_killed_one_left(store: Store) -> None:
    report(2)
    chain = CHAIN
    Watch(store).look(chain)
    (before,) = runs(store)
    report(3)
    Watch(store).look(chain)
    (run,) = runs(store)
    assert run.info.run_id == before.info.run_id
    assert series(store, run.info.run_id) == [(64 * i, BEGAN_MS + i, 1 / i) for i in (1, 2, 3)]


def later(row: dict) -> dict:
    return row | {"timestamp_ms": row["timestamp_ms"] + 60_000}


@pytest.mark.parametrize("watched_on", [True, False])
def test_a_training_that_went_back_to_a_checkpoint_is_told_without_what_was_lost(store, watched_on) -> None:
    report(3)
    watch, chain = Watch(store), CHAIN
    watch.look(chain)
    report(2, rows=[ROWS[0], later(ROWS[1])])
    (watch if watched_on else Watch(store)).look(chain)
    (run,) = runs(store)
    assert series(store, run.info.run_id) == [(64, BEGAN_MS + 1, 1.0), (128, BEGAN_MS + 60_002, 0.5)]


def test_what_an_older_training_left_is_not_mixed_with_the_new_one(store: Store) -> None:
    report(1, key="of older code")
    watch, chain = Watch(store), CHAIN
    for n_rows in (1, 3):
        watch.look(chain)
        report(n_rows)
    watch.look(chain)
    (run,) = runs(store)
    assert run.data.tags["training_key"] == "abc"
    assert len(series(store, run.info.run_id)) == 3


def rows_of(folder: Path) -> list[dict]:
    """The history of a finished cell, as the progress file tells it while it trains."""
    whole = ("images", "round", "timestamp_ms")
    return [
        {name: int(value) if name in whole else float(value) for name, value in row.items()}
        for row in io.read_csv(folder / "history.csv")
    ]


@pytest.mark.parametrize("n_rows", [1, 7, 20])
def test_the_published_run_is_the_live_one_completed(store: Store, tmp_path: Path, n_rows: int) -> None:
    """With the same content as a run that nobody had followed, and under the same address."""
    folder = write_cell(tmp_path, "vae", 0, training_key="abc")
    report(n_rows, rows=rows_of(folder))
    Watch(store).look(CHAIN)
    (live,) = runs(store)
    assert store.publish(record_of("vae", 0)) is True
    (run,) = runs(store)
    assert run.info.run_id == live.info.run_id
    assert (run.info.run_name, run.info.status) == ("vae · 0", "FINISHED")
    followed = content(store)
    store._client.delete_run(run.info.run_id)
    store.publish(record_of("vae", 0))
    assert content(store) == followed
    assert len(store.rows(["digits/digits"])) == 1


def test_a_live_run_of_another_training_is_replaced(store: Store, tmp_path: Path) -> None:
    folder = write_cell(tmp_path, "vae", 0, training_key="abc")
    for key, rows in (("other", rows_of(folder)), ("abc", [later(row) for row in rows_of(folder)])):
        report(3, key=key, rows=rows)
        Watch(store).look(CHAIN)
        (live,) = runs(store)
        store.publish(record_of("vae", 0))
        (run,) = runs(store)
        assert run.info.run_id != live.info.run_id
        assert len(store._client.get_metric_history(run.info.run_id, "train/critic/loss")) == 20
        store._client.delete_run(run.info.run_id)


@pytest.mark.parametrize("last_call", range(1, 10))
def test_killed_before_any_write_of_completing_a_live_run(
    store: Store, tmp_path: Path, last_call: int
) -> None:
    folder = write_cell(tmp_path, "vae", 0, training_key="abc", n_snapshots=0)
    record = record_of("vae", 0)
    store.publish(record)
    undisturbed = content(store)
    (run,) = runs(store)
    store._client.delete_run(run.info.run_id)
    report(7, rows=rows_of(folder))
    Watch(store).look(CHAIN)

    def publish() -> None:
        again = Store(f"sqlite:///{tmp_path}/mlflow.db")
        kill_at_call(again, last_call)
        again.publish(record)

    assert in_child(publish) == -signal.SIGKILL
    assert len(store.rows(["digits/digits"])) == 0, "nothing counts yet"
    store.publish(record)
    assert content(store) == undisturbed
    assert len(runs(store)) == 1


def test_a_live_run_is_no_row_of_the_leaderboard(store: Store) -> None:
    report(3)
    Watch(store).look(CHAIN)
    assert len(store.rows(["digits/digits"])) == 0


def test_a_store_that_fails_costs_the_curves_only(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/broken.db")
    (tmp_path / "broken.db").write_bytes(b"no database at all" * 100)
    complaints: list[str] = []
    chain = CHAIN
    chain.state = "train"
    with LiveCurves([chain], complaints.append) as live:
        live.thread.join(60)
    assert len(complaints) == 1
    assert "curves are not shown live: the MLflow store" in complaints[0]
