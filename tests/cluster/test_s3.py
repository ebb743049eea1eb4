"""A store and a remote in S3: a real server on the loopback address (Moto), DVC's and fsspec's own clients.

Needs pip install 'moto[server]' dvc-s3.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest
from servers import bucket
from test_node import given, order_for

from gm_bench.running.cluster import places, record, task
from gm_bench.running.cluster.store import Place, Store

pytestmark = pytest.mark.skipif(
    find_spec("moto") is None or find_spec("dvc_s3") is None,
    reason="needs an S3 server and DVC's client: pip install 'moto[server]' dvc-s3",
)
SECRET = "a-key-that-stays-here"
KEYS = {"AWS_ACCESS_KEY_ID": "gm", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """Stops the S3 server when it is closed."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def place(server: ExitStack) -> Place:
    address = server.enter_context(bucket("group"))
    return Place({"url": "s3://group/board", "endpointurl": address}, "s3://group/board/gm-bench")


def test_small_files_lie_in_a_bucket(place: Place) -> None:
    store = Store(place)
    store.open()
    store.check()
    assert store.read("records/a") is None
    assert store.names("records") == []
    store.write("records/b", b"second")
    store.write("records/a", b"first")
    store.write("records/a", b"first, again")
    assert store.names("records") == ["records/a", "records/b"]
    assert Store(place).read("records/a") == b"first, again"
    store.remove("records/a")
    store.remove("records/a")
    assert not store.has("records/a")
    assert Store(place).names("records") == ["records/b"]


def test_a_bucket_that_cannot_be_reached_is_an_error_that_is_waited_for(
    place: Place, server: ExitStack
) -> None:
    store = Store(place)
    store.write("a", b"1")
    server.close()
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        store.read("a")


def test_a_cell_goes_from_bucket_to_bucket(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    node = tmp_path / "node"
    node.mkdir()
    order = given(order_for(place), 21, tmp_path)
    assert SECRET not in json.dumps(order), "nodes have credentials of their own"
    result = task.run_process(order, node, lambda news: None)
    assert result["state"] == "done", result
    (out,) = result["record"]["lock"]["train@d"]["outs"]
    files = Store(Place(place.remote, "s3://group/board/files/md5"))
    assert files.read(f"{out['md5'][:2]}/{out['md5'][2:]}") == b"42"
    assert record.unpacked(Store(place).read(record.name_of("k")) or b"") == result["record"]


def test_the_place_is_that_of_dvcs_remote(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text(
        "[core]\n    no_scm = true\n    remote = group\n['remote \"group\"']\n    url = s3://group/board/\n"
        f"    endpointurl = {place.remote['endpointurl']}\n    secret_access_key = {SECRET}\n"
    )
    monkeypatch.chdir(tmp_path)
    found = places.of_cluster()
    assert found.remote == {"url": "s3://group/board/", "endpointurl": place.remote["endpointurl"]}
    assert found.store == "s3://group/board/gm-bench"
