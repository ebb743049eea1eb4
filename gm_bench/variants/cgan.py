"""Conditional GAN: generator and critic are both given the class.

Source: Mirza & Osindero 2014, "Conditional generative adversarial nets", equation 2.

    min_G max_D  E log D(x | y) + E log(1 − D(G(z | y) | y)),   D = σ(score)

The generator takes the class as a one-hot vector beside the code, the critic as one more image channel a
class. Fake images have the classes of the batch's real ones, a draw from the training distribution.

Deviates from the paper: the generator's loss is the non-saturating −E log D(G(z | y) | y); the class reaches
the critic as planes rather than through a maxout layer of its own, so that any network can read it.
"""

from typing import ClassVar

from torch import Tensor, nn

from gm_bench.nets.network import Network, with_label_planes
from gm_bench.variants.ns_gan import NSGAN


class PlanesCritic(nn.Module):
    """Images (n, C, H, W) and classes (n,) → scores (n, 1); the class is painted on further channels."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.n_classes = network.n_classes
        self.discriminator = network.discriminator(n_channels=network.image_shape[0] + network.n_classes)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        scores: Tensor = self.discriminator(with_label_planes(images, labels, self.n_classes))
        return scores


class CGAN(NSGAN):
    """Conditional GAN."""

    family: ClassVar[str] = "GAN"
    source: ClassVar[str] = "Mirza & Osindero 2014, eq. 2"
    conditional: ClassVar[bool] = True

    def build_critic(self, network: Network) -> nn.Module:
        return PlanesCritic(network)

    def score(self, images: Tensor, labels: Tensor | None) -> Tensor:
        scores: Tensor = self.critic(images, labels)
        return scores
