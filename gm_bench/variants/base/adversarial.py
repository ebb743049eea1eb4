"""The round that every generative adversarial network shares."""

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from gm_bench.nets.network import Network
from gm_bench.options import PositiveInt
from gm_bench.variants.base.contract import Batch, Decoder, Variant


class Adversarial(Variant, Decoder):
    """A critic that scores images and a generator that learns from its scores.

    The discriminator of a GAN is called critic too, so that the curves of all adversarial variants line up.

    Source: Goodfellow et al. 2014, algorithm 1: some critic updates, each on real and on fresh fake images,
    then some generator updates, each on fresh fake images. How many of each is the recipe's `updates`.

    Args:
        network: builders of generator and discriminator.
        z_dim: dimensions of the latent code.
        prior: distribution of the code, "normal" N(0, I) or "uniform" U(-1, 1).
    """

    players: ClassVar[tuple[str, ...]] = ("critic", "generator")

    def __init__(self, network: Network, z_dim: PositiveInt, prior: Literal["normal", "uniform"]) -> None:
        super().__init__(network)
        self.z_dim = z_dim
        self.prior = prior
        self.generator = self.build_generator(network)
        self.critic = self.build_critic(network)

    def build_generator(self, network: Network) -> nn.Module:
        """Codes (n, z_dim), and labels (n,) where the variant is conditional, → images (n, C, H, W)."""
        return (
            network.conditional_generator(self.z_dim) if self.conditional else network.generator(self.z_dim)
        )

    def build_critic(self, network: Network) -> nn.Module:
        """Images (n, C, H, W) → scores (n, 1)."""
        return network.discriminator()

    def score(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """What the critic says of images (n, C, H, W), (n, 1) or, where it says more, (n, 1 + …).

        A conditional variant may tell it the classes `labels` (n,).
        """
        scores: Tensor = self.critic(images)
        return scores

    @abstractmethod
    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        """What the critic minimises, from its scores (n, 1) of real and fake images."""

    @abstractmethod
    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        """What the generator minimises, from the critic's scores (n, 1) of its images."""

    def fakes_for_critic(self, fake: Tensor, batch: Batch) -> Tensor:
        """The fake images (n, C, H, W) that the critic learns from, given fresh ones without a graph."""
        return fake

    def critic_penalty(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor | None:
        """A term added to the critic's loss, from the images (n, C, H, W); None where there is none."""
        return None

    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        labels = batch.labels if self.conditional else None
        z = self.latent(batch.n, batch.generator)
        if player == "generator":
            return {"loss": self.generator_loss(self.score(self.decode(z, labels), labels), batch)}
        real = batch.images
        with torch.no_grad():
            fake = self.fakes_for_critic(self.decode(z, labels), batch)
        real_scores, fake_scores = self.score(real, labels), self.score(fake, labels)
        terms = {
            "loss": self.critic_loss(real_scores, fake_scores, batch),
            "real_score": real_scores[:, 0].detach().mean(),
            "fake_score": fake_scores[:, 0].detach().mean(),
        }
        penalty = self.critic_penalty(real, fake, batch)
        if penalty is not None:
            terms["penalty"] = penalty
            terms["loss"] = terms["loss"] + penalty
        return terms

    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        """Codes (n, z_dim) from the prior, on the generator's device."""
        shape, device = (n, self.z_dim), generator.device
        if self.prior == "uniform":
            return torch.rand(shape, generator=generator, device=device) * 2 - 1
        return torch.randn(shape, generator=generator, device=device)

    def sample(self, n: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        return self.decode(self.latent(n, generator), labels)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        images: Tensor = self.generator(z, labels) if self.conditional else self.generator(z)
        return images
