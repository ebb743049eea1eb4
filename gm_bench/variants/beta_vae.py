"""β-VAE: a heavier price on the code, which makes its dimensions independent and images less exact.

Source: Higgins et al. 2017, "beta-VAE: learning basic visual concepts with a constrained variational
framework", equation 4.

    min  E_q −log p(x | h) + β KL(q(h | x) ‖ N(0, I)),   p(x | h) = N(D(h), sigma² I)

β = 1 is the VAE. With a Gaussian decoder of fixed width, β and sigma² weigh the same two terms, and only
β · sigma² moves the optimum: β > 1 blurs, and what it buys (disentangled codes) no metric of samples rewards.
"""

from typing import ClassVar

from torch import Tensor

from gm_bench.nets.network import Network
from gm_bench.options import NotNegative, Positive, PositiveInt
from gm_bench.variants.vae import VAE


def weighted_bound(error: Tensor, kl: Tensor, beta: float) -> Tensor:
    """error + β kl, in nats: minus the ELBO at β = 1, above it for β > 1."""
    return error + beta * kl


class BetaVAE(VAE):
    """β-VAE.

    Args:
        beta: weight β of the divergence from the prior.
    """

    source: ClassVar[str] = "Higgins et al. 2017, eq. 4"

    def __init__(self, network: Network, z_dim: PositiveInt, sigma: Positive, beta: NotNegative) -> None:
        super().__init__(network, z_dim, sigma)
        self.beta = beta

    def objective(self, error: Tensor, kl: Tensor) -> Tensor:
        return weighted_bound(error, kl, self.beta)
