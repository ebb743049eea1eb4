import gzip
import hashlib
import importlib.machinery
import socket
import sys
import types
from pathlib import Path

import pytest

from gm_bench.data import originals
from gm_bench.data.dataset import DataError
from gm_bench.data.originals import Original, obtain

CONTENT = b"what was published"
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Server = tuple[str, Path, list[str]]


def plain(*urls: str) -> Original:
    return Original("my_set", "file.bin", urls, md5=MD5)


def packed(*urls: str) -> Original:
    return Original("my_set", "file.gz", urls, unpacked_sha256=SHA256)


def put(folder: Path, name: str = "file.bin", content: bytes = CONTENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("folder", ["my_set", "my-set"])
@pytest.mark.usefixtures("offline")
def test_a_mirror_folder_needs_no_network_and_no_copy(
    folder: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "mirror" / folder)
    monkeypatch.setenv("GM_BENCH_MIRROR", str(tmp_path / "mirror"))
    [found] = obtain([plain()])
    assert found.path == path
    assert found.where == f"mirror {path.parent}"
    assert not files_below(cache)


@pytest.mark.parametrize("folder", ["my_set", "my-set"])
def test_a_mirror_url_is_asked_before_the_publisher_and_only_once(
    folder: str, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, served, asked = server
    put(served / "mirror" / folder)
    put(served)
    monkeypatch.setenv("GM_BENCH_MIRROR", f"{base}/mirror/")
    [found] = obtain([plain(f"{base}/file.bin")])
    assert found.path.read_bytes() == CONTENT
    assert found.where == f"mirror {base}/mirror/{folder}"
    assert "/file.bin" not in asked
    n_asked = len(asked)
    [again] = obtain([plain(f"{base}/file.bin")])
    assert len(asked) == n_asked
    assert again.where == f"cache {cache / 'my_set'}"


def test_a_mirror_may_be_a_file_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "mirror" / "my_set")
    monkeypatch.setenv("GM_BENCH_MIRROR", (tmp_path / "mirror").as_uri())
    assert obtain([plain()])[0].path.read_bytes() == CONTENT


def test_what_the_mirror_lacks_comes_from_the_publisher(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, served, _ = server
    put(served)
    monkeypatch.setenv("GM_BENCH_MIRROR", str(tmp_path))
    assert obtain([plain(f"{base}/file.bin")])[0].where == f"download from {base}"


def test_the_second_address_serves_where_the_first_fails(server: Server) -> None:
    base, served, _ = server
    put(served / "good")
    put(served / "bad", content=b"something else")
    urls = [f"{base}/none/file.bin", f"{base}/bad/file.bin", f"{base}/good/file.bin"]
    assert obtain([plain(*urls)])[0].where == f"download from {base}/good"


@pytest.mark.parametrize("level", [0, 1, 9])
def test_a_mirror_may_have_compressed_anew(
    level: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "my_set", "file.gz", gzip.compress(CONTENT, level))
    monkeypatch.setenv("GM_BENCH_MIRROR", str(tmp_path))
    [found] = obtain([packed()])
    originals.gunzip(found.path, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_wrong_checksum_in_the_mirror_is_told_and_not_passed_over(
    server: Server, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, served, asked = server
    put(served)
    path = put(tmp_path / "mirror" / "my_set", content=b"something else")
    monkeypatch.setenv("GM_BENCH_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(DataError) as error:
        obtain([plain(f"{base}/file.bin")])
    assert str(error.value) == (
        f"{path} is not the original file: "
        f"md5 is {hashlib.md5(b'something else').hexdigest()}, expected {MD5}; "
        "put the original file into the mirror, or unset GM_BENCH_MIRROR to download it"
    )
    assert path.exists()  # the mirror is not ours to clean
    assert not asked
    assert not files_below(cache)


@pytest.mark.parametrize("origin", ["mirror", "publisher"])
def test_a_wrong_download_leaves_nothing(
    origin: str, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, served, _ = server
    put(served / "my_set", content=b"something else")
    if origin == "mirror":
        monkeypatch.setenv("GM_BENCH_MIRROR", base)
    with pytest.raises(
        DataError, match=rf"{base}/my_set/file.bin is not .* expected {MD5}; .*GM_BENCH_MIRROR"
    ):
        obtain([plain(f"{base}/my_set/file.bin")])
    assert not files_below(cache)


@pytest.mark.parametrize(
    "content",
    [gzip.compress(CONTENT, mtime=0)[:-9], b"<html>sign in</html>", b""],
    ids=["cut", "page", "empty"],
)
def test_a_damaged_gzip_file_leaves_nothing(content: bytes, server: Server, cache: Path) -> None:
    base, served, _ = server
    put(served, "file.gz", content)
    with pytest.raises(
        DataError, match=rf"{base}/file.gz is (truncated or no gzip file|not the original file)"
    ):
        obtain([packed(f"{base}/file.gz")])
    assert not files_below(cache)


def test_a_damaged_cache_is_fetched_again(server: Server, cache: Path) -> None:
    base, served, _ = server
    put(served)
    put(cache / "my_set", content=b"damaged")
    [found] = obtain([plain(f"{base}/file.bin")])
    assert found.where == f"download from {base}"
    assert files_below(cache) == [found.path]
    assert found.path.read_bytes() == CONTENT


@pytest.mark.usefixtures("offline")
def test_without_network_one_sentence_names_the_mirror_and_its_layout(cache: Path) -> None:
    other = Original("my_set", "other.bin", (), md5=MD5)
    with pytest.raises(DataError) as error:
        obtain([plain("https://example.org/a/file.bin"), other])
    assert str(error.value) == (
        "cannot fetch my_set/file.bin: "
        "https://example.org/a/file.bin is not reachable (Name or service not known); "
        "set GM_BENCH_MIRROR to a folder or base URL that holds my_set/file.bin, my_set/other.bin"
    )
    assert not files_below(cache)


def test_a_server_that_hangs_up_or_never_answers_is_unreachable(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(originals, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file.bin"
        with pytest.raises(DataError, match=r"file.bin is not reachable \(timed out\)"):
            obtain([plain(url)])
    with pytest.raises(DataError, match=r"file.bin is not reachable \(.*refused"):
        obtain([plain(url)])
    assert not files_below(cache)


@pytest.mark.parametrize("mirror", ["/no/such/folder", "mirror", "C:\\mirror"])
def test_a_mirror_that_is_no_folder_is_named(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GM_BENCH_MIRROR", mirror)
    with pytest.raises(DataError, match=r"GM_BENCH_MIRROR=.* is neither a folder nor a base URL"):
        obtain([plain()])


@pytest.mark.parametrize("mirror", ["ftp://example.org/sets", "data://x", "s3://bucket"])
def test_only_safe_schemes_are_asked(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GM_BENCH_MIRROR", mirror)
    with pytest.raises(DataError, match="must be a folder or a URL with http, https, file"):
        obtain([plain()])


DRIVE = "https://drive.google.com/file/d/some_id/view"


def install_gdown(monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> None:
    def download(*, id: str, output: str, **_: object) -> None:
        assert id == "some_id"
        Path(output + ".part").write_bytes(b"piece")
        if content is None:
            raise Exception("too many users have viewed this file")
        Path(output).write_bytes(content)

    module = types.ModuleType("gdown")
    module.__spec__ = importlib.machinery.ModuleSpec("gdown", None)
    module.download = download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gdown", module)


def test_google_drive_is_asked_through_gdown(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_gdown(monkeypatch, CONTENT)
    [found] = obtain([plain(DRIVE)])
    assert found.path.read_bytes() == CONTENT
    assert files_below(cache) == [found.path]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "too many users"), (b"<html>", f"expected {MD5}; run again, or set GM_BENCH_MIR")],
)
def test_google_drives_refusals_leave_nothing(
    content: bytes | None, message: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_gdown(monkeypatch, content)
    with pytest.raises(DataError, match=message):
        obtain([plain(DRIVE)])
    assert not files_below(cache)


def test_google_drive_without_gdown_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "find_spec", lambda _: None)
    with pytest.raises(
        DataError, match=r"needs the package gdown \(pip install gdown\); set GM_BENCH_MIRROR"
    ):
        obtain([plain(DRIVE)])
