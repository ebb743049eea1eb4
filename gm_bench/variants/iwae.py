"""Importance weighted autoencoder: the VAE's networks, trained by a tighter bound of log p(x) from k codes.

Source: Burda et al. 2016, "Importance weighted autoencoders", equation 8; its gradient is equation 14, which
differentiating the bound gives by itself.

    max  E log (1/k) Σ_i w_i,   w_i = p(x | z_i) p(z_i) / q(z_i | x),   z_i ~ q(z | x) independently

At k = 1 this is the ELBO, its divergence drawn, not in closed form; as k grows it tends to log p(x).

Deviates from the paper: as in vae_bernoulli, grey levels in [0, 1] stand for the probabilities of black and
white pixels and are not drawn from, so that on grey images the bound is below the mean over draws of them.
"""

from typing import ClassVar

import torch
from torch import Tensor

from gm_bench.nets.network import Network
from gm_bench.options import PositiveInt
from gm_bench.variants.base.contract import Batch
from gm_bench.variants.vae import (
    VariationalAutoencoder,
    draw_code,
    evidence_bounds,
    gaussian_log_likelihood,
)
from gm_bench.variants.vae_bernoulli import BernoulliVAE


def importance_log_weights(
    model: VariationalAutoencoder, x: Tensor, n_codes: int, generator: torch.Generator
) -> Tensor:
    """log w of `n_codes` codes for each of n images (n, C, H, W), (n_codes, n), with gradients.

    All codes go through the decoder at once, so that batch norm there sees n_codes · n of them.
    """
    mu, log_variance = (part.repeat(n_codes, 1) for part in model.posterior(x, None))
    z = draw_code(mu, log_variance, generator)
    log_q = gaussian_log_likelihood(z, mu, (0.5 * log_variance).exp())
    log_prior = gaussian_log_likelihood(z, torch.zeros_like(z), torch.ones((), device=z.device))
    repeated = x.repeat(n_codes, *[1] * (x.ndim - 1))
    log_p = model.log_likelihood(repeated, model.model["decoder"](z))
    return (log_p + log_prior - log_q).view(n_codes, len(x))


class IWAE(BernoulliVAE):
    """Importance weighted autoencoder with a Bernoulli decoder.

    Args:
        n_codes: codes drawn for each image in training, k.
    """

    source: ClassVar[str] = "Burda et al. 2016, eq. 8"

    def __init__(self, network: Network, z_dim: PositiveInt, n_codes: PositiveInt) -> None:
        super().__init__(network, z_dim)
        self.n_codes = n_codes

    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        log_weights = importance_log_weights(self, batch.images, self.n_codes, batch.generator)
        elbo, bound = evidence_bounds(log_weights)
        return {"loss": -bound.mean(), "negative_elbo": -elbo.mean()}
