"""What each stage of the main track depends on besides data: settings of params.yaml, and its modules.

The modules named here are where a stage begins; what they import is followed (gm_bench/running/code.py).
"""

from typing import Any

from gm_bench.cell import Cell
from gm_bench.checking import look_up
from gm_bench.config import NotFetchedError, Params
from gm_bench.data.fingerprint import of_source
from gm_bench.derived import Value
from gm_bench.running import repository
from gm_bench.tracks.needs import Needs
from gm_bench.tracks.settings import check_loader, pinned_weights


def check(params: Params, board: str) -> None:
    """Refuse datasets, variants and a recipe of a board that params.yaml does not have.

    Raises:
        ConfigError: one that it does not have; the message lists those that it has.
    """
    grid = params.board(board)
    for dataset in grid.datasets:
        check_loader(params, dataset)
    for variant in grid.variants:
        look_up(params.variants, variant, "variants")
        if grid.recipe is not None:
            params.recipe(variant, grid.recipe)


def refuse(params: Params, board: str) -> None:
    """Refuse, once the datasets are fetched, what does not fit them: all of it in one sentence.

    Raises:
        RefusalError: protocol, recipes or variants do not fit the splits.
    """
    from gm_bench.tracks.generation import refusals  # late: it imports torch

    refusals.refuse(params, board)


def of_dataset(params: Params, dataset: str) -> dict[str, Needs]:
    """The stages that a dataset goes through once: fetch alone where others depend on what it finds.

    The stage extractor depends on its weights too, if some are pinned.
    """
    source = params.entry(dataset).source
    files = None
    if any(isinstance(value, str) for value in source.options.values()):  # each may be a path
        files = of_source(source.options, repository.temporary() / "gm-bench" / f"{dataset}.json")
    fetch = Needs(
        {"source": {"loader": source.loader, **source.options}} | ({"files": files} if files else {}),
        ["gm_bench.data.dataset", f"gm_bench.data.loaders.{source.loader}"],
    )
    try:
        entry = params.dataset(dataset)
    except NotFetchedError:
        return {"fetch": fetch}
    extractor = f"gm_bench.metrics.extractors.{entry.protocol.extractor}"
    protocol = entry.protocol.model_dump(mode="json")
    return {
        "fetch": fetch,
        "extractor": Needs(
            {"extractor": entry.protocol.extractor},
            ["gm_bench.tracks.generation.extraction", extractor],
        ),
        # A file of its own: packs of before it know the other two by their bytes.
        "weights": Needs({"pinned": pinned_weights().get(dataset)}, []),
        "reference": Needs(
            {"protocol": protocol, "n_validation": entry.n_validation},
            ["gm_bench.tracks.generation.reference", extractor],
        ),
    }


def of_cell(params: Params, board: str, dataset: str, variant: str) -> dict[str, Needs]:
    """The stages of the cells of one variant on one dataset, the same for every seed."""
    plan, entry = params.plan(board, dataset), params.dataset(dataset)
    recipe = params.recipe(variant, plan.recipe, plan.layers)
    model = [f"gm_bench.variants.{variant}", f"gm_bench.nets.{recipe.network.name}"]
    extractor = f"gm_bench.metrics.extractors.{entry.protocol.extractor}"
    protocol = entry.protocol.model_dump(mode="json")
    training = {
        "recipe": recipe.model_dump(mode="json"),
        "n_images": plan.n_images,
        "n_snapshots": plan.n_snapshots,
        "n_validation": entry.n_validation,
    }
    return {
        "train": Needs(training, ["gm_bench.training.fit", *model]),
        "sample": Needs(
            {
                **{key: protocol[key] for key in ("n_samples", "draws", "bound_images", "bound_codes")},
                "n_validation": entry.n_validation,
            },
            ["gm_bench.tracks.generation.drawing", *model, extractor],
        ),
        "evaluate": Needs({"protocol": protocol}, ["gm_bench.tracks.generation.measuring", extractor]),
    }


def explained_cell(params: Params, cell: Cell) -> tuple[dict[str, Any], dict[str, str]]:
    """Budget and recipe of a cell, and where in params.yaml each value stands or what it follows from."""
    plan = params.plan(cell.board, cell.dataset)
    recipe = params.recipe(cell.variant, plan.recipe, plan.layers).model_dump(mode="json")
    origins = params.origins(cell.variant, plan.recipe, plan.layers)
    return {"n_images": plan.n_images, **recipe}, {"n_images": plan.origins["n_images"], **origins}


def explained_dataset(params: Params, board: str, dataset: str) -> dict[str, Value]:
    """Every number of a dataset and of a board's training on it."""
    found = {
        key if key == "n_validation" else f"protocol.{key}": value
        for key, value in params.numbers(dataset).items()
    }
    plan = params.plan(board, dataset)
    return found | {key: Value(value, plan.origins[key]) for key, value in plan.values.items()}
