"""What the metrics say of real images disturbed on purpose: every failure, every strength, repeated.

A repetition deals the images anew into held-out, training and other ones, so that the spread between clean
repetitions is that of a metric between sets of one distribution: its noise. The extractor has seen part of
the images in training; dealing mixes seen and unseen ones evenly into all three sets.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import DATA, EXTRACTORS
from gm_bench.data.dataset import read_split
from gm_bench.metrics.extractors.features import Features, extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.nets.lenet import shape_of
from gm_bench.reproducibility import derive, describe, make_deterministic
from gm_bench.results.protocol import Protocol, build_protocol
from gm_bench.tracks.audit.corruptions import FAILURES, Hand, deal
from gm_bench.tracks.audit.settings import Audit, AuditSet
from gm_bench.tracks.generation.evaluation import Reference, all_metrics, make_reference

SEED = 0
AUDIT = Path("audit")
STRANGE = -1
Look = Callable[[Tensor], Features]
Say = Callable[[str], None]
Values = dict[str, list[float]]


@dataclass(frozen=True)
class Subject:
    """What is disturbed and what looks at it.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,); negative where there are none.
        look: the extractor.
        config: the dataset's protocol.
        device: computes the metrics.
        own_classes: whether the extractor's logits are of the labels' classes.
    """

    images: Tensor
    labels: Tensor
    look: Look
    config: Protocol
    device: torch.device
    own_classes: bool

    @property
    def labelled(self) -> bool:
        return bool((self.labels >= 0).all())


def measure_dataset(dataset: str, config: Protocol, plan: Audit, device: torch.device, say: Say) -> None:
    """The stage measure, from files to files: write audit/DATASET/values.json.

    Args:
        config: the dataset's protocol.
        say: told how far the work is.

    Raises:
        ValueError: wrong strengths, too few images, or a metric refuses.
        FileError: a file of an earlier stage is missing or damaged.
    """
    make_deterministic()
    plan, config = plan.of(dataset, config)
    size = plan.sets[dataset]
    splits = [read_split(DATA / dataset, split) for split in ("train", "test")]
    images, labels = (torch.cat(tensors) for tensors in zip(*splits, strict=True))
    record, extractor = load_extractor(EXTRACTORS / dataset, shape_of(images))
    subject = Subject(
        images,
        labels,
        remembering(lambda chosen: extract(extractor, chosen, device), images),
        config,
        device,
        extractor.own_classes,
    )
    measured = measure(subject, plan, size, say)
    hashes = {"all": io.sha256_tensor(images)}
    at_size = config_at(config, size.n_samples)
    protocol = build_protocol(dataset, at_size, record, extractor.preprocessing, hashes)
    for unused in ("draws", "split", "bound_images", "bound_codes", "floor_splits"):
        del protocol[unused]
    io.write_json(
        AUDIT / dataset / "values.json",
        {"schema": 1, "dataset": dataset, "protocol": protocol, "device": describe(device), **measured},
    )


def remembering(look: Look, images: Tensor) -> Look:
    """The same eye, which looks at each of these images once: disturbances leave most images as they are.

    What it sees in an image does not depend on the others (`extract`), so the result is the same to the bit.

    Args:
        images: those that are dealt, uint8 (N, C, H, W). Of others nothing is kept.
    """
    places = {_digest(image): place for place, image in enumerate(images)}
    known: dict[int, tuple[Tensor, Tensor]] = {}

    def looked(chosen: Tensor) -> Features:
        place = [places.get(_digest(image), STRANGE) for image in chosen]
        new = [i for i, p in enumerate(place) if p not in known]
        if len(new) == 1:  # which has no distribution, and would be refused
            new = list(range(len(chosen)))
        rows: dict[int, tuple[Tensor, Tensor]] = {}
        if new:
            seen = look(chosen[new])
            rows = dict(zip(new, zip(seen.features, seen.logits, strict=True), strict=True))
        for i, (features, logits) in rows.items():
            if place[i] != STRANGE:
                known[place[i]] = features.clone(), logits.clone()
        both = [rows[i] if i in rows else known[p] for i, p in enumerate(place)]
        return Features(torch.stack([f for f, _ in both]), torch.stack([x for _, x in both]))

    return looked


def _digest(image: Tensor) -> bytes:
    return hashlib.blake2b(image.contiguous().numpy().tobytes(), digest_size=16).digest()


def config_at(config: Protocol, n: int) -> Protocol:
    """The protocol for n images, the training images as many and KID's subsets at most half of them."""
    return config.model_copy(
        update={"n_samples": n, "n_train": n, "kid_subset_size": min(config.kid_subset_size, n // 2)}
    )


def check_strengths(strengths: Mapping[str, Sequence[float]]) -> None:
    """Refuse strengths of unknown failures and strengths that do not grow.

    Raises:
        ValueError: with the key in params.yaml.
    """
    for name, values in strengths.items():
        if name not in FAILURES:
            raise ValueError(
                f"params.yaml: tracks.audit.strengths has no failure '{name}'; known: {', '.join(FAILURES)}"
            )
        if list(values) != sorted(set(values)):
            raise ValueError(
                f"params.yaml: tracks.audit.strengths.{name} must grow from value to value: {values}"
            )


def measure(subject: Subject, plan: Audit, size: AuditSet, say: Say) -> dict[str, Any]:
    """Every metric of clean and of disturbed images.

    Args:
        size: images in each set, and the repetitions.
        say: told how far the work is.

    Returns:
        `clean`: metric → values, one per repetition. `failures`: name → `strengths`, their `labels`, and
        `values`, metric → one list per strength with one value per repetition; a strength that the data do
        not suffice for is left out. `sizes`: `n` and `values` alike, of clean sets of that many images.

    Raises:
        ValueError: wrong strengths, too few images, or a metric refuses.
    """
    check_strengths(plan.strengths)
    n, n_disturbed = size.n_samples, size.disturbed_draws
    config = config_at(subject.config, n)
    clean: list[dict[str, float]] = []
    found: dict[str, list[list[dict[str, float]]]] = {}
    failures = {
        name: [float(s) for s in strengths]
        for name, strengths in plan.strengths.items()
        if subject.labelled or not FAILURES[name].needs_labels
    }
    for repetition in range(size.clean_draws):
        hand, reference = _dealt(subject, config, "audit/deal", repetition)
        clean.append(_metrics(subject, hand.fake, reference, config))
        if repetition < n_disturbed:
            for name, strengths in failures.items():
                curve = [_disturbed(subject, hand, reference, config, name, s, repetition) for s in strengths]
                for place, values in enumerate(curve):
                    rows = found.setdefault(name, [[] for _ in strengths])
                    rows[place] += [values] if values is not None else []
        say(f"{repetition + 1} of {size.clean_draws} repetitions of n = {n:,}")
    return {
        "n": n,
        "clean": _by_metric(clean),
        "failures": {
            name: _curve(name, failures[name], rows, n, n_disturbed) for name, rows in found.items()
        },
        "sizes": _sizes(subject, plan.sizes, n_disturbed, say),
    }


def _sizes(subject: Subject, sizes: Sequence[int], draws: int, say: Say) -> dict[str, Any]:
    """Clean images in growing numbers, as far as three disjoint sets of them can be dealt."""
    numbers = [n for n in sizes if 3 * n <= len(subject.images)]
    rows = []
    for n in numbers:
        config = config_at(subject.config, n)
        values = []
        for repetition in range(draws):
            hand, reference = _dealt(subject, config, f"audit/size/{n}", repetition)
            values.append(_metrics(subject, hand.fake, reference, config))
        rows.append(_by_metric(values))
        say(f"sample size {n:,}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {"n": numbers, "values": {name: [row.get(name, []) for row in rows] for name in names}}


def _dealt(subject: Subject, config: Protocol, purpose: str, repetition: int) -> tuple[Hand, Reference]:
    generator = torch.Generator().manual_seed(derive(SEED, purpose, repetition))
    hand = deal(subject.images, subject.labels, config.n_samples, generator)
    reference = make_reference(
        hand.real,
        subject.look(hand.real),
        subject.look(hand.train),
        config,
        subject.device,
        train_labels=subject.labels if subject.labelled and subject.own_classes else None,
    )
    return hand, reference


def _disturbed(
    subject: Subject,
    hand: Hand,
    reference: Reference,
    config: Protocol,
    name: str,
    strength: float,
    repetition: int,
) -> dict[str, float] | None:
    generator = torch.Generator().manual_seed(derive(SEED, f"audit/{name}", repetition))
    images = FAILURES[name].apply(hand, strength, generator)
    return None if images is None else _metrics(subject, images, reference, config)


def _metrics(subject: Subject, images: Tensor, reference: Reference, config: Protocol) -> dict[str, float]:
    return all_metrics(subject.look(images), images, reference, config, subject.device)


def _by_metric(rows: Sequence[Mapping[str, float]]) -> Values:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [row[name] for row in rows] for name in names}


def _curve(
    name: str, strengths: Sequence[float], rows: Sequence[Sequence[Mapping[str, float]]], n: int, draws: int
) -> dict[str, Any]:
    """The strengths that the data sufficed for in every repetition."""
    kept = [place for place, row in enumerate(rows) if len(row) == draws]
    per_strength = [_by_metric(rows[place]) for place in kept]
    metrics = list(dict.fromkeys(metric for row in per_strength for metric in row))
    return {
        "strengths": [strengths[place] for place in kept],
        "labels": [FAILURES[name].label(strengths[place], n) for place in kept],
        "values": {metric: [row[metric] for row in per_strength] for metric in metrics},
    }
