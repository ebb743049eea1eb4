"""The quicker way through dvc.lock and params.yaml gives what DVC's own gives."""

import os
from collections import OrderedDict
from pathlib import Path

import pytest
import yaml
from dvc import dvcfile
from dvc.repo import Repo
from dvc.utils import serialize
from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError

from gm_bench.running import dvc

AWKWARD = OrderedDict(
    cmd="python -m pipelines.train digits digits vae 0",
    deps=[OrderedDict(path="a b/ü: #.py", hash="md5", md5="0123", size=12)],
    params={"params.yaml": {"lr": 5e-05, "clip": 0.01, "yes": "no", "big": 1e22, "version": "1.0"}},
    outs=[{"path": "runs/digits/digits/vae/0", "md5": "1e10", "isexec": True}],
)


def test_a_lock_file_is_written_as_dvc_writes_it(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    for name in ("train@digits-vae-0", "sample@digits-vae-0", "train@digits-vae-0"):
        with dvc.modify(str(lock)) as content:
            content.setdefault("schema", "2.0")
            content.setdefault("stages", {})[name] = AWKWARD
    assert serialize.load_yaml(str(lock)) == {
        "schema": "2.0",
        "stages": {"train@digits-vae-0": AWKWARD, "sample@digits-vae-0": AWKWARD},
    }
    written = serialize.parse_yaml_for_update(lock.read_text(), str(lock))
    assert lock.read_text() == serialize.dumps_yaml(written)


def test_a_lock_file_that_cannot_be_written_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text("schema: '2.0'\nstages: {}\n")

    def full(self: Path, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"), dvc.modify(str(lock)) as content:
        content["stages"]["one"] = {}
    assert lock.read_text() == "schema: '2.0'\nstages: {}\n"
    assert list(tmp_path.iterdir()) == [lock]


def test_other_files_keep_their_comments(tmp_path: Path) -> None:
    pipeline = tmp_path / "dvc.yaml"
    pipeline.write_text("# what runs\nstages: {}\n")
    with dvc.modify(str(pipeline)) as content:
        content["vars"] = ["params.yaml"]
    assert pipeline.read_text().startswith("# what runs\n")


def test_a_file_is_parsed_again_only_when_it_changed(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("lr: 1.0e-4\n")
    first = dvc.load(str(params))
    assert first == {"lr": 1e-4}
    assert dvc.load(str(params)) is first
    params.write_text("lr: 2.0e-4\n")
    os.utime(params, ns=(1, 1))
    assert dvc.load(str(params)) == {"lr": 2e-4}


@pytest.mark.parametrize(
    "word",
    ["12e45", "0123", "1_000", "0x1f", "on", "no", "True", "null", "~", "=", "<<", "1:30", "2024-01-01",
     ".5", "1.", "", " a", "a: b", "- a", "#", "'", '"', "ü", "a\nb", "1.2e3", "+1", "@x", "`x",
     "%x", "*x", "&x", "!x"],
)  # fmt: skip
def test_a_word_stays_a_word_for_both_parsers(tmp_path: Path, word: str) -> None:
    lock = tmp_path / "dvc.lock"
    for writer, reader in ((dvc.modify, serialize.load_yaml), (serialize.modify_yaml, None)):
        with writer(str(lock)) as content:
            content["stages"] = {"one": {"md5": word, "size": 12, "lr": 5e-05, word: True}}
        if reader is not None:
            assert reader(str(lock))["stages"]["one"] == {"md5": word, "size": 12, "lr": 5e-05, word: True}
    with dvc.modify(str(lock)) as content:
        assert content["stages"]["one"] == {"md5": word, "size": 12, "lr": 5e-05, word: True}


MD5 = "0" * 32
PIPELINE = """vars:
  - names: [a, b]
stages:
  train:
    matrix:
      name: ${names}
    cmd: echo ${item.name} ${width}
    outs:
      - out/${item.name}
"""


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """Two stages of a template, of which one has run."""
    monkeypatch.chdir(tmp_path)
    repo = Repo.init(no_scm=True)
    Path("params.yaml").write_text("width: 1\n")
    Path("dvc.yaml").write_text(PIPELINE)
    write_lock({"a": MD5})
    return repo


def write_lock(hashes: dict[str, str], **more: object) -> None:
    entry = {"hash": "md5", "size": 1}
    stages = {
        f"train@{name}": {
            "cmd": f"echo {name} 1",
            "outs": [{"path": f"out/{name}", "md5": md5, **entry}],
            **more,
        }
        for name, md5 in hashes.items()
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def stage(repo: Repo, name: str) -> tuple[str, str | None]:
    """A stage's command, and the hash of its output."""
    loaded = dvc.stages_of(dvcfile.ProjectFile(repo, "dvc.yaml"))[f"train@{name}"]
    return loaded.cmd, loaded.outs[0].hash_info.value


def test_stages_are_read_once_for_each_state_of_their_files(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[dvcfile.ProjectFile] = []
    loaded = dvc._loaded
    monkeypatch.setattr(dvc, "_loaded", lambda file: times.append(file) or loaded(file))
    assert (stage(repo, "a"), stage(repo, "b")) == (("echo a 1", MD5), ("echo b 1", None))
    assert len(times) == 1
    write_lock({"a": MD5, "b": "1" * 32})
    assert (stage(repo, "a"), stage(repo, "b")) == (("echo a 1", MD5), ("echo b 1", "1" * 32))
    assert len(times) == 2
    Path("params.yaml").write_text("width: 20\n")
    assert stage(repo, "b")[0] == "echo b 20"
    Path("dvc.yaml").write_text(PIPELINE.replace("echo", "print"))
    assert stage(repo, "b")[0] == "print b 20"
    assert len(times) == 4


def test_a_lock_file_is_read_as_dvc_reads_it(repo: Repo) -> None:
    write_lock({"a": MD5, "b": "1" * 32}, params={"params.yaml": {"lr": 5e-05, "yes": "no", "n": None}})
    lock = dvcfile.ProjectFile(repo, "dvc.yaml")._lockfile
    assert dvc.load_lock(lock) == dvc.of_lock(lock)


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("schema: '2.0'\nstages: {a: {cmd: x, outs: [{size: 1}]}}\n", YAMLValidationError, "path"),
        ("schema: '2.0'\nstages: {a: {outs: []}}\n", YAMLValidationError, "cmd"),
        ("schema: '1.0'\nstages: {}\n", YAMLValidationError, "invalid schema version"),
        ("schema: '2.0'\n<<<<<<< HEAD\nstages: {}\n", YAMLSyntaxError, "structure is corrupted"),
    ],
)  # fmt: skip
def test_dvc_says_what_is_wrong_with_a_lock_file(
    repo: Repo, text: str, kind: type[Exception], sentence: str
) -> None:
    Path("dvc.lock").write_text(text)
    with pytest.raises(kind) as caught:
        dvc.load_lock(dvcfile.ProjectFile(repo, "dvc.yaml")._lockfile)
    assert sentence in f"{caught.value} {getattr(caught.value, 'exc', '')}"
