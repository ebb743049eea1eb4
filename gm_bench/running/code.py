"""The code that something really runs, as one hash: its modules and all of ours that they import.

Docstrings, comments and layout do not count, nor do modules that are not imported. Sources are parsed and not
run, which takes milliseconds. Modules that are found by name at run time are no import that can be seen:
whoever asks names them.
"""

import ast
import hashlib
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = "gm_bench"


def code_hash(modules: Iterable[str]) -> str:
    """Hex digest of the code of these modules and of every module of their packages that they import.

    Args:
        modules: dotted names, of this package or of another one (a track outside of it).

    Raises:
        ValueError: there is no such module, or one is no Python.
    """
    digest = hashlib.sha256()
    for name in sorted(closure(modules)):
        digest.update(f"{name} {_fingerprint(_text(name))}\n".encode())
    return digest.hexdigest()


def closure(modules: Iterable[str]) -> set[str]:
    """These modules and all that they import, directly or not, of this package and of their own ones."""
    asked = list(modules)
    missing = [name for name in asked if find(name) is None]
    if missing:
        raise ValueError(f"there is no module {missing[0]}: neither in {PACKAGE} nor in the working folder")
    packages = frozenset({PACKAGE, *(name.partition(".")[0] for name in asked)})
    seen: set[str] = set()
    waiting = asked
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            try:
                waiting += _imports(name, packages)
            except SyntaxError as error:
                raise ValueError(f"{find(name)}, line {error.lineno}: {error.msg}") from None
    return seen


@cache
def find(module: str) -> Path | None:
    """The source file of a module, without importing it or its packages; None where there is none."""
    inside = Path(*module.split("."))
    for folder in sys.path:
        stem = Path(folder or ".") / inside
        for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
            if candidate.is_file():
                return candidate
    if module.partition(".")[0] == PACKAGE:
        top = Path(__file__).resolve().parents[1]
        stem = top.parent / inside
        return next((c for c in (stem.with_suffix(".py"), stem / "__init__.py") if c.is_file()), None)
    return None


def _path(module: str) -> Path:
    found = find(module)
    assert found is not None
    return found


@cache
def _text(module: str) -> str:
    return _path(module).read_text(encoding="utf-8")


@cache
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def _imports(module: str, packages: frozenset[str]) -> frozenset[str]:
    """Modules of the packages that a module imports, late ones too, but none that only types need."""
    found: set[str] = set()
    for node in _statements(_text(module)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            source = _source(node, module)
            inside = [f"{source}.{alias.name}" for alias in node.names]
            names = [name if find(name) else source for name in inside]
        found |= {name for name in names if name.partition(".")[0] in packages and find(name)}
    return frozenset(found)


@cache
def _statements(text: str) -> list[ast.Import | ast.ImportFrom]:
    """The import statements of a source, less those for types alone."""
    found = []
    waiting: list[ast.AST] = [_tree(text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        waiting += ast.iter_child_nodes(node)
    return found


def _source(node: ast.ImportFrom, module: str) -> str:
    """What stands between from and import, with the leading dots of a module's own package spelled out."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    if _path(module).name != "__init__.py":
        parts.pop()
    above = parts[: len(parts) - (node.level - 1)]
    return ".".join([*above, *([node.module] if node.module else [])])


@cache
def _fingerprint(text: str) -> str:
    digest = hashlib.sha256()
    _feed(_tree(text), digest)
    return digest.hexdigest()


def _feed(node: object, digest: "hashlib._Hash") -> None:
    """Write a syntax tree less positions, docstrings and empty fields: alike for all versions of Python."""
    if isinstance(node, ast.AST):
        digest.update(f"({type(node).__name__}".encode())
        for field, value in ast.iter_fields(node):
            if field == "body" and isinstance(value, list):
                value = [each for each in value if not _is_text(each)]
            if value not in (None, []) and field not in ("kind", "type_comment"):
                digest.update(f" {field}=".encode())
                _feed(value, digest)
        digest.update(b")")
    elif isinstance(node, list):
        digest.update(b"[")
        for each in node:
            _feed(each, digest)
        digest.update(b"]")
    else:
        digest.update(repr(node).encode())


def _is_text(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
