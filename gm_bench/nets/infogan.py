"""The convolutional pair of InfoGAN, the common ground of published comparisons on MNIST-sized images."""

from typing import ClassVar

from torch import nn

from gm_bench.nets.network import Network, Norm
from gm_bench.nets.places import ImageConv2d, ImageConvTranspose2d, ToMaps, ToRow


class InfoGAN(Network):
    """Two strided convolutions and two dense layers on either side.

    Source: Chen et al. 2016, "InfoGAN", appendix C.1, as used by Lucic et al. 2018, "Are GANs created
    equal?".

    Deviates from the source: the output is tanh to [-1, 1], the same function as its sigmoid to [0, 1] up to
    scale.

    Args:
        image_shape: (C, H, W) with H = W a multiple of 4.
        n_classes: see Network.
        critic_norm: see Network.
    """

    std: ClassVar[float | None] = 0.02

    def __init__(self, image_shape: tuple[int, int, int], n_classes: int, critic_norm: Norm) -> None:
        super().__init__(image_shape, n_classes, critic_norm)
        _, height, width = image_shape
        if height != width or height % 4:
            raise ValueError(
                f"network infogan needs square images with a side that 4 divides, not {height}×{width}; "
                "set datasets.<name>.source.size or use network dcgan or mlp"
            )
        self.quarter = height // 4

    def _decoder(self, z_dim: int, n_channels: int) -> nn.Module:
        n_inner = 128 * self.quarter**2
        return nn.Sequential(
            nn.Linear(z_dim, 1024),
            nn.BatchNorm1d(1024),
            nn.LeakyReLU(0.2),
            nn.Linear(1024, n_inner),
            nn.BatchNorm1d(n_inner),
            nn.LeakyReLU(0.2),
            ToMaps((128, self.quarter, self.quarter)),
            nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1),
            nn.BatchNorm2d(64),
            nn.LeakyReLU(0.2),
            ImageConvTranspose2d(64, n_channels, 4, stride=2, padding=1),
        )

    def _body(self, n_channels: int, norm: Norm) -> tuple[nn.Module, int]:
        batch = norm == "batch"
        layers = nn.Sequential(
            ImageConv2d(n_channels, 64, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, stride=2, padding=1),
            nn.BatchNorm2d(128) if batch else nn.Identity(),
            nn.LeakyReLU(0.2),
            ToRow(),
            nn.Linear(128 * self.quarter**2, 1024),
            nn.BatchNorm1d(1024) if batch else nn.Identity(),
            nn.LeakyReLU(0.2),
        )
        return layers, 1024
