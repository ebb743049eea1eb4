"""Trials of a recipe: the hyper-parameters of each, drawn by Optuna from (seed, number) alone.

Each trial is drawn by a sampler of its own seed, so that it is the same whatever was run before it, and in
which process. That is random search (Bergstra & Bengio 2012), with which the trials are exchangeable: only
then is the best of k of them known exactly (see `analysis.expected_minima`).
"""

from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import RandomSampler

from gm_bench.reproducibility import derive
from gm_bench.tracks.search.space import Json, values_of

DEFAULT = 0  # the trial that is the recipe as it stands


def drawn(space: Json, recipe: Json, seed: int, number: int) -> dict[str, Any]:
    """The hyper-parameters of a trial, by name.

    Args:
        space: that is searched, name → hyper-parameter as a mapping.
        recipe: that stands without a search, which is trial 0.
        seed: of the search.
    """
    if number == DEFAULT:
        return values_of(space, recipe)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = RandomSampler(seed=derive(seed, "trial", number) % 2**32)
    study = optuna.create_study(sampler=sampler)
    return dict(study.ask({name: distribution(each) for name, each in space.items()}).params)


def distribution(hyperparameter: Json) -> BaseDistribution:
    """What a hyper-parameter is drawn from."""
    if hyperparameter["choices"] is not None:
        return CategoricalDistribution(hyperparameter["choices"])
    return FloatDistribution(hyperparameter["low"], hyperparameter["high"], log=hyperparameter["log"])
