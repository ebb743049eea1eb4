"""Entries of params.yaml, written at the end of theirs without touching another byte."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml
from filelock import FileLock
from ruamel.yaml import YAML

from gm_bench import io
from gm_bench.config import PARAMS_FILE, ConfigError
from gm_bench.running import repository
from gm_bench.yaml_text import dump_yaml, load_yaml


def is_name(word: str) -> bool:
    """Whether an entry may be called so: small letters, digits and _, and a text for whoever reads the file.

    DVC reads it by YAML 1.2, where 1e3 is a number, and we by YAML 1.1, where yes and 1_000 are no texts.
    """
    return (
        bool(re.fullmatch("[a-z0-9_]+", word))
        and load_yaml(word) == word
        and bool(YAML(typ="rt").load(word) == word)
    )


@contextmanager
def changing() -> Iterator[None]:
    """While the block runs no other gm-bench changes params.yaml, so that what is read in it is not lost.

    Raises:
        ValueError: DVC's folder, which has the lock, is nowhere.
    """
    with FileLock(repository.temporary() / "params.lock"):
        yield


def read_params() -> str:
    """params.yaml with the ends of its lines as they are, which reading a text would make \\n."""
    return io.read_bytes(PARAMS_FILE).decode("utf-8")


def with_entries(text: str, name: str, source: Mapping[str, Any], board: Mapping[str, Any]) -> str:
    """params.yaml with a board and a dataset more at the end of theirs; every other byte as it was.

    Raises:
        ConfigError: the file is not laid out so that entries can be added to it.
    """
    return with_additions(
        text, {("boards",): {name: dict(board)}, ("datasets",): {name: {"source": dict(source)}}}
    )


def with_additions(text: str, additions: Mapping[tuple[str, ...], Mapping[str, Any]]) -> str:
    """params.yaml with entries more at the end of some of its mappings; every other byte as it was.

    New lines end as the first one does.

    Args:
        additions: keys that lead to a mapping → entries that it does not have.

    Raises:
        ConfigError: the file is not laid out so that entries can be added to it.
    """
    lines = text.splitlines(keepends=True)
    line_end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    tree = YAML(typ="rt").load(text)
    places = {path: _place(tree, path, len(lines)) for path in additions}
    for path in sorted(additions, key=lambda each: -places[each][0]):
        end, indent = places[path]
        first = _start(tree, path)
        if _at(tree, path).fa.flow_style():
            lines[first] = _with_flow(lines[first], additions[path])
            continue
        while end > first + 1 and _belongs_to_next(lines[end - 1], indent):
            end -= 1
        if not lines[end - 1].endswith("\n"):
            lines[end - 1] += line_end
        lines[end:end] = [f"{' ' * indent}{line}{line_end}" for line in _block(additions[path])]
    changed = "".join(lines)
    expected = load_yaml(text)
    for path, entries in additions.items():
        _at(expected, path).update(entries)
    try:
        after = load_yaml(changed)
    except yaml.YAMLError:
        after = None
    if after != expected:
        by_hand = {".".join(path): dict(entries) for path, entries in additions.items()}
        raise ConfigError(
            "params.yaml is laid out in a way that nothing can be added to: write boards, datasets and "
            f"variants in blocks, or add by hand {by_hand}"
        )
    return changed


def _with_flow(line: str, entries: Mapping[str, Any]) -> str:
    """A line that ends with a mapping in braces, with entries more in it."""
    head, brace, tail = line.rpartition("}")
    return f"{head}, {_flow(dict(entries))[1:-1]}{brace}{tail}"


def _belongs_to_next(line: str, indent: int) -> bool:
    """Whether a line at the end of a mapping is empty, or a comment that stands further out than its keys."""
    said = line.strip()
    return not said or (said.startswith("#") and len(line) - len(line.lstrip()) < indent)


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _start(tree: Any, path: tuple[str, ...]) -> int:
    """The line of the key that a path ends with."""
    return int(_at(tree, path[:-1]).lc.data[path[-1]][0])


def _place(tree: Any, path: tuple[str, ...], n_lines: int) -> tuple[int, int]:
    """The line after the mapping that a path leads to, and how far its keys are indented."""
    end, node = n_lines, tree
    for key in path:
        starts = sorted(place[0] for place in node.lc.data.values())
        end = min([line for line in starts if line > node.lc.data[key][0]], default=end)
        node = node[key]
    return end, int(node.lc.col)


def _block(entry: Mapping[str, Any]) -> list[str]:
    """An entry as params.yaml has them: its own keys a line each, or all in one line where they are plain."""
    lines = []
    for name, content in entry.items():
        nested = any(isinstance(value, dict) for value in content.values())
        if not nested:
            lines.append(f"{name}: {_flow(content)}")
            continue
        lines.append(f"{name}:")
        lines += [f"  {key}: {_flow(value)}" for key, value in content.items()]
    return lines


def _flow(value: Any) -> str:
    text = dump_yaml(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
