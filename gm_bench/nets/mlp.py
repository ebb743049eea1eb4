"""Fully connected networks at native size: for images small enough to need no convolution (8×8 digits)."""

import math

from torch import nn

from gm_bench.nets.network import Network, Norm
from gm_bench.options import PositiveInt


class MLP(Network):
    """Two hidden layers of `width` units in every network.

    Source: Goodfellow et al. 2014, §5 (fully connected generator and discriminator).

    Args:
        image_shape: (C, H, W), any size; or (D,) for points.
        n_classes: see Network.
        width: units of each hidden layer.
        critic_norm: see Network; "batch" normalises the critic's second hidden layer.
    """

    def __init__(
        self, image_shape: tuple[int, ...], n_classes: int, width: PositiveInt, critic_norm: Norm
    ) -> None:
        super().__init__(image_shape, n_classes, critic_norm)
        self.width = width

    def _decoder(self, z_dim: int, n_channels: int) -> nn.Module:
        width, shape = self.width, (n_channels, *self.image_shape[1:])
        return nn.Sequential(
            nn.Linear(z_dim, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, math.prod(shape)),
            nn.Unflatten(1, shape),
        )

    def _body(self, n_channels: int, norm: Norm) -> tuple[nn.Module, int]:
        width = self.width
        layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(n_channels * math.prod(self.image_shape[1:]), width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.BatchNorm1d(width) if norm == "batch" else nn.Identity(),
            nn.LeakyReLU(0.2),
        )
        return layers, width
