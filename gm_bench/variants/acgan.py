"""Auxiliary classifier GAN: the critic also names the class, and the generator wants it recognised.

Source: Odena et al. 2017, "Conditional image synthesis with auxiliary classifier GANs", equations 2 and 3.

    L_S = E log P(real | x) + E log P(fake | G(z, y)),   L_C = E log P(y | x) + E log P(y | G(z, y))

    critic     max  L_S + λ L_C
    generator  max  λ L_C − L_S

Fake images have the classes of the batch's real ones, a draw from the training distribution.

Deviates from the paper: the generator's share of −L_S is the non-saturating E log P(real | G(z, y)); L_C has
a weight λ, which is 1 in the paper.
"""

from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gm_bench.nets.network import Network
from gm_bench.options import NotNegative, PositiveInt
from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Batch
from gm_bench.variants.gan import cross_entropy_critic_loss
from gm_bench.variants.ns_gan import non_saturating_loss


def critic_loss(real: Tensor, fake: Tensor, labels: Tensor, class_weight: float) -> Tensor:
    """−L_S − λ L_C of outputs (n, 1 + K), a score and then K logits, of images of the classes (n,)."""
    sources = cross_entropy_critic_loss(real[:, :1], fake[:, :1])
    classes = cross_entropy(real[:, 1:], labels) + cross_entropy(fake[:, 1:], labels)
    return sources + class_weight * classes


def generator_loss(fake: Tensor, labels: Tensor, class_weight: float) -> Tensor:
    """−E log P(real) − λ E log P(y) of outputs (n, 1 + K), a score and then K logits."""
    return non_saturating_loss(fake[:, :1]) + class_weight * cross_entropy(fake[:, 1:], labels)


class ACGAN(Adversarial):
    """Auxiliary classifier GAN.

    Args:
        class_weight: λ.
    """

    family: ClassVar[str] = "GAN"
    source: ClassVar[str] = "Odena et al. 2017, eq. 2 and 3"
    conditional: ClassVar[bool] = True

    def __init__(
        self,
        network: Network,
        z_dim: PositiveInt,
        prior: Literal["normal", "uniform"],
        class_weight: NotNegative,
    ) -> None:
        super().__init__(network, z_dim, prior)
        self.class_weight = class_weight

    def build_critic(self, network: Network) -> nn.Module:
        return network.discriminator(1 + network.n_classes)

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        return critic_loss(real, fake, batch.labels, self.class_weight)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        return generator_loss(fake, batch.labels, self.class_weight)
