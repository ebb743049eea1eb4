"""The pinned extractors: committed weights, the hash and record of each, and which data they belong to."""

from pathlib import Path
from typing import Any

from gm_bench import io

FOLDER = Path(__file__).parent / "weights"
RECORDS = "lenet.json"


class PinnedError(ValueError):
    """Pinned weights that are not what their record says."""


def file_name(dataset: str) -> str:
    return f"lenet-{dataset}.safetensors"


def record_for(dataset: str, train_sha256: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """The record of the weights pinned for these training images; None where there are none.

    Another split of the same data has none: weights trained on some of its test images would flatter them.

    Args:
        train_sha256: `io.sha256_tensor` of the training images.
    """
    path = folder / RECORDS
    record = io.read_json(path).get(dataset) if path.exists() else None
    return record if record and record["train_sha256"] == train_sha256 else None


def read_pinned(dataset: str, record: dict[str, Any], folder: Path = FOLDER) -> bytes:
    """The weight file, its hash checked.

    Raises:
        PinnedError: the file is missing or its content is not what was pinned.
    """
    path = folder / file_name(dataset)
    if not path.is_file() or io.sha256_file(path) != record["sha256"]:
        raise PinnedError(
            f"{path} is not the file that was pinned (its sha256 must be {record['sha256']}): "
            f"restore it with git checkout, or pin anew with python -m pipelines.extractor {dataset} --pin"
        )
    return path.read_bytes()


def pin(dataset: str, content: Path, record: dict[str, Any], folder: Path = FOLDER) -> None:
    """Keep a weight file and its record with the code."""
    path = folder / RECORDS
    records = io.read_json(path) if path.exists() else {}
    io.write_bytes(folder / file_name(dataset), content.read_bytes())
    io.write_json(path, dict(sorted({**records, dataset: record}.items())))
