"""Wasserstein divergence: any power of the slope is penalised, and nothing asks the critic to be Lipschitz.

Source: Wu et al. 2018, "Wasserstein divergence for GANs", equations 8 and 9 and algorithm 1.

    critic     min  E f(G(z)) − E f(x) + k E ‖∇f(x̂)‖₂^p,   x̂ = ε x + (1 − ε) G(z),  ε ~ U(0, 1) per image
    generator  min  −E f(G(z))

The paper finds k = 2, p = 6 best, and the choice of points x̂ of little weight. The penalty is a function of
each image by itself, so the critic must not use batch normalisation.

Deviates from the paper: the critic's sign is that of wgan, high on real images; the paper's f is −f here.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from gm_bench.nets.network import Network
from gm_bench.options import NotNegative, Positive, PositiveInt
from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Batch
from gm_bench.variants.wgan import wasserstein_critic_loss, wasserstein_generator_loss
from gm_bench.variants.wgan_gp import slopes


def slope_power(critic: nn.Module, real: Tensor, fake: Tensor, epsilon: Tensor, p: float) -> Tensor:
    """E ‖∇f(x̂)‖₂^p, the norm over all pixels of an image; `epsilon` is (n, 1, 1, 1) in [0, 1]."""
    return slopes(critic, torch.lerp(fake, real, epsilon)).pow(p).mean()


class WGANDiv(Adversarial):
    """WGAN by divergence.

    Args:
        k: weight of the penalty.
        p: power of the slope in it.
    """

    family: ClassVar[str] = "WGAN"
    source: ClassVar[str] = "Wu et al. 2018, eq. 9"
    critic_norms: ClassVar[tuple[str, ...]] = ("none", "spectral")

    def __init__(
        self,
        network: Network,
        z_dim: PositiveInt,
        prior: Literal["normal", "uniform"],
        k: NotNegative,
        p: Positive,
    ) -> None:
        super().__init__(network, z_dim, prior)
        self.k, self.p = k, p

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        return wasserstein_critic_loss(real, fake)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        return wasserstein_generator_loss(fake)

    def critic_penalty(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        epsilon = torch.rand(batch.n, 1, 1, 1, generator=batch.generator, device=real.device)
        return self.k * slope_power(self.critic, real, fake, epsilon, self.p)
