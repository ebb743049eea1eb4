"""Entries of params.yaml, written at the end of theirs without touching another byte."""

from collections.abc import Mapping
from typing import Any

import yaml
from ruamel.yaml import YAML

from gm_bench.config import ConfigError


def with_entries(text: str, name: str, source: Mapping[str, Any], board: Mapping[str, Any]) -> str:
    """params.yaml with a board and a dataset more at the end of theirs; every other byte as it was.

    Raises:
        ConfigError: the file is not laid out so that entries can be added to it.
    """
    before = yaml.safe_load(text)
    entries = {"boards": {name: dict(board)}, "datasets": {name: {"source": dict(source)}}}
    lines = text.splitlines(keepends=True)
    places = YAML(typ="rt").load(text).lc.data
    starts = [*sorted(place[0] for place in places.values()), len(lines)]
    for section in sorted(entries, key=lambda each: -places[each][0]):
        first = places[section][0]
        end = starts[starts.index(first) + 1]
        while end > first + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
            end -= 1
        if not lines[end - 1].endswith("\n"):
            lines[end - 1] += "\n"
        lines[end:end] = [f"  {line}\n" for line in _block(entries[section])]
    changed = "".join(lines)
    try:
        after = yaml.safe_load(changed)
    except yaml.YAMLError:
        after = None
    if after != {**before, **{key: {**before[key], **new} for key, new in entries.items()}}:
        raise ConfigError(
            "params.yaml is laid out in a way that nothing can be added to: write boards and datasets in "
            f"blocks, or add by hand {entries}"
        )
    return changed


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
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
