"""The record of a finished cell: what DVC noted of its stages, by which its files are found on the remote."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gm_bench.replacing import replacing
from gm_bench.running.cluster.parcels import DVC_LOCK
from gm_bench.yaml_text import load_yaml

FOLDER = "records"
RUNS = Path(".dvc/cache/runs")
Record = dict[str, Any]  # lock: stage → entry, runs: path → text, seconds, host


def name_of(key: str) -> str:
    """Where a record lies on the store."""
    return f"{FOLDER}/{key}.json"


def of_folder(stages: Sequence[str], seconds: float) -> Record:
    """The record of a cell whose stages ran in the current folder."""
    lock = load_yaml(Path(DVC_LOCK).read_text(encoding="utf-8"))["stages"]
    runs = {path.relative_to(RUNS).as_posix(): path for path in RUNS.rglob("*") if path.is_file()}
    return {
        "lock": {name: lock[name] for name in stages},
        "runs": {name: path.read_text(encoding="utf-8") for name, path in sorted(runs.items())},
        "seconds": seconds,
        "host": os.uname().nodename,
    }


def packed(record: Record) -> bytes:
    return json.dumps(record).encode()


def unpacked(content: bytes) -> Record | None:
    """A record from the store; None where it is damaged."""
    try:
        record: Record = json.loads(content)
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.keys() >= {"lock", "runs"} else None


def write_runs(record: Record, cache: Path) -> None:
    """Note the stages in DVC's run cache, as DVC does where they run.

    Args:
        cache: folder of DVC's cache.
    """
    for name, text in record["runs"].items():
        path = cache / "runs" / name
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
