"""params.yaml as frozen models: the only reader of it.

Boards name what is compared; recipes are composed, later wins:

    bases.<recipe>.all ⊕ bases.<recipe>.<kind> ⊕ variants.<variant>.all ⊕ variants.<variant>.<recipe>

A wrong key or value raises `ConfigError` with one sentence that names the key, the value and what is allowed.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from gm_bench.cell import Cell
from gm_bench.options import Name, PositiveInt, Seed
from gm_bench.results.protocol import Protocol
from gm_bench.tracks.audit.settings import Audit
from gm_bench.tracks.mode_collapse.settings import MixtureSettings, ModeCollapse
from gm_bench.training.recipe import Frozen, Recipe

PARAMS_FILE = Path("params.yaml")
KINDS = ("adversarial", "single", "fitted")
CLAIMS, MODES = "diagnostics", "mode_collapse"  # tracks whose boards are of other things than image data sets
EVERY = "all"  # the layer of a variant or a base that every recipe, or every kind, starts from
Entry = TypeVar("Entry")
Layer = dict[str, Any]


class ConfigError(ValueError):
    """params.yaml says something that cannot be run."""


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("number", "input should be a number")
    return value


Number = Annotated[Any, AfterValidator(_number)]  # a whole one stays whole
NOTHING = ModeCollapse(mixtures={}, n_samples=1, recipe={}, variants={})


class Board(Frozen):
    """A named grid of cells (datasets × variants × seeds) with its recipe and its budget.

    `track` is a folder of gm_bench/tracks, or a dotted module of another package; `recipe` says which recipe
    of each variant is used, `n_images` the budget in real images shown, `n_snapshots` how many times in a
    training run samples are drawn to be judged against validation images.
    """

    track: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")] = "generation"
    datasets: list[Name] = Field(min_length=1)
    variants: list[Name] = Field(min_length=1)
    seeds: list[Seed] = Field(min_length=1)
    recipe: Name
    n_images: PositiveInt
    n_snapshots: PositiveInt


class Source(Frozen):
    """Where the images come from: a loader (a module of gm_bench.data.loaders) and its keyword arguments."""

    model_config = ConfigDict(frozen=True, extra="allow")
    loader: Name

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class DatasetConfig(Frozen):
    """A dataset, its protocol, and how many training images are held back for learning curves."""

    source: Source
    n_validation: Annotated[int, Field(ge=2, strict=True)]
    protocol: Protocol


class Params(Frozen):
    boards: dict[Name, Board] = Field(min_length=1)
    datasets: dict[Name, DatasetConfig]
    bases: dict[Name, dict[Literal["all", "adversarial", "single", "fitted"], dict[str, Any]]]
    variants: dict[Name, dict[str, Any]]
    audit: Audit
    claims: dict[Name, dict[Name, dict[str, Number]]] = Field(default={})
    mode_collapse: ModeCollapse = NOTHING

    @property
    def default_board(self) -> str:
        """The board of `dvc repro` without a name: the first one."""
        return next(iter(self.boards))

    def board(self, name: str) -> Board:
        """The entry of one board; `ConfigError` lists the known ones."""
        return _look_up(self.boards, name, "boards")

    def dataset(self, name: str) -> DatasetConfig:
        """The entry of one dataset; `ConfigError` lists the known ones."""
        return _look_up(self.datasets, name, "datasets")

    def recipes_of(self, variant: str) -> list[str]:
        """Names of the recipes that a variant has: those of the bases and its own."""
        own = [name for name in _look_up(self.variants, variant, "variants") if name not in ("kind", EVERY)]
        return list(dict.fromkeys([*self.bases, *own]))

    def recipe(self, variant: str, name: str) -> Recipe:
        """The effective recipe of a variant under a name."""
        composed = self._composed(variant, name)
        try:
            return Recipe.model_validate(composed)
        except ValidationError as error:
            places = self.origins(variant, name)
            said = _sentence(error, Recipe, lambda key: places.get(key, f"variants.{variant}.{name}.{key}"))
            raise ConfigError(f"params.yaml: {said}") from None

    def origins(self, variant: str, name: str) -> dict[str, str]:
        """Where in params.yaml each value of the effective recipe stands, by dotted key."""
        found: dict[str, str] = {}
        shared: dict[str, str] = {}
        for place, layer in self._layers(variant, name):
            for key in _leaves(layer):
                (shared if key.startswith("optimiser.") else found)[key] = f"{place}.{key}"
        recipe = self._composed(variant, name)
        for key in _leaves(recipe):
            if key not in found and key.startswith("optimisers."):
                found[key] = shared[f"optimiser.{key.split('.', 2)[2]}"]
        return {key: found[key] for key in _leaves(recipe) if key in found}

    def claim(self, name: str, recipe: str) -> Layer:
        """The budget of a claim under a recipe: claims.<claim>.all ⊕ claims.<claim>.<recipe>."""
        entry = _look_up(self.claims, name, "claims")
        if recipe not in entry and EVERY not in entry:
            raise ConfigError(
                f"params.yaml: claims.{name} has no entry '{recipe}'; known: {', '.join(entry)}"
            )
        return merged(entry.get(EVERY, {}), entry.get(recipe, {}))

    def mixture(self, name: str) -> MixtureSettings:
        """One of the mixtures of mode_collapse."""
        return _look_up(self.mode_collapse.mixtures, name, "mode_collapse.mixtures")

    def recipe_of_points(self, variant: str) -> Recipe:
        """How a variant is trained on points: mode_collapse.recipe ⊕ mode_collapse.variants.<variant>."""
        points = self.mode_collapse
        _look_up(self.variants, variant, "variants")
        composed = merged(points.recipe, _look_up(points.variants, variant, "mode_collapse.variants"))
        try:
            return Recipe.model_validate(composed)
        except ValidationError as error:
            said = _sentence(error, Recipe, lambda key: f"mode_collapse ({variant}): {key}")
            raise ConfigError(f"params.yaml: {said}") from None

    def cells(self, board: str) -> list[Cell]:
        """The cells of a board in the order of its axes."""
        grid = self.board(board)
        return [Cell(board, d, v, s) for d in grid.datasets for v in grid.variants for s in grid.seeds]

    def _layers(self, variant: str, name: str) -> Iterator[tuple[str, Layer]]:
        entry = _look_up(self.variants, variant, "variants")
        kind = entry.get("kind")
        if kind not in KINDS:
            raise ConfigError(
                f"params.yaml: variants.{variant}.kind is {kind!r}: choose one of {', '.join(KINDS)}"
            )
        if name not in self.recipes_of(variant):
            raise ConfigError(
                f"params.yaml: variants.{variant} has no entry '{name}'; "
                f"known: {', '.join(self.recipes_of(variant))}"
            )
        base: Mapping[Any, Layer] = self.bases.get(name, {})
        yield f"bases.{name}.{EVERY}", base.get(EVERY, {})
        yield f"bases.{name}.{kind}", base.get(kind, {})
        yield f"variants.{variant}.{EVERY}", entry.get(EVERY) or {}
        yield f"variants.{variant}.{name}", entry.get(name) or {}

    def _composed(self, variant: str, name: str) -> Layer:
        recipe: Layer = {}
        for place, layer in self._layers(variant, name):
            if not isinstance(layer, dict):
                raise ConfigError(f"params.yaml: {place} is {layer!r}: it must be a mapping")
            recipe = merged(recipe, layer)
        shared, own = recipe.pop("optimiser", {}), recipe.get("optimisers", {})
        players = [*recipe.get("updates", {}), *(p for p in own if p not in recipe.get("updates", {}))]
        return recipe | {"optimisers": {player: merged(shared, own.get(player, {})) for player in players}}


def merged(base: Layer, over: Layer) -> Layer:
    """Two layers as one; `over` wins, key by key.

    A mapping that has a `name` of its own (another optimiser, another network) replaces the one below it.
    """
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and _same_name(value, below):
            value = merged(below, value)
        result[key] = value
    return result


def _same_name(over: Layer, base: Layer) -> bool:
    return "name" not in over or over["name"] == base.get("name", over["name"])


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
        raise ConfigError(f"{path}: {_sentence(error, Params)}") from None
    for name, board in params.boards.items():
        for axis in ("datasets", "variants", "seeds"):
            values = getattr(board, axis)
            if len(set(values)) < len(values):
                raise ConfigError(f"{path}: boards.{name}.{axis} names a value twice: {values}")
        if "." in board.track:  # a track from outside may bring datasets and models of its own
            continue
        if board.track == CLAIMS:  # its datasets are groups of claims, its variants the claims
            for claim in board.variants:
                params.claim(claim, board.recipe)
            continue
        if board.track == MODES:
            for mixture in board.datasets:
                params.mixture(mixture)
            for variant in board.variants:
                params.recipe_of_points(variant)
            continue
        for dataset in board.datasets:
            params.dataset(dataset)
        for variant in board.variants:
            params.recipe(variant, board.recipe)
    for variant in params.variants:
        for recipe in params.recipes_of(variant):
            params.recipe(variant, recipe)
    for dataset in params.audit.datasets:
        _look_up(params.audit.sets, dataset, "audit.sets")
    return params


def _look_up(table: Mapping[str, Entry], name: str, where: str) -> Entry:
    if name not in table:
        raise ConfigError(f"params.yaml: {where} has no entry '{name}'; known: {', '.join(table)}")
    return table[name]


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _sentence(
    error: ValidationError, model: type[BaseModel], place: Callable[[str], str] = lambda key: key
) -> str:
    """The first complaint of pydantic as one sentence: key, what was given, what is allowed.

    Args:
        place: where a dotted key of the model stands in params.yaml.
    """
    first = error.errors()[0]
    path = [part for part in first["loc"] if part != "[key]"]
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        allowed = ", ".join(_type_at(path[:-1], model).model_fields)
        return f"unknown key '{place(_dotted(path, model))}'; allowed here: {allowed}{more}"
    if first["type"] == "missing":
        return f"key '{place(_dotted(path, model))}' is missing{more}"
    said = f"{first['msg'][0].lower()}{first['msg'][1:]}"
    return f"'{place(_dotted(path, model))}' is {first['input']!r}: {said}{more}"


def _dotted(path: list[int | str], model: type[BaseModel]) -> str:
    """The place in params.yaml, less the tags that pydantic puts after the entry of a union."""
    parts = [p for i, p in enumerate(path) if not _is_union(_type_at(path[:i], model))]
    return ".".join(str(part) for part in parts)


def _type_at(path: list[int | str], model: type[BaseModel]) -> Any:
    """The type that a model has at a place."""
    kind: Any = model
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
