"""Class-conditional SNGAN whose critic projects an image's features on a vector that it learns for the class.

Source: Miyato & Koyama 2018, "cGANs with projection discriminator", equation 3.

    f(x, y) = vᵧ · φ(x) + ψ(φ(x)),   ψ linear

    critic     min  E max(0, 1 − f(x, y)) + E max(0, 1 + f(G(z, y), y))
    generator  min  −E f(G(z, y), y)

All weights of the critic, the class vectors among them, are spectrally normalised. Fake images have the
classes of the batch's real ones, a draw from the training distribution.

Deviates from the paper: only network resnet has its conditional batch norm in the generator; the others take
the class as a one-hot vector beside the code.
"""

from typing import ClassVar

from torch import Tensor, nn

from gm_bench.nets.network import Network
from gm_bench.variants.sngan import SNGAN


def projection_score(features: Tensor, class_vectors: Tensor, unconditional: Tensor) -> Tensor:
    """vᵧ · φ(x) + ψ(φ(x)) from φ(x) (n, F), vᵧ (n, F) and ψ(φ(x)) (n, 1) → (n, 1)."""
    return (class_vectors * features).sum(dim=1, keepdim=True) + unconditional


class ProjectionCritic(nn.Module):
    """Images (n, C, H, W) and classes (n,) → scores (n, 1)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.body, n_features = network.critic_body()
        self.unconditional = network.normalised(nn.Linear(n_features, 1))
        self.class_vector = network.normalised(nn.Embedding(network.n_classes, n_features))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        features = self.body(images)
        return projection_score(features, self.class_vector(labels), self.unconditional(features))


class SNGANProjection(SNGAN):
    """Hinge loss, spectral normalisation and a projection of the class."""

    family: ClassVar[str] = "WGAN"
    source: ClassVar[str] = "Miyato & Koyama 2018, eq. 3"
    conditional: ClassVar[bool] = True
    critic_norms: ClassVar[tuple[str, ...]] = ("spectral",)

    def build_critic(self, network: Network) -> nn.Module:
        return ProjectionCritic(network)

    def score(self, images: Tensor, labels: Tensor | None) -> Tensor:
        scores: Tensor = self.critic(images, labels)
        return scores
