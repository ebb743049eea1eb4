"""The files that a dataset was published as: from a mirror, from the cache, or from the network.

`GM_BENCH_MIRROR` (a folder, or an http, https or file URL, laid out `<dataset>/<original file name>`) is
tried first. What is downloaded, from a mirror's URL too, is kept in `~/.cache/gm-bench` (below
`XDG_CACHE_HOME` where that is set) and not asked for again. Nothing is opened,
unpacked or kept before its checksum is found right.
"""

import gzip
import hashlib
import os
import shutil
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import Request, url2pathname, urlopen

from gm_bench.data.dataset import DataError
from gm_bench.data.ownership import check_source
from gm_bench.io import atomic

MIRROR_VARIABLE = "GM_BENCH_MIRROR"
MIRROR_SCHEMES = ("http", "https", "file")
TIMEOUT_SECONDS = 30


class UnreachableError(DataError):
    """A URL that did not answer."""


class ChecksumError(DataError):
    """A file whose content is not what was published."""


@dataclass(frozen=True)
class Original:
    """One published file and what its content must be.

    Args:
        dataset: folder of the file in a mirror and in the cache.
        name: the file's original name.
        urls: where it is published, tried in order.
        md5: digest of the file as it is published, or
        unpacked_sha256: digest of what the .gz file holds, so that a mirror may have compressed it anew.
    """

    dataset: str
    name: str
    urls: tuple[str, ...]
    md5: str = ""
    unpacked_sha256: str = ""


@dataclass(frozen=True)
class Found:
    """A file whose checksum was found right, and the words for where it was."""

    path: Path
    where: str


def obtain(originals: Sequence[Original]) -> list[Found]:
    """The files, each checked, downloaded only where neither mirror folder nor cache holds it.

    Raises:
        DataError: a file is nowhere to be had, or a checksum is wrong.
    """
    found = []
    for original in originals:
        try:
            found.append(_from_mirror_folder(original) or _from_cache(original) or _download(original))
        except UnreachableError as error:
            layout = ", ".join(f"{o.dataset}/{o.name}" for o in originals)
            raise DataError(
                f"{error}; set {MIRROR_VARIABLE} to a folder or base URL that holds {layout}"
            ) from None
    return found


def places(found: Sequence[Found]) -> str:
    """Where the files came from, each place once."""
    return ", ".join(dict.fromkeys(file.where for file in found))


def gunzip(source: Path, target: Path) -> None:
    """Unpack a .gz file whose content was checked."""
    with gzip.open(source) as packed, target.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)


def cache_folder() -> Path:
    """Where downloads are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gm-bench"


def _from_mirror_folder(original: Original) -> Found | None:
    mirror = os.environ.get(MIRROR_VARIABLE, "")
    if not mirror or "://" in mirror:
        return None
    if not Path(mirror).is_dir():
        raise DataError(
            f"{MIRROR_VARIABLE}={mirror} is neither a folder nor a base URL: correct it or unset it"
        )
    for folder in _folder_names(original.dataset):
        path = Path(mirror) / folder / original.name
        if path.is_file():
            check_source(path, f"what {MIRROR_VARIABLE} leads to")
            remedy = f"put the original file into the mirror, or unset {MIRROR_VARIABLE} to download it"
            _check(original, path, str(path), remedy)
            return Found(path, f"mirror {path.parent}")
    return None


def _from_cache(original: Original) -> Found | None:
    path = cache_folder() / original.dataset / original.name
    if not path.is_file():
        return None
    try:
        _check(original, path, str(path), "")
    except ChecksumError:  # damaged since it was checked and kept: fetch it again
        path.unlink(missing_ok=True)
        return None
    return Found(path, f"cache {path.parent}")


def _download(original: Original) -> Found:
    """Download into the cache, from the mirror's URL or else from where the file is published."""
    missed = []
    for url in _mirror_urls(original):
        remedy = f"put the original file into the mirror, or unset {MIRROR_VARIABLE} to download it"
        try:
            return _download_from(url, original, "mirror", remedy)
        except UnreachableError as error:
            missed.append(str(error))
    wrong: ChecksumError | None = None
    for url in original.urls:
        remedy = (
            f"run again, or set {MIRROR_VARIABLE} to a folder that holds {original.dataset}/{original.name}"
        )
        try:
            return _download_from(url, original, "download from", remedy)
        except UnreachableError as error:
            missed.append(str(error))
        except ChecksumError as error:
            wrong = error
    raise wrong or UnreachableError(f"cannot fetch {original.dataset}/{original.name}: {'; '.join(missed)}")


def _download_from(url: str, original: Original, kind: str, remedy: str) -> Found:
    parts = urlsplit(url)
    if parts.scheme == "file":
        check_source(Path(url2pathname(parts.path)), f"what {MIRROR_VARIABLE} leads to")
    target = cache_folder() / original.dataset / original.name
    with atomic(target) as temporary:
        if parts.hostname == "drive.google.com":
            _transfer_from_drive(url, temporary)
        else:
            _transfer(url, temporary)
        _check(original, temporary, url, remedy)
    return Found(target, f"{kind} {url.rsplit('/', 1)[0]}")


def _mirror_urls(original: Original) -> list[str]:
    mirror = os.environ.get(MIRROR_VARIABLE, "")
    if "://" not in mirror:
        return []
    if urlsplit(mirror).scheme not in MIRROR_SCHEMES:
        raise DataError(
            f"{MIRROR_VARIABLE}={mirror} must be a folder or a URL with {', '.join(MIRROR_SCHEMES)}"
        )
    return [f"{mirror.rstrip('/')}/{name}/{original.name}" for name in _folder_names(original.dataset)]


def _folder_names(dataset: str) -> list[str]:
    return list(dict.fromkeys([dataset, dataset.replace("_", "-")]))


def _check(original: Original, path: Path, where: str, remedy: str) -> None:
    """Compare a file's content with the published checksum."""
    if original.md5:
        kind, expected = "md5", original.md5
        with path.open("rb") as file:
            got = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    else:
        kind, expected = "sha256 of its content", original.unpacked_sha256
        got = _unpacked_sha256(path, where, remedy)
    if got != expected:
        raise ChecksumError(
            f"{where} is not the original file: {kind} is {got}, expected {expected}; {remedy}"
        )


def _unpacked_sha256(path: Path, where: str, remedy: str) -> str:
    try:
        with gzip.open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ChecksumError(f"{where} is truncated or no gzip file ({error}); {remedy}") from None


def _transfer(url: str, target: Path) -> None:
    """Copy what a URL holds into a file, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import wrap_file

    with _reaching(url):
        response = urlopen(Request(url, headers={"User-Agent": "gm-bench"}), timeout=TIMEOUT_SECONDS)
    size = int(response.headers.get("Content-Length") or 0)
    name = url.rsplit("/", 1)[1]
    console = Console(stderr=True)
    with (
        response,
        wrap_file(
            response, size, description=name, console=console, disable=not sys.stderr.isatty()
        ) as stream,
        target.open("wb") as file,
    ):
        while True:
            with _reaching(url):
                block = stream.read(1 << 20)
            if not block:
                return
            file.write(block)


def _transfer_from_drive(url: str, target: Path) -> None:
    """Copy a file from Google Drive, which needs the package gdown."""
    if find_spec("gdown") is None:
        raise UnreachableError(f"{url} needs the package gdown (pip install gdown)")
    from torchvision.datasets.utils import download_file_from_google_drive

    with TemporaryDirectory(dir=target.parent) as folder:  # gdown leaves pieces behind when it fails
        try:
            download_file_from_google_drive(urlsplit(url).path.split("/")[3], folder, target.name)
        except Exception as error:  # of gdown's own classes, and gdown is no requirement of this package
            raise UnreachableError(f"{url} is not reachable ({' '.join(str(error).split())})") from None
        Path(folder, target.name).replace(target)


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Turn what the network may answer into `UnreachableError`; errors of the disk pass by unchanged."""
    try:
        yield
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise UnreachableError(f"{url} is not reachable ({reason})") from None
