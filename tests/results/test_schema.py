"""Files of a cell into one result: what is read, and what is refused in a sentence."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from fake_cells import read, write_cell, write_dataset

from gm_bench import io
from gm_bench.results.schema import ResultError, read_floor

GONE = object()


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
    ("content", "sentence"),
    [
        ([], "is of another form"),
        (None, "is of another form"),
        *(
            ({key: GONE}, f"lacks '{key}'")
            for key in ("training_key", "budget", "seconds", "flops", "parameters", "recipe", "versions")
        ),
        ({"seconds": None}, "is of another form"),
        ({"images": [1]}, "is of another form"),
        ({"updates": {"critic": None}}, "is of another form"),
        ({"recipe": None}, "is of another form"),
        ({"parameters": [1, 2]}, "is of another form"),
    ],
)
def test_a_cost_that_is_damaged_or_older_is_refused(content: Any, sentence: str) -> None:
    file = write_cell(Path(), "vae", 0) / "cost.json"
    cost = io.read_json(file) | content if isinstance(content, dict) else content
    if isinstance(cost, dict):
        cost = {key: value for key, value in cost.items() if value is not GONE}
    io.write_text(file, json.dumps(cost))
    with pytest.raises(ResultError) as refused:
        read("vae", 0)
    assert str(refused.value) == f"{file} {sentence}: delete it and rerun its board"


def test_what_was_not_counted_is_null() -> None:
    folder = write_cell(Path(), "vae", 0)
    change(folder / "cost.json", flops=None, peak_memory_bytes=None)
    assert read("vae", 0).cost["flops"] is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"\xff\xfe\x00", r"history\.csv is damaged \('utf-8' codec can't decode"),
        (b"images,timestamp_ms,model/loss\n64,1000,some\n", r"history\.csv is damaged \(could not convert"),
        (b"images,timestamp_ms,model/loss\n64,1000\n", r"history\.csv is damaged \("),
        (b"images,timestamp_ms\n64,1000,3\n", r"history\.csv is damaged \("),
        (b"images,timestamp_ms\n,1000\n", r"history\.csv is damaged \("),
        (b"images,timestamp_ms\ninf,1000\n", r"history\.csv is damaged \("),
        (b"images,model/loss\n64,1.5\n", r"history\.csv lacks 'timestamp_ms'"),
        (b'images\n"' + b"1" * 200_000 + b'"\n', r"history\.csv is damaged \(field larger"),
    ],
    ids=["bytes", "word", "short", "long", "empty", "inf", "column", "field"],
)
def test_a_history_that_is_damaged_or_older_is_refused(text: bytes, sentence: str) -> None:
    file = write_cell(Path(), "vae", 0) / "history.csv"
    file.write_bytes(text)
    with pytest.raises((ResultError, io.FileError), match=f"{sentence}.*: delete it and rerun its board$"):
        read("vae", 0)


def test_the_curves_of_losses_are_those_alone_and_have_no_empty_places() -> None:
    file = write_cell(Path(), "vae", 0) / "history.csv"
    text = "images,timestamp_ms,model/loss,model/kl\n64,1000,0.5,2\n128,2000,,2\n192,3000,0.25,2\n"
    file.write_text(text, encoding="utf-8")
    assert read("vae", 0).terms() == {"model/loss": [(64, 0.5), (192, 0.25)]}


def test_a_history_may_hold_what_is_not_finite_or_was_not_measured() -> None:
    file = write_cell(Path(), "vae", 0) / "history.csv"
    file.write_text("images,timestamp_ms,model/loss\n64,1000,nan\n128,2000,\n", encoding="utf-8")
    assert read("vae", 0).history[1] == {"images": "128", "timestamp_ms": "2000", "model/loss": ""}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schema": 1}, "has schema 1"),
        ({"dataset": "mnist"}, "is of mnist"),
        ({"values": {"fid": math.nan}}, "fid is nan"),
        ({"sd": {"fid": math.inf}}, "fid is inf"),
        ({"values": {"fid": None}}, r"floor\.json is of another form: delete it and rerun its board"),
        ({"values": [1.0]}, r"floor\.json is of another form"),
        ({"values": {"fid": [1.0]}}, r"floor\.json is of another form"),
        ({"sd": None}, r"floor\.json is of another form"),
    ],
)
def test_a_floor_that_does_not_fit_is_refused(changes: dict, sentence: str) -> None:
    write_dataset(Path())
    assert read_floor("digits").values["fid"] == 0.25
    change(Path("reference/digits/floor.json"), **changes)
    with pytest.raises(ResultError, match=sentence):
        read_floor("digits")
