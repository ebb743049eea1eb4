"""What each stage of the track depends on besides data: settings of params.yaml, and its modules."""

from typing import Any

from gm_bench.cell import Cell
from gm_bench.checking import ConfigError, checked, look_up
from gm_bench.composition import leaves, merged
from gm_bench.config import Params
from gm_bench.derived import Value
from gm_bench.tracks.mode_collapse.settings import MixtureSettings
from gm_bench.tracks.mode_collapse.stacked.settings import N_SHOWN, Settings, StackedSettings
from gm_bench.tracks.needs import Needs
from gm_bench.tracks.settings import check_loader, pinned_weights, require, settings
from gm_bench.training.recipe import Recipe

SETTINGS = Settings
PLACE = "tracks.mode_collapse"
MEASURING = ["gm_bench.tracks.mode_collapse.measuring"]
TRAINING = ["gm_bench.training.fit", "gm_bench.tracks.mode_collapse.course"]
MEASURING_STACKED = ["gm_bench.tracks.mode_collapse.stacked.measuring"]
TRAINING_STACKED = ["gm_bench.training.fit"]


def check(params: Params, board: str) -> None:
    """Refuse datasets and variants of a board that the settings do not have, and a board without a budget.

    Raises:
        ConfigError: the first of them; the message lists those there are.
    """
    grid = params.board(board)
    wanted = {"n_images": "how many points or images are shown"}
    for dataset in grid.datasets:
        stacked = stacked_of(params, dataset)
        if stacked is not None:
            check_loader(params, stacked.of)
            _weights(params, dataset, stacked)
            wanted["n_snapshots"] = "how many times in a training samples are kept for pictures"
        for variant in grid.variants:
            recipe_of(params, dataset, variant)
    require(params, board, wanted)


def mixture_of(params: Params, dataset: str) -> MixtureSettings:
    """One of the mixtures.

    Raises:
        ConfigError: wrong settings, or no mixture of that name.
    """
    return look_up(settings(params, "mode_collapse", SETTINGS).mixtures, dataset, f"{PLACE}.mixtures")


def stacked_of(params: Params, dataset: str) -> StackedSettings | None:
    """One of the stacked digits; None for a mixture.

    Raises:
        ConfigError: wrong settings, or neither has an entry of that name.
    """
    said = settings(params, "mode_collapse", SETTINGS)
    look_up({**said.mixtures, **said.stacked}, dataset, f"{PLACE}: mixtures and stacked")
    return said.stacked.get(dataset)


def recipe_of(params: Params, dataset: str, variant: str) -> Recipe:
    """How a variant is trained on a dataset: the recipe there ⊕ its entry among the variants there.

    Raises:
        ConfigError: wrong settings, no such dataset, a variant without an entry, or a recipe with a wrong
            key or value.
    """
    place, said = _recipes(params, dataset)
    look_up(params.variants, variant, "variants")
    composed = merged(said.recipe, look_up(said.variants, variant, f"{place}.variants"))
    return checked(Recipe, composed, lambda key: f"{place} ({variant}): {key}")


def _recipes(params: Params, dataset: str) -> tuple[str, Settings | StackedSettings]:
    """What has the recipes of a dataset, and where it stands: mixtures have one for all of them."""
    stacked = stacked_of(params, dataset)
    if stacked is None:
        return PLACE, settings(params, "mode_collapse", SETTINGS)
    return f"{PLACE}.stacked.{dataset}", stacked


def _weights(params: Params, dataset: str, stacked: StackedSettings) -> str:
    """The hash of the classifier that tells the modes of stacked digits apart.

    Raises:
        ConfigError: the dataset that they are of is not there, or none is pinned for it.
    """
    params.entry(stacked.of)
    pinned = pinned_weights()
    if stacked.of not in pinned:
        raise ConfigError(
            f"params.yaml: {PLACE}.stacked.{dataset}.of is {stacked.of}, which no LeNet is pinned for; "
            f"there is one for: {', '.join(pinned)}"
        )
    return pinned[stacked.of]


def explained_cell(params: Params, cell: Cell) -> tuple[dict[str, Any], dict[str, str]]:
    """Budget and recipe of a cell, and where in params.yaml they stand."""
    place, said = _recipes(params, cell.dataset)
    places = {f"{place}.recipe": said.recipe, f"{place}.variants.{cell.variant}": said.variants[cell.variant]}
    origins = {key: f"{where}.{key}" for where, layer in places.items() for key in leaves(layer)}
    recipe = recipe_of(params, cell.dataset, cell.variant).model_dump(mode="json")
    budget = {"n_images": params.board(cell.board).n_images}
    return {**budget, **recipe}, {"n_images": f"boards.{cell.board}.n_images", **origins}


def explained_dataset(params: Params, board: str, dataset: str) -> dict[str, Value]:
    """The numbers of a dataset, how many samples are judged, and how many points or images are shown."""
    stacked = stacked_of(params, dataset)
    budget = {"n_images": Value(params.board(board).n_images, f"boards.{board}.n_images")}
    if stacked is not None:
        place = f"{PLACE}.stacked.{dataset}"
        said = {"of": "of", "n_stacks": "n_images", "n_samples": "n_samples"}
        return {name: Value(getattr(stacked, key), f"{place}.{key}") for name, key in said.items()} | budget
    place = f"{PLACE}.mixtures.{dataset}"
    found = {
        key: Value(value, f"{place}.{key}") for key, value in mixture_of(params, dataset).model_dump().items()
    }
    found["n_samples"] = Value(settings(params, "mode_collapse", SETTINGS).n_samples, f"{PLACE}.n_samples")
    return found | budget


def of_dataset(params: Params, dataset: str) -> dict[str, Needs]:
    """The stages that a dataset goes through once."""
    stacked = stacked_of(params, dataset)
    if stacked is None:
        return {"fetch": Needs(_measured(params, dataset), MEASURING)}
    source = params.entry(stacked.of).source.model_dump(mode="json")
    loader = f"gm_bench.data.loaders.{source['loader']}"
    return {
        "fetch": Needs({**_judged(params, dataset, stacked), "source": source}, [*MEASURING_STACKED, loader])
    }


def of_cell(params: Params, board: str, dataset: str, variant: str) -> dict[str, Needs]:
    """The stages of the cells of one variant on one dataset, the same for every seed."""
    recipe = recipe_of(params, dataset, variant)
    model = [f"gm_bench.variants.{variant}", f"gm_bench.nets.{recipe.network.name}"]
    grid, stacked = params.board(board), stacked_of(params, dataset)
    training = {"recipe": recipe.model_dump(mode="json"), "n_images": grid.n_images}
    if stacked is not None:
        held_back = {"n_snapshots": grid.n_snapshots, "n_validation": N_SHOWN}
        return {
            "train": Needs({**training, **held_back}, [*TRAINING_STACKED, *model]),
            "evaluate": Needs(_judged(params, dataset, stacked), [*MEASURING_STACKED, *model]),
        }
    looks = {"n_snapshots": 0, "n_validation": 0, "mixture": mixture_of(params, dataset).model_dump()}
    return {
        "train": Needs({**training, **looks}, [*TRAINING, *model]),
        "evaluate": Needs(_measured(params, dataset), [*MEASURING, *model]),
    }


def _measured(params: Params, dataset: str) -> dict[str, object]:
    n_samples = settings(params, "mode_collapse", SETTINGS).n_samples
    return {"mixture": mixture_of(params, dataset).model_dump(), "n_samples": n_samples}


def _judged(params: Params, dataset: str, stacked: StackedSettings) -> dict[str, object]:
    """What stacked digits are judged by: no recipe, so that another one evaluates nothing again."""
    stacks = stacked.model_dump(exclude={"recipe", "variants"})
    return {"stacks": stacks, "weights": _weights(params, dataset, stacked)}
