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
from gm_bench.composition import Layer
from gm_bench.config import PARAMS_FILE, ConfigError, Params, load_params, parse_params
from gm_bench.running.entries import with_additions
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
        ConfigError: the board is of another track, nothing was better, or the variant has a recipe of that
            name.
        FileError: the cell was not searched yet.
    """
    params = load_params()
    if params.board(cell.board).track != "search":
        raise ConfigError(f"the board {cell.board} is no search: gm-bench adopt wants one of track: search")
    trials = io.read_json(cell.folder / TRIALS)
    if trials["best"] == DEFAULT:
        raise ConfigError(f"no trial of {cell} was better than the recipe there is: nothing to adopt")
    below = str(params.board(cell.board).recipe)
    adopted = name or f"{below}_searched"
    number = trials["best"]
    best = recipe_of(trials["space"], trials["recipe"], number, trials["trials"][number]["values"])
    text = with_recipe(PARAMS_FILE.read_text(encoding="utf-8"), params, cell.variant, below, adopted, best)
    io.write_bytes(PARAMS_FILE, text.encode("utf-8"))
    return (
        f"wrote {PARAMS_FILE}: variants.{cell.variant}.{adopted}, the best of "
        f"{len(trials['trials'])} trials; next: a board with recipe: {adopted}"
    )


def with_recipe(text: str, params: Params, variant: str, below: str, name: str, best: Recipe) -> str:
    """params.yaml with one recipe of a variant more, in which only stands what differs from `below`.

    Raises:
        ConfigError: the variant has a recipe of that name, a base of that name is like another one, or the
            file is not laid out so that something can be added to it.
    """
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
    if parse_params(changed, {}).recipe(variant, name) != best:
        raise ConfigError(
            f"params.yaml: the recipe {below} of {variant} changed since it was searched: search again"
        )
    return changed
