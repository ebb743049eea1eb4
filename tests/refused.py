"""How params.yaml is refused: in one sentence that names the place."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gm_bench.config import ConfigError


@contextmanager
def refused(sentence: str) -> Iterator[None]:
    """The block raises a `ConfigError` of one line that begins so."""
    with pytest.raises(ConfigError) as caught:
        yield
    assert str(caught.value).startswith(f"params.yaml: {sentence}")
    assert "\n" not in str(caught.value)
