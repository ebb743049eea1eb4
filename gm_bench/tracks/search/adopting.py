"""What `gm-bench adopt` does: the best recipe of a search becomes a recipe of params.yaml beside the others.

    bases:
      tiny_searched: {like: tiny}
    variants:
      ns_gan:
        tiny_searched: {…}        # only what differs from tiny

A board asks for it by `recipe: tiny_searched`; variants that were not adopted are trained by tiny there. What
stands in params.yaml already is not touched, so that nothing is stale.
"""

from typing import Any

from gm_bench import io
from gm_bench.cell import Cell
from gm_bench.composition import EVERY, Layer
from gm_bench.config import PARAMS_FILE, ConfigError, Params, load_params, parse_params
from gm_bench.derived import SCALED, TINY
from gm_bench.running.entries import changing, is_name, read_params, with_additions
from gm_bench.tracks.search.draws import DEFAULT
from gm_bench.tracks.search.searching import TRIALS, recipe_of
from gm_bench.tracks.search.space import difference
from gm_bench.training.recipe import Recipe


def adopt(cell: Cell, name: str | None = None) -> str:
    """Write the best recipe of a cell into params.yaml.

    Args:
        cell: of a board of the track search.
        name: of the recipe; None for that of the board with `_searched` behind it.

    Returns:
        A sentence on what was written, and what is next.

    Raises:
        ConfigError: the board is of another track, nothing was better, the name is none of a recipe, the
            variant has a recipe of that name, or a board trains it by one that would change.
        FileError: the cell was not searched yet.
    """
    with changing():
        params = load_params()
        if params.board(cell.board).track != "search":
            raise ConfigError(
                f"the board {cell.board} is no search: gm-bench adopt wants one of track: search"
            )
        trials = io.read_json(cell.folder / TRIALS)
        if trials["best"] == DEFAULT:
            raise ConfigError(f"no trial of {cell} was better than the recipe there is: nothing to adopt")
        below = str(params.board(cell.board).recipe)
        adopted = f"{below}_searched" if name is None else name
        number = trials["best"]
        best = recipe_of(trials["space"], trials["recipe"], number, trials["trials"][number]["values"])
        text = with_recipe(read_params(), params, cell.variant, below, adopted, best)
        io.write_bytes(PARAMS_FILE, text.encode("utf-8"))
    return (
        f"wrote {PARAMS_FILE}: variants.{cell.variant}.{adopted}, the best of "
        f"{len(trials['trials'])} trials; next: a board with recipe: {adopted}"
    )


def with_recipe(text: str, params: Params, variant: str, below: str, name: str, best: Recipe) -> str:
    """params.yaml with one recipe of a variant more, in which only stands what differs from `below`.

    Raises:
        ConfigError: the name is none of a recipe, the variant has a recipe of that name, a base of that name
            is like another one, a board would train the variant by another recipe than before, or the file is
            not laid out so that something can be added to it.
    """
    if not is_name(name) or name in (EVERY, "kind"):
        raise ConfigError(
            f"{name!r} is no name of a recipe: give --recipe a word of small letters, digits and _ that is "
            f"neither '{EVERY}' nor 'kind' nor one that YAML reads otherwise"
        )
    if name in params.variants[variant]:
        raise ConfigError(
            f"params.yaml: variants.{variant} has a recipe {name} already: give --recipe another name"
        )
    if name in params.bases and params.bases[name].like != below:
        raise ConfigError(f"params.yaml: bases.{name} is not like {below}: give --recipe another name")
    layer: Layer = difference(
        params.recipe(variant, below).model_dump(mode="json"), best.model_dump(mode="json")
    )
    additions: dict[tuple[str, ...], dict[str, Any]] = {("variants", variant): {name: layer}}
    if name not in params.bases:
        additions["bases",] = {name: {"like": below}}
    changed = with_additions(text, additions)
    after = parse_params(changed, {})
    if after.recipe(variant, name) != best:
        raise ConfigError(
            f"params.yaml: the recipe {below} of {variant} changed since it was searched: search again"
        )
    _refuse_other_recipes_of_boards(params, after, variant)
    return changed


def _refuse_other_recipes_of_boards(before: Params, after: Params, variant: str) -> None:
    known = before.recipes_of(variant)
    for name, board in before.boards.items():
        if variant not in board.variants or not set(board.datasets) & set(before.datasets):
            continue
        named = (TINY, SCALED) if board.recipe is None else (board.recipe,)  # which one follows from data
        for recipe in named:
            if recipe in known and before.recipe(variant, recipe) != after.recipe(variant, recipe):
                raise ConfigError(
                    f"params.yaml: the board {name} trains {variant} by the recipe {recipe}, which would be "
                    "another one: give --recipe another name"
                )
