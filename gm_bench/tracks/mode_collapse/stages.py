"""What each stage of the track depends on besides data: settings of params.yaml, and its modules."""

from gm_bench.config import Params
from gm_bench.tracks.needs import Needs

MEASURING = ["gm_bench.tracks.mode_collapse.measuring"]


def of_dataset(params: Params, dataset: str) -> dict[str, Needs]:
    """The stages that a mixture goes through once."""
    return {"fetch": Needs(_measured(params, dataset), MEASURING)}


def of_cell(params: Params, board: str, dataset: str, variant: str) -> dict[str, Needs]:
    """The stages of the cells of one variant on one mixture, the same for every seed."""
    recipe = params.recipe_of_points(variant)
    model = [f"gm_bench.variants.{variant}", f"gm_bench.nets.{recipe.network.name}"]
    training = {
        "recipe": recipe.model_dump(mode="json"),
        "n_images": params.board(board).n_images,
        "n_snapshots": 0,
        "n_validation": 0,
    }
    return {
        "train": Needs(training, ["gm_bench.training.fit", *model]),
        "evaluate": Needs(_measured(params, dataset), [*MEASURING, *model]),
    }


def _measured(params: Params, dataset: str) -> dict[str, object]:
    mixture = params.mixture(dataset)
    return {"mixture": mixture.model_dump(), "n_samples": params.mode_collapse.n_samples}
