"""Ascending a classifier's log p(y | x) from noise: it grows sure of images that are still noise.

Source: Simonyan et al. 2014, "Deep inside convolutional networks: visualising image classification models and
saliency maps", equation 1.

    training   min  −E log p(y | x)
    sampling   x ~ U(−1, 1),  then n_steps times  x ← clip(x + step_size · g / ‖g‖),   g = ∇ₓ log p(y | x)

Deviates from the paper: log p(y | x) in place of the class's score before the softmax, noise in place of a
grey image as the start, steps of one length and a clip to [-1, 1] in place of an L2 penalty.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gm_bench.nets.network import Network
from gm_bench.options import Positive, PositiveInt
from gm_bench.variants.base.contract import Batch, Variant


@torch.enable_grad()
def ascend(classifier: nn.Module, start: Tensor, labels: Tensor, n_steps: int, step_size: float) -> Tensor:
    """Images (n, C, H, W) in [-1, 1], moved up log p(label | image) by `n_steps` steps of one L2 length."""
    x = start
    for _ in range(n_steps):
        x = x.detach().requires_grad_()
        log_likelihood = -cross_entropy(classifier(x), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(log_likelihood, x)
        direction = gradient / gradient.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        x = (x + step_size * direction).clamp(-1, 1)
    return x.detach()


class ClassifierAscent(Variant):
    """A classifier, climbed.

    Args:
        n_steps: steps from noise to sample.
        step_size: L2 length of a step, on the scale of images in [-1, 1].
    """

    family: ClassVar[str] = "baselines"
    source: ClassVar[str] = "Simonyan et al. 2014, eq. 1"
    players: ClassVar[tuple[str, ...]] = ("model",)
    conditional: ClassVar[bool] = True

    def __init__(self, network: Network, n_steps: PositiveInt, step_size: Positive) -> None:
        super().__init__(network)
        self.n_steps = n_steps
        self.step_size = step_size
        self.model = network.encoder(self.n_classes)

    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        logits = self.model(batch.images)
        accuracy = (logits.detach().argmax(dim=1) == batch.labels).float().mean()
        return {"loss": cross_entropy(logits, batch.labels), "accuracy": accuracy}

    def sample(self, n: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        if labels is None:
            raise ValueError("classifier_ascent climbs towards a class: give labels")
        noise = torch.rand(n, *self.image_shape, generator=generator, device=generator.device) * 2 - 1
        return ascend(self.model, noise, labels, self.n_steps, self.step_size)
