"""Whether the files of a source are still those that were fetched.

Names, sizes and times are looked at each time, contents only of files whose size or time is another: a copy
of the same images elsewhere, or a touched file, is no change.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gm_bench.replacing import replacing

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
OPTIONS = ("path", "test_path")  # options of a loader that name folders of images, or a file
VARIABLE = re.compile(r"\$(\w+)(?=/|$)")  # at the beginning of a path
SCHEMA = 1
Known = dict[str, list[Any]]  # name → [size, time in ns, sha256 of the content]


def place_of(text: str) -> Path:
    """Where an option leads, if it is a path at all; others are words, patterns of any length.

    Where it begins with `$NAME`, that stands for the value of an environment variable that is set.
    """
    variable = VARIABLE.match(text)
    value = os.environ.get(variable[1]) if variable else None
    return Path(os.path.expanduser(value + text[variable.end() :] if variable and value else text))


def of_source(options: Mapping[str, Any], memory: Path) -> str | None:
    """One hash over the names and contents of the files that a loader's options name.

    Args:
        options: of the loader. `path` and `test_path` name folders of images or a file; any other text that
            is the path of a file or a folder names that, a folder with all that is in it.
        memory: file that keeps the hashes of contents from one time to the next.

    Returns:
        The hash; that of the last time where one is not there now (nothing can be known to have changed),
        and None where no option names a file or folder or none was ever there.
    """
    before = _read(memory)
    known: Known = before.get("files", {})
    remembered = {place.partition("\0")[0] for place in known}
    named: dict[str, tuple[str, ...]] = {}
    named |= {str(options[key]): SUFFIXES for key in OPTIONS if options.get(key) is not None}
    for key, value in sorted(options.items()):
        if (
            key not in OPTIONS
            and isinstance(value, str)
            and (os.path.exists(place_of(value)) or value in remembered)
        ):
            named[value] = ("",)
    if not named:
        return None
    if not all(place_of(name).exists() for name in named):
        return before.get("digest")
    now: Known = {}
    digest = hashlib.sha256()
    for name, suffixes in named.items():
        root = place_of(name)
        for file in [root] if root.is_file() else _files(root, suffixes):
            place = f"{name}\0{file.relative_to(root).as_posix()}"
            now[place] = _entry(file, known.get(place))
            digest.update(f"{place}\0{now[place][2]}\n".encode(errors="surrogateescape"))
    found = {"schema": SCHEMA, "digest": digest.hexdigest(), "files": now}
    if found != before:
        _write(memory, found)
    return digest.hexdigest()


def _files(root: Path, suffixes: tuple[str, ...]) -> Iterable[Path]:
    """Files with one of the suffixes, through links, in the order of their names."""
    found, seen = [], set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, n) for n in files if not n.startswith(".") and n.lower().endswith(suffixes)]
    return sorted(file for file in found if file.is_file())


def _entry(file: Path, known: list[Any] | None) -> list[Any]:
    state = file.stat()
    if known is not None and known[:2] == [state.st_size, state.st_mtime_ns]:
        return known
    return [state.st_size, state.st_mtime_ns, hashlib.sha256(file.read_bytes()).hexdigest()]


def _read(memory: Path) -> dict[str, Any]:
    """What is remembered; nothing where the file is of another version or damaged."""
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and content.get("schema") == SCHEMA else {}


def _write(memory: Path, content: Mapping[str, Any]) -> None:
    with replacing(memory) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
