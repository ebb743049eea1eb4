"""What params.yaml says of the audit, under `tracks.audit`."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from gm_bench.options import Name, PositiveInt
from gm_bench.results.protocol import Protocol

Sizes = list[Annotated[int, Field(ge=2, strict=True)]]
Strengths = dict[Name, Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]]


class AuditSet(BaseModel):
    """How many images of a dataset make a set of the audit, and how often it repeats.

    Clean draws measure the noise; as many of them as `disturbed_draws` are disturbed too, and show how each
    disturbance moves a metric. Where an extractor is slow, `kid_subsets`, `sizes` and `strengths` stand for
    those of the dataset's protocol and of the audit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_samples: Annotated[int, Field(ge=2, strict=True)]
    clean_draws: Annotated[int, Field(ge=3, strict=True)]
    disturbed_draws: Annotated[int, Field(ge=2, strict=True)]
    kid_subsets: PositiveInt | None = None
    sizes: Sizes | None = None
    strengths: Strengths | None = None

    @model_validator(mode="after")
    def _of_the_clean_ones(self) -> Self:
        if self.disturbed_draws > self.clean_draws:
            raise PydanticCustomError(
                "draws", "disturbed_draws should be at most clean_draws, since clean images are disturbed"
            )
        return self


class Audit(BaseModel):
    """What the metrics themselves are tested with (pipelines/audit).

    `strengths` has growing strengths of entries of `gm_bench.tracks.audit.corruptions.FAILURES`;
    `noise_multiple` is how many standard deviations of clean draws a metric must move to count as having
    noticed; `sizes` are the numbers of images that it is computed from when nothing is wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    datasets: list[Name] = Field(min_length=1)
    sets: dict[Name, AuditSet]
    noise_multiple: Annotated[float, Field(gt=0)]
    sizes: Sizes
    strengths: Strengths

    def of(self, dataset: str, config: Protocol) -> tuple["Audit", Protocol]:
        """Plan and protocol as they are for one dataset.

        Args:
            config: the dataset's protocol.
        """
        own = self.sets[dataset].model_dump(include={"sizes", "strengths"}, exclude_none=True)
        subsets = self.sets[dataset].kid_subsets or config.kid_subsets
        return self.model_copy(update=own), config.model_copy(update={"kid_subsets": subsets})
