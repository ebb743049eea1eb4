"""1-NN accuracy, inception score and FID see what their papers say they see, and no more.

Source: Xu et al. 2018, "An empirical study on evaluation metrics of generative adversarial networks", §2
(1-NN accuracy: ½ where the sets cannot be told apart, towards 1 where they can, below ½ for copies of the
training set); Salimans et al. 2016, "Improved techniques for training GANs", §4 (score of a classifier: sure
of each image, and of different ones); Heusel et al. 2017, "GANs trained by a two time-scale update rule",
figure 3 (FID: grows with the strength of a disturbance).

Nothing is measured here: the numbers are read from the audit's report (make audit), in which real images are
disturbed on purpose. z is how far a metric moves towards worse in standard deviations of clean sets; beyond
the audit's own multiple of 3 a metric has noticed.

In short: they do, by the report of one audit.

Found: it is one report that every seed reads, so that nothing has a spread, and it was there before these
expectations were written, which are those of the papers. z counts standard deviations of clean sets; at 3 the
audit says that a metric has noticed.
"""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from gm_bench.tracks.diagnostics.claim import Claim, Curve, Outcome, Panel, about, at_least, at_most

NOTICED = 3.0
GROWING = ("blur", "pixel_noise", "noise_images")  # those of Heusel et al. that the audit has
SHOWN = ("noise_images", "dropped_classes", "copies")


@dataclass(frozen=True)
class Budget:
    report: str


def experiment(seed: int, budget: Budget) -> Outcome:
    """What the report says of the three metrics."""
    report = read(budget.report)
    noise = points(report, "one_nn", "noise_images", "mean")
    copies = points(report, "one_nn_train", "copies", "mean")
    ends = (min(x for x, _ in (*noise, *copies)), 1.0)
    return Outcome(
        {
            "see_1nn_clean": float(report["metrics"]["one_nn"]["clean_mean"]),
            "see_1nn_noise": noise[-1][1],
            "see_1nn_copies": copies[-1][1],
            "see_is_classes": largest(report, "classifier_score", "dropped_classes"),
            "see_is_noise": largest(report, "classifier_score", "noise_images"),
            "see_fid_growth": share_rising([points(report, "fid", each, "mean") for each in GROWING]),
            "see_fid_classes": largest(report, "fid", "dropped_classes"),
            "see_fid_copies": largest(report, "fid", "copies"),
        },
        {
            "noise in place of images": noise,
            "copies, against training images": copies,
            "one half": [(end, 0.5) for end in ends],
            **{f"FID, {each}": ranks(points(report, "fid", each, "in_clean_sd")) for each in SHOWN},
            **{
                f"score, {each}": ranks(points(report, "classifier_score", each, "in_clean_sd"))
                for each in SHOWN
            },
        },
    )


def read(path: str) -> dict[str, Any]:
    """A report of the audit.

    Raises:
        OSError: there is none, or it is damaged; the message says what to run.
    """
    try:
        content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OSError(f"{path} is not there: the audit writes it (make audit)") from None
    except ValueError as error:
        raise OSError(f"{path} is damaged ({error}): make audit writes it anew") from None
    if not isinstance(content, dict) or "metrics" not in content:
        raise OSError(f"{path} is no report of the audit: make audit writes it anew")
    return content


def points(report: dict[str, Any], metric: str, failure: str, what: str) -> Curve:
    """(strength, what is said of a metric there) over the strengths of a failure."""
    curve = report["metrics"][metric]["failures"][failure]["curve"]
    return [(float(point["strength"]), float(point[what])) for point in curve]


def ranks(curve: Curve) -> Curve:
    """A curve over the rank of its strengths, 1 for the least: failures have strengths of unequal kinds."""
    return [(float(i + 1), y) for i, (_, y) in enumerate(curve)]


def largest(report: dict[str, Any], metric: str, failure: str) -> float:
    """The largest shift towards worse that a failure makes at any strength, in clean standard deviations."""
    return max(z for _, z in points(report, metric, failure, "in_clean_sd"))


def share_rising(curves: list[Curve]) -> float:
    """Share of steps from one strength to the next in which the value rises."""
    steps = [after > before for curve in curves for (_, before), (_, after) in pairwise(curve)]
    return sum(steps) / len(steps)


CLAIM = Claim(
    sentence="1-NN accuracy, inception score and FID see what they are said to see.",
    source="Xu et al. 2018, §2; Salimans et al. 2016, §4; Heusel et al. 2017, figure 3",
    setting="the audit of the metrics on digits: real images, disturbed on purpose",
    expected=(
        about("see_1nn_clean", "1-NN accuracy of real against real", 0.5, 0.03, "½: nothing to tell"),
        at_least("see_1nn_noise", "1-NN accuracy of noise", 0.95, "towards 1: they are told apart"),
        at_most(
            "see_1nn_copies",
            "1-NN accuracy of copies of training images against these",
            0.4,
            "below ½: so ½ is no lower end, but the best",
        ),
        at_least("see_is_classes", "z of the classifier score, classes dropped", NOTICED, "it asks for all"),
        at_least(
            "see_is_noise", "z of the classifier score, noise for images", NOTICED, "it asks to be sure"
        ),
        at_least("see_fid_growth", "share of steps up in strength that raise FID", 0.9, "figure 3: it grows"),
        at_least("see_fid_classes", "z of FID, classes dropped", NOTICED, "variety counts"),
        at_most("see_fid_copies", "z of FID, training images copied", NOTICED, "it sees no memorising"),
    ),
    panels=(
        Panel(
            "1-NN accuracy",
            "share of images replaced",
            "accuracy",
            ("noise in place of images", "copies, against training images"),
            ("one half",),
            log_x=True,
        ),
        Panel(
            "FID and classifier score",
            "strength, from the least",
            "shift towards worse, clean sd",
            tuple(f"{metric}, {each}" for metric in ("FID", "score") for each in SHOWN),
        ),
    ),
    budget=Budget,
    experiment=experiment,
)
