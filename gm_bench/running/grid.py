"""The grid of params.yaml, changed in place: the rest of the file, comments included, stays as it is."""

import re
from collections.abc import Mapping, Sequence

from gm_bench.config import ConfigError


def with_axes(text: str, axes: Mapping[str, Sequence[str | int]]) -> str:
    """The text of params.yaml with other values on some axes of its grid.

    Args:
        text: in which each axis is one line of the block `grid:`, a list in brackets.
        axes: values by axis (datasets, variants, seeds).

    Raises:
        ConfigError: an axis is not written that way.
    """
    start = re.search(r"^grid:.*$", text, flags=re.M)
    for axis, values in axes.items():
        line = re.compile(rf"^(  {axis}: )\[[^\]]*\]", flags=re.M)
        if start is None or not line.search(text, start.end()):
            raise ConfigError(
                f"params.yaml: grid.{axis} is not one line of the form [a, b]: change it by hand"
            )
        head, tail = text[: start.end()], text[start.end() :]
        written = ", ".join(map(str, values)).replace("\\", r"\\")
        text = head + line.sub(rf"\g<1>[{written}]", tail, count=1)
    return text
