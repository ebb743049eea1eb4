"""Non-saturating GAN whose critic learns from softened and sometimes exchanged labels, so that it stays
unsure.

Source: Salimans et al. 2016, "Improved techniques for training GANs", §3.4 (one-sided label smoothing), and
Chintala et al. 2016, "How to train a GAN?", item 6 (labels flipped now and then, for the critic alone).

    critic     min  E H(t, D(x)) + E H(u, D(G(z))),   H(t, D) = −t log D − (1 − t) log(1 − D),   D = σ(score)
               t = α for a real image and 0 where its label is flipped;  u = 0, and α where it is flipped
    generator  min  −E log D(G(z))

Only the label "real" is softened: softening "fake" too would put p(G) into the numerator of the best critic
and hold samples where they are, however wrong. With flips of probability ε the best critic is
D* = α ((1 − ε) p + ε q) / (p + q).
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from gm_bench.nets.network import Network
from gm_bench.options import PositiveInt, PositiveShare, Share
from gm_bench.variants.base.contract import Batch
from gm_bench.variants.ns_gan import NSGAN


def critic_loss(real: Tensor, fake: Tensor, real_target: Tensor, fake_target: Tensor) -> Tensor:
    """E H(real_target, σ(real)) + E H(fake_target, σ(fake)) of scores and targets (n, 1)."""
    return binary_cross_entropy_with_logits(real, real_target) + binary_cross_entropy_with_logits(
        fake, fake_target
    )


class GANNoisyLabels(NSGAN):
    """Non-saturating GAN with one-sided label smoothing and label flips.

    Args:
        real_label: α, target of the critic for real images, at most 1.
        flip: ε, probability that an image's label is exchanged.
    """

    family: ClassVar[str] = "GAN"
    source: ClassVar[str] = "Salimans et al. 2016, §3.4"

    def __init__(
        self,
        network: Network,
        z_dim: PositiveInt,
        prior: Literal["normal", "uniform"],
        real_label: PositiveShare,
        flip: Share,
    ) -> None:
        super().__init__(network, z_dim, prior)
        self.real_label, self.flip = real_label, flip

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        draws = torch.rand(2, *real.shape, generator=batch.generator, device=real.device)
        real_target, fake_target = (
            (draws >= self.flip) * self.real_label,
            (draws < self.flip) * self.real_label,
        )
        return critic_loss(real, fake, real_target[0], fake_target[1])
