"""Least squares GAN with the targets under which its generator minimises Pearson's χ² divergence.

Source: Mao et al. 2017, "Least squares generative adversarial networks", equations 5 to 8.

    critic     min  ½ E (D(x) − 1)² + ½ E (D(G(z)) + 1)²
    generator  min  ½ E D(G(z))²

With b − a = 2 and b − c = 1 the best critic is D* = (p − q) / (p + q), and the generator's loss under it,
with the term E_p (D* − c)² that it cannot change, is half of ∫ (p − q)² / (p + q) = χ²(p + q ‖ 2q).
"""

from typing import ClassVar, Literal

from gm_bench.nets.network import Network
from gm_bench.options import PositiveInt
from gm_bench.variants.lsgan import LSGAN


class LSGANPearson(LSGAN):
    """Least squares GAN with a = −1, b = 1, c = 0."""

    family: ClassVar[str] = "LSGAN"
    source: ClassVar[str] = "Mao et al. 2017, eq. 8"

    def __init__(self, network: Network, z_dim: PositiveInt, prior: Literal["normal", "uniform"]) -> None:
        super().__init__(network, z_dim, prior, a=-1.0, b=1.0, c=0.0)
