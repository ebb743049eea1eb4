"""What params.yaml leaves open of a dataset and of a board, from the fetched splits: one rule each.

The rules read nothing but the data and what is given, so that every machine derives the same numbers. What a
budget costs on a machine is no part of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gm_bench.nets import lenet_reads
from gm_bench.results.protocol import Protocol

SMALL_SIDE = 16  # below it, and where a side is odd, networks are fully connected
BATCH_SIZE, LEAST_BATCH = 64, 8
REFERENCE_WIDTH = 1024  # width × side of the scaled recipe: every size costs about as much an image
WIDTHS = (16, 64)
LEAST_BUDGET, MOST_BUDGET, EPOCHS = 100_000, 1_000_000, 50
N_SNAPSHOTS = 5
FID_SUBSETS = 5
ROWS_A_SIZE = 2  # images that FID∞ needs for each of the sizes that it is fitted through
LEAST_SPLIT = ROWS_A_SIZE * FID_SUBSETS  # images of the test split, and of those that are shown
TINY, SCALED = "tiny", "scaled"
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """What the fetched splits are.

    Args:
        n_train, n_test: images of each.
        shape: (C, H, W) of one.
        class_counts: training images of each class; empty without labels.
    """

    n_train: int
    n_test: int
    shape: tuple[int, int, int]
    class_counts: tuple[int, ...]

    @classmethod
    def of_card(cls, card: Json) -> "Facts":
        """Those that a dataset's card records."""
        counts = card["counts"]
        channels, height, width = card["shape"]
        per_class = card["counts_per_class"]["train"]
        return cls(counts["train"], counts["test"], (channels, height, width), tuple(per_class.values()))

    @property
    def n_classes(self) -> int:
        return len(self.class_counts)


@dataclass(frozen=True)
class Value:
    """A number or a name, and in words where it comes from."""

    value: Any
    origin: str


def extractor_for(n_classes: int, shape: tuple[int, int, int]) -> tuple[str, str]:
    """The extractor for a dataset of one's own that names none, and why, in words.

    Grey images with labels get a LeNet of their own, where they are of a size that it reads. All others are
    seen by a network of natural images whose weights are installed, so that neither a download nor a machine
    decides.

    Args:
        n_classes: classes of the training images; 0 without labels.
        shape: (C, H, W) of an image, C 1 (grey) or 3 (colour).
    """
    channels, height, width = shape
    if channels == 3:
        kind = "colour images"
    elif n_classes < 2:
        kind = f"grey images {'of one class' if n_classes else 'without labels'}"
    elif lenet_reads(shape):
        return "lenet", f"grey images of {n_classes} classes: a LeNet trained on their own labels"
    else:
        kind = f"grey images of {height}×{width} pixels, which a LeNet does not read"
    return "efficientnet_lite0", f"{kind}: EfficientNet-Lite0 of ImageNet, whose weights are installed"


def most_demanding(protocol: Protocol) -> tuple[str, int]:
    """What of a protocol needs the most images on either side, in words, and how many."""
    needs = {
        f"FID∞ over {protocol.fid_subsets} subsets": ROWS_A_SIZE * protocol.fid_subsets,
        f"{protocol.neighbours} neighbours": protocol.neighbours + 1,
        f"a score over {protocol.score_splits} splits": protocol.score_splits,
        "KID": 4,
    }
    return max(needs.items(), key=lambda item: item[1])


def n_validation(facts: Facts) -> Value:
    """Training images that are held back: a tenth, at most 500, at least 2."""
    return Value(
        max(2, min(500, facts.n_train // 10)), f"a tenth of {facts.n_train:,} training images, 2 to 500"
    )


def protocol(facts: Facts, n_held_back: int, given: Json) -> dict[str, Value]:
    """The keys of a protocol that are not given, in its order.

    Args:
        n_held_back: training images that are held back for learning curves.
        given: the keys that are, with their values; others follow from them.
    """
    seen = facts.n_train - n_held_back
    extractor, reason = extractor_for(facts.n_classes, facts.shape)
    found: dict[str, Value] = {"extractor": Value(extractor, reason)}
    n = given.get("n_samples")
    if n is None:
        n = min(10_000, facts.n_test, seen)
        found["n_samples"] = Value(
            n, f"all of {facts.n_test:,} test images, at most {seen:,} training images and 10,000"
        )
    found |= {
        "n_train": Value(
            max(n, min(seen, 10_000)), f"all of {seen:,} training images that are shown, at most 10,000 or N"
        ),
        "draws": Value(3 if n < 2000 else 2, "3 below N = 2,000, else 2"),
        "score_splits": Value(max(1, min(10, n // 1000)), "one for each 1,000 of N, 1 to 10"),
        "kid_subsets": Value(100, "always"),
        "kid_subset_size": Value(max(2, min(1000, n // 2)), "half of N, at most 1,000"),
        "fid_subsets": Value(FID_SUBSETS, "always"),
        "neighbours": Value(3, "always"),
        "duplicate_quantile": Value(0.01, "always"),
        "bound_images": Value(min(1000, facts.n_test), f"all of {facts.n_test:,} test images, at most 1,000"),
        "bound_codes": Value(64, "always"),
        "floor_splits": Value(10 if n <= 2000 else 3, "10 up to N = 2,000, else 3"),
    }
    return {key: found[key] for key in Protocol.model_fields if key in found and given.get(key) is None}


def recipe(facts: Facts) -> Value:
    """The recipe that the images' shape asks for."""
    side = facts.shape[1]
    if side < SMALL_SIDE or side % 2:
        return Value(TINY, f"a side of {side}, below {SMALL_SIDE} or odd")
    return Value(SCALED, f"an even side of {side}, {SMALL_SIDE} or more")


def width(facts: Facts) -> Value:
    """Channels of the scaled recipe's networks at the images' own size, half as many again in colour."""
    channels, side, _ = facts.shape
    least, most = WIDTHS
    grey = min(most, max(least, REFERENCE_WIDTH // side // 8 * 8))
    value = grey * 3 // 2 if channels == 3 else grey
    colour = ", half as many again in colour" if channels == 3 else ""
    return Value(value, f"{REFERENCE_WIDTH:,} over a side of {side} in steps of 8, {least} to {most}{colour}")


def batch_size(facts: Facts, n_held_back: int) -> Value:
    """64, or the largest power of two that a quarter of the images that are shown suffices for."""
    size = BATCH_SIZE
    while size > LEAST_BATCH and size * 4 > facts.n_train - n_held_back:
        size //= 2
    return Value(
        size, f"the largest power of two up to a quarter of the images shown, {LEAST_BATCH} to {BATCH_SIZE}"
    )


def n_images(facts: Facts, n_held_back: int) -> Value:
    """The budget: fifty times the images that are shown."""
    seen = facts.n_train - n_held_back
    amount = min(MOST_BUDGET, max(LEAST_BUDGET, EPOCHS * seen))
    return Value(
        amount, f"{EPOCHS} times {seen:,} images that are shown, {LEAST_BUDGET:,} to {MOST_BUDGET:,}"
    )


def n_snapshots() -> Value:
    return Value(N_SNAPSHOTS, "always")
