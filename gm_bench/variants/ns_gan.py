"""The GAN as it is trained in practice: the generator maximises log D(G(z)), which does not saturate.

Source: Goodfellow et al. 2014, "Generative adversarial nets", §3 (last paragraph).

    critic     min  −E log D(x) − E log(1 − D(G(z))),   D = σ(score)
    generator  min  −E log D(G(z))
"""

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from gm_bench.adversarial import Adversarial


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """−E log σ(real) − E log(1 − σ(fake)) of scores (n, 1); 2 log 2 where the critic cannot tell."""
    return softplus(-real).mean() + softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """−E log σ(fake) of scores (n, 1); its gradient is largest where the critic is sure they are fake."""
    return softplus(-fake).mean()


class NSGAN(Adversarial):
    """Non-saturating GAN."""

    family: ClassVar[str] = "GAN"
    source: ClassVar[str] = "Goodfellow et al. 2014, §3"

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return critic_loss(real, fake)

    def generator_loss(self, fake: Tensor) -> Tensor:
        return generator_loss(fake)
