"""Files are written whole or not at all, and a damaged one is named."""

import errno
from pathlib import Path

import pytest
import torch

from gm_bench import io


def test_tensors_come_back_with_their_metadata(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.safetensors"
    tensors = {
        "a": torch.arange(6, dtype=torch.uint8).view(2, 3),
        "b": torch.tensor(0.1, dtype=torch.float64),
    }
    io.write_tensors(path, tensors, {"z": [1, None], "a": "ü"})
    back, metadata = io.read_tensors(path)
    assert metadata == {"z": [1, None], "a": "ü"}
    assert {k: v.tolist() for k, v in back.items()} == {"a": [[0, 1, 2], [3, 4, 5]], "b": 0.1}


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    metadata = {str(i): i for i in range(20)}
    for name in "pq":
        io.write_tensors(tmp_path / name, {"x": torch.ones(3), "y": torch.zeros(2)}, metadata)
    assert (tmp_path / "p").read_bytes() == (tmp_path / "q").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    io.write_json(path, {"old": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        io.write_json(path, {"new": float("nan")})
    with pytest.raises(RuntimeError), io.atomic(path) as temporary:
        _write_half_and_fail(temporary)
    assert io.read_json(path) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def _write_half_and_fail(path: Path) -> None:
    path.write_text("half")
    raise RuntimeError


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gm_bench.io.os.fsync", full)
    with pytest.raises(
        io.FileError, match=r"cannot write .*x\.json: No space left on device; free some space"
    ):
        io.write_json(tmp_path / "x.json", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [lambda b: b[:-5], lambda b: b[:4], lambda b: b"\xff" * 16 + b[16:]])
def test_a_damaged_tensor_file_is_named(tmp_path: Path, damage) -> None:
    path = tmp_path / "x.safetensors"
    io.write_tensors(path, {"a": torch.ones(100)})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(io.FileError, match=r"x\.safetensors is damaged .* delete it and rerun its board"):
        io.read_tensors(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    for read in (io.read_tensors, io.read_json, io.read_csv, io.sha256_file):
        with pytest.raises(io.FileError, match="nowhere not found"):
            read(tmp_path / "nowhere")


def test_csv_keeps_columns_in_order_and_gaps_empty(tmp_path: Path) -> None:
    io.write_csv(tmp_path / "x.csv", [{"b": 1, "a": 2.5}, {"a": 3}], ["a", "b"])
    assert (tmp_path / "x.csv").read_text().splitlines() == ["a,b", "2.5,1", "3,"]
    assert io.read_csv(tmp_path / "x.csv") == [{"a": "2.5", "b": "1"}, {"a": "3", "b": ""}]


def test_tensor_digest_sees_values_shape_and_type() -> None:
    base = torch.arange(4, dtype=torch.int32)
    others = [base.view(2, 2), base.to(torch.int64), base.flip(0), base.view(torch.float32)]
    digests = {io.sha256_tensor(t) for t in (base, *others)}
    assert len(digests) == 5
    assert io.sha256_tensor(base) == io.sha256_tensor(torch.arange(8, dtype=torch.int32)[::2] // 2)
