"""The images below a folder: all that will be read, and by name all that will not."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gm_bench.data.dataset import DataError
from gm_bench.data.fingerprint import SUFFIXES
from gm_bench.data.ownership import OWNED, check_source, is_own

N_NAMED = 3  # of each kind of file that is not read


@dataclass(frozen=True)
class Listing:
    """The images below a folder.

    Args:
        files: relative to `root`, in ascending order of their names.
        real: where each of them lies when links are followed.
        classes: first-level sub-folders in ascending order; empty where the images lie in `root` itself.
        notes: what is not read, counted and named, and what was made of the folders; names are relative.
    """

    root: Path
    files: list[Path]
    real: list[Path]
    classes: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Place:
    """A folder on the way: its path below the root, where it really lies, and those above it."""

    path: Path
    real: Path
    through: tuple[Path, ...]


def list_images(root: Path, named_by: str = "the folder of images", owned: Sequence[Path] = OWNED) -> Listing:
    """Every image below a folder, through symbolic links too.

    Args:
        named_by: what the user named the folder with, for the sentence of a refusal.
        owned: folders of the stages that neither it nor a link in it may lead to.

    Raises:
        DataError: no folder, no images in it, images both beside sub-folders and in them, a folder or file
            that is reached twice or cannot be read, one that stages own, or a class whose name is no text.
    """
    check_source(root, named_by, owned)
    if not root.is_dir():
        unpack = ", and an archive has to be unpacked" if root.is_file() else ""
        raise DataError(f"{root} is no folder: {named_by} must be a folder of images{unpack}")
    files: dict[Path, Path] = {}
    unread: dict[str, list[str]] = {}
    visited: dict[Path, Path] = {}
    waiting = [_Place(Path(), root.resolve(), ())]
    while waiting:
        place = waiting.pop()
        if place.real in visited:
            raise DataError(_twice(root, visited[place.real], place.path))
        visited[place.real] = place.path
        for entry in _entries(root / place.path):
            path = place.path / entry.name
            if not place.path.parts and is_own(root, entry.name):
                continue
            real = _target(entry, place)
            is_folder = real is not None and entry.is_dir()
            kind = _why_unread(entry, real, place)
            if real is None or kind:
                unread.setdefault(kind, []).append(path.as_posix() + "/" * is_folder)
                continue
            if entry.is_symlink():
                check_source(root / path, named_by, owned)
            if is_folder:
                waiting.append(_Place(path, real, (*place.through, place.real)))
            else:
                files[path] = real
    if not files:
        raise DataError(f"{root} holds no images; their suffixes may be {', '.join(SUFFIXES)}{_only(unread)}")
    ordered = sorted(files, key=lambda file: file.as_posix())
    _refuse_repeated(root, ordered, files)
    classes = _classes(root, ordered)
    folders = {path.as_posix() for path in visited.values() if len(path.parts) == 1}
    return Listing(
        root,
        ordered,
        [files[path] for path in ordered],
        classes,
        tuple(_notes(unread, sorted(folders - set(classes)), ordered)),
    )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror}): allow it, or take the folder away"
        ) from None


def _target(entry: os.DirEntry[str], place: _Place) -> Path | None:
    """Where a file or folder really lies; None for a link to nowhere, also one that leads to itself."""
    if not entry.is_symlink():
        return place.real / entry.name
    try:
        return Path(entry.path).resolve(strict=True)
    except PermissionError:
        raise
    except (OSError, RuntimeError):  # a circle of links, before Python 3.13
        return None


def _why_unread(entry: os.DirEntry[str], real: Path | None, place: _Place) -> str:
    """The kind of a file or folder that is passed over, in words; empty for what is read."""
    if entry.name.startswith("."):
        return "hidden"
    if real is None:
        return "links to nowhere"
    if entry.is_dir():
        leads_back = entry.is_symlink() and (
            real in (*place.through, place.real) or place.real.is_relative_to(real)
        )
        return "links that lead back" if leads_back else ""
    if not entry.is_file():
        return "no regular files"
    suffix = Path(entry.name).suffix.lower()
    if suffix in SUFFIXES:
        return ""
    return f"of {suffix}" if suffix else "without a suffix"


def _refuse_repeated(root: Path, ordered: Iterable[Path], real: dict[Path, Path]) -> None:
    first: dict[Path, Path] = {}
    for path in ordered:
        if real[path] in first:
            raise DataError(_twice(root, first[real[path]], path))
        first[real[path]] = path


def _twice(root: Path, first: Path, second: Path) -> str:
    return (
        f"{root / first} and {root / second} are one through symbolic links, so images would be read twice "
        "and could be trained on and tested with: take one of the links away"
    )


def _classes(root: Path, files: list[Path]) -> tuple[str, ...]:
    loose = [file for file in files if len(file.parts) == 1]
    if loose and len(loose) < len(files):
        raise DataError(
            f"{root / loose[0]} lies beside sub-folders of images: put every image into a sub-folder "
            "(its class) or none"
        )
    classes = () if loose else tuple(sorted({file.parts[0] for file in files}))
    for name in classes:
        if writable(name) != name:
            raise DataError(
                f"{root / writable(name)} names a class by bytes that are no UTF-8, which results are "
                "written in: rename that folder"
            )
    return classes


def writable(name: str) -> str:
    """A name as a text file can hold it: with a question mark for each byte that is no UTF-8."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _notes(unread: dict[str, list[str]], without: list[str], files: list[Path]) -> list[str]:
    notes = []
    if unread:
        n = sum(len(names) for names in unread.values())
        kinds = ", ".join(f"{len(names):,} {kind} ({_some(names)})" for kind, names in sorted(unread.items()))
        notes.append(f"{n:,} not read: {kinds}")
    if without:
        notes.append(f"{len(without):,} sub-folders without an image that is read: {_some(without)}")
    deeper = [file.as_posix() for file in files if len(file.parts) > 2]
    if deeper:
        notes.append(
            f"{len(deeper):,} images lie below a sub-folder's own sub-folders ({_some(deeper)}); their class "
            "is the first sub-folder"
        )
    return notes


def _only(unread: dict[str, list[str]]) -> str:
    return "".join(f"; {note}" for note in _notes(unread, [], []))


def _some(names: list[str]) -> str:
    more = ", …" if len(names) > N_NAMED else ""
    return ", ".join(map(writable, sorted(names)[:N_NAMED])) + more
