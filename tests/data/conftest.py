"""Small published files, a web server for them, and no way to the real network or to the user's cache."""

import gzip
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest

from gm_bench.data import originals

Idx = Callable[..., dict[str, bytes]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and no mirror; returns where downloads will be kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(originals.MIRROR_VARIABLE, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache" / "gm-bench"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(originals, "urlopen", refuse)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """(base URL, the folder that it serves, the paths asked for so far)."""
    folder = tmp_path / "served"
    folder.mkdir()
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{web.server_address[1]}", folder, asked
    web.shutdown()
    web.server_close()
    thread.join()


@pytest.fixture
def tiny_idx() -> Idx:
    """Unpacked idx files by name: 3 training (5, 0, 4) and 2 test images (7, 2) of 4×4 that count up."""

    def idx(values: np.ndarray) -> bytes:
        return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()

    return lambda: {
        "train-images-idx3-ubyte": idx(np.arange(48, dtype=np.uint8).reshape(3, 4, 4)),
        "train-labels-idx1-ubyte": idx(np.array([5, 0, 4], dtype=np.uint8)),
        "t10k-images-idx3-ubyte": idx(np.arange(100, 132, dtype=np.uint8).reshape(2, 4, 4)),
        "t10k-labels-idx1-ubyte": idx(np.array([7, 2], dtype=np.uint8)),
    }


@pytest.fixture
def write_gz() -> Callable[[Path, dict[str, bytes], int], None]:
    def write(folder: Path, files: dict[str, bytes], level: int = 9) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, level, mtime=0))

    return write
