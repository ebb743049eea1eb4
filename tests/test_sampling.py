"""Seeded draws, and the labels they are asked for."""

import torch

from gm_bench import sampling


def test_labels_follow_the_training_distribution_and_the_seed() -> None:
    """20,000 labels of classes 1 : 0 : 3; the standard error of a share is 0.003."""
    labels = sampling.draw_labels([10, 0, 30], 20_000, seed=0, index=0)
    shares = labels.bincount(minlength=3) / len(labels)
    assert shares[1] == 0
    assert abs(shares[2].item() - 0.75) < 0.012
    assert torch.equal(labels, sampling.draw_labels([10, 0, 30], 20_000, seed=0, index=0))
    assert not torch.equal(labels, sampling.draw_labels([10, 0, 30], 20_000, seed=0, index=1))
    assert not torch.equal(labels, sampling.draw_labels([10, 0, 30], 20_000, seed=1, index=0))


def test_levels_are_rounded_and_clipped() -> None:
    """127.5 (x + 1): −1 → 0, 0 → 127.5, to even 128, 1 → 255; beyond is clipped."""
    images = torch.tensor([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])
    assert sampling.to_uint8(images).tolist() == [0, 0, 128, 191, 255, 255]
