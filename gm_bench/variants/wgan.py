"""Wasserstein GAN: the critic estimates the earth mover's distance; clipped weights keep it Lipschitz.

Source: Arjovsky et al. 2017, "Wasserstein GAN", equation 2 and algorithm 1.

    W(p, q) = sup over 1-Lipschitz f of  E f(x) − E f(G(z))

    critic     min  E f(G(z)) − E f(x),   then every weight is clipped to [−clip, clip]
    generator  min  −E f(G(z))
"""

from typing import ClassVar, Literal

from torch import Tensor

from gm_bench.nets.network import Network
from gm_bench.options import Positive, PositiveInt
from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Batch


def wasserstein_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E fake − E real of scores (n, 1): minus the estimated distance, up to the Lipschitz constant."""
    return fake.mean() - real.mean()


def wasserstein_generator_loss(fake: Tensor) -> Tensor:
    """−E fake of scores (n, 1)."""
    return -fake.mean()


class WGAN(Adversarial):
    """WGAN with weight clipping.

    Args:
        clip: bound on the absolute value of every parameter of the critic.
    """

    family: ClassVar[str] = "WGAN"
    source: ClassVar[str] = "Arjovsky et al. 2017, algorithm 1"

    def __init__(
        self, network: Network, z_dim: PositiveInt, prior: Literal["normal", "uniform"], clip: Positive
    ) -> None:
        super().__init__(network, z_dim, prior)
        self.clip = clip

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        return wasserstein_critic_loss(real, fake)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        return wasserstein_generator_loss(fake)

    def after_update(self, player: str) -> None:
        if player == "critic":
            for weight in self.critic.parameters():
                weight.clamp_(-self.clip, self.clip)
