"""Least squares GAN: scores are regressed to targets, so that a sample far on the right side still counts.

Source: Mao et al. 2017, "Least squares generative adversarial networks", equation 2.

    critic     min  ½ E (D(x) − b)² + ½ E (D(G(z)) − a)²
    generator  min  ½ E (D(G(z)) − c)²
"""

from typing import ClassVar, Literal

from gm_bench.nets.network import Network
from gm_bench.variants.base.objectives import LeastSquares


class LSGAN(LeastSquares):
    """Least squares GAN.

    Args:
        a: target of the critic for fake images.
        b: target of the critic for real images.
        c: score that the generator wants for its images.
    """

    family: ClassVar[str] = "LSGAN"
    source: ClassVar[str] = "Mao et al. 2017, eq. 2"

    def __init__(
        self, network: Network, z_dim: int, prior: Literal["normal", "uniform"], a: float, b: float, c: float
    ) -> None:
        super().__init__(network, z_dim, prior)
        self.a, self.b, self.c = a, b, c
