"""params.yaml as frozen models: the only reader of it.

A wrong key or value raises `ConfigError` with one sentence that names the key, the value and what is allowed.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gm_bench.results.protocol import Protocol
from gm_bench.tracks.audit.settings import Audit

PARAMS_FILE = Path("params.yaml")
Entry = TypeVar("Entry")

PositiveInt = Annotated[int, Field(gt=0, strict=True)]
Seed = Annotated[int, Field(ge=0, strict=True)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Number = int | float | str | bool


class ConfigError(ValueError):
    """params.yaml says something that cannot be run."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Grid(Frozen):
    datasets: list[Name] = Field(min_length=1)
    variants: list[Name] = Field(min_length=1)
    seeds: list[Seed] = Field(min_length=1)


class Source(Frozen):
    """Where the images come from: a loader (a module of `gm_bench.data`) and its keyword arguments."""

    model_config = ConfigDict(frozen=True, extra="allow")
    loader: Name

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Training(Frozen):
    """Which recipe of each variant is used, the budget in real images shown, and what curves are drawn from.

    `n_validation` training images are never shown; `n_snapshots` times in a training run as many samples are
    drawn, to be judged against them.
    """

    recipe: Name
    n_images: PositiveInt
    n_validation: Annotated[int, Field(ge=2, strict=True)]
    n_snapshots: PositiveInt


class DatasetConfig(Frozen):
    source: Source
    training: Training
    protocol: Protocol


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
    """

    batch_size: Annotated[int, Field(ge=2, strict=True)]
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    checkpoint: Literal["last", "best"] = "last"
    updates: dict[Name, PositiveInt]
    optimisers: dict[Name, Optimiser]
    network: NetworkChoice
    model: dict[str, Number]


class Params(Frozen):
    grid: Grid
    datasets: dict[Name, DatasetConfig]
    variants: dict[Name, dict[Name, Recipe]]
    audit: Audit

    def dataset(self, name: str) -> DatasetConfig:
        """The entry of one dataset; `ConfigError` lists the known ones."""
        return _look_up(self.datasets, name, "datasets")

    def recipe(self, variant: str, dataset: str) -> Recipe:
        """The recipe of a variant that the dataset is trained with."""
        recipes = _look_up(self.variants, variant, "variants")
        return _look_up(recipes, self.dataset(dataset).training.recipe, f"variants.{variant}")

    def cells(self) -> list[tuple[str, str, int]]:
        """(dataset, variant, seed) in grid order."""
        grid = self.grid
        return [(d, v, s) for d in grid.datasets for v in grid.variants for s in grid.seeds]


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml.

    Raises:
        ConfigError: the file is missing, is no YAML, or holds a wrong key or value.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} not found: run from the top of the repository") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping with the keys {', '.join(Params.model_fields)}")
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_sentence(error)}") from None
    for axis in ("datasets", "variants", "seeds"):
        values = getattr(params.grid, axis)
        if len(set(values)) < len(values):
            raise ConfigError(f"{path}: grid.{axis} names a value twice: {values}")
    for dataset, variant, _ in params.cells():
        params.recipe(variant, dataset)
    for dataset in params.audit.datasets:
        _look_up(params.audit.sets, dataset, "audit.sets")
    return params


def check_keywords(cls: type, options: Mapping[str, Any], where: str, given: tuple[str, ...]) -> None:
    """Refuse keywords that a constructor does not take, and missing ones, naming the key in params.yaml."""
    expected = [p for p in inspect.signature(cls).parameters if p not in given]
    for key in options:
        if key not in expected:
            raise ConfigError(f"params.yaml: unknown key '{key}' in {where}; allowed: {', '.join(expected)}")
    for key in expected:
        if key not in options:
            raise ConfigError(f"params.yaml: {where} lacks the key '{key}'; it takes: {', '.join(expected)}")


def _look_up(table: Mapping[str, Entry], name: str, where: str) -> Entry:
    if name not in table:
        raise ConfigError(f"params.yaml: {where} has no entry '{name}'; known: {', '.join(table)}")
    return table[name]


def _sentence(error: ValidationError) -> str:
    """The first complaint of pydantic as one sentence: key, what was given, what is allowed."""
    first = error.errors()[0]
    path = [part for part in first["loc"] if part != "[key]"]
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        allowed = ", ".join(_type_at(path[:-1]).model_fields)
        return f"unknown key '{_dotted(path)}'; allowed here: {allowed}{more}"
    if first["type"] == "missing":
        return f"key '{_dotted(path)}' is missing{more}"
    return f"'{_dotted(path)}' is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}{more}"


def _dotted(path: list[int | str]) -> str:
    """The place in params.yaml, less the tags that pydantic puts after the entry of a union."""
    parts = [p for i, p in enumerate(path) if not _is_union(_type_at(path[:i]))]
    return ".".join(str(part) for part in parts)


def _type_at(path: list[int | str]) -> Any:
    """The type that params.yaml has at a place."""
    kind: Any = Params
    for part in path:
        if _is_union(kind):
            kind = next(
                m for m in get_args(get_args(kind)[0]) if part in get_args(m.model_fields["name"].annotation)
            )
        elif get_origin(kind) in (dict, list, tuple):
            kind = get_args(kind)[-1]
        else:
            kind = kind.model_fields[part].annotation
    return kind


def _is_union(kind: Any) -> bool:
    return get_origin(kind) is Annotated and len(get_args(get_args(kind)[0])) > 1
