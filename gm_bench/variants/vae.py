"""Variational autoencoder with squared error: a Gaussian decoder of one fixed width.

Source: Kingma & Welling 2014, "Auto-encoding variational Bayes", equations 3 and 10, appendices B and C.

    log p(x) ≥ ELBO = E_q log p(x | z) − KL(q(z | x) ‖ N(0, I))
    q(z | x) = N(μ, diag σ²),   (μ, log σ²) = E(x),   z = μ + σ ε,   ε ~ N(0, I)

    min  −ELBO in nats per image,   −log p(x | z) = ‖x − D(z)‖² / (2 sigma²) + ½ d log(2π sigma²),  d pixels

Samples are the decoder's mean, without its pixel noise, as is usual; averages are what makes them blurry.
A class-conditional model bounds log p(x | y): encoder and decoder take the class too.
"""

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from gm_bench.nets.network import Network, with_label_planes
from gm_bench.options import Positive, PositiveInt
from gm_bench.variants.base.contract import Batch, Decoder, Density, Encoder, Variant


def kl_divergence(mu: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mu, diag exp(log_variance)) ‖ N(0, I)) of (n, z_dim), mean over images, in nats."""
    return 0.5 * (mu.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()


def gaussian_log_likelihood(x: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
    """log N(x; mean, diag sigma²) in nats, summed over all but the first dimension: (n, …) → (n,).

    Args:
        sigma: standard deviations, of the shape of `x` or one for all ().
    """
    log_density = -0.5 * ((x - mean) / sigma).square() - sigma.log() - 0.5 * math.log(2 * math.pi)
    return log_density.flatten(1).sum(dim=1)


def draw_code(mu: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
    """μ + σ ε, ε ~ N(0, I): differentiable in both."""
    epsilon = torch.randn(mu.shape, generator=generator, device=mu.device)
    return mu + (0.5 * log_variance).exp() * epsilon


def evidence_bounds(log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Two lower bounds of log p(x) from K codes an image: the ELBO and the importance-weighted bound.

    Source: Burda et al. 2016, "Importance weighted autoencoders", equation 8: log (1/K) Σ w_k, which is
    never below the ELBO, (1/K) Σ log w_k, and tends to log p(x) as K grows.

    Args:
        log_weights: log w = log p(x | z) + log p(z) − log q(z | x), (K, n), with z drawn from q.

    Returns:
        ELBO and importance-weighted bound, (n,) each, in nats.
    """
    return log_weights.mean(dim=0), log_weights.logsumexp(dim=0) - math.log(len(log_weights))


class VariationalAutoencoder(Variant, Encoder, Decoder, Density):
    """An encoder that gives a Gaussian over codes, and a decoder that gives a distribution over images.

    Samples are the decoder's mean, without its pixel noise, as is usual.

    Args:
        network: builders of encoder and decoder.
        z_dim: dimensions of the latent code.
    """

    family: ClassVar[str] = "VAE"
    players: ClassVar[tuple[str, ...]] = ("model",)
    density: ClassVar[str] = "density over [-1, 1], Gaussian decoder"

    def __init__(self, network: Network, z_dim: PositiveInt) -> None:
        super().__init__(network)
        self.z_dim = z_dim
        n_planes = self.image_shape[0] + (self.n_classes if self.conditional else 0)
        encoder = network.encoder(2 * z_dim, n_planes)
        self.model = nn.ModuleDict({"encoder": encoder, "decoder": self.build_decoder(network)})

    def build_decoder(self, network: Network) -> nn.Module:
        """Codes (n, z_dim), and labels (n,) where the variant is conditional, → parameters of p(x | z)."""
        return (
            network.conditional_generator(self.z_dim) if self.conditional else network.generator(self.z_dim)
        )

    @abstractmethod
    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        """log p(x | z) (n,) in nats of images (n, C, H, W) in [-1, 1], from the decoder's output."""

    def mean(self, output: Tensor) -> Tensor:
        """The mean of p(x | z), images (n, C, H, W) in [-1, 1], from the decoder's output."""
        return output

    def objective(self, error: Tensor, kl: Tensor) -> Tensor:
        """What is minimised: minus the ELBO, from its two terms."""
        return error + kl

    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        x, labels = batch.images, batch.labels if self.conditional else None
        mu, log_variance = self.posterior(x, labels)
        z = draw_code(mu, log_variance, batch.generator)
        error = -self.log_likelihood(x, self._decoder(z, labels)).mean()
        kl = kl_divergence(mu, log_variance)
        return {"loss": self.objective(error, kl), "reconstruction": error, "kl": kl}

    def posterior(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log variance (n, z_dim) of q(z | x)."""
        if self.conditional and labels is not None:
            images = with_label_planes(images, labels, self.n_classes)
        mu, log_variance = self.model["encoder"](images).chunk(2, dim=1)
        return mu, log_variance

    @torch.no_grad()
    def log_weights(
        self, images: Tensor, labels: Tensor | None, n_codes: int, generator: torch.Generator
    ) -> Tensor:
        """log p(x, z) − log q(z | x) of `n_codes` codes drawn for each image: (n_codes, n), in nats.

        The density is over images in [-1, 1] (Bernoulli decoders: the probability of black and white ones).
        What `evidence_bounds` takes.
        """
        mu, log_variance = self.posterior(images, labels)
        sigma, one = (0.5 * log_variance).exp(), torch.ones((), device=mu.device)
        rows = []
        for _ in range(n_codes):
            z = draw_code(mu, log_variance, generator)
            log_p = self.log_likelihood(images, self._decoder(z, labels))
            log_p = log_p + gaussian_log_likelihood(z, torch.zeros_like(z), one)
            rows.append(log_p - gaussian_log_likelihood(z, mu, sigma))
        return torch.stack(rows)

    def log_likelihood_bounds(
        self, images: Tensor, labels: Tensor | None, n_codes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        return evidence_bounds(self.log_weights(images, labels, n_codes, generator))

    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self.z_dim, generator=generator, device=generator.device)

    def sample(self, n: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        return self.decode(self.latent(n, generator), labels)

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.posterior(images, labels)[0]

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.mean(self._decoder(z, labels))

    def _decoder(self, z: Tensor, labels: Tensor | None) -> Tensor:
        decoder = self.model["decoder"]
        output: Tensor = decoder(z, labels) if self.conditional else decoder(z)
        return output


class VAE(VariationalAutoencoder):
    """Variational autoencoder: log p(x | h) is a squared error.

    Args:
        sigma: standard deviation of a pixel, on the scale of images in [-1, 1].
    """

    source: ClassVar[str] = "Kingma & Welling 2014, eq. 10"

    def __init__(self, network: Network, z_dim: PositiveInt, sigma: Positive) -> None:
        super().__init__(network, z_dim)
        self.sigma = sigma

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        return gaussian_log_likelihood(x, output, torch.full((), self.sigma, device=x.device))
