"""How a variant is trained, as a frozen model: what a recipe of params.yaml may say."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gm_bench.options import Name, PositiveInt

Number = int | float | str | bool


class Frozen(BaseModel):
    """Values that do not change once they were checked; a key that is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Adam(Frozen):
    name: Literal["adam"]
    lr: Annotated[float, Field(gt=0)]
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
    decay: Literal["none", "linear"]


class RMSprop(Frozen):
    name: Literal["rmsprop"]
    lr: Annotated[float, Field(gt=0)]
    alpha: Annotated[float, Field(ge=0, lt=1)]
    decay: Literal["none", "linear"]


Optimiser = Annotated[Adam | RMSprop, Field(discriminator="name")]


class NetworkChoice(Frozen):
    """A family of networks (a module of `gm_bench.nets`) and its constructor keywords."""

    model_config = ConfigDict(frozen=True, extra="allow")
    name: Name

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Recipe(Frozen):
    """How one variant is trained.

    `updates` counts the updates of each player in one round, in the order in which they are made; `model`
    holds constructor keywords of the variant; `ema`, where it is given, is the decay of an exponential moving
    average of the weights, which is then the model that is reported. `checkpoint` says whether that is the
    last model or the best snapshot of it, by FID against validation images.

    On a GPU `capture` replays each player's update as one graph, which changes the time, and numbers only
    by the rounding of the rate to a float32; `tf32` rounds the factors of products and convolutions to 10
    bits, which changes the numbers.
    """

    batch_size: Annotated[int, Field(ge=2, strict=True)]
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    checkpoint: Literal["last", "best"] = "last"
    capture: bool = False
    tf32: bool = False
    updates: dict[Name, PositiveInt]
    optimisers: dict[Name, Optimiser]
    network: NetworkChoice
    model: dict[str, Number]
