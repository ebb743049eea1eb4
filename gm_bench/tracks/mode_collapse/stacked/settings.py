"""What params.yaml says of stacked digits."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from gm_bench.options import Name, PositiveInt
from gm_bench.tracks.mode_collapse.settings import ModeCollapse

N_SHOWN = 64  # stacks that training holds back: as many samples are kept at each moment, and for pictures


class Stacks(BaseModel):
    """Stacks of three images of the grey dataset `of`, which a LeNet is pinned for.

    `n_images` of them are trained on, `n_samples` samples are judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: Name
    n_images: PositiveInt
    n_samples: PositiveInt


class StackedSettings(Stacks):
    """Stacks, and how every variant is trained on them: by one recipe.

    `variants` has what a variant needs beyond the recipe.
    """

    recipe: dict[str, Any]
    variants: dict[Name, dict[str, Any]]


class Settings(ModeCollapse):
    """All that the track measures: mixtures in the plane, and stacked digits."""

    stacked: dict[Name, StackedSettings]
