"""The quicker way through dvc.lock and params.yaml gives what DVC's own gives."""

import os
from collections import OrderedDict
from pathlib import Path

import pytest
from dvc.utils import serialize

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
