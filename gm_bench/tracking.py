"""Publishing into MLflow and reading back: the only module that knows it.

One experiment for each dataset, one flat run for each cell. While a cell trains, a "live" run shows its
curves and is replaced when the cell is published. A run is written while its status tag says "publishing" and
becomes "current" with the last write of all, so a killed publish leaves nothing that counts; what a newer run
replaces becomes "superseded" and stays.
"""

import hashlib
import json
import logging
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # an unreachable server: seconds, not minutes
for chatty in ("alembic", "urllib3"):
    logging.getLogger(chatty).setLevel(logging.ERROR)

import pandas as pd  # noqa: E402
from filelock import FileLock  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Dataset, DatasetInput, Metric, Param, Run, ViewType  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: E402
from PIL import Image, UnidentifiedImageError  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

from gm_bench import io, views  # noqa: E402
from gm_bench.record import SINGLE, Point, Record  # noqa: E402

DEFAULT_URI = "sqlite:///mlflow.db"
METRICS_PER_BATCH = 1000
DIGEST_LENGTH = 36
KEY, NAME, STATUS, FACTS, REVISION = (
    f"gm_bench.{tag}" for tag in ("key", "cell", "status", "facts", "revision")
)
LIVE, PUBLISHING, CURRENT, SUPERSEDED = "live", "publishing", "current", "superseded"


class TrackingError(ValueError):
    """The tracking store cannot be used; the message says what to do."""


def tracking_uri() -> str:
    """Where runs go: MLFLOW_TRACKING_URI, else a database in the working folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


class Store:
    """A tracking store, made and migrated when it is not there yet.

    Args:
        uri: an MLflow tracking address; without one that of `tracking_uri`.

    Raises:
        TrackingError: the store is damaged, outdated or cannot be reached.
    """

    def __init__(self, uri: str | None = None) -> None:
        self.uri = uri or tracking_uri()
        self._database = _sqlite_file(self.uri)
        self._experiments: dict[str, str] = {}
        self._revision = _git_revision()
        with self._alone():
            if self._database is not None:
                _prepare(self._database)
            self._client = MlflowClient(self.uri)
            self._client.search_experiments(max_results=1)

    @property
    def place(self) -> str:
        """The store's address, fit to be shown."""
        return _without_password(self.uri)

    def publish(self, record: Record) -> bool:
        """Make the record's run the current one of its cell; True if it had to be written.

        A finished run with the same key is taken as it stands, whatever became of it since.
        """
        with self._alone():
            experiment = self._experiment(record.dataset)
            finished: list[Run] = []
            unfinished: list[Run] = []
            for run in self._search([experiment], f"tags.`{NAME}` = '{record.name}'"):
                (finished if run.info.status == "FINISHED" else unfinished).append(run)
            for run in unfinished:
                if run.data.tags.get(STATUS) in (LIVE, PUBLISHING):
                    self._client.delete_run(run.info.run_id)
            same = [run for run in finished if run.data.tags.get(KEY) == record.key]
            same.sort(key=lambda run: (run.data.tags.get(STATUS) != CURRENT, run.info.run_id))
            chosen = same[0].info.run_id if same else self._write(experiment, record)
            for run in finished:
                if run.info.run_id != chosen and run.data.tags.get(STATUS) != SUPERSEDED:
                    self._client.set_tag(run.info.run_id, STATUS, SUPERSEDED)
            if not same or same[0].data.tags.get(STATUS) != CURRENT:
                self._client.set_tag(chosen, STATUS, CURRENT)
            return not same

    def begin_live(self, dataset: str, variant: str, seed: int, training_key: str) -> str:
        """A run to follow a cell in training by; `publish` replaces it. Returns its id."""
        with self._alone():
            experiment = self._experiment(dataset)
            name = f"{dataset}/{variant}/{seed}"
            for run in self._search([experiment], f"tags.`{NAME}` = '{name}' AND tags.`{STATUS}` = '{LIVE}'"):
                self._client.delete_run(run.info.run_id)
            tags = {NAME: name, STATUS: LIVE, "training_key": training_key}
            run_name = f"{variant} · {seed} · in training"
            live: str = self._client.create_run(experiment, None, tags, run_name).info.run_id
            params = {"dataset": dataset, "variant": variant, "seed": str(seed)}
            self._client.log_batch(live, params=[Param(*item) for item in params.items()])
            return live

    def log_live(self, run: str, points: Sequence[Point]) -> None:
        """Add what was measured since the last call to a live run."""
        with self._alone():
            metrics = [_metric(point, 0) for point in points]
            for start in range(0, len(metrics), METRICS_PER_BATCH):
                self._client.log_batch(run, metrics=metrics[start : start + METRICS_PER_BATCH])

    def describe(self, dataset: str, names: Sequence[str]) -> None:
        """Put views and links to them into the experiment: best by FID, variants, cells side by side."""
        with self._alone():
            experiment = self._experiment(dataset)
            current = self._search([experiment], _CURRENT_ONLY)
            runs = {run.data.tags[NAME]: run.info.run_id for run in current}
            names_of_scores = {n for run in current for n in run.data.metrics if n.startswith("eval/")}
            chosen = [runs[name] for name in names if name in runs]
            tags = views.tags(_CURRENT_ONLY, sorted(names_of_scores))
            tags["mlflow.note.content"] = views.description(dataset, experiment, chosen)
            known = self._client.get_experiment(experiment).tags
            for name, value in tags.items():
                if known.get(name) != value:
                    self._client.set_experiment_tag(experiment, name, value)

    def rows(self, datasets: Sequence[str]) -> pd.DataFrame:
        """The current runs of the datasets, read back with `search_runs`: one row per cell and per floor.

        Returns:
            Columns: the facts of the record (kind, dataset, variant, seed, family, source, status,
            divergence, protocol, network, device, budget), run_id, and each metric under its own name
            (`eval/fid`, `cost/seconds`), NaN where a run has none.
        """
        with self._alone():
            experiments = [self._experiment(dataset) for dataset in datasets]
            runs = self._search(experiments, _CURRENT_ONLY)
        return pd.DataFrame(
            [
                {**json.loads(run.data.tags[FACTS]), "run_id": run.info.run_id, **run.data.metrics}
                for run in runs
            ]
        )

    def _write(self, experiment: str, record: Record) -> str:
        """Log everything into a new run and finish it; its status stays "publishing"."""
        picture = _open_picture(record.picture) if record.picture else None
        now_ms = time.time_ns() // 1_000_000
        began_ms, ended_ms = record.began_ms or now_ms, record.ended_ms or now_ms
        tags = {
            KEY: record.key,
            NAME: record.name,
            STATUS: PUBLISHING,
            FACTS: json.dumps(record.facts, allow_nan=False),
            **({REVISION: self._revision} if self._revision else {}),
            **record.tags,
        }
        run = self._client.create_run(experiment, began_ms, tags, record.run_name).info.run_id
        self._client.log_batch(run, params=[Param(name, value) for name, value in record.params.items()])
        metrics = [_metric(point, ended_ms) for point in record.points]
        for start in range(0, len(metrics), METRICS_PER_BATCH):
            self._client.log_batch(run, metrics=metrics[start : start + METRICS_PER_BATCH])
        self._client.log_inputs(run, datasets=[_dataset_input(record)])
        if picture:
            self._client.log_image(
                run, picture, key="samples", step=SINGLE, timestamp=ended_ms, synchronous=True
            )
        self._client.set_terminated(run, "FINISHED", ended_ms)
        return run

    def _experiment(self, dataset: str) -> str:
        """Id of the dataset's experiment, made when it is not there. To be called while alone."""
        if dataset not in self._experiments:
            name = f"gm-bench/{dataset}"
            found = self._client.get_experiment_by_name(name)
            place = self._artifact_location(dataset)
            if found is None:
                tags = {"mlflow.experimentKind": "custom_model_development"}
                self._experiments[dataset] = self._client.create_experiment(name, place, tags)
            else:
                if found.lifecycle_stage != "active":
                    self._client.restore_experiment(found.experiment_id)
                if place and found.artifact_location != place:
                    raise TrackingError(
                        f"{self._database} was made elsewhere, with pictures in {found.artifact_location}: "
                        "delete it and rerun, it is rebuilt from the cells"
                    )
                self._experiments[dataset] = found.experiment_id
        return self._experiments[dataset]

    def _artifact_location(self, dataset: str) -> str | None:
        """Beside a local database; a server has a place of its own."""
        return str(self._database.resolve().parent / "mlartifacts" / dataset) if self._database else None

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
    def _alone(self) -> Iterator[None]:
        """One process at a time on a local database, and every failure of the store as one sentence."""
        try:
            lock = FileLock(f"{self._database}.lock") if self._database else nullcontext()
            with lock:
                yield
        except io.FileError:
            raise
        except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
            sentence = f"the MLflow store {self.uri} {self._advice(error)}"
            raise TrackingError(_without_password(sentence)) from error

    def _advice(self, error: Exception) -> str:
        reason = " ".join(str(error).split("\n")[0].split())[:200]
        if self._database is None:
            return f"cannot be used ({reason}): check MLFLOW_TRACKING_URI and that the server runs"
        if isinstance(error, OSError):
            return f"cannot be opened ({reason}): check MLFLOW_TRACKING_URI and the folder's permissions"
        return (
            f"is damaged or of another version ({reason}): delete {self._database} and rerun, "
            "it is rebuilt from the cells"
        )


_CURRENT_ONLY = f"tags.`{STATUS}` = '{CURRENT}'"


def _sqlite_file(uri: str) -> Path | None:
    """The file behind a `sqlite:///` address, None for any other store."""
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    return Path(path) if uri.startswith("sqlite:///") and path not in ("", ":memory:") else None


def _prepare(database: Path) -> None:
    """Make a database that is not there, whole or not at all; look one through that is.

    MLflow migrates a new file step by step: several processes at once, or a kill in between, would leave it
    unusable. So it is migrated under another name. To be called while alone.
    """
    for left_over in database.parent.glob(f".{database.name}.*"):
        left_over.unlink()
    if not database.exists() or database.stat().st_size == 0:
        with io.atomic(database) as temporary:
            place = database.resolve().parent / "mlartifacts"
            SqlAlchemyStore(f"sqlite:///{temporary}", str(place)).engine.dispose()
        return
    connection = sqlite3.connect(database)
    try:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        connection.close()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def _open_picture(path: str) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except FileNotFoundError:
        raise io.FileError(f"{path} not found: run the stage that writes it (dvc repro)") from None
    except (UnidentifiedImageError, OSError) as error:
        raise io.FileError(f"{path} is damaged ({error}): delete it and run dvc repro") from None


def _metric(point: Point, otherwise_ms: int) -> Metric:
    return Metric(point.name, point.value, point.timestamp_ms or otherwise_ms, point.step)


def _dataset_input(record: Record) -> DatasetInput:
    content = json.dumps(record.card, sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:DIGEST_LENGTH]
    return DatasetInput(Dataset(record.dataset, digest, "local", f"data/{record.dataset}", profile=content))


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//…@", text)


def _git_revision() -> str | None:
    """The commit that publishes, if this is a Git work tree."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
