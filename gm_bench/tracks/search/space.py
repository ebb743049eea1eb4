"""Hyper-parameters as places in a recipe: which a variant has, what they are, a recipe with others."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]


def searched(space: Json, recipe: Json, variant: str) -> dict[str, Any]:
    """The part of a space that is searched for a variant: the hyper-parameters that its recipe has.

    Args:
        space: name → `Hyperparameter` as a mapping.
        recipe: that the variant has without a search, as a mapping.
    """
    return {
        name: {part: value for part, value in each.items() if part != "variants"}
        for name, each in space.items()
        if (each["variants"] is None or variant in each["variants"]) and _places(recipe, each["key"])
    }


def values_of(space: Json, recipe: Json) -> dict[str, Any]:
    """What a recipe says of each hyper-parameter; of one with several places, at the first of them."""
    found = {}
    for name, each in space.items():
        holder, last = _places(recipe, each["key"])[0]
        found[name] = holder[last]
    return found


def with_values(space: Json, recipe: Json, values: Json) -> dict[str, Any]:
    """A copy of a recipe with other hyper-parameters.

    Args:
        values: by name, some or all of those of the space.
    """
    changed = copy.deepcopy(dict(recipe))
    for name, value in values.items():
        for holder, last in _places(changed, space[name]["key"]):
            holder[last] = value
    return changed


def difference(base: Json, other: Json) -> dict[str, Any]:
    """The layer that turns one recipe into another: what of `other` is not so in `base`.

    Keys that `other` lacks cannot be said by a layer: there are none between recipes of one variant.
    """
    layer: dict[str, Any] = {}
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            below = difference(base[key], value)
            if below:
                layer[key] = below
        elif key not in base or value != base[key]:
            layer[key] = value
    return layer


def is_within(hyperparameter: Json, value: Any) -> bool:
    """Whether a value is one that can be drawn."""
    if hyperparameter["choices"] is not None:
        return any(type(value) is type(each) and value == each for each in hyperparameter["choices"])
    return bool(hyperparameter["low"] <= value <= hyperparameter["high"])


def _places(recipe: Any, key: str) -> list[tuple[Any, Any]]:
    """(what holds it, its key or index there) of every place that a key stands for; empty if one lacks it."""
    *above, last = key.split(".")
    holders = [recipe]
    for part in above:
        holders = [entry for holder in holders for entry in _entries(holder, part)]
    ends = [_index(holder, last) for holder in holders]
    if any(end is None for end in ends):
        return []
    return list(zip(holders, ends, strict=True))


def _entries(holder: Any, part: str) -> Iterator[Any]:
    if part == "*":
        yield from holder.values() if isinstance(holder, Mapping) else (None,)
    else:
        end = _index(holder, part)
        yield None if end is None else holder[end]


def _index(holder: Any, part: str) -> Any:
    if isinstance(holder, list):
        return int(part) if part.isdigit() and int(part) < len(holder) else None
    return part if isinstance(holder, Mapping) and part in holder else None
