"""Variational autoencoder with squared error: a Gaussian decoder of one fixed width.

Source: Kingma & Welling 2014, "Auto-encoding variational Bayes", equation 10 and appendix B.

    min  E_q ‖x − D(h)‖² / (2 sigma²) + KL(N(μ, diag σ²) ‖ N(0, I))
    where  (μ, log σ²) = E(x),  h = μ + σ ε,  ε ~ N(0, I)

This is the negative evidence lower bound in nats per image, less the constant ½ d log(2π sigma²).
Samples are the decoder's mean, without its pixel noise, as is usual; averages are what makes them blurry.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from gm_bench.nets.network import Network
from gm_bench.variant import Batch, Variant


def reconstruction_error(x: Tensor, reconstruction: Tensor, sigma: float) -> Tensor:
    """‖x − reconstruction‖² / (2 sigma²), summed over pixels, mean over images, in nats."""
    return (x - reconstruction).square().flatten(1).sum(dim=1).mean() / (2 * sigma**2)


def kl_divergence(mu: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mu, diag exp(log_variance)) ‖ N(0, I)) of (n, z_dim), mean over images, in nats."""
    return 0.5 * (mu.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()


class VAE(Variant):
    """Variational autoencoder.

    Args:
        network: builders of encoder and decoder.
        z_dim: dimensions of the latent code.
        sigma: standard deviation of a pixel in the decoder's Gaussian, on the scale of images in [-1, 1].
    """

    family: ClassVar[str] = "VAE"
    source: ClassVar[str] = "Kingma & Welling 2014, eq. 10"
    players: ClassVar[tuple[str, ...]] = ("model",)

    def __init__(self, network: Network, z_dim: int, sigma: float) -> None:
        super().__init__(network)
        self.z_dim = z_dim
        self.sigma = sigma
        self.model = nn.ModuleDict(
            {"encoder": network.encoder(2 * z_dim), "decoder": network.generator(z_dim)}
        )

    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        x = batch.images
        mu, log_variance = self.model["encoder"](x).chunk(2, dim=1)
        epsilon = torch.randn(mu.shape, generator=batch.generator, device=mu.device)
        h = mu + (0.5 * log_variance).exp() * epsilon
        error = reconstruction_error(x, self.model["decoder"](h), self.sigma)
        kl = kl_divergence(mu, log_variance)
        return {"loss": error + kl, "reconstruction": error, "kl": kl}

    def sample(self, n: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        h = torch.randn(n, self.z_dim, generator=generator, device=generator.device)
        return self.decode(h)

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        mu: Tensor = self.model["encoder"](images).chunk(2, dim=1)[0]
        return mu

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        images: Tensor = self.model["decoder"](z)
        return images
