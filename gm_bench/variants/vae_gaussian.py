"""Variational autoencoder whose decoder gives mean and standard deviation of every pixel.

Source: Kingma & Welling 2014, "Auto-encoding variational Bayes", appendix C.2.

    min  E_q −log N(x; m, diag s²) + KL(q(h | x) ‖ N(0, I)),   m = tanh(D₁(h)),  s = s_min + softplus(D₂(h))

Deviates from the paper: s stays above s_min, since a pixel that is always black would have an infinite
density at s = 0; m is kept in the range of images.
Samples are the mean, without its pixel noise.
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import softplus

from gm_bench.nets.network import Network
from gm_bench.options import NotNegative, PositiveInt
from gm_bench.variants.vae import VariationalAutoencoder, gaussian_log_likelihood


def mean_and_sigma(output: Tensor, sigma_min: float) -> tuple[Tensor, Tensor]:
    """(n, 2C, H, W), unbounded → mean in [-1, 1], standard deviation above sigma_min, (n, C, H, W) each."""
    mean, spread = output.chunk(2, dim=1)
    return mean.tanh(), sigma_min + softplus(spread)


class GaussianVAE(VariationalAutoencoder):
    """Variational autoencoder with a Gaussian decoder of diagonal covariance.

    Args:
        sigma_min: least standard deviation of a pixel, on the scale of images in [-1, 1].
    """

    source: ClassVar[str] = "Kingma & Welling 2014, app. C.2"

    def __init__(self, network: Network, z_dim: PositiveInt, sigma_min: NotNegative) -> None:
        super().__init__(network, z_dim)
        self.sigma_min = sigma_min

    def build_decoder(self, network: Network) -> nn.Module:
        return network.decoder(self.z_dim, 2 * self.image_shape[0])

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        return gaussian_log_likelihood(x, *mean_and_sigma(output, self.sigma_min))

    def mean(self, output: Tensor) -> Tensor:
        return mean_and_sigma(output, self.sigma_min)[0]
