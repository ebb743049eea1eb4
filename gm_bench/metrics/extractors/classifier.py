"""Training of the small classifier that serves as the extractor.

The choices below were settled on a part of the *training* split held back for it, by the accuracy there and
by how alike the features of seen and unseen images are; the test split only reports.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gm_bench.nets.lenet import LeNet, shape_of

BATCH_SIZE = 128
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-2
DROPOUT = 0.5
EVALUATION_BATCH = 500
# A set smaller than a batch is one batch. An epoch of a small set is soon over: train every set for about so
# many updates, fewer (by half at most) where what fills no batch is a large part of an epoch.
EPOCHS, LEAST_UPDATES = 5, 2000


@dataclass(frozen=True)
class TrainedClassifier:
    """Weights by name, and the share of test images that they classify rightly."""

    weights: dict[str, Tensor]
    test_accuracy: float


def train_classifier(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    seed: int,
    device: torch.device,
    on_epoch: Callable[[int, int], None] = lambda epoch, n_epochs: None,
) -> TrainedClassifier:
    """Train a LeNet on one split and test it on the other.

    Adam with decoupled weight decay, a learning rate that rises over the first fifth and falls to 0 while β₁
    falls and rises (Smith & Topin 2018), dropout, and images shifted at random by up to a sixteenth of their
    side: an extractor that knows its training images by heart would see a gap between seen and unseen images
    that is not there.

    Args:
        train: images uint8 (N, C, H, W) and labels int64 (N,), 0 … K−1.
        test: the same of other images.
        seed: of the initial weights, the order, the shifts and the dropout. The same seed gives the same
            weights, bit for bit, on one CPU thread of one machine.
        on_epoch: called after each, with its number from 1 and how many there are.

    Raises:
        ValueError: fewer than two classes.
    """
    images, labels = (tensor.to(device) for tensor in train)
    n_classes = int(labels.max()) + 1
    if len(labels.unique()) < 2:
        raise ValueError(
            "a classifier needs labels of at least 2 classes and these images have one: "
            "set the extractor of this dataset to inception in params.yaml"
        )
    batch_size = min(BATCH_SIZE, len(images))
    epochs = max(EPOCHS, -(-LEAST_UPDATES * batch_size // len(images)))
    updates = epochs * (len(images) // batch_size)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        network = LeNet(shape_of(images), n_classes, DROPOUT).to(device)
        optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=LEARNING_RATE, total_steps=updates, pct_start=0.2
        )
        for epoch in range(epochs):
            order = torch.randperm(len(images), generator=generator)
            for chosen in order.split(batch_size)[: len(images) // batch_size]:
                chosen = chosen.to(device)
                _, logits = network(shift(images[chosen], generator))
                loss = F.cross_entropy(logits, labels[chosen])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
            on_epoch(epoch + 1, epochs)
    network.eval()
    weights = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
    return TrainedClassifier(weights, accuracy(network, *test, device))


@torch.no_grad()
def accuracy(network: LeNet, images: Tensor, labels: Tensor, device: torch.device) -> float:
    """Share of images in [0, 1] that the network, in evaluation mode, classifies rightly."""
    right = 0
    for batch, truth in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        _, logits = network(batch.to(device))
        right += int((logits.argmax(1).cpu() == truth).sum())
    return right / len(images)


def shift(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image by its own random whole number of pixels; the border is repeated outwards.

    The range on either axis is ± a sixteenth of the longer side, at least 1, at most 2.
    """
    n, _, height, width = images.shape
    reach = max(1, min(2, max(height, width) // 16))
    rows = torch.randint(-reach, reach + 1, (n, 1), generator=generator).to(images.device)
    columns = torch.randint(-reach, reach + 1, (n, 1), generator=generator).to(images.device)
    y = (torch.arange(height, device=images.device) + rows).clamp(0, height - 1)
    x = (torch.arange(width, device=images.device) + columns).clamp(0, width - 1)
    first = torch.arange(n, device=images.device)[:, None, None]
    return images.movedim(1, -1)[first, y[:, :, None], x[:, None, :]].movedim(-1, 1)
