"""Publishing into MLflow and reading back: the only module that knows it.

One experiment for each dataset of a board, one flat run for each cell. What a run is tells its status tag:

    live → publishing → current → superseded

While a cell trains, a live run shows its curves. Publishing the cell goes on with that run if all that stands
in it belongs to the cell, and begins another one otherwise. A run is written while it is "publishing" and
becomes "current" with the last write of all, so a killed publish leaves nothing that counts: the next one
deletes what was begun and is no longer live. What a newer run replaces becomes "superseded" and stays.
"""

import hashlib
import json
import logging
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # an unreachable server: seconds, not minutes
for chatty in ("alembic", "urllib3"):
    logging.getLogger(chatty).setLevel(logging.ERROR)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it prints what it raises as well

import pandas as pd  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Dataset, DatasetInput, Experiment, Metric, Param, Run, RunTag, ViewType  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.store.db.base_sql_model import Base  # noqa: E402
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

from gm_bench import io  # noqa: E402
from gm_bench.cell import Cell  # noqa: E402
from gm_bench.running import revision  # noqa: E402
from gm_bench.tracking import database, views  # noqa: E402
from gm_bench.tracking.address import owner, tracking_uri, without_password  # noqa: E402
from gm_bench.tracking.database import EXPERIMENTS, Database, Say, TrackingError  # noqa: E402
from gm_bench.tracking.record import Point, Record, facts_of  # noqa: E402
from gm_bench.tracking.snapshots import grids_by_step  # noqa: E402

METRICS_PER_BATCH = 1000
DIGEST_LENGTH = 36
KEY, NAME, STATUS, REVISION, FILES = (
    f"gm_bench.{tag}" for tag in ("key", "cell", "status", "revision", "files")
)
TRAINING_KEY = "training_key"
RUN_NAME = "mlflow.runName"
LIVE, PUBLISHING, CURRENT, SUPERSEDED = "live", "publishing", "current", "superseded"


def say_on_stderr(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


class Store:
    """A tracking store, made and migrated when it is not there yet.

    Args:
        uri: an MLflow tracking address; without one that of `tracking_uri`.
        say: is told that another program keeps the store, which is waited for.

    Raises:
        TrackingError: the store is damaged, outdated, in use or cannot be reached.
    """

    def __init__(self, uri: str | None = None, say: Say = say_on_stderr) -> None:
        self.uri = uri or tracking_uri()
        file = database.file_of(self.uri)
        self._database = Database(file, say) if file else None
        self._experiments: dict[str, str] = {}
        # A local store is one working folder's own; on a server the boards of two people must not mix.
        self._prefix = EXPERIMENTS if file else f"{EXPERIMENTS}{owner()}/"
        self._revision = revision.current()
        with self._alone(writes=False):
            if self._database is not None:
                artifacts = self._database.artifacts.as_uri()
                self._database.prepare(lambda file: _migrate(file, artifacts), Base.metadata.tables)
            self._client = MlflowClient(self.address)
            self._client.search_experiments(max_results=1)

    @property
    def place(self) -> str:
        """The store's address, fit to be shown."""
        return without_password(self.uri)

    @property
    def address(self) -> str:
        """The store's address as a server of it takes it."""
        return self._database.address if self._database else self.uri

    def publish(self, record: Record) -> bool:
        """Make the record's run the current one of its cell; True if it had to be written.

        A finished run with the same key is taken as it stands, unless its numbers are not the record's: a
        database has no checksums, and the leaderboard is read back from it.
        """
        with self._alone():
            experiment = self._experiment(record.experiment)
            runs = self._search([experiment], f"tags.`{NAME}` = '{record.name}'")
            finished = [run for run in runs if run.info.status == "FINISHED"]
            begun = [run for run in runs if run.info.status != "FINISHED"]
            same = [
                run
                for run in finished
                if run.data.tags.get(KEY) == record.key
                and record.is_told(run.data.metrics, run.data.tags)
                and not self._lacks_files(run)
            ]
            same.sort(key=lambda run: (run.data.tags.get(STATUS) != CURRENT, run.info.run_id))
            live, missing = self._go_on(begun, None if same else record.tags.get(TRAINING_KEY), record.points)
            chosen = same[0].info.run_id if same else self._write(experiment, record, live, missing)
            taken_back = [run for run in begun if run.data.tags.get(STATUS) == CURRENT]
            for run in (*finished, *taken_back):
                if run.info.run_id != chosen and run.data.tags.get(STATUS) != SUPERSEDED:
                    self._client.set_tag(run.info.run_id, STATUS, SUPERSEDED)
            tags = same[0].data.tags if same else {}
            for tag, value in {**record.revision, STATUS: CURRENT}.items():
                if tags.get(tag) != value:
                    self._client.set_tag(chosen, tag, value)
            return not same

    def begin_live(self, cell: Cell, training_key: str, points: Sequence[Point]) -> str:
        """A run to follow a cell in training by, with its curves so far; `publish` completes it.

        Goes on with the one that an interrupted run of the same training left. Returns its id.
        """
        with self._alone():
            experiment = self._experiment(f"{cell.board}/{cell.dataset}")
            begun = self._search([experiment], f"tags.`{NAME}` = '{cell}' AND tags.`{STATUS}` = '{LIVE}'")
            live, missing = self._go_on(begun, training_key, points)
            if live is None:
                tags = {NAME: str(cell), STATUS: LIVE, TRAINING_KEY: training_key}
                began_ms = points[0].timestamp_ms if points else None
                run_name = f"{cell.variant} · {cell.seed} · in training"
                live = str(self._client.create_run(experiment, began_ms, tags, run_name).info.run_id)
                params = {"dataset": cell.dataset, "variant": cell.variant, "seed": str(cell.seed)}
                self._client.log_batch(live, params=[Param(*item) for item in params.items()])
            self._log(live, missing)
            return live

    def log_live(self, run: str, points: Sequence[Point]) -> None:
        """Add what was measured since the last call to a live run."""
        with self._alone():
            self._log(run, points)

    def describe(self, dataset: str, columns: views.Columns) -> None:
        """Put views of the current runs, and links to them, into the experiment.

        Args:
            dataset: whose experiment, as BOARD/DATASET.
            columns: what the pages show of the metrics.
        """
        with self._alone():
            experiment = self._experiment(dataset)
            shown = [
                views.CurrentRun(run.info.run_id, run.data.tags["kind"], run.data.params, run.data.metrics)
                for run in self._search([experiment], f"tags.`{STATUS}` = '{CURRENT}'")
                if {"kind", KEY} <= run.data.tags.keys()
            ]
            known = self._client.get_experiment(experiment).tags
            for name, value in views.tags(dataset, experiment, shown, columns).items():
                if known.get(name) != value:
                    self._client.set_experiment_tag(experiment, name, value)

    def pages(self) -> dict[str, str]:
        """Dataset → where a server of this store shows its runs, an address below the server's."""
        with self._alone(writes=False):
            pages = {each.name: views.best_first(each.experiment_id) for each in self._own_experiments()}
            return {name.removeprefix(self._prefix): pages[name] for name in sorted(pages)}

    def rows(self, datasets: Sequence[str]) -> pd.DataFrame:
        """The current runs of experiments, read back with `search_runs`: one row per cell and per floor.

        Args:
            datasets: whose experiments, as BOARD/DATASET.

        Returns:
            Columns: the facts of the record (kind, dataset, variant, seed, family, source, status,
            divergence, details, protocol, network, device, budget), run_id, and each metric under its own
            name (`eval/fid`, `cost/seconds`), NaN where a run has none. Runs with damaged facts have no row.
        """
        with self._alone():
            experiments = [self._experiment(dataset) for dataset in datasets]
            runs = self._search(experiments, views.CURRENT)
        return pd.DataFrame(
            [
                {**facts, "run_id": run.info.run_id, **run.data.metrics}
                for run in runs
                if (facts := facts_of(run.data.tags)) is not None
            ]
        )

    def _go_on(
        self, begun: Sequence[Run], training_key: str | None, points: Sequence[Point]
    ) -> tuple[str | None, list[Point]]:
        """The live run of that training that holds nothing but these points, and those that it lacks.

        Every other run that was begun is deleted: a point that was logged cannot be taken back.
        """
        chosen, missing = None, list(points)
        for run in begun:
            tags = run.data.tags
            if tags.get(STATUS) == LIVE and tags.get(TRAINING_KEY) == training_key and chosen is None:
                known = self._points(run)
                if known <= set(points):
                    chosen, missing = run.info.run_id, [point for point in points if point not in known]
                    continue
            if tags.get(STATUS) in (LIVE, PUBLISHING):
                self._client.delete_run(run.info.run_id)
        return chosen, missing

    def _write(self, experiment: str, record: Record, run: str | None, points: Sequence[Point]) -> str:
        """Log everything into a live run or a new one and finish it; its status stays "publishing"."""
        pictures = grids_by_step(record.pictures) if record.pictures else {}
        now_ms = time.time_ns() // 1_000_000
        began_ms, ended_ms = record.began_ms or now_ms, record.ended_ms or now_ms
        if run is None:
            tags = {NAME: record.name, STATUS: PUBLISHING}
            run = str(self._client.create_run(experiment, began_ms, tags, record.run_name).info.run_id)
        tags = {
            STATUS: PUBLISHING,
            RUN_NAME: record.run_name,
            KEY: record.key,
            **record.facts_tags,
            REVISION: self._revision,
            **({FILES: "true"} if pictures or record.table or record.files else {}),
            **record.tags,
        }
        self._client.log_batch(
            run,
            params=[Param(*item) for item in record.params.items()],
            tags=[RunTag(*item) for item in tags.items()],
        )
        self._log(run, points, ended_ms)
        self._client.log_inputs(run, datasets=[_dataset_input(record)])
        for step, picture in pictures.items():
            self._client.log_image(
                run, picture, key="samples", step=step, timestamp=ended_ms, synchronous=True
            )
        if record.table:
            self._client.log_table(run, dict(record.table), "table.json")
        for name, text in record.files.items():
            self._client.log_text(run, text, name)
        self._client.set_terminated(run, "FINISHED", ended_ms)
        return run

    def _log(self, run: str, points: Sequence[Point], otherwise_ms: int = 0) -> None:
        metrics = [Metric(p.name, p.value, p.timestamp_ms or otherwise_ms, p.step) for p in points]
        for start in range(0, len(metrics), METRICS_PER_BATCH):
            self._client.log_batch(run, metrics=metrics[start : start + METRICS_PER_BATCH])

    def _points(self, run: Run) -> set[Point]:
        """Every point of every series of a run."""
        return {
            Point(name, metric.value, metric.step, metric.timestamp)
            for name in run.data.metrics
            for metric in self._client.get_metric_history(run.info.run_id, name)
        }

    def _experiment(self, dataset: str) -> str:
        """Id of the dataset's experiment, made when it is not there. To be called while alone."""
        if dataset not in self._experiments:
            name = f"{self._prefix}{dataset}"
            found = self._client.get_experiment_by_name(name)
            place = self._artifact_location(dataset)
            if found is None:
                tags = {"mlflow.experimentKind": "custom_model_development"}
                self._experiments[dataset] = self._client.create_experiment(name, place, tags)
            else:
                if found.lifecycle_stage != "active":
                    self._client.restore_experiment(found.experiment_id)
                self._experiments[dataset] = found.experiment_id
        return self._experiments[dataset]

    def _own_experiments(self) -> list[Experiment]:
        found = self._client.search_experiments(filter_string=f"name LIKE '{self._prefix}%'")
        return [
            each for each in found if each.name.startswith(self._prefix)
        ]  # '_' stands for any letter there

    def _artifact_location(self, dataset: str) -> str | None:
        """Beside a local database; a server has a place of its own."""
        return (self._database.artifacts / dataset).as_uri() if self._database else None

    def without_files(self) -> list[str]:
        """Names of the current runs of a local store whose pictures or reports are no longer there."""
        with self._alone(writes=False):
            runs = self._search(
                [each.experiment_id for each in self._own_experiments()], f"tags.`{STATUS}` = '{CURRENT}'"
            )
            return [run.data.tags[NAME] for run in runs if self._lacks_files(run)]

    def _lacks_files(self, run: Run) -> bool:
        """Whether a run that was published with pictures or reports has none."""
        if self._database is None or FILES not in run.data.tags:
            return False
        folder = database.folder_of(run.info.artifact_uri)
        return folder is not None and not folder.is_dir()

    def _search(self, experiments: list[str], condition: str) -> list[Run]:
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs(
                experiments, condition, ViewType.ACTIVE_ONLY, max_results=1000, page_token=token
            )
            runs += page
            token = page.token
            if not token:
                return runs

    @contextmanager
    def _alone(self, writes: bool = True) -> Iterator[None]:
        """One process at a time on a local database, and every failure of the store as one sentence."""
        try:
            with self._database.alone(writes) if self._database else nullcontext():
                yield
        except io.FileError:
            raise
        except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise TrackingError(self._advice(error)) from error

    def _advice(self, error: Exception) -> str:
        lines = without_password(str(error)).split("\n")  # SQLAlchemy may put its own before the driver's
        reason = " ".join(next((line for line in lines if "(sqlite3." in line), lines[0]).split())[:200]
        if self._database is None:
            return (
                f"the MLflow store {self.place} cannot be used ({reason}): check MLFLOW_TRACKING_URI and "
                "that the server runs"
            )
        return self._database.advice(error, reason)


def _migrate(file: Path, artifacts: str) -> None:
    SqlAlchemyStore(database.address_of(file), artifacts).engine.dispose()


def _dataset_input(record: Record) -> DatasetInput:
    content = json.dumps(record.card, sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:DIGEST_LENGTH]
    return DatasetInput(Dataset(record.dataset, digest, "local", f"data/{record.dataset}", profile=content))
