"""Bidirectional GAN: an encoder is learned beside the generator, the critic judges pairs of image and code.

Source: Donahue et al. 2017, "Adversarial feature learning", equation 2.

    min_{G,E} max_D  E log D(x, E(x)) + E log(1 − D(G(z), z)),   D = σ(score)

At the optimum E inverts G, so that G(E(x)) reconstructs x. Generator and encoder are one player, and both
sides of the pair are theirs to move.

Deviates from the paper: generator and encoder have a player's own update, on a batch of their own, with the
loss −E log(1 − D(x, E(x))) − E log D(G(z), z) that the paper gives in its §3.4, which does not saturate.
Their look at real images counts against the budget: a round shows two batches. The critic reads the image
first and joins the code to its features.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from gm_bench.nets.network import Network
from gm_bench.options import PositiveInt
from gm_bench.variants.base.contract import Batch, Encoder
from gm_bench.variants.ns_gan import NSGAN


def encoder_loss(real: Tensor) -> Tensor:
    """−E log(1 − σ(real)) of scores (n, 1) of pairs (x, E(x)), which are to pass for (G(z), z)."""
    return softplus(real).mean()


class Inference(nn.Module):
    """Generator and encoder, trained together; called, it generates: (n, z_dim) → images (n, C, H, W)."""

    def __init__(self, network: Network, z_dim: int) -> None:
        super().__init__()
        self.decoder = network.generator(z_dim)
        self.encoder = network.encoder(z_dim)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.decoder(z)
        return images


class PairCritic(nn.Module):
    """Images (n, C, H, W) and codes (n, z_dim) → scores (n, 1)."""

    def __init__(self, network: Network, z_dim: int, hidden: int) -> None:
        super().__init__()
        self.body, n_features = network.critic_body()
        self.joint = network.normalised(
            nn.Sequential(
                nn.Linear(n_features + z_dim, hidden),
                nn.LeakyReLU(0.2),
                nn.Linear(hidden, hidden),
                nn.LeakyReLU(0.2),
                nn.Linear(hidden, 1),
            )
        )

    def forward(self, images: Tensor, z: Tensor) -> Tensor:
        scores: Tensor = self.joint(torch.cat([self.body(images), z], dim=1))
        return scores


class BiGAN(NSGAN, Encoder):
    """Bidirectional GAN.

    Args:
        hidden: units of the two layers in which the critic joins image features and code.
    """

    family: ClassVar[str] = "GAN"
    source: ClassVar[str] = "Donahue et al. 2017, eq. 2"

    def __init__(
        self, network: Network, z_dim: PositiveInt, prior: Literal["normal", "uniform"], hidden: PositiveInt
    ) -> None:
        self.hidden = hidden
        super().__init__(network, z_dim, prior)

    def build_generator(self, network: Network) -> nn.Module:
        return Inference(network, self.z_dim)

    def build_critic(self, network: Network) -> nn.Module:
        return PairCritic(network, self.z_dim, self.hidden)

    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        z, x = self.latent(batch.n, batch.generator), batch.images
        with torch.set_grad_enabled(player == "generator"):
            fake, code = self.decode(z), self.encode(x)
        real_scores, fake_scores = self.critic(x, code), self.critic(fake, z)
        if player == "critic":
            loss = self.critic_loss(real_scores, fake_scores, batch)
        else:
            loss = self.generator_loss(fake_scores, batch) + encoder_loss(real_scores)
        return {
            "loss": loss,
            "real_score": real_scores.detach().mean(),
            "fake_score": fake_scores.detach().mean(),
        }

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        codes: Tensor = self.generator.get_submodule("encoder")(images)
        return codes
