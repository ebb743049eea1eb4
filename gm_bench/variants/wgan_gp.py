"""WGAN with gradient penalty: the critic is pulled towards slope 1 on lines between real and fake images.

Source: Gulrajani et al. 2017, "Improved training of Wasserstein GANs", equation 3.

    critic     min  E f(G(z)) − E f(x) + λ E (‖∇f(x̂)‖₂ − 1)²,   x̂ = ε x + (1 − ε) G(z),  ε ~ U(0, 1) per image
    generator  min  −E f(G(z))

The penalty is a function of each image by itself, so the critic must not use batch normalisation.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from gm_bench.nets.network import Network
from gm_bench.options import NotNegative, PositiveInt
from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Batch
from gm_bench.variants.wgan import wasserstein_critic_loss, wasserstein_generator_loss


def slopes(critic: nn.Module, images: Tensor) -> Tensor:
    """‖∇f(x)‖₂ over all pixels of each image (n, C, H, W) → (n,), itself differentiable."""
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return gradient.flatten(1).norm(dim=1)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, epsilon: Tensor) -> Tensor:
    """E (‖∇f(x̂)‖₂ − 1)², the norm over all pixels of an image; `epsilon` is (n, 1, 1, 1) in [0, 1]."""
    return (slopes(critic, torch.lerp(fake, real, epsilon)) - 1).square().mean()


class WGANGP(Adversarial):
    """WGAN with gradient penalty.

    Args:
        penalty: weight λ of the gradient penalty.
    """

    family: ClassVar[str] = "WGAN"
    source: ClassVar[str] = "Gulrajani et al. 2017, eq. 3"
    critic_norms: ClassVar[tuple[str, ...]] = ("none", "spectral")

    def __init__(
        self, network: Network, z_dim: PositiveInt, prior: Literal["normal", "uniform"], penalty: NotNegative
    ) -> None:
        super().__init__(network, z_dim, prior)
        self.penalty = penalty

    def critic_loss(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        return wasserstein_critic_loss(real, fake)

    def generator_loss(self, fake: Tensor, batch: Batch) -> Tensor:
        return wasserstein_generator_loss(fake)

    def critic_penalty(self, real: Tensor, fake: Tensor, batch: Batch) -> Tensor:
        epsilon = torch.rand(batch.n, 1, 1, 1, generator=batch.generator, device=real.device)
        return self.penalty * gradient_penalty(self.critic, real, fake, epsilon)
