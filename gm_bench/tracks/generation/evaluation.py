"""All metrics of one set of images: the one way that the floor and every cell take."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import stdev
from typing import Any

import torch
from torch import Tensor

from gm_bench.metrics.copying import share_of_copies
from gm_bench.metrics.distances import Within, between, nearest_squared, within
from gm_bench.metrics.extractors.features import Features
from gm_bench.metrics.fidelity import classifier_score, kid
from gm_bench.metrics.frechet import Moments, fid, fid_infinity, moments
from gm_bench.metrics.memorisation import duplicate_limit, median_distance, memorisation, share_of_duplicates
from gm_bench.metrics.modes import class_accuracy, mode_coverage
from gm_bench.metrics.neighbours import accuracy, compare
from gm_bench.metrics.repeats import distinct_share
from gm_bench.metrics.sharpness import laplacian_variance
from gm_bench.results.protocol import SEED, Protocol

CPU = torch.device("cpu")
# Pairs of a sample and its nearest training image that are kept to be looked at.
N_PAIRS = 8
# What `floor` says of them follows from how it is made, whatever the images.
FIXED_AT_FLOOR = ("one_nn_gap", "train_distance_ratio", "duplicates")


@dataclass(frozen=True)
class Reference:
    """Real images as the metrics read them: what can be computed once for all sets of fakes.

    Args:
        held_out: what the extractor sees in n held-out images.
        train: in at least n training images; the first n are what `one_nn_train` reads.
        class_counts: images of each class in the whole training split, int64 (K,), or None where the
            extractor's classes are not the dataset's.
        sharpness: of the held-out images.
        moments: of the held-out features.
        held_out_within: nearest neighbours among the held-out images.
        train_within: among the first n training images.
        held_out_to_train: squared distance of each held-out image to its nearest in `train`, float64 (n,).
    """

    held_out: Features
    train: Features
    class_counts: Tensor | None
    sharpness: float
    moments: Moments
    held_out_within: Within
    train_within: Within
    held_out_to_train: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, to be written to a file."""
        counts = {} if self.class_counts is None else {"class_counts": self.class_counts}
        return {
            "test_features": self.held_out.features,
            "test_logits": self.held_out.logits,
            "train_features": self.train.features,
            "train_logits": self.train.logits,
            "test_sharpness": torch.tensor(self.sharpness, dtype=torch.float64),
            "test_mean": self.moments.mean,
            "test_factor": self.moments.factor,
            "test_within_squared": self.held_out_within.squared,
            "test_within_ties": self.held_out_within.ties,
            "train_within_squared": self.train_within.squared,
            "train_within_ties": self.train_within.ties,
            "test_to_train_squared": self.held_out_to_train,
            **counts,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Reference":
        """The reverse of `tensors`.

        Raises:
            ValueError: a tensor is missing.
        """
        try:
            return cls(
                held_out=Features(tensors["test_features"], tensors["test_logits"]),
                train=Features(tensors["train_features"], tensors["train_logits"]),
                class_counts=tensors.get("class_counts"),
                sharpness=float(tensors["test_sharpness"]),
                moments=Moments(tensors["test_mean"], tensors["test_factor"]),
                held_out_within=Within(tensors["test_within_squared"], tensors["test_within_ties"]),
                train_within=Within(tensors["train_within_squared"], tensors["train_within_ties"]),
                held_out_to_train=tensors["test_to_train_squared"],
            )
        except KeyError as error:
            raise ValueError(
                f"the reference holds no {error}: it is of another version, run the reference stage again"
            ) from None


def make_reference(
    images: Tensor,
    held_out: Features,
    train: Features,
    config: Protocol,
    device: torch.device,
    train_labels: Tensor | None = None,
) -> Reference:
    """Everything about real images that the metrics need, computed once.

    Args:
        images: the held-out images, uint8 (n, C, H, W).
        held_out: what the extractor sees in them.
        train: in training images, at least n.
        device: computes distances and covariances; the result is on the CPU.
        train_labels: of the whole training split, int64, 0 to K − 1, where the extractor's logits are of the
            dataset's own classes; else None, and there is no mode coverage.

    Raises:
        ValueError: fewer training than held-out images, or a metric refuses the features.
    """
    n = len(held_out.features)
    if len(images) != n:
        raise ValueError(f"there are {len(images)} held-out images but features of {n}")
    if len(train.features) < n:
        raise ValueError(
            f"{len(train.features)} training images are fewer than the {n} held-out ones: raise n_train"
        )
    counts = None
    if train_labels is not None:
        counts = torch.bincount(train_labels, minlength=held_out.logits.shape[1])
    sharpness = laplacian_variance(images)
    if sharpness == 0:
        raise ValueError("the held-out images are all of one colour: there is nothing to compare with")
    a, b = held_out.features.to(device), train.features.to(device)
    return Reference(
        held_out=held_out,
        train=train,
        class_counts=counts,
        sharpness=sharpness,
        moments=moments(a).to(CPU),
        held_out_within=within(a, config.neighbours).to(CPU),
        train_within=within(b[:n], 1).to(CPU),
        held_out_to_train=nearest_squared(a, b).cpu(),
    )


def all_metrics(
    fake: Features,
    images: Tensor,
    reference: Reference,
    config: Protocol,
    device: torch.device,
    labels: Tensor | None = None,
) -> dict[str, float]:
    """Every metric by its name.

    Args:
        fake: what the extractor sees in the images to be judged, as many as there are held-out ones.
        images: those images, uint8 (n, C, H, W).
        reference: of the same extractor and `config`.
        device: computes distances and covariances.
        labels: the classes that the images were asked for, int64 (n,), or None. They are judged where the
            extractor's classes are the dataset's.

    Raises:
        ValueError: a metric refuses the features; the message says why.
    """
    features, train = fake.features.to(device), reference.train.features.to(device)
    own = within(features, config.neighbours)
    likeness, to_held_out = _likeness(fake, images, own, reference, config, device)
    n = len(features)
    seen = between(features, train[:n])
    nearest = seen.a.squared
    if len(train) > n:
        nearest = torch.minimum(nearest, nearest_squared(features, train[n:]))
    near = memorisation(nearest.cpu(), reference.held_out_to_train, config.duplicate_quantile)
    of_train = accuracy(own, reference.train_within.to(device), seen, features.shape[1]).overall
    values = likeness | {
        "one_nn_train": of_train,
        "one_nn_gap": of_train - likeness["one_nn"],
        "train_distance_ratio": near.distance_ratio,
        "duplicates": near.duplicates,
        "duplicates_exact": near.exact,
        **_copies(
            nearest, to_held_out, duplicate_limit(reference.held_out_to_train, config.duplicate_quantile)
        ),
    }
    if labels is not None and reference.class_counts is not None:
        values["class_accuracy"] = class_accuracy(fake.logits, labels)
    return values


def floor(
    train_images: Tensor, reference: Reference, config: Protocol, device: torch.device
) -> dict[str, float]:
    """What the metrics say of real images: training images in the place of the fakes, against held-out ones.

    Training images are copies of themselves, so for memorisation held-out images take the place of the fakes:
    `one_nn_train` is then `one_nn` read the other way round, their gap 0 and the ratio of distances 1.

    Args:
        train_images: those of `reference.train`, uint8; the first n are read.
    """
    n = len(reference.held_out.features)
    train = Features(reference.train.features[:n], reference.train.logits[:n])
    own = within(train.features.to(device), config.neighbours)
    values, _ = _likeness(train, train_images[:n], own, reference, config, device)
    near = reference.held_out_to_train
    limit = duplicate_limit(near, config.duplicate_quantile)
    return values | {
        "one_nn_train": values["one_nn"],
        "one_nn_gap": 0.0,
        "train_distance_ratio": 1.0,
        "duplicates": share_of_duplicates(near, limit),
        "duplicates_exact": share_of_duplicates(near, 0.0),
        **_copies(near, reference.held_out_within.squared[:, 0], limit),
    }


def floor_spread(
    images: Tensor, labels: Tensor, reference: Reference, config: Protocol, device: torch.device
) -> dict[str, float]:
    """Sample standard deviation of the floor over `floor_splits` random splits of the same real images.

    Each deals two disjoint sets of n anew from the pool of training and held-out images, each set with as
    many images of every class as the floor's own has. The pool is finite: where it is little larger than 2n
    every split uses nearly all of it, and this is the spread of a permutation test, without what other images
    would add. Metrics that are fixed where no image is generated (`FIXED_AT_FLOOR`) have none.

    Args:
        images: the pool: those of `reference.train`, then the held-out ones, uint8 (M + n, C, H, W).
        labels: their classes, int64 (M + n,); all the same where they are not known.
    """
    n = len(reference.held_out.features)
    features, logits = (
        torch.cat(pair)
        for pair in (
            (reference.train.features, reference.held_out.features),
            (reference.train.logits, reference.held_out.logits),
        )
    )
    generator = torch.Generator().manual_seed(SEED)
    splits = []
    for _ in range(config.floor_splits):
        a, b = _deal(labels, n, generator)
        fake, held_out = (Features(features[places], logits[places]) for places in (a, b))
        dealt = make_reference(images[b], held_out, fake, config, device)
        dealt = replace(dealt, class_counts=reference.class_counts)
        splits.append(floor(images[a], dealt, config, device))
    return {
        name: stdev(values[name] for values in splits) for name in splits[0] if name not in FIXED_AT_FLOOR
    }


def curve_point(fake: Features, validation: Features, device: torch.device) -> dict[str, float]:
    """What a learning curve shows of a model in training: cheap, and read from other images than the table.

    Args:
        fake: what the extractor sees in a few samples.
        validation: in as many training images that training never shows.
    """
    a, b = fake.features.to(device), validation.features.to(device)
    near = compare(a, b, 1, within(a, 1), within(b, 1))
    return {"fid": fid(a, moments(b)), "one_nn": near.accuracy.overall}


def missing_classes(fake: Features, reference: Reference) -> list[int]:
    """Classes of the training images that no fake is taken for; none where classes are not known."""
    if reference.class_counts is None:
        return []
    return list(mode_coverage(fake.logits, reference.class_counts).missing)


def closest_pairs(fake: Features, reference: Reference, n_pairs: int = N_PAIRS) -> list[dict[str, Any]]:
    """The fakes nearest to a training image, nearest first: what to look at when copies are suspected.

    Returns:
        For each of the fakes `sample` and `train` (the places of the two images in their sets) and
        `distance_ratio`, their distance over the median one of held-out images.
    """
    nearest = nearest_squared(fake.features, reference.train.features)
    middle = median_distance(reference.held_out_to_train)
    pairs = []
    for place in nearest.argsort(stable=True)[:n_pairs].tolist():
        squared = (reference.train.features.double() - fake.features[place]).square().sum(dim=1)
        ratio = float(nearest[place].sqrt()) / middle
        pairs.append({"sample": place, "train": int(squared.argmin()), "distance_ratio": ratio})
    return pairs


def _deal(labels: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Places of two disjoint sets of n with the classes of the first n and of the last n of a pool (N,)."""
    order = torch.randperm(len(labels), generator=generator)
    first, last = [], []
    for label in labels.unique():
        places = order[labels[order] == label]
        n_first, n_last = (int((part == label).sum()) for part in (labels[:n], labels[-n:]))
        first.append(places[:n_first])
        last.append(places[n_first:][:n_last])
    return torch.cat(first), torch.cat(last)


def _likeness(
    fake: Features, images: Tensor, own: Within, reference: Reference, config: Protocol, device: torch.device
) -> tuple[dict[str, float], Tensor]:
    """The metrics that set the fakes against held-out images; `own` is `within` the fakes.

    Returns:
        The metrics, and the squared distance of each fake to its nearest held-out image, (n,).
    """
    a, b = fake.features.to(device), reference.held_out.features.to(device)
    near = compare(a, b, config.neighbours, own, reference.held_out_within.to(device))
    line = fid_infinity(a, b, config.fid_subsets, SEED)
    values = {
        "fid": fid(a, reference.moments.to(device)),
        "fid_infinity": line.value,
        "fid_infinity_error": line.error,
        "kid": kid(
            fake.features, reference.held_out.features, config.kid_subsets, config.kid_subset_size, SEED
        ),
        **_score(fake, config),
        "precision": near.manifold.precision,
        "recall": near.manifold.recall,
        "density": near.balls.density,
        "coverage": near.balls.coverage,
        "one_nn": near.accuracy.overall,
        "one_nn_real": near.accuracy.real,
        "one_nn_fake": near.accuracy.fake,
        "sharpness": laplacian_variance(images) / reference.sharpness,
        "distinct": distinct_share(images),
    }
    if reference.class_counts is not None:
        modes = mode_coverage(fake.logits, reference.class_counts)
        values |= {"classes_hit": float(modes.hit), "class_kl": modes.divergence}
    return values, near.fake_to_real


def _copies(to_train: Tensor, to_held_out: Tensor, limit: float) -> dict[str, float]:
    """Which share of images are copies of training or of held-out images, from squared distances (n,)."""
    return {
        "copied": share_of_copies(to_train, to_held_out, limit),
        "copied_held_out": share_of_copies(to_held_out, to_train, limit),
    }


def _score(fake: Features, config: Protocol) -> dict[str, float]:
    """The classifier score by its name; none where the extractor tells no classes apart."""
    if fake.logits.shape[1] == 0:
        return {}
    name = "inception_score" if config.extractor == "inception" else "classifier_score"
    return {name: classifier_score(fake.logits, config.score_splits, SEED)}
