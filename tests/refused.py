"""How params.yaml is refused: in one sentence that names the place."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from gm_bench.config import ConfigError, Params
from gm_bench.tracks.settings import check_board


@contextmanager
def refused(sentence: str) -> Iterator[None]:
    """The block raises a `ConfigError` of one line that begins so."""
    with pytest.raises(ConfigError) as caught:
        yield
    assert str(caught.value).startswith(f"params.yaml: {sentence}")
    assert "\n" not in str(caught.value)


def refused_on_board(
    raw: Mapping[str, Any], change: Callable[[dict[str, Any]], object], board: str, sentence: str
) -> None:
    """With a change, the content of params.yaml is refused before the board is begun."""
    changed = copy.deepcopy(dict(raw))
    change(changed)
    with refused(sentence):
        check_board(Params.model_validate(changed), board)
