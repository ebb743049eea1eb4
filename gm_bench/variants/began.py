"""Boundary equilibrium GAN: the critic is an autoencoder, and its reconstruction error is the score.

Source: Berthelot et al. 2017, "BEGAN: boundary equilibrium generative adversarial networks", §3.3 and 3.4.

    L(v) = |v − D(v)|, mean over pixels;  D encoder and decoder

    critic     min  E L(x) − k_t E L(G(z))
    generator  min  E L(G(z))
    balance    k_{t+1} = k_t + λ (γ E L(x) − E L(G(z))), kept in [0, 1],  k_0 = 0
    progress   M = E L(x) + |γ E L(x) − E L(G(z))|, recorded as "convergence"

The critic's score is low for real images, unlike that of its relatives. k moves after each update of the
generator, by the errors of that update and of the critic's last one.

Deviates from the paper: the critic's decoder is that of the network's family, with its batch norm and without
the paper's skip connections; the generator has an architecture of its own kind, ending in tanh. λ is a matter
of how many updates there are: at the paper's 0.001 k would move by a few hundredths in a budget of some
thousand updates.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from gm_bench.nets.network import Network
from gm_bench.options import NotNegative, PositiveInt, PositiveShare
from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Batch


def critic_loss(real: Tensor, fake: Tensor, k: Tensor) -> Tensor:
    """E L(x) − k E L(G(z)) of reconstruction errors (n, 1)."""
    return real.mean() - k * fake.mean()


def next_k(k: Tensor, real: Tensor, fake: Tensor, rate: float, diversity: float) -> Tensor:
    """k + λ (γ E L(x) − E L(G(z))), kept in [0, 1], from the mean errors of real and fake images."""
    return (k + rate * (diversity * real - fake)).clamp(0, 1)


def convergence(real: Tensor, fake: Tensor, diversity: float) -> Tensor:
    """M = E L(x) + |γ E L(x) − E L(G(z))|, lower is better, from mean errors."""
    return real + (diversity * real - fake).abs()


class AutoencoderCritic(nn.Module):
    """Images (n, C, H, W) → mean absolute error of their reconstruction (n, 1)."""

    def __init__(self, network: Network, code_dim: int) -> None:
        super().__init__()
        self.encoder = network.discriminator(code_dim)
        self.decoder = network.decoder(code_dim)

    def forward(self, images: Tensor) -> Tensor:
        error: Tensor = (
            (images - self.decoder(self.encoder(images))).abs().flatten(1).mean(dim=1, keepdim=True)
        )
        return error


class BEGAN(Adversarial):
    """Boundary equilibrium GAN.

    Args:
        code_dim: dimensions of the critic's own code.
        rate: λ, how fast k follows.
        diversity: γ = E L(G(z)) / E L(x) that is aimed at, in (0, 1]; low for quality, high for diversity.
    """

    family: ClassVar[str] = "GAN"
    source: ClassVar[str] = "Berthelot et al. 2017, §3.4"

    def __init__(
        self,
        network: Network,
        z_dim: PositiveInt,
        prior: Literal["normal", "uniform"],
        code_dim: PositiveInt,
        rate: NotNegative,
        diversity: PositiveShare,
    ) -> None:
        self.code_dim = code_dim
        super().__init__(network, z_dim, prior)
        self.rate, self.diversity = rate, diversity
        self.k: Tensor
        self.real_error: Tensor
        self.register_buffer("k", torch.zeros(()))
        self.register_buffer("real_error", torch.zeros(()))  # of the critic's last update

    def build_critic(self, network: Network) -> nn.Module:
        return AutoencoderCritic(network, self.code_dim)

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        return critic_loss(real, fake, self.k)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        return fake.mean()

    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        terms = super().loss(player, batch)
        if player == "critic":
            self.real_error.copy_(terms["real_score"])
            return terms
        fake_error = terms["loss"].detach()
        self.k.copy_(next_k(self.k, self.real_error, fake_error, self.rate, self.diversity))
        return terms | {
            "k": self.k.clone(),
            "convergence": convergence(self.real_error, fake_error, self.diversity),
        }
