"""Small files that all nodes share, in a folder or a bucket: checkpoints and records of cells."""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

BESIDE = "gm-bench"  # the folder beside a remote's own files
S3 = ("s3://",)


@dataclass(frozen=True)
class Place:
    """Where data and results travel through.

    Args:
        remote: DVC's settings of its remote: url, endpointurl, region, profile. Never a password.
        store: the folder or bucket of the small files.
        is_cache: the remote is the driver's own DVC cache, so that nothing travels to or from the driver.
    """

    remote: Mapping[str, str]
    store: str
    is_cache: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {"remote": dict(self.remote), "store": self.store, "is_cache": self.is_cache}


class Store:
    """Files by name; each is written whole or not at all.

    Raises:
        ValueError: it is in S3, and what reaches that is not installed.
        OSError: from every method, where the store cannot be reached.
    """

    def __init__(self, place: Place) -> None:
        options: dict[str, Any] = {"skip_instance_cache": True}
        self._failures: tuple[type[Exception], ...] = ()  # that are no OSError but mean the same
        if place.store.startswith(S3):
            try:
                from botocore.exceptions import BotoCoreError  # late: it comes with dvc-s3
            except ModuleNotFoundError:
                raise ValueError(
                    f"{place.store} is in S3, and DVC's part for it is not installed here: pip install dvc-s3"
                ) from None
            self._failures = (BotoCoreError,)
            known = place.remote
            options |= {"use_listings_cache": False, "endpoint_url": known.get("endpointurl")}
            options |= {"profile": known.get("profile"), "client_kwargs": _region(known)}
        self.fs, self.root = fsspec.core.url_to_fs(place.store, **options)

    def open(self) -> None:
        """Make the folder, if this store is one and it is not there yet; the driver's part."""
        if isinstance(self.fs, LocalFileSystem):
            os.makedirs(self.root, exist_ok=True)

    def check(self) -> None:
        """Return where the store can be reached; an unmounted folder is not there, or empty."""
        if isinstance(self.fs, LocalFileSystem) and not os.path.isdir(self.root):
            raise FileNotFoundError(f"{self.root} is not there")

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        try:
            with self._reached():
                content: bytes = self.fs.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        return content

    def write(self, name: str, content: bytes) -> None:
        path = self._path(name)
        if not isinstance(self.fs, LocalFileSystem):
            with self._reached():
                self.fs.pipe_file(path, content)  # an object store shows it once it is whole
            return
        self.check()
        temporary = f"{path}.{secrets.token_hex(4)}.new"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)

    def names(self, folder: str) -> list[str]:
        """Names of the files that lie in a folder of the store or in folders below, sorted."""
        try:
            with self._reached():
                found = self.fs.find(self._path(folder))
        except FileNotFoundError:
            return []
        top = self._path("")
        return sorted(path.removeprefix(top) for path in found if not path.endswith(".new"))

    def has(self, name: str) -> bool:
        with self._reached():
            there: bool = self.fs.exists(self._path(name))
        return there

    def remove(self, name: str) -> None:
        if self.has(name):
            with self._reached():
                self.fs.rm_file(self._path(name))

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except self._failures as error:
            raise OSError(str(error)) from error

    def _path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"


def _region(remote: Mapping[str, str]) -> dict[str, str]:
    return {"region_name": remote["region"]} if "region" in remote else {}
