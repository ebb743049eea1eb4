"""What the stages of the claims depend on: the budget of each in params.yaml, and the modules they run."""

from gm_bench.config import Params
from gm_bench.tracks.needs import Needs

MEASURING = "gm_bench.tracks.diagnostics.measuring"


def of_dataset(params: Params, dataset: str) -> dict[str, Needs]:
    """The stages that a group of claims goes through once."""
    return {"group": Needs({}, [MEASURING])}


def of_cell(params: Params, board: str, dataset: str, variant: str) -> dict[str, Needs]:
    """The stages of one claim, the same for every seed."""
    budget = params.claim(variant, params.board(board).recipe)
    return {"run": Needs({"budget": budget}, [MEASURING, f"gm_bench.tracks.diagnostics.claims.{variant}"])}
