"""Changing the grid in place: what changes, what stays, what is refused."""

from pathlib import Path

import pytest
import yaml

from gm_bench.config import ConfigError
from gm_bench.running.grid import with_axes

TEXT = """# compared
grid:     # cells
  datasets: [a]   # one
  variants: [v, w]
  seeds: [0]
variants: {v: {seeds: [9]}}
"""


def test_only_the_axes_change() -> None:
    changed = with_axes(TEXT, {"variants": ["x"], "seeds": [1, 2]})
    assert changed == TEXT.replace("variants: [v, w]", "variants: [x]").replace(
        "  seeds: [0]", "  seeds: [1, 2]"
    )


def test_the_repositorys_own_grid_can_be_changed() -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    before, after = (
        yaml.safe_load(text),
        yaml.safe_load(with_axes(text, {"datasets": ["mnist"], "seeds": [7]})),
    )
    assert after["grid"] == before["grid"] | {"datasets": ["mnist"], "seeds": [7]}
    assert {k: v for k, v in after.items() if k != "grid"} == {k: v for k, v in before.items() if k != "grid"}


@pytest.mark.parametrize("text", ["", "grid:\n  seeds:\n  - 0\n", "seeds: [0]\n"])
def test_a_grid_in_another_form_is_left_alone(text: str) -> None:
    with pytest.raises(ConfigError, match=r"grid\.seeds is not one line"):
        with_axes(text, {"seeds": [1]})
