"""What a metric is: one row for each, and everything that tables, ranks, gate, charts and MLflow know of it.

A track brings a catalogue of its own. `IMAGES` is that of sets of generated images, which the tracks
`generation` and `audit` share. Nothing that computes a metric reads it: a change of how a metric is shown
makes no result stale.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

MAIN, MORE, LIKELIHOOD = "main", "more", "likelihood"
# Bounds of values.
ANY, SHARE, NON_NEGATIVE, SCORE = (-math.inf, math.inf), (0.0, 1.0), (0.0, math.inf), (1.0, math.inf)


class MetricError(ValueError):
    """A metric that is not known well enough for what is asked of it; the message says what is missing."""


@dataclass(frozen=True)
class Metric:
    """One row.

    Args:
        key: its name in files.
        title: its name in tables.
        unit: of its values; empty for plain numbers.
        direction: "↓" lower is better, "↑" higher, "→0.5" (or another number) the nearer to it the better;
            empty where neither side is.
        group: "main" stands in narrow tables; all others stand in the second one. "likelihood" are values
            that compare only between models of one kind of density.
        gate_margin: the smallest difference that matters to the regression gate, in badness; None where the
            gate does not judge the metric.
        relative: whether differences are ratios, so that values are compared by their logarithms, where all
            are above 0.
        sentence: what it measures.
        bounds: the least and the largest value that there can be.
    """

    key: str
    title: str
    unit: str
    direction: str
    group: str
    gate_margin: float | None
    relative: bool
    sentence: str
    bounds: tuple[float, float] = ANY

    @property
    def label(self) -> str:
        """The title with the sign of the direction: FID ↓."""
        return f"{self.title} {self.direction}".rstrip()

    @property
    def ideal(self) -> float | None:
        """The best value where it is neither end; None for the others."""
        return float(self.direction[1:]) if self.direction.startswith("→") else None


class Catalogue:
    """The metrics of a track, in the order of the tables' columns.

    Metrics that it does not know are shown by their key, after all others, and judged by nobody.

    Args:
        metrics: its rows; no key twice.
        order_by: key of the metric that tables are ordered by.

    Raises:
        MetricError: a key stands twice, a direction is none, `order_by` is no row, or it or a gated metric
            has no better side.
    """

    def __init__(self, metrics: Sequence[Metric], order_by: str) -> None:
        self._rows = {metric.key: metric for metric in metrics}
        if len(self._rows) < len(metrics):
            raise MetricError("a catalogue of metrics names one of them twice")
        for metric in metrics:
            _check_direction(metric)
        if order_by not in self._rows:
            raise MetricError(
                f"'{order_by}', by which tables are ordered, is none of {', '.join(self._rows)}"
            )
        for key in (order_by, *self.gated()):
            if not self.direction(key):
                raise MetricError(f"'{key}' is judged and has no better side: give it ↓, ↑ or → and a number")
        self.order_by = order_by

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._rows.values())

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __getitem__(self, key: str) -> Metric:
        if key not in self._rows:
            raise MetricError(f"there is no metric '{key}'; known: {', '.join(self._rows)}")
        return self._rows[key]

    def title(self, key: str) -> str:
        """The metric's name in tables, with the sign of its direction."""
        return self._rows[key].label if key in self._rows else key

    def name(self, key: str) -> str:
        """The metric's name in sentences."""
        return self._rows[key].title if key in self._rows else key

    def direction(self, key: str) -> str:
        """Where better values lie; empty where that is not known."""
        return self._rows[key].direction if key in self._rows else ""

    def is_relative(self, key: str) -> bool:
        """Whether differences of the metric are ratios."""
        return key in self._rows and self._rows[key].relative

    def within(self, key: str, interval: tuple[float, float]) -> tuple[float, float]:
        """The part of an interval about a value of the metric in which there can be values."""
        least, largest = self._rows[key].bounds if key in self._rows else ANY
        low, high = interval
        return max(low, least), min(high, largest)

    def by_differences(self, keys: Collection[str]) -> "Catalogue":
        """The same catalogue, in which these metrics are compared by differences, not by ratios."""
        rows = [replace(row, relative=row.relative and row.key not in keys) for row in self]
        return Catalogue(rows, self.order_by)

    def badness(
        self, key: str, value: float, clean_mean: float | None = None, relative: bool = False
    ) -> float:
        """A number that grows as the metric's value gets worse, in the metric's own units.

        Args:
            clean_mean: what the metric says where nothing is wrong: a metric without a better side gets worse
                with the distance from it.
            relative: whether ratios count: then the logarithm of the value stands for it.

        Raises:
            MetricError: the better side is not known, or a value has no logarithm.
        """
        direction = self.direction(key)
        if direction.startswith("→"):
            return abs(value - float(direction[1:]))
        if not direction:
            if clean_mean is None:
                raise MetricError(f"{key}: it is not known whether higher or lower is better")
            return abs(value - clean_mean)
        sign = 1 if direction == "↓" else -1
        if not relative:
            return sign * value
        if value <= 0:
            raise MetricError(f"{key} is {value:g}: it is compared by ratios, so it must be above 0")
        return sign * math.log(value)

    def gated(self) -> list[str]:
        """Keys of the metrics that the regression gate judges."""
        return [metric.key for metric in self if metric.gate_margin is not None]

    def margin(self, key: str) -> float:
        """The smallest difference in badness that matters; 0 for a metric that the gate does not judge."""
        return (self._rows[key].gate_margin or 0.0) if key in self._rows else 0.0

    def group(self, name: str) -> list[str]:
        """Keys of the metrics of a group."""
        return [metric.key for metric in self if metric.group == name]

    def ordered(self, keys: Iterable[str]) -> list[str]:
        """The keys in the order of the columns, those that are not known last, by name."""
        present = set(keys)
        return [key for key in self._rows if key in present] + sorted(present - self._rows.keys())

    def short(self, keys: Iterable[str]) -> list[str]:
        """Of these the keys that narrow tables show, in order; those that are not known are among them."""
        return [key for key in self.ordered(keys) if self.is_main(key)]

    def is_main(self, key: str) -> bool:
        return key not in self._rows or self._rows[key].group == MAIN


def _check_direction(metric: Metric) -> None:
    try:
        fits = metric.direction in ("↓", "↑", "") or metric.ideal is not None
    except ValueError:
        fits = False
    if not fits:
        raise MetricError(
            f"'{metric.direction}' is no direction of {metric.key}: give ↓, ↑ or → and a number, such as →0.5"
        )


def _row(
    key: str,
    title: str,
    direction: str,
    sentence: str,
    *,
    unit: str = "",
    group: str = MORE,
    margin: float | None = None,
    relative: bool = False,
    bounds: tuple[float, float] = ANY,
) -> Metric:
    return Metric(key, title, unit, direction, group, margin, relative, sentence, bounds)


# The gate: KID goes with FID, the other metrics with the four judged ones, and each one more costs power.
IMAGES = Catalogue(
    [
        _row("fid", "FID", "↓", "Fréchet distance between Gaussians fitted to features of real and generated "
             "images; its spread between seeds grows with it.",
             group=MAIN, margin=math.log(1.05), relative=True),
        _row("fid_infinity", "FID∞", "↓", "FID extrapolated to infinitely many images.",
             relative=True),
        _row("fid_infinity_error", "FID∞ fit error", "", "Standard error of that point by the residuals of "
             "the line alone: whether it is straight; the error of FID∞ is larger by far.",
             bounds=NON_NEGATIVE),
        _row("kid", "KID", "↓", "Squared maximum mean discrepancy of features under a cubic kernel.",
             group=MAIN, relative=True),
        _row("classifier_score", "Classifier score", "↑", "Inception Score with a classifier of this "
             "dataset: sure of each image, and of all classes.", group=MAIN, bounds=SCORE),
        _row("inception_score", "Inception Score", "↑", "exp of the mean KL divergence of an image's classes "
             "from those of all images.", group=MAIN, bounds=SCORE),
        _row("precision", "Precision", "↑", "Share of generated images within the neighbourhoods of real "
             "ones.", group=MAIN, margin=0.02, bounds=SHARE),
        _row("recall", "Recall", "↑", "Share of real images within the neighbourhoods of generated ones.",
             group=MAIN, margin=0.02, bounds=SHARE),
        _row("density", "Density", "→1", "Neighbourhoods of real images that a generated one lies in, over "
             "the number of neighbours.", bounds=NON_NEGATIVE),
        _row("coverage", "Coverage", "↑", "Share of real images with a generated one in their "
             "neighbourhood.", bounds=SHARE),
        _row("one_nn", "1-NN", "→0.5", "Leave-one-out accuracy of telling generated from real images by the "
             "nearest neighbour.", group=MAIN, margin=0.01, bounds=SHARE),
        _row("one_nn_real", "1-NN real", "→0.5", "The same on the real images alone.", bounds=SHARE),
        _row("one_nn_fake", "1-NN fake", "→0.5", "The same on the generated images alone.", bounds=SHARE),
        _row("one_nn_train", "1-NN train", "→0.5", "1-NN against training images: below one half where they "
             "are copied.", bounds=SHARE),
        _row("one_nn_gap", "1-NN gap", "→0", "1-NN train less 1-NN: below 0 where training images are nearer "
             "than held-out ones.", bounds=(-1.0, 1.0)),
        _row("train_distance_ratio", "Train distance", "→1", "Median distance to the nearest training image, "
             "over that of held-out images.", bounds=NON_NEGATIVE),
        _row("duplicates", "Duplicates", "↓", "Share of images nearer to a training image than nearly all "
             "held-out ones are.", bounds=SHARE),
        _row("duplicates_exact", "Exact duplicates", "↓", "Share of images that are a training image.",
             bounds=SHARE),
        _row("copied", "Copied", "↓", "Share of images that are near duplicates of a training image and far "
             "nearer to it than to any held-out one.", bounds=SHARE),
        _row("copied_held_out", "Copied held-out", "↓", "The same of held-out images: more than of "
             "real images where a model saw them.", bounds=SHARE),
        _row("distinct", "Distinct images", "↑", "Share of the images that is left where repeats are counted "
             "once.", bounds=SHARE),
        _row("classes_hit", "Classes", "↑", "Classes that at least one image is taken for.",
             bounds=NON_NEGATIVE),
        _row("class_kl", "Class KL", "↓", "KL divergence of the images' classes from those of the training "
             "images.", unit="nats", bounds=NON_NEGATIVE),
        _row("class_accuracy", "Class accuracy", "↑", "Share of images that are taken for the class that was "
             "asked for.", bounds=SHARE),
        _row("sharpness", "Sharpness", "→1", "Variance of the Laplacian over that of real images.",
             group=MAIN, bounds=NON_NEGATIVE),
        _row("elbo", "ELBO", "↑", "Evidence lower bound of the log-likelihood of held-out images.",
             unit="nats", group=LIKELIHOOD),
        _row("iw_bound", "IW bound", "↑", "Importance-weighted bound of the log-likelihood of held-out "
             "images.", unit="nats", group=LIKELIHOOD),
    ],
    order_by="fid",
)  # fmt: skip
