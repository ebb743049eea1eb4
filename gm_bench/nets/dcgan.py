"""DCGAN: a ladder of strided convolutions, as deep as the image size allows."""

from itertools import pairwise
from typing import ClassVar

from torch import nn

from gm_bench.nets.network import Network, Norm
from gm_bench.nets.places import ImageConv2d, ImageConvTranspose2d, ToMaps, ToRow


class DCGAN(Network):
    """Resolution doubles (generator) or halves (discriminator) at each rung; channels do the opposite.

    The ladder starts where the side is 4 or odd: 64 → 4 rungs from 4×4, 32 → 3 from 4×4, 28 → 2 from 7×7,
    8 → 1 from 4×4.

    Source: Radford et al. 2015, "Unsupervised representation learning with DCGANs", §3 and figure 1.

    Deviates from the paper: the ends of the ladder are dense layers, so that any even size works; the first
    batch norm of the discriminator is left out there as it is here.

    Args:
        image_shape: (C, H, W) with H = W even.
        n_classes: see Network.
        width: channels at the widest resolution; they double at every rung towards the narrow end.
        critic_norm: see Network.
    """

    std: ClassVar[float | None] = 0.02

    def __init__(
        self, image_shape: tuple[int, int, int], n_classes: int, width: int, critic_norm: Norm
    ) -> None:
        super().__init__(image_shape, n_classes, critic_norm)
        _, height, breadth = image_shape
        if height != breadth or height % 2:
            raise ValueError(
                f"network dcgan needs square images of even side, not {height}×{breadth}; "
                "set datasets.<name>.source.size or use network mlp"
            )
        self.base, n_rungs = height, 0
        while self.base > 4 and self.base % 2 == 0:
            self.base, n_rungs = self.base // 2, n_rungs + 1
        # channels from the outermost rung inwards: width, 2·width, …
        self.ladder = [width * 2**i for i in range(n_rungs)]

    def _decoder(self, z_dim: int, n_channels: int) -> nn.Module:
        deepest = self.ladder[-1]
        return nn.Sequential(
            nn.Linear(z_dim, deepest * self.base**2, bias=False),
            ToMaps((deepest, self.base, self.base)),
            nn.BatchNorm2d(deepest),
            nn.ReLU(),
            *self._up(n_channels),
        )

    def _body(self, n_channels: int, norm: Norm) -> tuple[nn.Module, int]:
        layers = self._down(n_channels, norm)
        return nn.Sequential(*layers, ToRow()), self.ladder[-1] * self.base**2

    def _map_body(self, n_channels: int) -> tuple[nn.Module, tuple[int, int, int]]:
        return nn.Sequential(*self._down(n_channels, "batch")), (self.ladder[-1], self.base, self.base)

    def _map_decoder(self, n_channels: int) -> nn.Module:
        return nn.Sequential(*self._up(n_channels))

    def _up(self, n_channels: int) -> list[nn.Module]:
        """Layers from (N, ladder[-1], base, base) to (N, n_channels, H, W)."""
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(reversed(self.ladder)):
            layers += [
                nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(n_out),
                nn.ReLU(),
            ]
        return [*layers, ImageConvTranspose2d(self.ladder[0], n_channels, 4, stride=2, padding=1)]

    def _down(self, n_channels: int, norm: Norm) -> list[nn.Module]:
        """Layers from (N, n_channels, H, W) to (N, ladder[-1], base, base)."""
        layers: list[nn.Module] = []
        for rung, (n_in, n_out) in enumerate(pairwise([n_channels, *self.ladder])):
            layer = nn.Conv2d if rung else ImageConv2d
            layers.append(layer(n_in, n_out, 4, stride=2, padding=1))
            if rung and norm == "batch":
                layers.append(nn.BatchNorm2d(n_out))
            layers.append(nn.LeakyReLU(0.2))
        return layers
