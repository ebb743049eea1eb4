"""The convolutional pair of InfoGAN, the common ground of published comparisons on MNIST-sized images."""

from typing import Literal

from torch import nn

from gm_bench.nets.network import Network, initialise


class InfoGAN(Network):
    """Two strided convolutions and two dense layers on either side.

    Source: Chen et al. 2016, "InfoGAN", appendix C.1, as used by Lucic et al. 2018, "Are GANs created
    equal?".

    Deviates from the source: the output is tanh to [-1, 1], the same function as its sigmoid to [0, 1] up to
    scale.

    Args:
        image_shape: (C, H, W) with H = W a multiple of 4.
        critic_norm: "batch" normalises the critic's inner layers, "none" leaves them as they are.
    """

    def __init__(self, image_shape: tuple[int, int, int], critic_norm: Literal["batch", "none"]) -> None:
        super().__init__(image_shape, critic_norm)
        channels, height, width = image_shape
        if height != width or height % 4:
            raise ValueError(
                f"network infogan needs square images with a side that 4 divides, not {height}×{width}; "
                "set datasets.<name>.source.size or use network dcgan or mlp"
            )
        self.channels = channels
        self.quarter = height // 4

    def generator(self, z_dim: int) -> nn.Module:
        n_inner = 128 * self.quarter**2
        layers = nn.Sequential(
            nn.Linear(z_dim, 1024),
            nn.BatchNorm1d(1024),
            nn.LeakyReLU(0.2),
            nn.Linear(1024, n_inner),
            nn.BatchNorm1d(n_inner),
            nn.LeakyReLU(0.2),
            nn.Unflatten(1, (128, self.quarter, self.quarter)),
            nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1),
            nn.BatchNorm2d(64),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(64, self.channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )
        return initialise(layers, std=0.02)

    def discriminator(self, n_outputs: int = 1) -> nn.Module:
        return self._head(n_outputs, self.critic_norm)

    def encoder(self, n_outputs: int) -> nn.Module:
        return self._head(n_outputs, "batch")

    def _head(self, n_outputs: int, norm: str) -> nn.Module:
        batch = norm == "batch"
        layers = nn.Sequential(
            nn.Conv2d(self.channels, 64, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, stride=2, padding=1),
            nn.BatchNorm2d(128) if batch else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(128 * self.quarter**2, 1024),
            nn.BatchNorm1d(1024) if batch else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.Linear(1024, n_outputs),
        )
        return initialise(layers, std=0.02)
