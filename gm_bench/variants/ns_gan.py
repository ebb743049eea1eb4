"""The GAN as it is trained in practice: the generator maximises log D(G(z)), which does not saturate.

Source: Goodfellow et al. 2014, "Generative adversarial nets", §3 (last paragraph).

    critic     min  −E log D(x) − E log(1 − D(G(z))),   D = σ(score)
    generator  min  −E log D(G(z))
"""

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Batch
from gm_bench.variants.gan import cross_entropy_critic_loss


def non_saturating_loss(fake: Tensor) -> Tensor:
    """−E log σ(fake) of scores (n, 1); its gradient is largest where the critic is sure they are fake."""
    return softplus(-fake).mean()


class NSGAN(Adversarial):
    """Non-saturating GAN."""

    family: ClassVar[str] = "GAN"
    source: ClassVar[str] = "Goodfellow et al. 2014, §3"

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        return cross_entropy_critic_loss(real, fake)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        return non_saturating_loss(fake)
