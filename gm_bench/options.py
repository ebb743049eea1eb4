"""Constructor keywords that a user gives, checked against the constructor's own annotations."""

import inspect
import math
import operator
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import Field, Strict

PositiveInt = Annotated[int, Field(gt=0, strict=True)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Seed = Annotated[int, Field(ge=0, strict=True)]

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
BOUNDS = {
    "gt": (operator.gt, "above"),
    "ge": (operator.ge, "of at least"),
    "lt": (operator.lt, "below"),
    "le": (operator.le, "at most"),
}


def check_keywords(cls: type, options: Mapping[str, Any], where: str, given: Collection[str]) -> None:
    """Refuse keywords that a constructor does not take, missing ones, and values of another type or size.

    A whole number is taken where a number is expected; true and false are no numbers.

    Args:
        options: the keywords with their values, as params.yaml gives them.
        where: the entry of params.yaml that holds them, in words.
        given: parameters of the constructor that are not the user's to give.

    Raises:
        ValueError: one sentence that names the key, the value and what is allowed.
    """
    expected = [p for p in inspect.signature(cls).parameters if p not in given]
    for key in options:
        if key not in expected:
            raise ValueError(f"params.yaml: unknown key '{key}' in {where}; allowed: {', '.join(expected)}")
    for key in expected:
        if key not in options:
            raise ValueError(f"params.yaml: {where} lacks the key '{key}'; it takes: {', '.join(expected)}")
    annotations = get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]
    for key, value in options.items():
        kind, bounds = _read(annotations[key])
        if not _fits(value, kind) or not all(BOUNDS[bound][0](value, limit) for bound, limit in bounds):
            raise ValueError(
                f"params.yaml: in {where}, {key} is {value!r}; allowed: {_allowed(kind, bounds)}"
                f"{_hint(value, kind)}"
            )


def _read(annotation: Any) -> tuple[Any, list[tuple[str, float]]]:
    """The type of an annotation, and its bounds: pydantic's name of each, and the number.

    Raises:
        TypeError: a rule that is no bound, which would be passed over.
    """
    if get_origin(annotation) is not Annotated:
        return annotation, []
    kind, *fields = get_args(annotation)
    rules = [rule for field in fields for rule in getattr(field, "metadata", [field])]
    bounds = [(key, getattr(rule, key)) for key in BOUNDS for rule in rules if hasattr(rule, key)]
    if len(bounds) != sum(not isinstance(rule, Strict) for rule in rules):
        raise TypeError(f"{annotation}: only the bounds {', '.join(BOUNDS)} are judged")
    return kind, bounds


def _fits(value: object, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return any(type(value) is type(choice) and value == choice for choice in get_args(kind))
    is_kind = type(value) is kind or (kind is float and type(value) is int)
    return is_kind and not (isinstance(value, float) and not math.isfinite(value))


def _allowed(kind: Any, bounds: list[tuple[str, float]]) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    words = (f"{BOUNDS[bound][1]} {limit}" for bound, limit in bounds)
    return f"{WORDS[kind]} {' and '.join(words)}".rstrip()


def _hint(value: object, kind: Any) -> str:
    """How a number is written that YAML took for a text, such as 1e-2: it wants a point before the e."""
    try:
        number = float(value) if isinstance(value, str) and kind in (int, float) else math.nan
    except ValueError:
        return ""
    if not math.isfinite(number) or (kind is int and not number.is_integer()):
        return ""
    return f" (YAML reads {value} as text: write {int(number) if kind is int else number})"
