"""What params.yaml says of mode collapse."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gm_bench.options import Name, PositiveInt

Positive = Annotated[float, Field(gt=0)]


class MixtureSettings(BaseModel):
    """A mixture of equal Gaussians in the plane.

    `layout` ring: `n_modes` evenly on a circle of radius `size`; grid: a square number of them from −`size`
    to `size` in both directions. `sd` is that of each Gaussian, `n_points` how many are drawn for training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal["ring", "grid"]
    n_modes: Annotated[int, Field(ge=2, strict=True)]
    size: Positive
    sd: Positive
    n_points: PositiveInt


class ModeCollapse(BaseModel):
    """Mixtures, how many samples are judged, and how every variant is trained: by one recipe.

    `variants` has what a variant needs beyond the recipe: keywords of its model, what its loss asks for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mixtures: dict[Name, MixtureSettings]
    n_samples: PositiveInt
    recipe: dict[str, Any]
    variants: dict[Name, dict[str, Any]]
