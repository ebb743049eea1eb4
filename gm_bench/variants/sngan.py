"""Spectrally normalised GAN: every weight of the critic is divided by its largest singular value.

Source: Miyato et al. 2018, "Spectral normalization for generative adversarial networks", equations 8, 16, 17.

    critic     min  E max(0, 1 − f(x)) + E max(0, 1 + f(G(z))),   f a network of weights W / σ(W)
    generator  min  −E f(G(z))

σ(W) is followed by one step of the power method at each pass in training (torch's own parametrisation). For a
convolution W is its kernel as a matrix (outputs, inputs · k · k), as in the paper.
"""

from typing import ClassVar

from torch import Tensor

from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Batch
from gm_bench.variants.wgan import wasserstein_generator_loss


def hinge_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 − real) + E max(0, 1 + fake) of scores (n, 1): beyond ±1 they count no more."""
    return (1 - real).relu().mean() + (1 + fake).relu().mean()


class SNGAN(Adversarial):
    """Hinge loss with a spectrally normalised critic."""

    family: ClassVar[str] = "WGAN"
    source: ClassVar[str] = "Miyato et al. 2018, eq. 8 and 16"
    critic_norms: ClassVar[tuple[str, ...]] = ("spectral",)

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        return hinge_critic_loss(real, fake)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        return wasserstein_generator_loss(fake)
