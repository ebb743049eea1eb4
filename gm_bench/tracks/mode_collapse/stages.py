"""What each stage of the track depends on besides data: settings of params.yaml, and its modules."""

from typing import Any

from gm_bench.cell import Cell
from gm_bench.checking import ConfigError, checked, look_up
from gm_bench.composition import leaves, merged
from gm_bench.config import Params
from gm_bench.derived import Value
from gm_bench.tracks.mode_collapse.settings import MixtureSettings, ModeCollapse
from gm_bench.tracks.needs import Needs
from gm_bench.tracks.settings import settings
from gm_bench.training.recipe import Recipe

SETTINGS = ModeCollapse
PLACE = "tracks.mode_collapse"
MEASURING = ["gm_bench.tracks.mode_collapse.measuring"]
TRAINING = ["gm_bench.training.fit", "gm_bench.tracks.mode_collapse.course"]


def check(params: Params, board: str) -> None:
    """Refuse mixtures and variants of a board that the settings do not have, and a board without a budget.

    Raises:
        ConfigError: the first of them; the message lists those there are.
    """
    grid = params.board(board)
    for dataset in grid.datasets:
        mixture_of(params, dataset)
    for variant in grid.variants:
        recipe_of(params, variant)
    if grid.n_images is None:
        raise ConfigError(f"params.yaml: key 'boards.{board}.n_images' is missing: how many points are shown")


def mixture_of(params: Params, dataset: str) -> MixtureSettings:
    """One of the mixtures.

    Raises:
        ConfigError: wrong settings, or no mixture of that name.
    """
    return look_up(settings(params, "mode_collapse", SETTINGS).mixtures, dataset, f"{PLACE}.mixtures")


def recipe_of(params: Params, variant: str) -> Recipe:
    """How a variant is trained on points: tracks.mode_collapse.recipe ⊕ its entry among the variants there.

    Raises:
        ConfigError: wrong settings, a variant without an entry, or a recipe with a wrong key or value.
    """
    said = settings(params, "mode_collapse", SETTINGS)
    look_up(params.variants, variant, "variants")
    composed = merged(said.recipe, look_up(said.variants, variant, f"{PLACE}.variants"))
    return checked(Recipe, composed, lambda key: f"{PLACE} ({variant}): {key}")


def explained_cell(params: Params, cell: Cell) -> tuple[dict[str, Any], dict[str, str]]:
    """Budget and recipe of a cell, and where in params.yaml they stand."""
    said = settings(params, "mode_collapse", SETTINGS)
    places = {f"{PLACE}.recipe": said.recipe, f"{PLACE}.variants.{cell.variant}": said.variants[cell.variant]}
    origins = {key: f"{place}.{key}" for place, layer in places.items() for key in leaves(layer)}
    recipe = recipe_of(params, cell.variant).model_dump(mode="json")
    budget = {"n_images": params.board(cell.board).n_images}
    return {**budget, **recipe}, {"n_images": f"boards.{cell.board}.n_images", **origins}


def explained_dataset(params: Params, board: str, dataset: str) -> dict[str, Value]:
    """The numbers of a mixture, how many points are drawn, and how many are shown."""
    place = f"{PLACE}.mixtures.{dataset}"
    found = {
        key: Value(value, f"{place}.{key}") for key, value in mixture_of(params, dataset).model_dump().items()
    }
    found["n_samples"] = Value(settings(params, "mode_collapse", SETTINGS).n_samples, f"{PLACE}.n_samples")
    return found | {"n_images": Value(params.board(board).n_images, f"boards.{board}.n_images")}


def of_dataset(params: Params, dataset: str) -> dict[str, Needs]:
    """The stages that a mixture goes through once."""
    return {"fetch": Needs(_measured(params, dataset), MEASURING)}


def of_cell(params: Params, board: str, dataset: str, variant: str) -> dict[str, Needs]:
    """The stages of the cells of one variant on one mixture, the same for every seed."""
    recipe = recipe_of(params, variant)
    model = [f"gm_bench.variants.{variant}", f"gm_bench.nets.{recipe.network.name}"]
    training = {
        "recipe": recipe.model_dump(mode="json"),
        "n_images": params.board(board).n_images,
        "n_snapshots": 0,
        "n_validation": 0,
        "mixture": mixture_of(params, dataset).model_dump(),
    }
    return {
        "train": Needs(training, [*TRAINING, *model]),
        "evaluate": Needs(_measured(params, dataset), [*MEASURING, *model]),
    }


def _measured(params: Params, dataset: str) -> dict[str, object]:
    n_samples = settings(params, "mode_collapse", SETTINGS).n_samples
    return {"mixture": mixture_of(params, dataset).model_dump(), "n_samples": n_samples}
