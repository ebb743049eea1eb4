"""Variational autoencoder whose decoder gives the probability that a pixel is white.

Source: Kingma & Welling 2014, "Auto-encoding variational Bayes", appendix C.1.

    min  E_q −log p(x | h) + KL(q(h | x) ‖ N(0, I))
    where  log p(x | h) = Σ x log p + (1 − x) log(1 − p),   p = sigmoid(D(h)),  x in [0, 1]

Deviates from the paper: nothing, but its own use on grey images: their levels in [0, 1] stand for the
probabilities of black and white ones, of which this bounds the mean log probability.
Samples are the probabilities.
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gm_bench.nets.network import Network
from gm_bench.variants.vae import VariationalAutoencoder


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """Σ x log p + (1 − x) log(1 − p) in nats, p = sigmoid(logits): x (n, …) in [0, 1] → (n,)."""
    return -binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(dim=1)


class BernoulliVAE(VariationalAutoencoder):
    """Variational autoencoder with a Bernoulli decoder."""

    source: ClassVar[str] = "Kingma & Welling 2014, app. C.1"
    density: ClassVar[str] = "probability of black and white pixels, Bernoulli decoder"

    def build_decoder(self, network: Network) -> nn.Module:
        return network.decoder(self.z_dim)

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        return bernoulli_log_likelihood((x + 1) / 2, output)

    def mean(self, output: Tensor) -> Tensor:
        return output.sigmoid() * 2 - 1
