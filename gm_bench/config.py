"""params.yaml as frozen models: the only reader of it.

Boards name what is compared; recipes are composed, later wins:

    bases.<recipe>.all ⊕ bases.<recipe>.<kind> ⊕ variants.<variant>.all ⊕ variants.<variant>.<recipe>

A wrong key or value raises `ConfigError` with one sentence that names the key, the value and what is allowed.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, create_model

from gm_bench import derived
from gm_bench.cell import DATA, Cell
from gm_bench.derived import Facts, Value
from gm_bench.options import Name, PositiveInt, Seed
from gm_bench.results.protocol import Protocol
from gm_bench.tracks.audit.settings import Audit
from gm_bench.training.recipe import Frozen, Recipe

PARAMS_FILE = Path("params.yaml")
KINDS = ("adversarial", "single", "fitted")
EVERY = "all"  # the layer of a variant or a base that every recipe, or every kind, starts from
Entry = TypeVar("Entry")
Layer = dict[str, Any]
Layers = Sequence[tuple[str, Layer]]


class ConfigError(ValueError):
    """params.yaml says something that cannot be run."""


class NotFetchedError(ConfigError):
    """A number follows from a dataset that was not fetched yet."""


class Board(Frozen):
    """A named grid of cells (datasets × variants × seeds) with its recipe and its budget.

    `track` is a folder of gm_bench/tracks, or a dotted module of another package; `recipe` says which recipe
    of each variant is used, `n_images` the budget in real images shown, `n_snapshots` how many times in a
    training run samples are drawn to be judged against validation images. These three are derived from the
    data where they are not given; `width` replaces that of the networks.
    """

    track: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")] = "generation"
    datasets: list[Name] = Field(min_length=1)
    variants: list[Name] = Field(min_length=1)
    seeds: list[Seed] = Field(min_length=1)
    recipe: Name | None = None
    n_images: PositiveInt | None = None
    n_snapshots: PositiveInt | None = None
    width: PositiveInt | None = None


class Source(Frozen):
    """Where the images come from: a loader (a module of gm_bench.data.loaders) and its keyword arguments."""

    model_config = ConfigDict(frozen=True, extra="allow")
    loader: Name

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


_OPEN: Any = {
    key: (kind | None, None) for key, kind in Protocol.__annotations__.items() if key != "model_config"
}
GivenProtocol: Any = create_model("GivenProtocol", __base__=Frozen, **_OPEN)  # each key may be left open


class DatasetEntry(Frozen):
    """What params.yaml says of a dataset; what it leaves open of the numbers is derived from the splits.

    `note` is a sentence that stands on every board of it.
    """

    source: Source
    note: str = ""
    n_validation: Annotated[int, Field(ge=2, strict=True)] | None = None
    protocol: GivenProtocol = GivenProtocol()

    @property
    def given(self) -> dict[str, Any]:
        """The keys of the protocol that are given."""
        return {key: value for key, value in self.protocol if value is not None}

    @property
    def complete(self) -> bool:
        return self.n_validation is not None and len(self.given) == len(Protocol.model_fields)


class DatasetConfig(Frozen):
    """A dataset, its protocol, and how many training images are held back for learning curves."""

    source: Source
    note: str
    n_validation: int
    protocol: Protocol


class Base(Frozen):
    """What variants share under a recipe: all of them, and those of each kind.

    `like` names a recipe whose layers, of bases and of variants, come before these.
    """

    like: Name | None = None
    all: Layer = Field(default_factory=dict)
    adversarial: Layer = Field(default_factory=dict)
    single: Layer = Field(default_factory=dict)
    fitted: Layer = Field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """How a board trains on a dataset.

    Args:
        layers: (place, layer) over those of params.yaml.
        values: recipe, n_images and n_snapshots, and width and batch_size where they are not the recipe's.
        origins: where each of them comes from.
    """

    layers: tuple[tuple[str, Layer], ...]
    values: Mapping[str, Any]
    origins: Mapping[str, str]

    @property
    def recipe(self) -> str:
        return str(self.values["recipe"])

    @property
    def n_images(self) -> int:
        return int(self.values["n_images"])

    @property
    def n_snapshots(self) -> int:
        return int(self.values["n_snapshots"])


class Params(Frozen):
    boards: dict[Name, Board] = Field(min_length=1)
    datasets: dict[Name, DatasetEntry]
    bases: dict[Name, Base]
    variants: dict[Name, dict[str, Any]]
    audit: Audit
    _facts: dict[str, Facts] = PrivateAttr(default_factory=dict)

    @property
    def default_board(self) -> str:
        """The board of `dvc repro` without a name: the first one."""
        return next(iter(self.boards))

    def board(self, name: str) -> Board:
        """The entry of one board; `ConfigError` lists the known ones."""
        return _look_up(self.boards, name, "boards")

    def entry(self, name: str) -> DatasetEntry:
        """What params.yaml says of one dataset; `ConfigError` lists the known ones."""
        return _look_up(self.datasets, name, "datasets")

    def facts(self, name: str) -> Facts | None:
        """What the fetched splits of a dataset are; None where they were not fetched yet."""
        self.entry(name)
        return self._facts.get(name)

    def dataset(self, name: str) -> DatasetConfig:
        """One dataset with all its numbers, given or derived.

        Raises:
            ConfigError: there is none of that name, or a number is derived and the dataset not fetched yet.
        """
        entry = self.entry(name)
        values = {key: each.value for key, each in self.numbers(name).items()}
        n_validation = values.pop("n_validation")
        return DatasetConfig(
            source=entry.source,
            note=entry.note,
            n_validation=n_validation,
            protocol=Protocol.model_construct(**values) if not entry.complete else Protocol(**values),
        )

    def numbers(self, name: str) -> dict[str, Value]:
        """n_validation and every key of a dataset's protocol, and where in params.yaml it stands or what it
        is derived from."""
        entry, place = self.entry(name), f"datasets.{name}"
        found = {key: Value(value, f"{place}.protocol.{key}") for key, value in entry.given.items()}
        if entry.n_validation is not None:
            held_back = Value(entry.n_validation, f"{place}.n_validation")
        else:
            held_back = derived.n_validation(self._fetched(name))
        if not entry.complete:
            found |= derived.protocol(self._fetched(name), held_back.value, entry.given)
        return {"n_validation": held_back} | {key: found[key] for key in Protocol.model_fields}

    def plan(self, board: str, dataset: str) -> Plan:
        """How a board trains on a dataset.

        Raises:
            ConfigError: a number is derived and the dataset not fetched yet.
        """
        grid, place = self.board(board), f"boards.{board}"
        given = {
            key: Value(getattr(grid, key), f"{place}.{key}")
            for key in ("recipe", "n_images", "n_snapshots", "width")
            if getattr(grid, key) is not None
        }
        values = {"n_snapshots": derived.n_snapshots()} | given
        if "recipe" not in given:
            values["recipe"] = derived.recipe(self._fetched(dataset))
        if "n_images" not in given:
            n_held_back = self.numbers(dataset)["n_validation"].value
            values["n_images"] = derived.n_images(self._fetched(dataset), n_held_back)
        if values["recipe"].value == derived.SCALED:
            facts, n_held_back = self._fetched(dataset), self.numbers(dataset)["n_validation"].value
            values = {
                "width": derived.width(facts),
                "batch_size": derived.batch_size(facts, n_held_back),
            } | values
        layers = [(values[key].origin, {key: values[key].value}) for key in ("batch_size",) if key in values]
        if "width" in values:
            layers.append((values["width"].origin, {"network": {"width": values["width"].value}}))
        return Plan(
            tuple(layers),
            {key: each.value for key, each in values.items()},
            {key: each.origin for key, each in values.items()},
        )

    def recipe_of(self, board: str, dataset: str, variant: str) -> Recipe:
        """The recipe that a cell is trained by."""
        plan = self.plan(board, dataset)
        return self.recipe(variant, plan.recipe, plan.layers)

    def _fetched(self, name: str) -> Facts:
        if name not in self._facts:
            raise NotFetchedError(
                f"params.yaml leaves numbers of datasets.{name} open, which follow from the sizes of its "
                f"splits: fetch it first (gm-bench run --board NAME does), or give them"
            )
        return self._facts[name]

    def recipes_of(self, variant: str) -> list[str]:
        """Names of the recipes that a variant has: those of the bases and its own."""
        own = [name for name in _look_up(self.variants, variant, "variants") if name not in ("kind", EVERY)]
        return list(dict.fromkeys([*self.bases, *own]))

    def recipe(self, variant: str, name: str, over: Layers = ()) -> Recipe:
        """The effective recipe of a variant under a name.

        Args:
            over: (place, layer) that come after those of params.yaml.
        """
        composed = self._composed(variant, name, over)
        try:
            return Recipe.model_validate(composed)
        except ValidationError as error:
            places = self.origins(variant, name, over)
            said = _sentence(error, Recipe, lambda key: places.get(key, f"variants.{variant}.{name}.{key}"))
            raise ConfigError(f"params.yaml: {said}") from None

    def origins(self, variant: str, name: str, over: Layers = ()) -> dict[str, str]:
        """Where in params.yaml each value of the effective recipe stands, by dotted key."""
        found: dict[str, str] = {}
        shared: dict[str, str] = {}
        for place, layer in self._layers(variant, name):
            for key in _leaves(layer):
                (shared if key.startswith("optimiser.") else found)[key] = f"{place}.{key}"
        found |= {key: place for place, layer in over for key in _leaves(layer)}
        recipe = self._composed(variant, name, over)
        for key in _leaves(recipe):
            if key not in found and key.startswith("optimisers."):
                found[key] = shared[f"optimiser.{key.split('.', 2)[2]}"]
        return {key: found[key] for key in _leaves(recipe) if key in found}

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
        names = [*self._ancestors(name), name]
        for each in names:
            if each in self.bases:
                yield f"bases.{each}.{EVERY}", self.bases[each].all
                yield f"bases.{each}.{kind}", getattr(self.bases[each], kind)
        yield f"variants.{variant}.{EVERY}", entry.get(EVERY) or {}
        for each in names:
            yield f"variants.{variant}.{each}", entry.get(each) or {}

    def _ancestors(self, name: str) -> list[str]:
        """The recipes that one is like, the first before all."""
        found: list[str] = []
        like = self.bases[name].like if name in self.bases else None
        while like is not None:
            if like in found or like not in self.bases:
                raise ConfigError(
                    f"params.yaml: bases.{name}.like leads to '{like}', which is none of "
                    f"{', '.join(self.bases)} or leads back"
                )
            found.insert(0, like)
            like = self.bases[like].like
        return found

    def _composed(self, variant: str, name: str, over: Layers = ()) -> Layer:
        recipe: Layer = {}
        for place, layer in [*self._layers(variant, name), *over]:
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
    """Read and check params.yaml, and the cards of the datasets that were fetched.

    Raises:
        ConfigError: the file is missing, is no YAML, or holds a wrong key or value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} not found: run from the top of the repository") from None
    params = parse_params(text, {}, path)
    for dataset in params.datasets:
        card = path.parent / DATA / dataset / "card.json"
        facts = _read_facts(card) if card.exists() else None
        if facts is not None:
            params._facts[dataset] = facts
    return params


def parse_params(text: str, facts: Mapping[str, Facts], path: Path = PARAMS_FILE) -> Params:
    """The content of params.yaml, checked.

    Args:
        facts: what the splits of datasets are.
        path: of the file, for sentences.

    Raises:
        ConfigError: it is no YAML, or holds a wrong key or value.
    """
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping with the keys {', '.join(Params.model_fields)}")
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_sentence(error, Params)}") from None
    _check_references(params, path)
    params._facts.update(facts)
    return params


def _check_references(params: Params, path: Path) -> None:
    """Refuse what boards and the audit name and is not there."""
    for name, board in params.boards.items():
        for axis in ("datasets", "variants", "seeds"):
            values = getattr(board, axis)
            if len(set(values)) < len(values):
                raise ConfigError(f"{path}: boards.{name}.{axis} names a value twice: {values}")
        if "." in board.track:  # a track from outside may bring datasets and models of its own
            continue
        for dataset in board.datasets:
            params.entry(dataset)
        for variant in board.variants:
            _look_up(params.variants, variant, "variants")
            if board.recipe is not None:
                params.recipe(variant, board.recipe)
    for variant in params.variants:
        for recipe in params.recipes_of(variant):
            params.recipe(variant, recipe)
    for dataset in params.audit.datasets:
        _look_up(params.audit.sets, dataset, "audit.sets")


def _read_facts(card: Path) -> Facts | None:
    """What a card says; None where it is damaged or of another version, as if nothing had been fetched."""
    try:
        return Facts.of_card(json.loads(card.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


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
        if isinstance(kind, UnionType):  # of a value and None
            kind = next(each for each in get_args(kind) if each is not type(None))
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
