"""What the metrics of a set of samples say together, in words: each finding with its numbers, beyond noise.

Noise is that of a difference between two sets that are alike, √2 times what real images show in the place of
samples: the floor's standard deviation between random splits where it is known, and never less than that of a
share of n images, √(p (1 − p) / n). A finding needs `N_SPREADS` of them, copies `N_SPREADS_OF_COPIES`, and a
difference that matters besides: large sets tell apart what nobody would see.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

N_SPREADS = 3.0
N_SPREADS_OF_COPIES = 4.0  # an accusation, and made of many rows
LEAST_REPEATED = 0.01  # share of images
LEAST_COPIED = 0.005  # the same of copies
USUAL_COPIED = 0.01  # of other real images: the quantile of held-out ones' distances that makes a copy
LEAST_SHARPNESS = 0.15  # of that of real images
FAR = 0.5  # a share of this fraction of the floor's is far below it
NARROW = 0.25  # the same of coverage: samples that are varied and unlike real ones have more than that
CROWDED = 0.9  # 1-NN of fakes from which on they lie nearer to one another than to anything real
LEAST_ONE_NN = 0.1  # as far below the floor as samples must be to be the held-out images
SURE_OF_MISSING = 0.01  # chance at which real images would lack any of the classes
N_NAMED = 5

REPEATS, COLLAPSE, COPIES, MISSING = "repeats", "collapse", "copies", "missing classes"
BLURRED, NOISE, UNLIKE = "blurred", "noise-like", "unlike real images"
REAL, TOLD = "indistinguishable", "told from real images"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or that nothing is; `kind` is one of the constants above."""

    kind: str
    sentence: str


@dataclass(frozen=True)
class Row:
    """The metrics of samples beside those of real images.

    Args:
        values: metric → mean over draws, and seeds where there are several.
        floor: the same metrics of real images.
        floor_sd: their standard deviation between splits, where it is known.
        n: images on either side.
        missing: classes that no image of any draw is taken for.
        shares: class → its share of the training images; where it is not known, every class counts as one
            that real images of this number would show.
        n_drawn: images of all draws together.
    """

    values: Mapping[str, float]
    floor: Mapping[str, float]
    floor_sd: Mapping[str, float]
    n: int
    missing: Sequence[str] = ()
    shares: Mapping[str, float] | None = None
    n_drawn: int = 0

    def spread(self, metric: str, n: float | None = None) -> float:
        """Noise of a share less the floor's: of the floor's own, or that of n independent images if more."""
        p, n = self.floor[metric], n or self.n
        p = min(max(p, 1 / n), 1 - 1 / n)
        return max(self.difference_sd(metric), math.sqrt(2 * max(p * (1 - p), 0.0) / n))

    def difference_sd(self, metric: str) -> float:
        """Standard deviation of a value less the floor's, by the floor's own; 0 where that is not known."""
        return math.sqrt(2) * self.floor_sd.get(metric, 0.0)

    def below(self, metric: str) -> bool:
        """Whether a share is lower than that of real images beyond noise."""
        return self.known(metric) and self.values[metric] < self.floor[metric] - N_SPREADS * self.spread(
            metric
        )

    def far_below(self, metric: str, fraction: float = FAR) -> bool:
        return self.below(metric) and self.values[metric] < fraction * self.floor[metric]

    def known(self, *metrics: str) -> bool:
        return all(metric in self.values and metric in self.floor for metric in metrics)


def verdict(row: Row) -> list[Finding]:
    """All that the row says, the plainest first; last whether it can be told from real images.

    Samples that are faulty in a way that no comparison with held-out images shows (copies, some repeats) are
    not called indistinguishable. A row without metrics has no verdict.
    """
    if not row.known("one_nn"):
        return []
    rules = (_repeats, _collapse, _copies, _copies_of_held_out, _missing, _blurred, _noise, _unlike)
    found = [finding for finding in (rule(row) for rule in rules) if finding]
    if _is_told(row):
        return [*found, Finding(TOLD, f"Told from real images at N = {row.n:,}: {_likeness(row)}.")]
    if found:
        return found
    return [Finding(REAL, f"Indistinguishable from real images at N = {row.n:,}: {_likeness(row)}.")]


def in_words(row: Row) -> list[str]:
    """The sentences of `verdict`."""
    return [finding.sentence for finding in verdict(row)]


def few_images(n: int, n_features: int) -> str:
    """What fewer images than features do to the Fréchet distance, a sentence."""
    return (
        f"FID: N = {n:,} is below the {n_features:,} features, so both covariances are singular and the bias "
        "is large: compare it at this N only, and trust KID and 1-NN more."
    )


def missing_in_all(draws: Iterable[Sequence[str]]) -> list[str]:
    """The classes that every one of several draws lacks, in the order of the first."""
    sets = [list(names) for names in draws]
    return [name for name in sets[0] if all(name in names for names in sets)] if sets else []


def _repeats(row: Row) -> Finding | None:
    if not row.known("distinct"):
        return None
    share, real = row.values["distinct"], row.floor["distinct"]
    if share >= real - max(LEAST_REPEATED, N_SPREADS * row.spread("distinct")):
        return None
    return Finding(
        REPEATS,
        f"Repeats: {_count(round(share * row.n), 'distinct image')} among {row.n:,} ({_percent(share)}; of "
        f"real images {_percent(real)}).",
    )


def _collapse(row: Row) -> Finding | None:
    if not row.known("coverage", "recall", "one_nn_fake", "precision"):
        return None
    narrow = row.far_below("coverage", NARROW) and row.far_below("recall")
    crowded = row.values["one_nn_fake"] >= CROWDED
    lies_among_real = not row.far_below("precision")  # far from everything real, both are low without it
    if not (narrow and crowded) or not (lies_among_real or _repeats(row)):
        return None
    return Finding(
        COLLAPSE,
        f"Collapse: coverage {_beside(row, 'coverage')} and recall {_beside(row, 'recall')} are low while "
        f"{_percent(row.values['one_nn_fake'])} of the samples lie nearest to another sample.",
    )


def _copies(row: Row) -> Finding | None:
    if not _copied(row, "copied", USUAL_COPIED):
        return None
    exact = row.values.get("duplicates_exact", 0.0)
    also = f", {_percent(exact)} are one exactly" if _copied(row, "duplicates_exact") else ""
    return Finding(
        COPIES,
        f"Copies of training images: {_percent(row.values['copied'])} of the samples lie far nearer to one "
        f"than to any held-out image (of held-out images {_percent(row.floor.get('copied', 0.0))}){also}.",
    )


def _copies_of_held_out(row: Row) -> Finding | None:
    """As of a model that was trained on the test split."""
    said = []
    if _copied(row, "copied_held_out", USUAL_COPIED):
        usual = _percent(row.floor.get("copied_held_out", 0.0))
        said.append(
            f"{_percent(row.values['copied_held_out'])} of the samples lie far nearer to one than to any "
            f"training image (of other held-out images {usual})"
        )
    if row.values["one_nn"] < row.floor["one_nn"] - max(LEAST_ONE_NN, N_SPREADS * row.spread("one_nn")):
        said.append(f"1-NN {_beside(row, 'one_nn')} is lower than two sets of real images have it")
    if not said:
        return None
    sentence = f"Copies of the held-out images that they are compared with: {', '.join(said)}."
    return Finding(COPIES, sentence)


def _copied(row: Row, metric: str, usual: float = 0.0) -> bool:
    """Whether a share of copies is more than real images have of them; a floor without it counts as none.

    Of repeats each counts once: a single sample that lies near a training image by chance may be all of them.

    Args:
        usual: the share among images that nobody copied, by which the noise is told: the floor's own may be
            less, since the held-out images that it is of are also those that say what is near.
    """
    if metric not in row.values:
        return False
    floor = row.floor.get(metric, 0.0)
    noisy = replace(row, floor={**row.floor, metric: max(usual, floor)})
    varied = [row.values.get("distinct", 1.0)] + [row.values["coverage"]] * bool(_collapse(row))
    noise = N_SPREADS_OF_COPIES * noisy.spread(metric, max(1.0, row.n * min(varied)))
    return row.values[metric] > floor + max(LEAST_COPIED, noise)


def _missing(row: Row) -> Finding | None:
    if not row.missing or not row.known("classes_hit"):
        return None
    if row.values["classes_hit"] >= row.floor["classes_hit"] - N_SPREADS * row.difference_sd("classes_hit"):
        return None
    n = row.n_drawn or row.n
    sure = [name for name in row.missing if _chance_of_none(row, name, n) < SURE_OF_MISSING]
    if not sure:
        return None
    named = ", ".join(sure[:N_NAMED]) + (", …" if len(sure) > N_NAMED else "")
    return Finding(
        MISSING,
        f"Missing classes: none of {n:,} samples is taken for {named} ({len(sure)} of "
        f"{round(row.floor['classes_hit'])} that real images show).",
    )


def _chance_of_none(row: Row, name: str, n: int) -> float:
    """Chance that n real images lack a class, over all classes together (Bonferroni)."""
    if row.shares is None:
        return 0.0
    share = row.shares.get(name, 0.0)
    return min(1.0, len(row.shares) * (1 - share) ** n)


def _sharpness_noise(row: Row) -> float:
    """As far from that of real images as sharpness must be to say something."""
    return max(LEAST_SHARPNESS * row.floor["sharpness"], N_SPREADS * row.difference_sd("sharpness"))


def _blurred(row: Row) -> Finding | None:
    if not row.known("sharpness"):
        return None
    if row.values["sharpness"] >= row.floor["sharpness"] - _sharpness_noise(row):
        return None
    return Finding(BLURRED, f"Blurred: sharpness {_beside(row, 'sharpness')}.")


def _noise(row: Row) -> Finding | None:
    if not row.known("sharpness", "precision") or not row.far_below("precision"):
        return None
    if row.values["sharpness"] <= row.floor["sharpness"] + _sharpness_noise(row):
        return None
    return Finding(
        NOISE,
        f"Noise-like: sharpness {_beside(row, 'sharpness')} while precision is {_beside(row, 'precision')}.",
    )


def _unlike(row: Row) -> Finding | None:
    if not row.known("precision") or not row.far_below("precision") or _noise(row):
        return None
    return Finding(
        UNLIKE, f"Unlike real images: precision {_beside(row, 'precision')}, few lie among real ones."
    )


def _is_told(row: Row) -> bool:
    """Whether any comparison with held-out images tells the samples from real ones."""
    limit = row.floor["one_nn"] + N_SPREADS * max(row.spread("one_nn"), math.sqrt(0.25 / row.n))
    if row.values["one_nn"] > limit or any(map(row.below, ("precision", "recall", "coverage"))):
        return True
    sd = row.difference_sd("fid")
    return sd > 0 and row.known("fid") and row.values["fid"] > row.floor["fid"] + N_SPREADS * sd


def _likeness(row: Row) -> str:
    numbers = f"1-NN {_beside(row, 'one_nn')}"
    return f"{numbers}, FID {_beside(row, 'fid')}" if row.known("fid") else numbers


def _beside(row: Row, metric: str) -> str:
    """0.61 (real images 1.01 ± 0.01); of a spread that two decimals do not show one figure."""
    sd = row.floor_sd.get(metric)
    spread = f" ± {_figures(sd) if sd >= 0.01 else f'{sd:.1g}'}" if sd else ""
    return f"{_figures(row.values[metric])} (real images {_figures(row.floor[metric])}{spread})"


def _figures(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _percent(share: float) -> str:
    """Whole per cents, with a decimal where that would hide something."""
    return f"{share:.1%}" if 0 < share < 0.1 or 0.99 < share < 1 else f"{share:.0%}"
