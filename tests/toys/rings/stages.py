"""What the stages of a cell depend on."""

from gm_bench.config import Params
from gm_bench.tracks.needs import Needs

MODULES = ["toys.rings.measuring"]


def of_cell(params: Params, board: str, dataset: str, variant: str) -> dict[str, Needs]:
    return {"train": Needs({}, MODULES), "evaluate": Needs({"n_samples": 500}, MODULES)}
