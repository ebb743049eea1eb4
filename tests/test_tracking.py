"""Publishing and reading back, on real SQLite stores; children are really killed."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import time
from pathlib import Path
from urllib.parse import unquote

import pytest
from fake_cells import BEGAN_MS, write_cell, write_dataset

from gm_bench import tracking
from gm_bench.io import FileError, read_csv, write_csv
from gm_bench.record import RecordError
from gm_bench.tracking import Store, TrackingError
from pipelines.leaderboard import read_cell, read_floor


@pytest.fixture
def here(tmp_path, monkeypatch, migrated) -> Path:
    """A working folder with a dataset and an empty store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(migrated, tmp_path / "mlflow.db")
    write_dataset(tmp_path)
    return tmp_path


def store_in(folder: Path) -> Store:
    """Absolute, since MLflow keeps one engine per address in a process."""
    return Store(f"sqlite:///{folder}/mlflow.db")


def runs_of(store: Store) -> list:
    return store._client.search_runs([store._experiment("digits")])


def content(store: Store) -> dict:
    """Everything in the finished runs, by cell and key."""
    told = {}
    for run in runs_of(store):
        if run.info.status != "FINISHED":
            continue
        name = run.data.tags[tracking.NAME], run.data.tags[tracking.KEY]
        assert name not in told, f"{name} is there twice"
        series = {
            metric: [
                (m.step, m.timestamp, m.value)
                for m in store._client.get_metric_history(run.info.run_id, metric)
            ]
            for metric in run.data.metrics
        }
        images = [file.path for file in store._client.list_artifacts(run.info.run_id, "images")]
        told[name] = (dict(run.data.params), dict(run.data.tags), series, len(images))
    return told


def test_a_cell_is_published_as_it_stands_in_its_files(here):
    folder = write_cell(here, "wgan", 1, fid=(10.0, 11.0, 13.5))
    store = store_in(here)
    assert store.publish(read_cell("digits", "wgan", 1)) is True
    ((params, tags, series, n_images),) = content(store).values()
    assert params["variant"] == "wgan"
    assert params["lr/critic"] == "0.0001"
    assert params["updates/critic"] == "5"
    assert params["batch_size"] == "64"
    assert tags["family"] == "WGAN"
    assert tags["status"] == "ok"
    assert tags["mlflow.runName"] == "wgan · 1"
    assert tags[tracking.STATUS] == tracking.CURRENT
    end_ms = BEGAN_MS + 19_000
    assert series["eval/fid"] == [(0, end_ms, 11.5)]  # (10 + 11 + 13.5) / 3
    assert series["eval_draws/fid"] == [(0, end_ms, 10.0), (1, end_ms, 11.0), (2, end_ms, 13.5)]
    assert series["cost/seconds"] == [(0, end_ms, 31.125)]
    assert series["cost/parameters/critic"] == [(0, end_ms, 100_000.0)]
    rows = read_csv(folder / "history.csv")
    expected = [(int(row["images"]), int(row["timestamp_ms"]), float(row["critic/loss"])) for row in rows]
    assert series["train/critic/loss"] == expected
    assert n_images == 2, "the picture and its thumbnail"
    (run,) = runs_of(store)
    assert (run.info.start_time, run.info.end_time) == (BEGAN_MS, end_ms)
    assert run.inputs.dataset_inputs[0].dataset.name == "digits"


def test_publishing_twice_changes_nothing(here):
    write_cell(here, "wgan", 0)
    store = store_in(here)
    records = [read_floor("digits"), read_cell("digits", "wgan", 0)]
    assert [store.publish(record) for record in records] == [True, True]
    before, ids = content(store), {run.info.run_id for run in runs_of(store)}
    assert [store.publish(record) for record in records] == [False, False]
    assert content(store) == before
    assert {run.info.run_id for run in runs_of(store)} == ids


def test_more_points_than_one_batch_takes(here):
    write_cell(here, "gan", 0, history_rows=620)  # 2 × 620 and the scores: two batches
    store = store_in(here)
    store.publish(read_cell("digits", "gan", 0))
    ((_, _, series, _),) = content(store).values()
    assert len(series["train/critic/loss"]) == 620
    assert len(series["train/generator/loss"]) == 620


def test_a_newer_run_replaces_and_an_older_one_can_come_back(here):
    write_cell(here, "wgan", 0, fid=(10.0,))
    store = store_in(here)
    old = read_cell("digits", "wgan", 0)
    store.publish(old)
    write_cell(here, "wgan", 0, fid=(20.0,))
    assert store.publish(read_cell("digits", "wgan", 0)) is True
    assert list(store.rows(["digits"])["eval/fid"]) == [20.0]
    status = {run.data.metrics["eval/fid"]: run.data.tags[tracking.STATUS] for run in runs_of(store)}
    assert status == {10.0: tracking.SUPERSEDED, 20.0: tracking.CURRENT}
    assert store.publish(old) is False, "a finished run with the same key is taken as it stands"
    assert list(store.rows(["digits"])["eval/fid"]) == [10.0]
    assert len(runs_of(store)) == 2


def test_other_seeds_and_variants_stay_current(here):
    store = store_in(here)
    for variant, seed in (("wgan", 0), ("wgan", 1), ("vae", 0)):
        write_cell(here, variant, seed)
        store.publish(read_cell("digits", variant, seed))
    rows = store.rows(["digits"])
    assert sorted(zip(rows["variant"], rows["seed"], strict=True)) == [("vae", 0), ("wgan", 0), ("wgan", 1)]


def test_a_diverged_cell_has_no_scores_and_no_value_that_is_not_finite(here):
    folder = write_cell(here, "gan", 0, diverged_at=412)
    history = read_csv(folder / "history.csv")
    history[-1]["critic/loss"] = "nan"
    history[-1]["generator/loss"] = "-inf"
    write_csv(folder / "history.csv", history, list(history[0]))
    store = store_in(here)
    store.publish(read_cell("digits", "gan", 0))
    ((_, tags, series, n_images),) = content(store).values()
    assert n_images == 0
    assert tags["status"] == "diverged"
    assert tags["divergence"] == "step 412 (critic loss)"
    assert not [name for name in series if name.startswith("eval")]
    assert series["divergence/step"][0][2] == 412
    assert len(series["train/critic/loss"]) == 19
    assert series["train/critic/loss"][-1][2] == float(history[-2]["critic/loss"])
    row = store.rows(["digits"]).iloc[0]
    assert row["divergence"] == {"step": 412, "player": "critic", "term": "loss", "value": "nan"}


CALLS = ("create_run", "log_batch", "log_inputs", "log_image", "set_terminated", "set_tag", "delete_run")


@pytest.mark.parametrize("last_call", range(1, 10))
def test_killed_before_any_write_and_published_again(here, last_call):
    """A newer version of a published cell, killed before the n-th write of its publishing, then redone."""
    write_cell(here, "wgan", 0, fid=(10.0,))
    old = read_cell("digits", "wgan", 0)
    write_cell(here, "wgan", 0, fid=(20.0,))
    new = read_cell("digits", "wgan", 0)
    undisturbed = here / "undisturbed"
    undisturbed.mkdir()
    shutil.copy(here / "mlflow.db", undisturbed / "mlflow.db")

    def publish_until_killed() -> None:
        store = store_in(here)
        store.publish(old)
        left = last_call

        def counted(real):
            def call(*args, **options):
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **options)

            return call

        for name in CALLS:
            setattr(store._client, name, counted(getattr(store._client, name)))
        store.publish(new)

    assert in_child(publish_until_killed) == -signal.SIGKILL
    once, again = store_in(undisturbed), store_in(here)
    once.publish(old)
    for store in (once, again):
        store.publish(new)
    assert content(again) == content(once)
    assert [run.info.status for run in runs_of(again)] == ["FINISHED"] * 2
    assert list(again.rows(["digits"])["eval/fid"]) == [20.0]


def test_killed_at_any_moment_and_published_again(here):
    """From the first migration on, at moments drawn at random, several times over the same store."""
    for seed in range(3):
        write_cell(here, "wgan", seed, fid=(10.0 + seed,), history_rows=400)
    records = [read_cell("digits", "wgan", seed) for seed in range(3)]
    (here / "mlflow.db").unlink()
    draw = random.Random(0)

    def publish_all() -> None:
        store = store_in(here)
        for record in records:
            store.publish(record)

    for longest in (1.0, 3.0, 4.0, 1.0, 1.0, 1.0):
        child = start_child(publish_all)
        time.sleep(draw.uniform(0.0, longest))
        os.kill(child, signal.SIGKILL)
        result_of(child)
    publish_all()
    store = store_in(here)
    assert sorted(store.rows(["digits"])["eval/fid"]) == [10.0, 11.0, 12.0]
    told = content(store)
    assert len(told) == 3
    for _, _, series, n_images in told.values():
        assert len(series["train/critic/loss"]) == 400
        assert n_images == 2
    assert not list(here.glob(".mlflow.db.*")), "what a killed migration leaves is swept"


def test_many_processes_may_open_a_store_that_is_not_there(here):
    (here / "mlflow.db").unlink()
    for seed in range(4):
        write_cell(here, "wgan", seed)
    children = [
        start_child(lambda seed=seed: store_in(here).publish(read_cell("digits", "wgan", seed)))
        for seed in range(4)
    ]
    assert [result_of(child) for child in children] == [0] * 4
    assert sorted(store_in(here).rows(["digits"])["seed"]) == [0, 1, 2, 3]


def test_a_server_that_does_not_answer(here, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:secret@127.0.0.1:9")
    with pytest.raises(TrackingError, match="check MLFLOW_TRACKING_URI and that the server runs") as caught:
        Store()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["noise", "page", "foreign"])
def test_a_damaged_database_says_that_it_can_be_deleted(here, damage):
    database = here / "mlflow.db"
    if damage == "noise":
        database.write_bytes(b"this is no database at all" * 100)
    elif damage == "page":
        content = bytearray(database.read_bytes())
        content[8192:65536] = os.urandom(65536 - 8192)
        database.write_bytes(content)
    else:
        database.unlink()
        with sqlite3.connect(database) as connection:
            connection.execute("CREATE TABLE experiments (name TEXT)")
        connection.close()
    with pytest.raises(TrackingError, match=r"delete .*mlflow\.db and rerun"):
        store_in(here)


def test_a_store_that_was_moved_is_not_written_to_its_old_place(here):
    store_in(here)._experiment("digits")
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(here / "mlflow.db", elsewhere / "mlflow.db")
    with pytest.raises(TrackingError, match="was made elsewhere"):
        store_in(elsewhere).publish(read_floor("digits"))


def test_artefacts_that_do_not_belong_together_are_refused(here):
    write_cell(here, "wgan", 0)
    shutil.copytree(here / "runs/digits/wgan/0", here / "runs/digits/wgan/1")
    with pytest.raises(RecordError, match=r"wgan/1/metrics\.json is of cell"):
        read_cell("digits", "wgan", 1)
    cost = (here / "runs/digits/wgan/0/cost.json").read_text().replace("cd" * 32, "00" * 32)
    (here / "runs/digits/wgan/0/cost.json").write_text(cost)
    with pytest.raises(RecordError, match=r"wgan/0: metrics\.json and cost\.json"):
        read_cell("digits", "wgan", 0)


def test_a_picture_that_is_missing_or_damaged_leaves_no_run(here):
    folder = write_cell(here, "wgan", 0)
    store = store_in(here)
    (folder / "grid.png").write_bytes(b"no picture")
    with pytest.raises(FileError, match=r"grid\.png is damaged"):
        store.publish(read_cell("digits", "wgan", 0))
    (folder / "grid.png").unlink()
    with pytest.raises(FileError, match=r"grid\.png not found"):
        store.publish(read_cell("digits", "wgan", 0))
    assert runs_of(store) == []


def test_the_key_depends_on_every_file_and_on_nothing_else(here):
    folder = write_cell(here, "wgan", 0)
    key = read_cell("digits", "wgan", 0).key
    assert read_cell("digits", "wgan", 0).key == key
    for name in ("metrics.json", "cost.json", "history.csv"):
        original = (folder / name).read_bytes()
        (folder / name).write_bytes(original + b"\n")
        assert read_cell("digits", "wgan", 0).key != key, name
        (folder / name).write_bytes(original)
    assert read_cell("digits", "wgan", 0).key == key


def test_the_description_links_to_views_that_are_there(here):
    store = store_in(here)
    for seed in range(2):
        write_cell(here, "wgan", seed)
        store.publish(read_cell("digits", "wgan", seed))
    store.describe("digits", ["digits/wgan/0", "digits/wgan/1"])
    experiment = store._client.get_experiment_by_name("gm-bench/digits")
    text = experiment.tags["mlflow.note.content"]
    linked = re.findall(rf"#/experiments/{experiment.experiment_id}/runs\?viewStateShareKey=([a-z-]+)", text)
    assert len(linked) == 2
    for key in linked:
        view = json.loads(experiment.tags[f"mlflow.sharedViewState.{key}"])
        found = store._client.search_runs([experiment.experiment_id], view["searchFilter"])
        assert sorted(run.info.run_id for run in found) == sorted(run.info.run_id for run in runs_of(store))
        assert view["orderByKey"] == "metrics.`eval/fid`"
    (listed,) = re.findall(r"compare-runs\?runs=([^&]*)&", text)
    assert sorted(json.loads(unquote(listed))) == sorted(run.info.run_id for run in runs_of(store))


def start_child(work) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def result_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_child(work) -> int:
    return result_of(start_child(work))
