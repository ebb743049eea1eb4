"""DCGAN: a ladder of strided convolutions, as deep as the image size allows."""

from itertools import pairwise
from typing import ClassVar

from torch import nn

from gm_bench.nets.network import Network, Norm
from gm_bench.nets.places import ImageConv2d, ImageConvTranspose2d, ToMaps, ToRow
from gm_bench.options import PositiveInt


class DCGAN(Network):
    """Resolution doubles (generator) or halves (discriminator) at each rung; channels do the opposite.

    A rung halves an even side by kernel 4, and takes an odd one s to (s + 1) / 2 by kernel 3, until it is 4
    or less: 64 → 4 rungs, 32 → 3, 28 → 3 (14, 7, 4), 8 → 1. A discriminator that ended at 7×7 would be a sum
    over patches of 10×10 pixels, which cannot tell whether the parts of a digit belong together.

    Source: Radford et al. 2015, "Unsupervised representation learning with DCGANs", §3 and figure 1.

    Deviates from the paper: the ends of the ladder are dense layers, and odd sides are rungs too, so that any
    even size works; the first batch norm of the discriminator is left out there as it is here.

    Args:
        image_shape: (C, H, W) with H = W even.
        n_classes: see Network.
        width: channels at the widest resolution; they double at every rung towards the narrow end.
        critic_norm: see Network.
    """

    std: ClassVar[float | None] = 0.02

    def __init__(
        self, image_shape: tuple[int, int, int], n_classes: int, width: PositiveInt, critic_norm: Norm
    ) -> None:
        super().__init__(image_shape, n_classes, critic_norm)
        _, height, breadth = image_shape
        if height != breadth or height % 2:
            raise ValueError(
                f"network dcgan needs square images of even side, not {height}×{breadth}; "
                "set datasets.<name>.source.size or use network mlp"
            )
        self.sides = [height]  # from the image inwards
        while self.sides[-1] > 4:
            self.sides.append((self.sides[-1] + 1) // 2)
        # channels from the outermost rung inwards: width, 2·width, …
        self.ladder = [width * 2**i for i in range(len(self.sides) - 1)]
        self.n_even = next((i for i, side in enumerate(self.sides) if side % 2), len(self.ladder))

    def _decoder(self, z_dim: int, n_channels: int) -> nn.Module:
        deepest, base = self.ladder[-1], self.sides[-1]
        return nn.Sequential(
            nn.Linear(z_dim, deepest * base**2, bias=False),
            ToMaps((deepest, base, base)),
            nn.BatchNorm2d(deepest),
            nn.ReLU(),
            *self._up(n_channels, len(self.ladder)),
        )

    def _body(self, n_channels: int, norm: Norm) -> tuple[nn.Module, int]:
        layers = self._down(n_channels, norm, len(self.ladder))
        return nn.Sequential(*layers, ToRow()), self.ladder[-1] * self.sides[-1] ** 2

    def _map_body(self, n_channels: int) -> tuple[nn.Module, tuple[int, int, int]]:
        side = self.sides[self.n_even]
        layers = self._down(n_channels, "batch", self.n_even)
        return nn.Sequential(*layers), (self.ladder[self.n_even - 1], side, side)

    def _map_decoder(self, n_channels: int) -> nn.Module:
        return nn.Sequential(*self._up(n_channels, self.n_even))

    def _up(self, n_channels: int, n_rungs: int) -> list[nn.Module]:
        """Layers from (N, ladder[n_rungs − 1], s, s) to (N, n_channels, H, W)."""
        layers: list[nn.Module] = []
        widths = [n_channels, *self.ladder[:n_rungs]]
        for rung in reversed(range(n_rungs)):
            layer = nn.ConvTranspose2d if rung else ImageConvTranspose2d
            kernel = 4 - self.sides[rung] % 2
            layers.append(layer(widths[rung + 1], widths[rung], kernel, stride=2, padding=1, bias=rung == 0))
            if rung:
                layers += [nn.BatchNorm2d(widths[rung]), nn.ReLU()]
        return layers

    def _down(self, n_channels: int, norm: Norm, n_rungs: int) -> list[nn.Module]:
        """Layers from (N, n_channels, H, W) to (N, ladder[n_rungs − 1], s, s)."""
        layers: list[nn.Module] = []
        for rung, (n_in, n_out) in enumerate(pairwise([n_channels, *self.ladder[:n_rungs]])):
            layer = nn.Conv2d if rung else ImageConv2d
            layers.append(layer(n_in, n_out, 4 - self.sides[rung] % 2, stride=2, padding=1))
            if rung and norm == "batch":
                layers.append(nn.BatchNorm2d(n_out))
            layers.append(nn.LeakyReLU(0.2))
        return layers
