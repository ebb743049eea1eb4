"""Publishing and reading back, on real SQLite stores; children are really killed."""

import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import time
from pathlib import Path
from urllib.parse import unquote

import pytest
from fake_cells import BEGAN_MS, record_of, write_cell, write_dataset
from stores import content, in_child, kill_at_call, result_of, runs_of, start_child

from gm_bench.io import FileError, read_csv, read_json, write_csv, write_json
from gm_bench.metrics.catalogue import IMAGES
from gm_bench.results.schema import ResultError
from gm_bench.tracking import store as tracking
from gm_bench.tracking import ui, views
from gm_bench.tracking.address import without_password
from gm_bench.tracking.database import folder_of
from gm_bench.tracking.record import FACTS, Record, lock_digest, of_leaderboard
from gm_bench.tracking.store import Store, TrackingError
from gm_bench.tracks.publishing import floor_record

STEPS = [0, *range(64_000, 640_001, 64_000)]


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


def test_a_cell_is_published_as_it_stands_in_its_files(here):
    folder = write_cell(here, "wgan", 1, fid=(10.0, 11.0, 13.5))
    store = store_in(here)
    assert store.publish(record_of("wgan", 1)) is True
    ((params, tags, series, pictures),) = content(store).values()
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
    assert pictures == STEPS
    (run,) = runs_of(store)
    assert (run.info.start_time, run.info.end_time) == (BEGAN_MS, end_ms)
    assert run.inputs.dataset_inputs[0].dataset.name == "digits"


def test_publishing_twice_changes_nothing(here):
    write_cell(here, "wgan", 0)
    store = store_in(here)
    records = [floor_record("digits", "digits"), record_of("wgan", 0)]
    assert [store.publish(record) for record in records] == [True, True]
    before, ids = content(store), {run.info.run_id for run in runs_of(store)}
    assert [store.publish(record) for record in records] == [False, False]
    assert content(store) == before
    assert {run.info.run_id for run in runs_of(store)} == ids


def test_more_points_than_one_batch_takes(here):
    write_cell(here, "gan", 0, history_rows=620)  # 2 × 620 and the scores: two batches
    store = store_in(here)
    store.publish(record_of("gan", 0))
    ((_, _, series, _),) = content(store).values()
    assert len(series["train/critic/loss"]) == 620
    assert len(series["train/generator/loss"]) == 620


def test_a_newer_run_replaces_and_an_older_one_can_come_back(here):
    write_cell(here, "wgan", 0, fid=(10.0,))
    store = store_in(here)
    old = record_of("wgan", 0)
    store.publish(old)
    write_cell(here, "wgan", 0, fid=(20.0,))
    assert store.publish(record_of("wgan", 0)) is True
    assert list(store.rows(["digits/digits"])["eval/fid"]) == [20.0]
    status = {run.data.metrics["eval/fid"]: run.data.tags[tracking.STATUS] for run in runs_of(store)}
    assert status == {10.0: tracking.SUPERSEDED, 20.0: tracking.CURRENT}
    assert store.publish(old) is False, "a finished run with the same key is taken as it stands"
    assert list(store.rows(["digits/digits"])["eval/fid"]) == [10.0]
    assert len(runs_of(store)) == 2


@pytest.mark.parametrize("damage", ["UPDATE latest_metrics SET value = 10.5 WHERE key = 'eval/fid'", "facts"])
def test_a_run_that_no_longer_tells_what_was_measured_is_replaced(here, damage):
    write_cell(here, "wgan", 0, fid=(10.0,))
    store = store_in(here)
    record = record_of("wgan", 0)
    store.publish(record)
    if damage == "facts":
        damage = f"UPDATE tags SET value = replace(value, 'wgan', 'wgam') WHERE key = '{FACTS}'"
    with sqlite3.connect(here / "mlflow.db") as connection:
        assert connection.execute(damage).rowcount == 1
    connection.close()
    assert store.publish(record) is True
    assert store.publish(record) is False
    rows = store.rows(["digits/digits"])
    assert list(zip(rows["variant"], rows["eval/fid"], strict=True)) == [("wgan", 10.0)]
    assert len(runs_of(store)) == 2


@pytest.mark.parametrize(
    "edit",
    [
        lambda client, run: client.log_metric(run, "eval/mine", 0.5),
        lambda client, run: client.delete_tag(run, "kind"),
        lambda client, run: client.set_terminated(run, "FAILED"),
    ],
)
def test_what_somebody_does_to_a_run_in_mlflow_ends_with_the_next_publishing(here, edit):
    write_cell(here, "wgan", 0, fid=(10.0,))
    store = store_in(here)
    record = record_of("wgan", 0)
    store.publish(record)
    before = store.rows(["digits/digits"]).drop(columns="run_id")
    (run,) = runs_of(store)
    edit(store._client, run.info.run_id)
    store.publish(record)
    assert store.publish(record) is False
    assert store.rows(["digits/digits"]).drop(columns="run_id").equals(before)


def test_a_run_of_somebody_elses_is_not_looked_into(here):
    write_cell(here, "wgan", 0, fid=(10.0,))
    store = store_in(here)
    store.publish(record_of("wgan", 0))
    (run,) = runs_of(store)
    tags = {"kind": "cell", tracking.STATUS: tracking.CURRENT}
    store._client.create_run(run.info.experiment_id, tags=tags)
    store.describe("digits/digits", views.Columns(IMAGES, ["fid", "kid"]))
    assert list(store.rows(["digits/digits"]).dropna(subset=["seed"])["eval/fid"]) == [10.0]


def write_cell_of_many_classes(here: Path, seed: int, n: int) -> list[list[str]]:
    """A cell that missed classes in each of its draws; those that it missed."""
    folder = write_cell(here, "wgan", seed)
    missing = [[f"class_{(i * 7 + draw) % n:04d}" for i in range(n)] for draw in range(3)]
    content = read_json(folder / "metrics.json")
    content["details"]["missing_classes"] = missing
    write_json(folder / "metrics.json", content)
    return missing


def test_facts_of_any_length_are_read_back_as_they_were_written(here):
    missing = {seed: write_cell_of_many_classes(here, seed, n) for seed, n in ((0, 1), (1, 160), (2, 1000))}
    store = store_in(here)
    assert [store.publish(record_of("wgan", seed)) for seed in missing] == [True, True, True]
    rows = store.rows(["digits/digits"])
    assert {row["seed"]: row["details"]["missing_classes"] for _, row in rows.iterrows()} == missing
    assert [store.publish(record_of("wgan", seed)) for seed in missing] == [False, False, False]
    n_tags = {
        int(run.data.params["seed"]): sum(tag.startswith(FACTS) for tag in run.data.tags)
        for run in runs_of(store)
    }
    assert n_tags == {0: 1, 1: 2, 2: 9}  # 42,000 characters of classes


def test_a_run_whose_facts_were_written_into_one_tag_is_read_where_they_had_room(here):
    write_cell_of_many_classes(here, 0, 150)  # beyond a tag of now, within what MLflow has room for
    missing = write_cell_of_many_classes(here, 1, 1000)
    store = store_in(here)
    records = [record_of("wgan", seed) for seed in range(2)]
    for record in records:
        store.publish(record)
    for run in runs_of(store):
        whole = json.dumps(records[int(run.data.params["seed"])].facts)
        for name in [name for name in run.data.tags if name.startswith(f"{FACTS}.")]:
            store._client.delete_tag(run.info.run_id, name)
        store._client.set_tag(run.info.run_id, FACTS, whole)  # which MLflow cuts off
    assert sorted(len(run.data.tags[FACTS]) for run in runs_of(store)) == [7238, 8000]
    assert list(store.rows(["digits/digits"])["seed"]) == [0], "the other's facts are cut off"
    assert [store.publish(record) for record in records] == [False, True]
    rows = store.rows(["digits/digits"])
    assert {row["seed"]: row["details"]["missing_classes"] for _, row in rows.iterrows()}[1] == missing


def test_a_database_that_cannot_be_written_is_not_to_be_deleted(here):
    write_cell(here, "wgan", 0)
    store = store_in(here)
    with sqlite3.connect(here / "mlflow.db") as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON runs "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    connection.close()
    with pytest.raises(TrackingError, match=r"disk is full.*: make room or permit it, then rerun"):
        store.publish(record_of("wgan", 0))


def test_other_seeds_and_variants_stay_current(here):
    store = store_in(here)
    for variant, seed in (("wgan", 0), ("wgan", 1), ("vae", 0)):
        write_cell(here, variant, seed)
        store.publish(record_of(variant, seed))
    rows = store.rows(["digits/digits"])
    assert sorted(zip(rows["variant"], rows["seed"], strict=True)) == [("vae", 0), ("wgan", 0), ("wgan", 1)]


def test_a_diverged_cell_has_no_scores_and_no_value_that_is_not_finite(here):
    folder = write_cell(here, "gan", 0, diverged_at=412)
    history = read_csv(folder / "history.csv")
    history[-1]["critic/loss"] = "nan"
    history[-1]["generator/loss"] = "-inf"
    write_csv(folder / "history.csv", history, list(history[0]))
    store = store_in(here)
    store.publish(record_of("gan", 0))
    ((_, tags, series, pictures),) = content(store).values()
    assert pictures == []
    assert tags["status"] == "diverged"
    assert tags["divergence"] == "step 412 (critic loss)"
    assert not [name for name in series if name.startswith("eval")]
    assert series["divergence/step"][0][2] == 412
    assert len(series["train/critic/loss"]) == 19
    assert series["train/critic/loss"][-1][2] == float(history[-2]["critic/loss"])
    row = store.rows(["digits/digits"]).iloc[0]
    assert row["divergence"] == {"step": 412, "player": "critic", "term": "loss", "value": "nan"}


@pytest.mark.parametrize("last_call", range(1, 12))
def test_killed_before_any_write_and_published_again(here, last_call):
    """A newer version of a published cell, killed before the n-th write of its publishing, then redone."""
    write_cell(here, "wgan", 0, fid=(10.0,), n_snapshots=0)
    old = record_of("wgan", 0)
    write_cell(here, "wgan", 0, fid=(20.0,), n_snapshots=0)
    new = record_of("wgan", 0)
    undisturbed = here / "undisturbed"
    undisturbed.mkdir()
    shutil.copy(here / "mlflow.db", undisturbed / "mlflow.db")

    def publish_until_killed() -> None:
        store = store_in(here)
        store.publish(old)
        kill_at_call(store, last_call)
        store.publish(new)

    assert in_child(publish_until_killed) == -signal.SIGKILL
    once, again = store_in(undisturbed), store_in(here)
    once.publish(old)
    for store in (once, again):
        store.publish(new)
    assert content(again) == content(once)
    assert [run.info.status for run in runs_of(again)] == ["FINISHED"] * 2
    assert list(again.rows(["digits/digits"])["eval/fid"]) == [20.0]


def test_killed_at_any_moment_and_published_again(here):
    """From the first migration on, at moments drawn at random, several times over the same store."""
    for seed in range(3):
        write_cell(here, "wgan", seed, fid=(10.0 + seed,), history_rows=400)
    records = [record_of("wgan", seed) for seed in range(3)]
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
    assert sorted(store.rows(["digits/digits"])["eval/fid"]) == [10.0, 11.0, 12.0]
    told = content(store)
    assert len(told) == 3
    for _, _, series, pictures in told.values():
        assert len(series["train/critic/loss"]) == 400
        assert pictures == STEPS
    assert not list(here.glob(".mlflow.db.*")), "what a killed migration leaves is swept"


def test_many_processes_may_open_a_store_that_is_not_there(here):
    (here / "mlflow.db").unlink()
    for seed in range(4):
        write_cell(here, "wgan", seed)
    children = [
        start_child(lambda seed=seed: store_in(here).publish(record_of("wgan", seed))) for seed in range(4)
    ]
    assert [result_of(child) for child in children] == [0] * 4
    assert sorted(store_in(here).rows(["digits/digits"])["seed"]) == [0, 1, 2, 3]


@pytest.mark.parametrize("length", [1, 40])  # an error is cut off, and a password's end with it
def test_a_server_that_does_not_answer(here, monkeypatch, length):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:{'secret' * length}@127.0.0.1:9")
    with pytest.raises(TrackingError, match="check MLFLOW_TRACKING_URI and that the server runs") as caught:
        Store()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://…@host/db"),
        ("postgresql://me:sec/ret@host/db", "postgresql://…@host/db"),
        ("http://me:s@cr/et@host:5000", "http://…@host:5000"),
        ("no http://a:b@c and no mysql+pymysql://d@e/f", "no http://…@c and no mysql+pymysql://…@e/f"),
        ("http://host:5000 is not me@host", "http://host:5000 is not me@host"),
        ("sqlite:////home/me@firm/mlflow.db", "sqlite:////home/me@firm/mlflow.db"),
    ],
)
def test_a_password_is_not_shown_whatever_stands_in_it(text, shown):
    assert without_password(text) == shown


@pytest.mark.parametrize("damage", ["noise", "page"])
def test_a_damaged_database_says_that_it_can_be_deleted(here, damage):
    database = here / "mlflow.db"
    if damage == "noise":
        database.write_bytes(b"this is no database at all" * 100)
    else:
        content = bytearray(database.read_bytes())
        content[8192:65536] = os.urandom(65536 - 8192)
        database.write_bytes(content)
    with pytest.raises(TrackingError, match=r"delete .*mlflow\.db and rerun"):
        store_in(here)


def test_artefacts_that_do_not_belong_together_are_refused(here):
    write_cell(here, "wgan", 0)
    shutil.copytree(here / "runs/digits/digits/wgan/0", here / "runs/digits/digits/wgan/1")
    with pytest.raises(ResultError, match=r"wgan/1/metrics\.json is of cell"):
        record_of("wgan", 1)
    cost = (here / "runs/digits/digits/wgan/0/cost.json").read_text().replace("cd" * 32, "00" * 32)
    (here / "runs/digits/digits/wgan/0/cost.json").write_text(cost)
    with pytest.raises(ResultError, match=r"wgan/0: metrics\.json and cost\.json"):
        record_of("wgan", 0)


def test_a_picture_that_is_missing_or_damaged_leaves_no_run(here):
    folder = write_cell(here, "wgan", 0)
    store = store_in(here)
    (folder / "grid.png").write_bytes(b"no picture")
    with pytest.raises(FileError, match=r"grid\.png is damaged"):
        store.publish(record_of("wgan", 0))
    (folder / "grid.png").unlink()
    with pytest.raises(FileError, match=r"grid\.png not found"):
        store.publish(record_of("wgan", 0))
    assert runs_of(store) == []


def test_the_key_depends_on_every_file_and_on_nothing_else(here):
    folder = write_cell(here, "wgan", 0)
    key = record_of("wgan", 0).key
    assert record_of("wgan", 0).key == key
    for name in ("metrics.json", "cost.json", "history.csv"):
        original = (folder / name).read_bytes()
        (folder / name).write_bytes(original + b"\n")
        assert record_of("wgan", 0).key != key, name
        (folder / name).write_bytes(original)
    assert record_of("wgan", 0).key == key


def test_the_description_links_to_views_that_are_there(here):
    store = store_in(here)
    for variant, seed, fid in (("vae", 1, 30.0), ("wgan", 0, 20.0), ("wgan", 1, 10.0)):
        write_cell(here, variant, seed, fid=(fid,))
        store.publish(record_of(variant, seed))
    store.publish(floor_record("digits", "digits"))
    store.publish(leaderboard())
    store.describe("digits/digits", views.Columns(IMAGES, ["fid", "kid"]))
    experiment = store._client.get_experiment_by_name("gm-bench/digits/digits")
    text = experiment.tags["mlflow.note.content"]
    linked = re.findall(rf"#/experiments/{experiment.experiment_id}/runs\?viewStateShareKey=([a-z-]+)", text)
    cells = ["wgan · 1", "wgan · 0", "vae · 1"]
    shown = {
        views.TABLE: ["real images · floor", *cells],
        views.CHARTS: ["real images · floor", *cells],
        views.SAMPLES: ["wgan · 0"],
        views.PARALLEL: cells,
    }
    assert linked == list(shown)
    names = {run.info.run_id: run.info.run_name for run in runs_of(store)}
    for key, expected in shown.items():
        view = json.loads(experiment.tags[f"mlflow.sharedViewState.{key}"])
        order = f"{view['orderByKey']} {'ASC' if view['orderByAsc'] else 'DESC'}"
        found = store._client.search_runs([experiment.experiment_id], view["searchFilter"], order_by=[order])
        assert [names[run.info.run_id] for run in found] == expected
        charts = view.get("compareRunCharts", [])
        sections = {each["uuid"]: each["display"] for each in view.get("compareRunSections", [])}
        assert all(sections[chart["metricSectionId"]] for chart in charts), "charts stand in open sections"
        assert len({chart["uuid"] for chart in charts}) == len(charts)
    (listed,) = re.findall(r"compare-runs\?runs=([^&]*)&", text)
    assert [names[run] for run in json.loads(unquote(listed))] == cells
    (run,) = re.findall(
        r"\[leaderboard\]\(#/experiments/\d+/runs/(\w+)/artifacts/leaderboard\.html\?[^)]*\)", text
    )
    assert names[run] == "leaderboard"


def test_many_cells_make_no_description_that_mlflow_refuses(here):
    store = store_in(here)
    run = views.CurrentRun("0" * 32, "cell", {"seed": "0"}, {"eval/fid": 1.0, "train/critic/loss": 0.5})
    written = views.tags("digits", "1", [run] * 500, views.Columns(IMAGES, ["fid"] * 30))
    assert max(map(len, written.values())) < 5000  # the limit of older MLflow versions
    experiment = store._experiment("digits/digits")
    for name, value in written.items():
        store._client.set_experiment_tag(experiment, name, value)
    assert written.items() <= store._client.get_experiment(experiment).tags.items()


@pytest.mark.parametrize("has_samples", [True, False])
def test_the_description_speaks_of_samples_where_there_are_some(has_samples):
    """Claims and searches have none: their page of samples would be empty."""
    run = views.CurrentRun("0" * 32, "cell", {"seed": "3"}, {"eval/fid": 1.0})
    written = views.tags("digits", "1", [run], views.Columns(IMAGES, ["fid"], has_samples=has_samples))
    text = written["mlflow.note.content"]
    assert (f"mlflow.sharedViewState.{views.SAMPLES}" in written) == has_samples
    assert ("The samples are of seed 3: at step 0" in text) == has_samples
    assert ("samples" in text) == has_samples
    assert "means over seeds. " in text
    assert text.endswith("A run that a newer one replaced has the tag `gm_bench.status` = `superseded`.")


FILES = {"leaderboard.html": "<p>gan</p>", "leaderboard.csv": "variant\ngan\n"}
TABLE = [["variant", "1-NN →0.5"], ["floor", "0.65"], ["gan", "6.20 ± 0.53"]]


def leaderboard(commit: str = "abc", files: dict | None = None) -> Record:
    return of_leaderboard(
        "digits",
        "digits",
        table=TABLE,
        files=files or FILES,
        card={"dataset": "digits"},
        ended_ms=BEGAN_MS,
        revision={tracking.REVISION: commit},
    )


def test_the_leaderboard_is_a_run_that_carries_table_and_reports(here):
    store = store_in(here)
    write_cell(here, "wgan", 0)
    store.publish(record_of("wgan", 0))
    assert store.publish(leaderboard()) is True
    assert list(store.rows(["digits/digits"])["kind"]) == ["cell"], "no row of its own"
    (run,) = [run for run in runs_of(store) if run.data.tags["kind"] == "leaderboard"]
    assert run.data.tags[tracking.REVISION] == "abc"
    folder = folder_of(run.info.artifact_uri)
    assert {file.name: file.read_text() for file in folder.glob("leaderboard.*")} == FILES
    table = json.loads((folder / "table.json").read_text())
    assert table == {"columns": ["variant", "1-NN →0·5"], "data": [["floor", "0.65"], ["gan", "6.20 ± 0.53"]]}
    assert (run.info.start_time, run.info.end_time, run.info.status) == (BEGAN_MS, BEGAN_MS, "FINISHED")


def test_the_leaderboard_is_published_once_and_vouched_for_again(here):
    store = store_in(here)
    assert [store.publish(leaderboard(commit)) for commit in ("a", "a", "b")] == [True, False, False]
    (run,) = runs_of(store)
    assert run.data.tags[tracking.REVISION] == "b"
    assert store.publish(leaderboard(files={"leaderboard.html": "<p>vae</p>"})) is True
    status = [run.data.tags[tracking.STATUS] for run in runs_of(store)]
    assert sorted(status) == [tracking.CURRENT, tracking.SUPERSEDED]


def test_the_digest_of_a_lock_is_of_its_stages_but_not_of_what_follows_them():
    train = "  train@a:\n    cmd: x\n    deps:\n    - path: p\n      md5: 1\n"
    sample = "  sample@a:\n    cmd: y\n"
    last = "  leaderboard:\n    cmd: z\n    outs:\n    - path: r\n      md5: {}\n"
    head = "schema: '2.0'\nstages:\n"
    digest = lock_digest(head + train + sample)
    assert (
        digest
        == lock_digest(head + sample + last.format(2) + train)
        == lock_digest(head + train + last.format(3) + sample)
    )
    assert digest != lock_digest(head + train.replace("md5: 1", "md5: 2") + sample)
    assert digest != lock_digest(head + train)


def test_a_port_in_use_is_said_before_any_link():
    with socket.socket() as other:
        other.bind((ui.LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(tracking.TrackingError, match=rf"^port {port} cannot be used .*: name a free one"):
            ui._check_port(port)
    ui._check_port(port)
