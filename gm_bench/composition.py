"""Recipes, composed of layers of params.yaml, later wins:

    bases.<recipe>.all ⊕ bases.<recipe>.<kind> ⊕ variants.<variant>.all ⊕ variants.<variant>.<recipe>

Before those of a recipe come the layers of the recipe that it is `like`; after all of them what a board adds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from gm_bench.checking import ConfigError, checked, look_up
from gm_bench.options import Name
from gm_bench.training.recipe import Frozen, Recipe

KINDS = ("adversarial", "single", "fitted")
EVERY = "all"  # the layer of a variant or a base that every recipe, or every kind, starts from
KEYS = (*Recipe.model_fields, "optimiser")  # of a layer: `optimiser` is what every player starts from
Layer = dict[str, Any]
Layers = Sequence[tuple[str, Layer]]  # (place in params.yaml, layer)


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
class Recipes:
    """The recipes of every variant.

    Args:
        bases, variants: as params.yaml has them.
    """

    bases: Mapping[str, Base]
    variants: Mapping[str, Mapping[str, Any]]

    def names(self, variant: str) -> list[str]:
        """Names of the recipes that a variant has: those of the bases and its own."""
        own = [name for name in look_up(self.variants, variant, "variants") if name not in ("kind", EVERY)]
        return list(dict.fromkeys([*self.bases, *own]))

    def compose(self, variant: str, name: str, over: Layers = ()) -> Recipe:
        """The effective recipe of a variant under a name.

        Args:
            over: (place, layer) that come after those of params.yaml.
        """

        def place(key: str) -> str:
            return self.origins(variant, name, over).get(key, f"variants.{variant}.{name}.{key}")

        return checked(Recipe, self._merged(variant, name, over), place)

    def origins(self, variant: str, name: str, over: Layers = ()) -> dict[str, str]:
        """Where in params.yaml each value of the effective recipe stands, by dotted key."""
        found: dict[str, str] = {}
        shared: dict[str, str] = {}
        for place, layer in self._layers(variant, name):
            for key in leaves(layer):
                (shared if key.startswith("optimiser.") else found)[key] = f"{place}.{key}"
        found |= {key: place for place, layer in over for key in leaves(layer)}
        recipe = self._merged(variant, name, over)
        for key in leaves(recipe):
            of_all = ".".join(["optimiser", *key.split(".")[2:]])
            if key not in found and key.startswith("optimisers.") and of_all in shared:
                found[key] = shared[of_all]
        return {key: found[key] for key in leaves(recipe) if key in found}

    def _layers(self, variant: str, name: str) -> Iterator[tuple[str, Layer]]:
        entry = look_up(self.variants, variant, "variants")
        kind = entry.get("kind")
        if kind not in KINDS:
            raise ConfigError(
                f"params.yaml: variants.{variant}.kind is {kind!r}: choose one of {', '.join(KINDS)}"
            )
        if name not in self.names(variant):
            raise ConfigError(
                f"params.yaml: variants.{variant} has no entry '{name}'; "
                f"known: {', '.join(self.names(variant))}"
            )
        names = [*self._ancestors(name), name]
        for each in names:
            if each in self.bases:
                yield f"bases.{each}.{EVERY}", self.bases[each].all
                yield f"bases.{each}.{kind}", getattr(self.bases[each], kind)
        for each in (EVERY, *names):
            layer = entry.get(each)
            yield f"variants.{variant}.{each}", {} if layer is None else layer

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

    def _merged(self, variant: str, name: str, over: Layers = ()) -> Layer:
        """The layers as one, in which every player has an optimiser of its own."""
        recipe: Layer = {}
        for place, layer in [*self._layers(variant, name), *over]:
            _check(layer, place)
            recipe = merged(recipe, layer)
        shared, own = recipe.pop("optimiser", {}), recipe.get("optimisers", {})
        players = [*recipe.get("updates", {}), *(p for p in own if p not in recipe.get("updates", {}))]
        return recipe | {"optimisers": {player: merged(shared, own.get(player, {})) for player in players}}


def _check(layer: Any, place: str) -> None:
    """Refuse a layer that cannot be merged: an unknown key, or no mapping where one must be."""
    _check_mapping(layer, place)
    for key in layer:
        if key not in KEYS:
            raise ConfigError(f"params.yaml: unknown key '{place}.{key}'; allowed here: {', '.join(KEYS)}")
    for key in ("updates", "optimisers", "optimiser"):
        _check_mapping(layer.get(key, {}), f"{place}.{key}")
    for player, optimiser in layer.get("optimisers", {}).items():
        _check_mapping(optimiser, f"{place}.optimisers.{player}")


def _check_mapping(value: Any, place: str) -> None:
    if not isinstance(value, dict):
        raise ConfigError(f"params.yaml: {place} is {value!r}: it must be a mapping")


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


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted keys of what is no mapping, or an empty one."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
