"""The group's MLflow server of deploy/compose.yaml, its programs started without containers.

PostgreSQL and MLflow are the ones that the file names; in place of the S3 store there is Moto. Needs
pip install 'moto[server]' boto3 Flask-WTF.
"""

from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from string import Template

import pytest
from fake_cells import record_of, write_cell, write_dataset
from servers import S3_KEY, bucket, free_port, postgresql, running

from gm_bench.tracking.database import TrackingError
from gm_bench.tracking.store import Store
from gm_bench.tracks.publishing import floor_record
from gm_bench.yaml_text import load_yaml

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
SECRETS = {
    name: f"secret-of-{name.lower()}"
    for name in ("DATABASE_PASSWORD", "STORE_KEY", "STORE_SECRET", "SERVER_SECRET", "ADMIN_PASSWORD")
}
N_SNAPSHOTS = 2
pytestmark = [
    pytest.mark.xdist_group("server"),
    pytest.mark.skipif(
        not all(map(find_spec, ("moto", "boto3", "flask_wtf"))),
        reason="needs pip install 'moto[server]' boto3 Flask-WTF",
    ),
]


def test_every_secret_is_asked_for_and_none_is_given() -> None:
    service = load_yaml((DEPLOY / "compose.yaml").read_text())["services"]["mlflow"]
    assert service["ports"] == ["${ADDRESS:-127.0.0.1}:5000:5000"]
    example = dict(
        line.split("=", 1) for line in (DEPLOY / "example.env").read_text().splitlines() if line[:1] != "#"
    )
    assert {name for name, value in example.items() if not value} == SECRETS.keys() - {"STORE_KEY"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Addresses of MLflow and of its S3 store: what the service `mlflow` says, on other ports and places."""
    folder, port = tmp_path_factory.mktemp("deploy"), free_port()
    with bucket("mlflow") as of_store, postgresql(tmp_path_factory.mktemp("postgresql")) as database:
        service = load_yaml((DEPLOY / "compose.yaml").read_text())["services"]["mlflow"]
        auth = (DEPLOY / "auth.ini").read_text().replace("/users/", f"{folder}/")
        (folder / "auth.ini").write_text(auth)
        here = {
            "postgresql+psycopg2://mlflow:${DATABASE_PASSWORD}@database:5432/mlflow": database,
            "http://store:7070": of_store,
            "/auth.ini": str(folder / "auth.ini"),
            "--host=0.0.0.0": "--host=127.0.0.1",
            "--port=5000": f"--port={port}",
            ":?in .env": "",
        }
        values = {**SECRETS, "ALLOWED_HOSTS": f"127.0.0.1:{port}"}

        def moved(text: str) -> str:
            for old, new in here.items():
                text = text.replace(old, new)
            return Template(text).substitute(values)

        environ = {name: moved(str(value)) for name, value in service["environment"].items()}
        command = [moved(word) for word in service["command"]]
        with running(command, environ, folder, f"http://127.0.0.1:{port}") as address:
            yield address, of_store


def sign_in(monkeypatch: pytest.MonkeyPatch, name: str, password: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    monkeypatch.setenv("GM_BENCH_OWNER", name)


def test_a_group_publishes_and_nobody_changes_what_is_anothers(
    servers: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3
    from mlflow.server.auth.client import AuthServiceClient

    server, of_store = servers
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path)
    with pytest.raises(TrackingError, match="not authenticated"):
        Store(server)
    sign_in(monkeypatch, "admin", SECRETS["ADMIN_PASSWORD"])
    for name in ("ada", "bob"):
        AuthServiceClient(server).create_user(name, f"{name}-has-a-long-password")
    for name, fid in (("ada", 3.0), ("bob", 5.0)):
        sign_in(monkeypatch, name, f"{name}-has-a-long-password")
        write_cell(tmp_path, "gan", 0, (fid,), n_snapshots=N_SNAPSHOTS)
        store = Store(server)
        assert store.publish(floor_record("digits", "digits"))
        assert store.publish(record_of("gan", 0))
        rows = store.rows(["digits/digits"])
        assert rows.loc[rows["kind"] == "cell", "eval/fid"].tolist() == [fid]
    monkeypatch.setenv("GM_BENCH_OWNER", "ada")  # bob, who says that he is ada
    write_cell(tmp_path, "gan", 0, (7.0,), n_snapshots=N_SNAPSHOTS)
    with pytest.raises(TrackingError, match="Permission denied"):
        Store(server).publish(record_of("gan", 0))
    listed = boto3.client("s3", endpoint_url=of_store, **S3_KEY).list_objects_v2(Bucket="mlflow")["Contents"]
    pictures = [each["Key"].split("/") for each in listed if "/samples+" in each["Key"]]
    of_owner = Counter(experiment for experiment, *_, name in pictures if name.endswith(".png"))
    assert of_owner == {
        "1": 2 + N_SNAPSHOTS,
        "2": 2 + N_SNAPSHOTS,
    }  # the floor's and the cell's first: real ones
