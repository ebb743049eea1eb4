"""Curves of cells in training reach MLflow once, and the published run takes their place."""

import shutil
from pathlib import Path

import pytest
from fake_cells import write_cell, write_dataset

from gm_bench import io, tracking
from gm_bench.live import LiveCurves, Watch
from gm_bench.runner import cell_chain
from gm_bench.tracking import Store
from pipelines.leaderboard import read_cell

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


def report(n_rows: int) -> None:
    io.write_json(Path(".checkpoints/digits-vae-0/progress.json"), {"key": "abc", "history": ROWS[:n_rows]})


def runs(store: Store) -> list:
    return store._client.search_runs([store._experiment("digits")])


def series(store: Store, run: str) -> list[tuple[int, int, float]]:
    history = store._client.get_metric_history(run, "train/model/loss")
    return [(m.step, m.timestamp, m.value) for m in history]


def test_each_row_is_told_once(store: Store) -> None:
    watch, chain = Watch(store), cell_chain("digits", "vae", 0)
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


def test_another_watch_takes_over_what_a_killed_one_left(store: Store) -> None:
    report(2)
    for _ in range(2):
        Watch(store).look(cell_chain("digits", "vae", 0))
    (run,) = runs(store)
    assert len(series(store, run.info.run_id)) == 2


def test_the_published_run_replaces_the_live_one(store: Store, tmp_path: Path) -> None:
    report(3)
    Watch(store).look(cell_chain("digits", "vae", 0))
    Watch(store).look(cell_chain("digits", "vae", 0))
    write_cell(tmp_path, "vae", 0)
    store.publish(read_cell("digits", "vae", 0))
    (run,) = runs(store)
    assert run.data.tags[tracking.STATUS] == "current"
    assert len(store.rows(["digits"])) == 1


def test_a_live_run_is_no_row_of_the_leaderboard(store: Store) -> None:
    report(3)
    Watch(store).look(cell_chain("digits", "vae", 0))
    assert len(store.rows(["digits"])) == 0


def test_a_store_that_fails_costs_the_curves_only(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/broken.db")
    (tmp_path / "broken.db").write_bytes(b"no database at all" * 100)
    complaints: list[str] = []
    chain = cell_chain("digits", "vae", 0)
    chain.state = "train"
    with LiveCurves([chain], complaints.append) as live:
        live.thread.join(60)
    assert len(complaints) == 1
    assert "curves are not shown live: the MLflow store" in complaints[0]
