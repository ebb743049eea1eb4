"""DRAGAN: a non-saturating GAN whose critic is held to slope 1 around the real images.

Source: Kodali et al. 2017, "On convergence and stability of GANs", equation 1 and algorithm 1.

    critic     min  −E log D(x) − E log(1 − D(G(z))) + λ E (‖∇f(x̂)‖₂ − 1)²,   D = σ(f)
               x̂ = x + α δ,  α ~ U(0, 1) per image
    generator  min  −E log D(G(z))

Deviates from the paper: δ is uniform on [0, noise · s] per pixel with s the standard deviation of all pixels
of the batch, as in the authors' code (noise ½), where the text has N(0, c I); the slope is that of the score
f, not of the probability D.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from gm_bench.nets.network import Network
from gm_bench.options import NotNegative, PositiveInt
from gm_bench.variants.base.contract import Batch
from gm_bench.variants.ns_gan import NSGAN
from gm_bench.variants.wgan_gp import slopes


def perturbed(real: Tensor, alpha: Tensor, uniform: Tensor, noise: float) -> Tensor:
    """x + α · noise · s · u for images x (n, C, H, W), α (n, 1, 1, 1) and u (n, C, H, W) in [0, 1]."""
    return real + alpha * (noise * real.std(correction=0)) * uniform


class DRAGAN(NSGAN):
    """Non-saturating GAN with a gradient penalty around the data.

    Args:
        penalty: weight λ of the gradient penalty.
        noise: reach of the neighbourhood, in standard deviations of the pixels.
    """

    family: ClassVar[str] = "GAN"
    source: ClassVar[str] = "Kodali et al. 2017, eq. 1"

    def __init__(
        self,
        network: Network,
        z_dim: PositiveInt,
        prior: Literal["normal", "uniform"],
        penalty: NotNegative,
        noise: NotNegative,
    ) -> None:
        super().__init__(network, z_dim, prior)
        self.penalty, self.noise = penalty, noise

    def critic_penalty(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        alpha = torch.rand(batch.n, 1, 1, 1, generator=batch.generator, device=real.device)
        uniform = torch.rand(real.shape, generator=batch.generator, device=real.device)
        around = perturbed(real, alpha, uniform, self.noise)
        return self.penalty * (slopes(self.critic, around) - 1).square().mean()
