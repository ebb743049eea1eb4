"""Did a metric notice: verdicts on the curves that the audit measured, and the table that they make.

A metric notices a disturbance where the mean over repetitions lies beyond the floor's noise: more than so
many standard deviations of clean draws towards the worse side. It is noticed *from* a strength on where that
holds for this and every greater one.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gm_bench.metrics.catalogue import IMAGES, Catalogue

# What a value may differ by without having changed: the rounding of a mean over repetitions.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Verdict:
    """What a metric made of one failure.

    Args:
        shifts: per strength, how far the mean moved towards the worse side, in the metric's own units;
            negative where it moved towards the better side.
        multiples: the same in standard deviations of clean draws; None where clean draws do not differ.
        detected: place of the strength from which on the metric notices; None where it does not.
        passing: places of strengths that it noticed without noticing the greatest.
        flattered: place of the strength from which on it calls the disturbed images better than clean ones.
        direction: "worse", "better" or "none": where it went at the greatest strength, beyond the noise.
        monotone: it never steps back by more than the noise of the repetitions.
    """

    shifts: tuple[float, ...]
    multiples: tuple[float, ...] | None
    detected: int | None
    passing: tuple[int, ...]
    flattered: int | None
    direction: str
    monotone: bool


def judge(
    metric: str,
    clean: Sequence[float],
    curve: Sequence[Sequence[float]],
    noise_multiple: float,
    catalogue: Catalogue = IMAGES,
) -> Verdict:
    """The verdict on one curve.

    Args:
        metric: whose; of one without a better side every move from the clean mean counts as worse.
        clean: values of clean draws, at least 2.
        curve: values per strength, one per repetition, in order of strength; at least one strength.
        noise_multiple: standard deviations of clean draws that make a move count.
        catalogue: says where better values lie.
    """
    mean, sd = statistics.fmean(clean), statistics.stdev(clean)
    threshold = noise_multiple * sd + ROUNDING
    before = catalogue.badness(metric, mean, mean)
    shifts = [catalogue.badness(metric, statistics.fmean(values), mean) - before for values in curve]
    slack = [
        noise_multiple * math.sqrt((_variance(a, sd) / len(a)) + (_variance(b, sd) / len(b))) + ROUNDING
        for a, b in zip([clean, *curve], curve, strict=False)
    ]
    steps = [after - earlier for earlier, after in zip([0.0, *shifts], shifts, strict=False)]
    noticed = [shift > threshold for shift in shifts]
    last = shifts[-1]
    return Verdict(
        shifts=tuple(shifts),
        multiples=tuple(shift / sd for shift in shifts) if sd > ROUNDING else None,
        detected=_from(noticed),
        passing=() if noticed[-1] else tuple(place for place, yes in enumerate(noticed) if yes),
        flattered=_from([shift < -threshold for shift in shifts]),
        direction="worse" if last > threshold else "better" if last < -threshold else "none",
        monotone=_monotone(steps, slack, sign=-1 if last < -threshold else 1),
    )


def judge_all(measured: Mapping[str, Any], noise_multiple: float) -> dict[str, dict[str, Verdict]]:
    """metric → failure → verdict, for what the stage measure wrote."""
    return {
        metric: {
            name: judge(metric, clean, failure["values"][metric], noise_multiple)
            for name, failure in measured["failures"].items()
            if failure["strengths"]
        }
        for metric, clean in measured["clean"].items()
    }


def cell(verdict: Verdict, labels: Sequence[str]) -> str:
    """A verdict in a table: from which strength on it is noticed, or how it is not."""
    if verdict.detected is not None:
        text = labels[verdict.detected]
        return text if verdict.monotone else f"{text} †"
    if verdict.passing:
        first, last = labels[verdict.passing[0]], labels[verdict.passing[-1]]
        return f"only {first}" if first == last else f"only {first} to {last}"
    if verdict.flattered is not None:
        return f"praised from {labels[verdict.flattered]}"
    return "blind"


def table(
    verdicts: Mapping[str, Mapping[str, Verdict]], labels: Mapping[str, Sequence[str]]
) -> list[list[str]]:
    """Rows of metric × failure, without a header; `–` where a metric has no verdict on a failure."""
    return [
        [metric, *(cell(of[name], labels[name]) if name in of else "–" for name in labels)]
        for metric, of in verdicts.items()
    ]


def _from(noticed: Sequence[bool]) -> int | None:
    """The first place from which on all are true."""
    missed = [place for place, yes in enumerate(noticed) if not yes]
    first = missed[-1] + 1 if missed else 0
    return first if first < len(noticed) else None


def _variance(values: Sequence[float], sd: float) -> float:
    """Of one repetition: that of these values or of clean ones, whichever is larger."""
    return max(statistics.variance(values) if len(values) > 1 else 0.0, sd**2)


def _monotone(steps: Sequence[float], slack: Sequence[float], sign: int) -> bool:
    return all(sign * step >= -allowed for step, allowed in zip(steps, slack, strict=True))
