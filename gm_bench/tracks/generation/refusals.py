"""What of params.yaml does not fit the fetched data: all of it at once, before anything expensive starts."""

from collections.abc import Iterator

import torch

from gm_bench.cell import EXTRACTORS
from gm_bench.config import ConfigError, DatasetConfig, Params
from gm_bench.data.split import hold_out
from gm_bench.derived import LEAST_SPLIT, ROWS_A_SIZE, Facts, most_demanding, n_validation
from gm_bench.metrics.extractors.features import WeightsError
from gm_bench.metrics.extractors.loading import find as find_extractor
from gm_bench.nets import LENET_SIDES, lenet_reads
from gm_bench.nets.network import build as build_network
from gm_bench.training.recipe import Recipe
from gm_bench.variants.base.contract import build as build_variant

LEAST_SIDE = 3


class RefusalError(ConfigError):
    """A board that cannot be run on its data; the message lists everything that is wrong."""


def refuse(params: Params, board: str) -> None:
    """Raise `RefusalError` where anything of a board does not fit its fetched datasets.

    Datasets that were not fetched yet are passed over.
    """
    found = faults(params, board)
    if found:
        numbered = "; ".join(f"({i}) {fault}" for i, fault in enumerate(found, 1))
        raise RefusalError(
            f"params.yaml does not fit the data of board {board}, and nothing was trained: {numbered}"
        )


def faults(params: Params, board: str) -> list[str]:
    """All that is wrong, a clause each, with keys, values and what is allowed."""
    found: list[str] = []
    grid = params.board(board)
    for dataset in grid.datasets:
        facts = params.facts(dataset)
        if facts is None:
            continue
        config = params.dataset(dataset)
        unfit = of_sizes(facts, dataset) or of_sides(facts, dataset)
        if unfit:
            found.append(unfit)
            continue
        found += of_protocol(config, facts, f"datasets.{dataset}")
        found += of_extractor(config, facts, dataset)
        for variant in grid.variants:
            found += of_variant(params, board, dataset, variant, facts)
    return list(dict.fromkeys(found))


def of_sizes(facts: Facts, dataset: str) -> str | None:
    """What is wrong where there are too few images for any board: no number of params.yaml can mend it."""
    held_back = n_validation(facts).value
    seen = max(facts.n_train - held_back, 0)
    if min(facts.n_test, seen) >= LEAST_SPLIT:
        return None
    return (
        f"{dataset} has {facts.n_test:,} test images, and {seen:,} training images beside the {held_back:,} "
        f"that are held back: at least {LEAST_SPLIT:,} of each are needed, so add images or change "
        f"what share of them is held out (datasets.{dataset}.source: test_fraction or n_test)"
    )


def of_sides(facts: Facts, dataset: str) -> str | None:
    """What is wrong where the images are too small to be measured: sharpness has a border of a pixel."""
    _, height, width = facts.shape
    if min(height, width) >= LEAST_SIDE:
        return None
    return (
        f"the images of {dataset} have {height}×{width} pixels: at least {LEAST_SIDE}×{LEAST_SIDE} are "
        f"needed, so take larger images or set datasets.{dataset}.source.size"
    )


def of_protocol(config: DatasetConfig, facts: Facts, place: str) -> Iterator[str]:
    """What of a dataset's numbers does not fit the sizes of its splits."""
    protocol, n_test = config.protocol, facts.n_test
    n, seen = protocol.n_samples, facts.n_train - config.n_validation
    at = f"{place}.protocol"
    if seen < 1:
        yield (
            f"{place}.n_validation is {config.n_validation:,} but there are {facts.n_train:,} training "
            f"images: at most {facts.n_train - 1:,}"
        )
    else:
        yield from _lost_class(config, facts, place)
    if n > n_test:
        yield f"{at}.n_samples is {n:,} but the test split has {n_test:,} images: at most {n_test:,}"
    if n < 4:
        yield f"{at}.n_samples is {n:,}, too few for any metric: at least {most_demanding(protocol)[1]:,}"
    if protocol.n_train > seen:
        yield (
            f"{at}.n_train is {protocol.n_train:,} but {max(seen, 0):,} training images are left beside "
            f"n_validation: at most {max(seen, 0):,}"
        )
    if protocol.n_train < n:
        yield f"{at}.n_train is {protocol.n_train:,}, fewer than n_samples: at least {n:,}"
    if protocol.kid_subset_size > n:
        yield f"{at}.kid_subset_size is {protocol.kid_subset_size:,}, more than n_samples: at most {n:,}"
    if protocol.score_splits > n:
        yield f"{at}.score_splits is {protocol.score_splits:,}, more than n_samples: at most {n:,}"
    if ROWS_A_SIZE * protocol.fid_subsets > n:
        yield (
            f"{at}.fid_subsets is {protocol.fid_subsets:,}, and FID∞ needs {ROWS_A_SIZE} of n_samples for "
            f"each: at most {n // ROWS_A_SIZE:,}"
        )
    if protocol.neighbours >= n:
        yield f"{at}.neighbours is {protocol.neighbours:,}, not fewer than n_samples: at most {n - 1:,}"
    if protocol.bound_images > n_test:
        yield (
            f"{at}.bound_images is {protocol.bound_images:,} but the test split has {n_test:,} images: "
            f"at most {n_test:,}"
        )


def of_extractor(config: DatasetConfig, facts: Facts, dataset: str) -> Iterator[str]:
    """Whether the extractor can look at the images, and its weights be had."""
    key, name = f"datasets.{dataset}.protocol.extractor", config.protocol.extractor
    extractor = find_extractor(name)
    if not extractor.own_classes:
        if not (EXTRACTORS / dataset / "extractor.json").exists():
            try:
                extractor.published()
            except WeightsError as error:
                yield f"{key} is {name}: {error}"
    elif sum(count > 0 for count in facts.class_counts) < 2:
        what = "are all of one class" if facts.n_classes else "have no labels"
        yield (
            f"{key} is {name}, which is trained on labels of two classes or more, but the images of "
            f"{dataset} {what}: set efficientnet_lite0 or inception"
        )
    if name == "lenet" and not lenet_reads(facts.shape):
        _, height, width = facts.shape
        yield (
            f"{key} is lenet, which reads {LENET_SIDES[0]} to {LENET_SIDES[-1]} pixels a side, but the "
            f"images of {dataset} have {height}×{width}: set efficientnet_lite0 or inception, or another "
            f"datasets.{dataset}.source.size"
        )


def of_variant(params: Params, board: str, dataset: str, variant: str, facts: Facts) -> Iterator[str]:
    """Whether a variant's model can be built for the images by its recipe, and a batch be filled."""
    try:
        recipe = params.recipe_of(board, dataset, variant)
        _build(variant, recipe, facts)
    except ValueError as error:
        yield f"boards.{board}.variants has {variant}: {str(error).removeprefix('params.yaml: ')}"
        return
    except KeyError as error:  # of its annotations, by which options are judged
        if error.args[0] not in recipe.model:
            raise
        yield f"boards.{board}.variants has {variant}: the argument {error} of its class has no annotation"
        return
    seen = facts.n_train - params.dataset(dataset).n_validation
    if recipe.updates and recipe.batch_size > seen:  # what is fitted has no batches
        yield (
            f"batch_size of {variant} is {recipe.batch_size:,} but {max(seen, 0):,} images of {dataset} are "
            f"shown: at most {max(seen, 0):,}"
        )


def _build(variant: str, recipe: Recipe, facts: Facts) -> None:
    with torch.random.fork_rng(devices=[]):
        network = build_network(recipe.network.name, recipe.network.options, facts.shape, facts.n_classes)
        build_variant(variant, network, recipe.model)


def _lost_class(config: DatasetConfig, facts: Facts, place: str) -> Iterator[str]:
    """Whether holding out validation images takes all of a class: it goes by the numbers of each alone."""
    counts = torch.tensor(facts.class_counts or (facts.n_train,))
    labels = torch.arange(len(counts)).repeat_interleave(counts)
    try:
        hold_out(labels, config.n_validation)
    except ValueError as error:
        yield f"{place}.n_validation is {config.n_validation:,}: {error}"
