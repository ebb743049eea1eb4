"""What params.yaml says of searches, under `tracks.search`."""

import math
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from gm_bench.options import Name, PositiveInt
from gm_bench.training.recipe import Number

Key = Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.([a-z0-9_]+|\*))*$")]


class Hyperparameter(BaseModel):
    """One dimension of the space.

    `key` is its place in a recipe by dots, `*` for every entry there (optimisers.*.lr is the rate of all
    players), a number for a place in a list (optimisers.*.betas.0). It is drawn from `low` to `high`,
    uniformly in the logarithm with `log`, or from `choices`. It is searched where a recipe has the key; with
    `variants`, in those of them alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Key
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: list[Number] | None = None
    variants: list[Name] | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, content: Any) -> Any:
        """Refuse what is neither a range nor choices, while the sentence can still show all of it."""
        if not isinstance(content, dict):
            return content
        ends = [_number(content[end]) for end in ("low", "high") if content.get(end) is not None]
        if len(ends) != (2 if content.get("choices") is None else 0):
            raise PydanticCustomError("space", "it needs either low and high, or choices")
        if ends and not -math.inf < ends[0] < ends[1] < math.inf:  # nan where it is none
            raise PydanticCustomError("space", "low and high should be numbers, low below high")
        if ends and content.get("log") and ends[0] <= 0:
            raise PydanticCustomError("space", "with log, low should be above 0")
        choices = content.get("choices")
        if choices is not None and (not isinstance(choices, list) or not choices):
            raise PydanticCustomError("space", "choices should be a list of numbers or of words")
        if len({isinstance(choice, str) for choice in choices or ()}) > 1:
            raise PydanticCustomError("space", "choices should be all numbers or all words")
        return content


def _number(value: Any) -> float:
    """What YAML reads as a text too, where a number has an exponent and no point: 1e-5."""
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.nan


class Search(BaseModel):
    """`n_trials` of a cell, the first of which is the recipe as it stands; how often the best and that recipe
    are trained anew (`n_repeats`); and the space by the names under which pages show it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_trials: Annotated[int, Field(ge=2, strict=True)]
    n_repeats: PositiveInt
    space: dict[Name, Hyperparameter]
