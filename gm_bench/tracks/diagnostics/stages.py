"""What the stages of the claims depend on: the budget of each in params.yaml, and the modules they run."""

import hashlib
from pathlib import Path
from typing import Any

from gm_bench.cell import Cell
from gm_bench.checking import ConfigError, look_up
from gm_bench.composition import EVERY
from gm_bench.config import Params
from gm_bench.derived import Value
from gm_bench.tracks.diagnostics.claim import FOLDER, names
from gm_bench.tracks.diagnostics.settings import Diagnostics
from gm_bench.tracks.needs import Needs
from gm_bench.tracks.settings import settings

SETTINGS = Diagnostics
NAMED = {"dataset": "gm_bench.data.loaders", "network": "gm_bench.nets"}  # where what a budget names lies
MEASURING = "gm_bench.tracks.diagnostics.measuring"


def check(params: Params, board: str) -> None:
    """Refuse claims of a board that have no file, or no budget under its recipe.

    Raises:
        ConfigError: such a claim, or a board without a recipe.
    """
    for claim in params.board(board).variants:
        if claim not in names():
            raise ConfigError(
                f"params.yaml: boards.{board}.variants: there is no claim '{claim}' in {FOLDER}; "
                f"known: {', '.join(names())}"
            )
        budget(params, board, claim)


def budget(params: Params, board: str, claim: str) -> dict[str, Any]:
    """The budget of a claim on a board: tracks.diagnostics.claims.<claim>.all ⊕ that of the board's recipe.

    Raises:
        ConfigError: wrong settings, no entry of the claim or of the recipe, or a board without a recipe.
    """
    recipe = params.board(board).recipe
    if recipe is None:
        raise ConfigError(
            f"params.yaml: key 'boards.{board}.recipe' is missing: name the entry of each claim's budget"
        )
    entry = look_up(settings(params, "diagnostics", SETTINGS).claims, claim, "tracks.diagnostics.claims")
    own = look_up(entry, recipe, f"tracks.diagnostics.claims.{claim}")
    layers = [entry[EVERY], own] if EVERY in entry else [own]
    return {key: value for layer in layers for key, value in layer if value is not None}


def explained_cell(params: Params, cell: Cell) -> tuple[dict[str, Any], dict[str, str]]:
    """Budget of a claim, and where in params.yaml each number stands."""
    values, place = budget(params, cell.board, cell.variant), f"tracks.diagnostics.claims.{cell.variant}"
    layers = settings(params, "diagnostics", SETTINGS).claims[cell.variant]
    recipe = params.board(cell.board).recipe
    own = {key for key, value in layers[recipe] if value is not None} if recipe in layers else set()
    return values, {key: f"{place}.{recipe if key in own else EVERY}.{key}" for key in values}


def explained_dataset(params: Params, board: str, dataset: str) -> dict[str, Value]:
    """The budgets of all claims of a board, by `<claim>.<key>`."""
    found: dict[str, Value] = {}
    for claim in params.board(board).variants:
        values, origins = explained_cell(params, Cell(board, dataset, claim, 0))
        found |= {f"{claim}.{key}": Value(value, origins[key]) for key, value in values.items()}
    return found


def of_dataset(params: Params, dataset: str) -> dict[str, Needs]:
    """The stages that a group of claims goes through once."""
    return {"group": Needs({}, [MEASURING])}


def of_cell(params: Params, board: str, dataset: str, variant: str) -> dict[str, Needs]:
    """The stages of one claim, the same for every seed."""
    said = budget(params, board, variant)
    modules = [MEASURING, f"gm_bench.tracks.diagnostics.claims.{variant}"]
    modules += [f"{folder}.{said[key]}" for key, folder in NAMED.items() if key in said]
    report = {"report_sha256": _sha256(Path(said["report"]))} if "report" in said else {}
    return {"run": Needs({"budget": said, **report}, modules)}


def _sha256(path: Path) -> str | None:
    """Of a file's content; None where there is no such file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
