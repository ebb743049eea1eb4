"""What params.yaml says of claims, under `tracks.diagnostics`."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from gm_bench.options import Name


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("number", "input should be a number")
    if not value > 0:
        raise PydanticCustomError("number", "input should be a number above 0")
    return value


def _inside(value: str) -> str:
    if Path(value).is_absolute() or ".." in Path(value).parts:
        raise PydanticCustomError("inside", "input should be a path from the top of the repository")
    return value


Number = Annotated[Any, AfterValidator(_number)]  # a whole one stays whole


class Layer(BaseModel):
    """Fields of the budget of an experiment: numbers, and three that name something.

    `dataset` is a loader (a module of gm_bench.data.loaders), `network` a module of gm_bench.nets, `report` a
    file that is read; the claim runs again when one of them changes.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Number] = Field(init=False)

    dataset: Name | None = None
    network: Name | None = None
    report: Annotated[str, AfterValidator(_inside)] | None = None


class Diagnostics(BaseModel):
    """Budgets of the experiments behind claims: claim → recipe of a board, or `all` → its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    claims: dict[Name, dict[Name, Layer]]
