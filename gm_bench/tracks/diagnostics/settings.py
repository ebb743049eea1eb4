"""What params.yaml says of claims, under `tracks.diagnostics`."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from gm_bench.options import Name


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("number", "input should be a number")
    return value


Number = Annotated[Any, AfterValidator(_number)]  # a whole one stays whole
Layers = dict[Name, dict[str, Number]]


class Diagnostics(BaseModel):
    """Budgets of the experiments behind claims: claim → recipe of a board, or `all` → field → number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    claims: dict[Name, Layers]
