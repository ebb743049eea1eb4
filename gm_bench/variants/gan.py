"""The original generative adversarial network with its minimax loss, saturating as the theory states it.

Source: Goodfellow et al. 2014, "Generative adversarial nets", equation 1.

    min_G max_D  E log D(x) + E log(1 − D(G(z))),   D = σ(score)

The generator descends E log(1 − D(G(z))), whose gradient vanishes where the critic is sure: the very failure
that the non-saturating loss (ns_gan) mends.
"""

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Batch


def cross_entropy_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """−E log σ(real) − E log(1 − σ(fake)) of scores (n, 1); 2 log 2 where the critic cannot tell."""
    return softplus(-real).mean() + softplus(fake).mean()


def saturating_loss(fake: Tensor) -> Tensor:
    """E log(1 − σ(fake)) of scores (n, 1); towards 0 where the critic is sure that they are fake."""
    return -softplus(fake).mean()


class GAN(Adversarial):
    """Minimax GAN."""

    family: ClassVar[str] = "GAN"
    source: ClassVar[str] = "Goodfellow et al. 2014, eq. 1"

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        return cross_entropy_critic_loss(real, fake)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        return saturating_loss(fake)
