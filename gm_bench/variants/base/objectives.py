"""Objectives that several adversarial variants share: pure functions of scores, and the bases that use them.

Scores are what the critic says before any squashing, (n, 1). Each base is an `Adversarial` with both losses
in place; a variant adds what sets it apart (a penalty, a class, another network).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Batch


def cross_entropy_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """−E log σ(real) − E log(1 − σ(fake)) of scores (n, 1); 2 log 2 where the critic cannot tell.

    Source: Goodfellow et al. 2014, equation 1, with its sign turned.
    """
    return softplus(-real).mean() + softplus(fake).mean()


def non_saturating_loss(fake: Tensor) -> Tensor:
    """−E log σ(fake) of scores (n, 1); its gradient is largest where the critic is sure they are fake.

    Source: Goodfellow et al. 2014, §3, last paragraph.
    """
    return softplus(-fake).mean()


def least_squares_critic_loss(real: Tensor, fake: Tensor, a: float, b: float) -> Tensor:
    """½ E (real − b)² + ½ E (fake − a)² of scores (n, 1). Source: Mao et al. 2017, equation 2."""
    return 0.5 * (real - b).square().mean() + 0.5 * (fake - a).square().mean()


def least_squares_generator_loss(fake: Tensor, c: float) -> Tensor:
    """½ E (fake − c)² of scores (n, 1). Source: Mao et al. 2017, equation 2."""
    return 0.5 * (fake - c).square().mean()


def wasserstein_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E fake − E real of scores (n, 1): minus the estimated distance, up to the Lipschitz constant.

    Source: Arjovsky et al. 2017, equation 2.
    """
    return fake.mean() - real.mean()


def wasserstein_generator_loss(fake: Tensor) -> Tensor:
    """−E fake of scores (n, 1). Source: Arjovsky et al. 2017, algorithm 1."""
    return -fake.mean()


def hinge_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 − real) + E max(0, 1 + fake) of scores (n, 1). Source: Miyato et al. 2018, equation 16."""
    return (1 - real).relu().mean() + (1 + fake).relu().mean()


def slopes(critic: nn.Module, images: Tensor) -> Tensor:
    """‖∇f(x)‖₂ over all pixels of each image (n, C, H, W) → (n,), itself differentiable."""
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return gradient.flatten(1).norm(dim=1)


class NonSaturating(Adversarial):
    """Cross-entropy for the critic, −E log D(G(z)) for the generator."""

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        return cross_entropy_critic_loss(real, fake)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        return non_saturating_loss(fake)


class LeastSquares(Adversarial):
    """Scores regressed to targets.

    Attributes:
        a: target of the critic for fake images.
        b: target of the critic for real images.
        c: score that the generator wants for its images.
    """

    a: float
    b: float
    c: float

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        return least_squares_critic_loss(real, fake, self.a, self.b)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        return least_squares_generator_loss(fake, self.c)


class Wasserstein(Adversarial):
    """A difference of mean scores; what keeps the critic Lipschitz is left to the variant."""

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        return wasserstein_critic_loss(real, fake)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        return wasserstein_generator_loss(fake)


class Hinge(Adversarial):
    """Scores beyond ±1 count no more for the critic; the generator raises its mean score."""

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        return hinge_critic_loss(real, fake)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        return wasserstein_generator_loss(fake)
