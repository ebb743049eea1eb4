"""What a file of `gm_bench/tracks/diagnostics/claims/` fulfils: it defines CLAIM and names it.

A claim says what is expected, and how near, before anything is run: both stand in its file, and a measured
value changes neither.
"""

import importlib
import math
import pkgutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gm_bench.tracks.diagnostics.claims
from gm_bench.options import check_keywords

FOLDER = "gm_bench/tracks/diagnostics/claims/"
Curve = list[tuple[float, float]]  # (x, y), in the order in which they are joined


@dataclass(frozen=True)
class Expected:
    """A quantity that a claim is about, and the values under which the claim holds.

    Args:
        key: its name in files; no two claims share one.
        title: its name in tables.
        low, high: ends of the region, infinite where it has none.
        why: where the region comes from.
        step: the least difference that there can be between two seeds, such as 1 / 6 of a share of six runs.
            Where it is large, seeds that agree are no proof.
    """

    key: str
    title: str
    low: float
    high: float
    why: str
    step: float = 0.0

    @property
    def region(self) -> str:
        """The values under which the claim holds, in words."""
        if math.isinf(self.low):
            return f"at most {self.high:.4g}"
        if math.isinf(self.high):
            return f"at least {self.low:.4g}"
        return f"{self.low:.4g} to {self.high:.4g}"

    def contains(self, value: float) -> bool:
        return self.low <= value <= self.high


def about(key: str, title: str, value: float, tolerance: float, why: str) -> Expected:
    """The quantity is `value`, give or take `tolerance`."""
    return Expected(key, title, value - tolerance, value + tolerance, why)


def at_most(key: str, title: str, high: float, why: str, step: float = 0.0) -> Expected:
    return Expected(key, title, -math.inf, high, why, step)


def at_least(key: str, title: str, low: float, why: str) -> Expected:
    return Expected(key, title, low, math.inf, why)


@dataclass(frozen=True)
class Panel:
    """A picture of a claim.

    Args:
        title: what is shown.
        x, y: labels of the axes.
        measured: names of the outcome's curves, a line for each seed.
        exact: names of those curves that come from a closed form, drawn dashed.
        log_x, log_y: whether an axis is logarithmic.
    """

    title: str
    x: str
    y: str
    measured: tuple[str, ...]
    exact: tuple[str, ...] = ()
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Outcome:
    """What an experiment measured with one seed.

    Args:
        values: a value for the key of each of the claim's expectations; all finite.
        curves: name → points, at the same x for every seed.
    """

    values: Mapping[str, float]
    curves: Mapping[str, Curve]


@dataclass(frozen=True)
class Claim:
    """A sentence with its source, its experiment and what is expected of it.

    Args:
        sentence: what is claimed.
        source: paper, year and place in it.
        setting: the experiment in a few words.
        expected: quantities with their regions; the claim holds where all of them do.
        panels: pictures.
        budget: a frozen dataclass whose fields params.yaml sets (see `settings`).
        experiment: (seed, budget) → outcome; the same outcome for the same arguments.
    """

    sentence: str
    source: str
    setting: str
    expected: tuple[Expected, ...]
    panels: tuple[Panel, ...]
    budget: type[Any]
    experiment: Callable[[int, Any], Outcome]


def names() -> list[str]:
    """Names of the claims there are: the files of `gm_bench/tracks/diagnostics/claims/`."""
    return sorted(module.name for module in pkgutil.iter_modules(gm_bench.tracks.diagnostics.claims.__path__))


def find(name: str) -> Claim:
    """The claim in the file of that name.

    Raises:
        ValueError: no such file; the message lists those there are.
    """
    if name not in names():
        raise ValueError(f"unknown claim '{name}'; {FOLDER} holds: {', '.join(names())}")
    claim: Claim = importlib.import_module(f"gm_bench.tracks.diagnostics.claims.{name}").CLAIM
    return claim


def run(name: str, seed: int, budget: Mapping[str, Any]) -> Outcome:
    """Run the experiment of a claim.

    Args:
        budget: fields of the claim's budget by name.

    Raises:
        ValueError: a field is missing, unknown or of another type, or the outcome lacks a value that the
            claim expects, has one too many, or a value or a point of a curve that is not finite.
    """
    claim = find(name)
    check_keywords(claim.budget, budget, f"the entry tracks.diagnostics.claims.{name}", given=())
    outcome = claim.experiment(seed, claim.budget(**budget))
    _check(name, outcome, [expected.key for expected in claim.expected])
    return outcome


def share_within(claim: Claim, values: Mapping[str, float]) -> float:
    """The share of a claim's quantities that lie in their regions for one seed."""
    return statistics.fmean(expected.contains(values[expected.key]) for expected in claim.expected)


def _check(name: str, outcome: Outcome, keys: Sequence[str]) -> None:
    if set(outcome.values) != set(keys):
        raise ValueError(
            f"the claim {name} expects values of {', '.join(keys)}, but its experiment returned "
            f"{', '.join(outcome.values)}"
        )
    for key, value in outcome.values.items():
        if not math.isfinite(value):
            raise ValueError(f"the experiment of the claim {name} gave {key} = {value}: it broke down")
    for curve, points in outcome.curves.items():
        if not all(math.isfinite(y) for _, y in points):
            raise ValueError(f"the experiment of the claim {name} broke down: '{curve}' is not finite")
