"""How fast a variant trains here, which is what `gm-bench add` derives a budget from."""

import math
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from gm_bench.config import load_params
from gm_bench.derived import Facts
from gm_bench.running import budget

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
DIGITS = Facts(997, 800, (1, 8, 8), tuple([100] * 10))


@pytest.fixture(autouse=True)
def _a_second_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds: Iterator[int] = count()
    monkeypatch.setattr(budget, "clock_of", lambda device: lambda: next(seconds))


@pytest.mark.parametrize(("variant", "batches_a_round"), [("vae", 1), ("ns_gan", 1), ("wgan_gp", 5)])
def test_rounds_are_timed_however_many_images_each_shows(variant: str, batches_a_round: int) -> None:
    recipe = PARAMS.recipe_of("digits", "digits", variant)
    assert recipe.updates.get("critic", 1) == batches_a_round
    assert budget.images_per_second(PARAMS, "digits", variant, DIGITS) == batches_a_round * recipe.batch_size


def test_what_is_fitted_in_one_step_takes_no_time() -> None:
    assert budget.images_per_second(PARAMS, "digits", "kde", DIGITS) == math.inf
