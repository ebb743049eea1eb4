"""Files of a cell into one result: what is read, and what is refused in a sentence."""

import json
import math
from pathlib import Path

import pytest
from fake_cells import read, write_cell, write_dataset

from gm_bench import io
from gm_bench.results.schema import ResultError, read_floor


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def change(path: Path, **changes: object) -> None:
    io.write_text(path, json.dumps(io.read_json(path) | changes))


def test_a_result_has_what_its_files_say() -> None:
    folder = write_cell(Path(), "wgan", 1, fid=(10.0, 11.0, 13.5))
    result = read("wgan", 1)
    assert result.cell.folder == folder == Path("runs/digits/digits/wgan/1")
    assert result.values["fid"] == (10.0, 11.0, 13.5)
    assert result.mean("fid") == 11.5
    assert result.curve("fid")[:2] == [(64_000, 101.0), (128_000, 51.0)]
    assert result.curve("kid") == []
    assert result.origin.family == "WGAN"
    assert [images for images, _ in result.terms()["critic/loss"]][:2] == [32_000, 64_000]
    assert result.details["checkpoint"] == {"rule": "last"}
    files = [folder / name for name in ("metrics.json", "cost.json", "history.csv")]
    assert result.file_hashes == tuple(io.sha256_file(file) for file in files)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schema": 1}, r"metrics\.json has schema 1, this version reads 2: rerun its board"),
        ({"cell": {"board": "digits", "dataset": "digits", "variant": "gan", "seed": 0}}, "is of cell"),
        ({"hashes": {"training_key": "other"}}, "are of two trainings"),
        ({"hashes": {}}, "lacks 'training_key'"),
        ({"values": {"fid": [1.0, math.nan]}}, "fid of draw 1 is nan"),
        ({"values": {"fid": [math.inf]}}, "fid of draw 0 is inf"),
        ({"values": 7}, "is of another form"),
        ({"curves": {"fid": [1, 2]}}, "is of another form"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict, sentence: str) -> None:
    folder = write_cell(Path(), "vae", 0)
    change(folder / "metrics.json", **changes)
    with pytest.raises(ResultError, match=sentence) as refused:
        read("vae", 0)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schema": 1}, "has schema 1"),
        ({"dataset": "mnist"}, "is of mnist"),
        ({"values": {"fid": math.nan}}, "fid is nan"),
        ({"sd": {"fid": math.inf}}, "fid is inf"),
    ],
)
def test_a_floor_that_does_not_fit_is_refused(changes: dict, sentence: str) -> None:
    write_dataset(Path())
    assert read_floor("digits").values["fid"] == 0.25
    change(Path("reference/digits/floor.json"), **changes)
    with pytest.raises(ResultError, match=sentence):
        read_floor("digits")
