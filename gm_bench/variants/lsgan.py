"""Least squares GAN: scores are regressed to targets, so that a sample far on the right side still counts.

Source: Mao et al. 2017, "Least squares generative adversarial networks", equation 2.

    critic     min  ½ E (D(x) − b)² + ½ E (D(G(z)) − a)²
    generator  min  ½ E (D(G(z)) − c)²
"""

from typing import ClassVar, Literal

from torch import Tensor

from gm_bench.nets.network import Network
from gm_bench.options import PositiveInt
from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Batch


def least_squares_critic_loss(real: Tensor, fake: Tensor, a: float, b: float) -> Tensor:
    """½ E (real − b)² + ½ E (fake − a)² of scores (n, 1)."""
    return 0.5 * (real - b).square().mean() + 0.5 * (fake - a).square().mean()


def least_squares_generator_loss(fake: Tensor, c: float) -> Tensor:
    """½ E (fake − c)² of scores (n, 1)."""
    return 0.5 * (fake - c).square().mean()


class LSGAN(Adversarial):
    """Least squares GAN.

    Args:
        a: target of the critic for fake images.
        b: target of the critic for real images.
        c: score that the generator wants for its images.
    """

    family: ClassVar[str] = "LSGAN"
    source: ClassVar[str] = "Mao et al. 2017, eq. 2"

    def __init__(
        self,
        network: Network,
        z_dim: PositiveInt,
        prior: Literal["normal", "uniform"],
        a: float,
        b: float,
        c: float,
    ) -> None:
        super().__init__(network, z_dim, prior)
        self.a, self.b, self.c = a, b, c

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        return least_squares_critic_loss(real, fake, self.a, self.b)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        return least_squares_generator_loss(fake, self.c)
