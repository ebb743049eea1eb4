"""params.yaml as frozen models: the only reader of it.

Boards name what is compared; bases and variants compose to the recipes of it (gm_bench/composition.py).
A wrong key or value raises `ConfigError` with one sentence that names the key, the value and what is allowed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Field, PrivateAttr, create_model

from gm_bench import derived
from gm_bench.cell import DATA, Cell
from gm_bench.checking import ConfigError, checked, look_up
from gm_bench.composition import Base, Layer, Layers, Recipes
from gm_bench.derived import Facts, Value
from gm_bench.options import Name, PositiveInt, Seed
from gm_bench.results.protocol import Protocol
from gm_bench.training.recipe import Frozen, Recipe
from gm_bench.yaml_text import load_yaml

PARAMS_FILE = Path("params.yaml")
TrackName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")]


class NotFetchedError(ConfigError):
    """A number follows from a dataset that was not fetched yet."""


class Board(Frozen):
    """A named grid of cells (datasets × variants × seeds) with its recipe and its budget.

    `track` is a folder of gm_bench/tracks, or a dotted module of another package; `recipe` says which recipe
    of each variant is used, `n_images` the budget in real images shown, `n_snapshots` how many times in a
    training run samples are drawn to be judged against validation images. These three are derived from the
    data where they are not given; `width` replaces that of the networks.
    """

    track: TrackName = "generation"
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
    """The whole of params.yaml.

    `tracks` has settings of tracks. They are checked where tracks are known, as is what boards name
    (gm_bench/tracks/settings.py).
    """

    boards: dict[Name, Board] = Field(min_length=1)
    datasets: dict[Name, DatasetEntry]
    bases: dict[Name, Base]
    variants: dict[Name, dict[str, Any]]
    tracks: dict[TrackName, dict[str, Any]] = Field(default_factory=dict)
    _facts: dict[str, Facts] = PrivateAttr(default_factory=dict)

    @property
    def default_board(self) -> str:
        """The board of `dvc repro` without a name: the first one."""
        return next(iter(self.boards))

    def board(self, name: str) -> Board:
        """The entry of one board; `ConfigError` lists the known ones."""
        return look_up(self.boards, name, "boards")

    def entry(self, name: str) -> DatasetEntry:
        """What params.yaml says of one dataset; `ConfigError` lists the known ones."""
        return look_up(self.datasets, name, "datasets")

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
        is_scaled = values["recipe"].value == derived.SCALED
        if is_scaled or "recipe" not in given:
            facts, n_held_back = self._fetched(dataset), self.numbers(dataset)["n_validation"].value
            batch = derived.batch_size(facts, n_held_back)
            if is_scaled:
                values = {"width": derived.width(facts)} | values
            if is_scaled or batch.value < derived.BATCH_SIZE:  # else the recipe's own
                values["batch_size"] = batch
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
        if plan.recipe not in (known := self.recipes_of(variant)):
            raise ConfigError(
                f"params.yaml: {plan.origins['recipe']} is '{plan.recipe}', which {variant} does not have; "
                f"known: {', '.join(known)}"
            )
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
        return self._recipes.names(variant)

    def recipe(self, variant: str, name: str, over: Layers = ()) -> Recipe:
        """The effective recipe of a variant under a name.

        Args:
            over: (place, layer) that come after those of params.yaml.
        """
        return self._recipes.compose(variant, name, over)

    def origins(self, variant: str, name: str, over: Layers = ()) -> dict[str, str]:
        """Where in params.yaml each value of the effective recipe stands, by dotted key."""
        return self._recipes.origins(variant, name, over)

    def cells(self, board: str) -> list[Cell]:
        """The cells of a board in the order of its axes."""
        grid = self.board(board)
        return [Cell(board, d, v, s) for d in grid.datasets for v in grid.variants for s in grid.seeds]

    @property
    def _recipes(self) -> Recipes:
        return Recipes(self.bases, self.variants)


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
        raw = load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping with the keys {', '.join(Params.model_fields)}")
    params = checked(Params, raw, file=path)
    _check(params, path)
    params._facts.update(facts)
    return params


def _check(params: Params, path: Path) -> None:
    """Refuse a value twice on an axis of a board, and recipes that cannot be composed."""
    for name, board in params.boards.items():
        for axis in ("datasets", "variants", "seeds"):
            values = getattr(board, axis)
            if len(set(values)) < len(values):
                raise ConfigError(f"{path}: boards.{name}.{axis} names a value twice: {values}")
    for variant in params.variants:
        for recipe in params.recipes_of(variant):
            params.recipe(variant, recipe)


def _read_facts(card: Path) -> Facts | None:
    """What a card says; None where it is damaged or of another version, as if nothing had been fetched."""
    try:
        return Facts.of_card(json.loads(card.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
