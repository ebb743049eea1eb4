"""All metrics of one set of images: the one way that the floor and every cell take."""

import torch

from gm_bench.config import Protocol
from gm_bench.features import Features
from gm_bench.metrics.fidelity import classifier_score, fid, kid, precision_recall
from gm_bench.metrics.neighbours import leave_one_out_1nn


def all_metrics(
    fake: Features, real: Features, train: Features, config: Protocol, device: torch.device
) -> dict[str, float]:
    """Every metric by its name.

    Args:
        fake: what the extractor sees in the images to be judged, n of them.
        real: in held-out images, n.
        train: in training images, n; only `one_nn_train` reads them: below 0.5 there while `one_nn` is not,
            the fakes are copies.
        device: computes the distances between rows.

    Raises:
        ValueError: a metric refuses the features; the message says why.
    """
    a, b, c = (each.features.to(device) for each in (fake, real, train))
    held_out, seen = leave_one_out_1nn(a, b), leave_one_out_1nn(a, c)
    manifold = precision_recall(a, b, config.neighbours)
    score = "inception_score" if config.extractor == "inception" else "classifier_score"
    return {
        "fid": fid(fake.features, real.features),
        "kid": kid(fake.features, real.features, config.kid_subsets, config.kid_subset_size),
        score: classifier_score(fake.logits, config.score_splits),
        "precision": manifold.precision,
        "recall": manifold.recall,
        "one_nn": held_out.overall,
        "one_nn_real": held_out.real,
        "one_nn_fake": held_out.fake,
        "one_nn_train": seen.overall,
    }


def floor(real: Features, train: Features, config: Protocol, device: torch.device) -> dict[str, float]:
    """What the metrics say of real images: training images in the place of the fakes, against held-out ones.

    `one_nn_train` cannot compare the training images with themselves: it sets held-out images against them,
    which is the accuracy of `one_nn` read the other way round.
    """
    return all_metrics(train, real, real, config, device)
