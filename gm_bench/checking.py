"""params.yaml as its readers check it: a wrong key or value is one sentence, `ConfigError`."""

from collections.abc import Callable, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

Entry = TypeVar("Entry")
Model = TypeVar("Model", bound=BaseModel)


class ConfigError(ValueError):
    """params.yaml says something that cannot be run."""


def look_up(table: Mapping[str, Entry], name: str, where: str) -> Entry:
    """An entry of params.yaml; `ConfigError` lists the known ones.

    Args:
        where: key of the table in params.yaml.
    """
    if name not in table:
        raise ConfigError(f"params.yaml: {where} has no entry '{name}'; known: {', '.join(table)}")
    return table[name]


def checked(
    model: type[Model],
    content: Any,
    place: Callable[[str], str] = lambda key: key,
    file: object = "params.yaml",
) -> Model:
    """Content of params.yaml as a model.

    Args:
        place: where a dotted key of the model stands in params.yaml.
        file: for the sentence.

    Raises:
        ConfigError: one thing that is wrong: key, what was given, what is allowed.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{file}: {_sentence(error, model, place)}") from None


def _sentence(error: ValidationError, model: type[BaseModel], place: Callable[[str], str]) -> str:
    """One complaint of pydantic: an unknown key first, which may be a missing one misspelt."""
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
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
