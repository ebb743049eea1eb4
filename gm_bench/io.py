"""Files: safetensors, json, csv and png, written whole or not at all.

Every writer goes through `atomic`: the content is written beside its target and renamed over it, so a
killed process or a full disk never leaves half a file under the real name.
"""

import csv
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


class FileError(OSError):
    """A file that is missing, damaged or could not be written; the message says what to do."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it on success and vanishes on failure."""
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise FileError(
            f"cannot write {path}: {reason}; free some space or check the folder, then rerun"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def missing(path: Path) -> FileError:
    return FileError(f"{path} not found: run the board that makes it (gm-bench run --board NAME)")


def damaged(path: Path, error: Exception) -> FileError:
    return FileError(f"{path} is damaged ({error}): delete it and rerun its board")


def write_text(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise missing(path) from None


def write_bytes(path: Path, content: bytes) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise missing(path) from None


def write_json(path: Path, content: Any) -> None:
    """JSON, two spaces deep, with a final newline; NaN and inf are refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise missing(path) from None
    except ValueError as error:
        raise damaged(path, error) from None


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(columns), restval="")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise missing(path) from None


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write tensors as safetensors, the same content always as the same bytes.

    `metadata` (anything that JSON holds) stands in the header under one key: the format keeps several in no
    fixed order.
    """
    encoded = {"gm_bench": json.dumps(metadata or {}, allow_nan=False)}
    with atomic(path) as temporary:
        try:
            save_file(
                {k: t.detach().cpu().contiguous() for k, t in tensors.items()}, temporary, metadata=encoded
            )
        except SafetensorError as error:
            raise OSError(None, str(error)) from error


def read_tensors(path: Path, device: str | torch.device = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        FileError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            metadata = json.loads((file.metadata() or {}).get("gm_bench", "{}"))
            return {key: file.get_tensor(key) for key in file.keys()}, metadata  # noqa: SIM118
    except FileNotFoundError:
        raise missing(path) from None
    except (SafetensorError, ValueError) as error:
        raise damaged(path, error) from None


def read_rows(path: Path, name: str, n: int) -> Tensor:
    """n rows of one tensor, evenly spread, without reading the others; all of them if there are fewer.

    Raises:
        FileError: the file is missing or damaged, or holds no such tensor.
    """
    try:
        with safe_open(path, framework="pt") as file:
            rows = file.get_slice(name)
            n_rows = rows.get_shape()[0]
            n = min(n, n_rows)
            return torch.stack([rows[i * n_rows // n] for i in range(n)])
    except FileNotFoundError:
        raise missing(path) from None
    except SafetensorError as error:
        raise damaged(path, error) from None


def read_places(path: Path, name: str, places: Sequence[tuple[int, ...]]) -> Tensor:
    """The parts of one tensor at given leading indices, stacked, without reading the others.

    Args:
        places: at least one; (3,) is the fourth row, (0, 3) the fourth row of the first block.

    Raises:
        FileError: the file is missing or damaged, holds no such tensor, or has no such place.
    """
    try:
        with safe_open(path, framework="pt") as file:
            parts = file.get_slice(name)
            return torch.stack([parts[place] for place in places])
    except FileNotFoundError:
        raise missing(path) from None
    except (SafetensorError, IndexError) as error:
        raise damaged(path, error) from None


def sha256_file(path: Path) -> str:
    """Hex digest of a file's content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise FileError(f"{path} not found") from None


def sha256_tensor(tensor: Tensor) -> str:
    """Hex digest of a tensor's shape, dtype and values."""
    content = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{tuple(content.shape)} {content.dtype}".encode())
    digest.update(content.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
