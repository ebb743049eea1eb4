"""What each stage of the track depends on besides data: settings of params.yaml, and its modules."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from gm_bench.cell import Cell
from gm_bench.checking import ConfigError, look_up
from gm_bench.config import Params
from gm_bench.tracks.needs import Needs
from gm_bench.tracks.search.settings import Search
from gm_bench.tracks.search.space import is_within, searched, values_of, with_values
from gm_bench.tracks.settings import require, settings
from gm_bench.training.recipe import Recipe

SETTINGS = Search
PLACE = "tracks.search"


def check(params: Params, board: str) -> None:
    """Refuse datasets and variants of a board that params.yaml does not have, and what cannot be searched.

    Raises:
        ConfigError: the first of them.
    """
    grid, said = params.board(board), settings(params, "search", SETTINGS)
    require(params, board, dict.fromkeys(("recipe", "n_images"), "a search needs it"))
    for dataset in grid.datasets:
        params.entry(dataset)
    _check_space(params, str(grid.recipe), _space(said))
    for variant in grid.variants:
        look_up(params.variants, variant, "variants")
        recipe = params.recipe(variant, str(grid.recipe)).model_dump(mode="json")
        if not searched(_space(said), recipe, variant):
            raise ConfigError(
                f"params.yaml: boards.{board}.variants has {variant}, whose recipe has none of the keys of "
                f"{PLACE}.space: there is nothing to search"
            )


def _check_space(params: Params, recipe: str, space: Mapping[str, Any]) -> None:
    """Refuse a hyper-parameter that no recipe of that name has, and one with values that `Recipe` refuses.

    Options of networks and models are judged where they are built.
    """
    recipes = {
        variant: params.recipe(variant, recipe).model_dump(mode="json")
        for variant in params.variants
        if recipe in params.recipes_of(variant)
    }
    for name, each in space.items():
        place = f"params.yaml: {PLACE}.space.{name}"
        for variant in each["variants"] or ():
            look_up(params.variants, variant, f"{PLACE}.space.{name}.variants")
        having = [known for variant, known in recipes.items() if searched({name: each}, known, variant)]
        if not having:
            raise ConfigError(
                f"{place}.key is {each['key']!r}, which no recipe {recipe} of its variants has: "
                "gm-bench show prints one"
            )
        # The upper end of a range is hardly ever drawn: β₁ may have 1 there.
        for value in each["choices"] or (each["low"], each["low"] + 0.999 * (each["high"] - each["low"])):
            try:
                Recipe.model_validate(with_values({name: each}, having[0], {name: value}))
            except ValidationError as error:
                said = error.errors()[0]["msg"].lower()
                said += "; whole numbers are given by choices" if "integer" in said else ""
                raise ConfigError(
                    f"{place} gives {each['key']} values such as {value!r}, which a recipe refuses: {said}"
                ) from None


def refuse(params: Params, board: str) -> None:
    """Refuse recipes that cannot be trial 0 and, once the datasets are fetched, what does not fit them.

    A recipe may leave the space for the sake of another board, which must not be refused for that.

    Raises:
        ConfigError: a recipe that is outside of the space, or asks for the best snapshot.
        RefusalError: protocol, recipes or variants do not fit the splits: all of it in one sentence.
    """
    for variant in params.board(board).variants:
        _check_variant(params, board, variant, settings(params, "search", SETTINGS))
    from gm_bench.tracks.generation.refusals import refuse as refuse_images  # late: it imports torch

    refuse_images(params, board)


def of_cell(params: Params, board: str, dataset: str, variant: str) -> dict[str, Needs]:
    """The stages of the cells of one variant on one dataset, the same for every seed."""
    said, entry = settings(params, "search", SETTINGS), params.dataset(dataset)
    plan = params.plan(board, dataset)
    recipe = params.recipe(variant, plan.recipe, plan.layers)
    protocol = entry.protocol.model_dump(mode="json")
    extractor = f"gm_bench.metrics.extractors.{entry.protocol.extractor}"
    model = [f"gm_bench.variants.{variant}", f"gm_bench.nets.{recipe.network.name}"]
    dumped = recipe.model_dump(mode="json")
    alike = {"n_images": plan.n_images, "n_validation": entry.n_validation}
    return {
        "search": Needs(
            {
                "recipe": dumped,
                "space": searched(_space(said), dumped, variant),
                "n_trials": said.n_trials,
                "n_samples": entry.protocol.n_samples,
                **alike,
            },
            ["gm_bench.tracks.search.searching", *model, extractor],
        ),
        "evaluate": Needs(
            {"protocol": protocol, "n_repeats": said.n_repeats, **alike},
            ["gm_bench.tracks.search.evaluating", *model, extractor],
        ),
    }


def parts(params: Params, cell: Cell) -> dict[str, list[tuple[str, ...]]]:
    """The trials of a cell, each of which depends on no other, by commands of `python -m`."""
    words = ("pipelines.search.trial", cell.board, cell.dataset, cell.variant, str(cell.seed))
    n_trials = settings(params, "search", SETTINGS).n_trials
    return {"search": [(*words, str(number)) for number in range(n_trials)]}


def _check_variant(params: Params, board: str, variant: str, said: Search) -> None:
    recipe = params.recipe(variant, str(params.board(board).recipe)).model_dump(mode="json")
    space = searched(_space(said), recipe, variant)
    if recipe["checkpoint"] != "last":
        raise ConfigError(
            f"params.yaml: boards.{board}.variants has {variant}, whose recipe asks for checkpoint "
            f"{recipe['checkpoint']}: a search judges the last model, set last"
        )
    for name, value in values_of(space, recipe).items():
        if not is_within(space[name], value):
            choices = space[name]["choices"]
            what = f"{name}.choices {choices}" if choices else name
            raise ConfigError(
                f"params.yaml: {PLACE}.space.{what} does not hold {value!r}, which the recipe of {variant} "
                "has, and so trial 0: widen it, or name the variants that it is for"
            )


def _space(said: Search) -> dict[str, Any]:
    return {name: each.model_dump(mode="json") for name, each in said.space.items()}
