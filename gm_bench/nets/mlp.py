"""Fully connected networks at native size: for images small enough to need no convolution (8×8 digits)."""

import math
from typing import Literal

from torch import nn

from gm_bench.nets.network import Network


class MLP(Network):
    """Two hidden layers of `width` units in every network.

    Source: Goodfellow et al. 2014, §5 (fully connected generator and discriminator).

    Args:
        image_shape: (C, H, W), any size.
        width: units of each hidden layer.
        critic_norm: "batch" normalises the critic's second hidden layer, "none" leaves it out.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], width: int, critic_norm: Literal["batch", "none"]
    ) -> None:
        super().__init__(image_shape, critic_norm)
        self.width = width
        self.n_pixels = math.prod(image_shape)

    def generator(self, z_dim: int) -> nn.Module:
        width = self.width
        return nn.Sequential(
            nn.Linear(z_dim, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, self.n_pixels),
            nn.Tanh(),
            nn.Unflatten(1, self.image_shape),
        )

    def discriminator(self, n_outputs: int = 1) -> nn.Module:
        return self._head(n_outputs, self.critic_norm)

    def encoder(self, n_outputs: int) -> nn.Module:
        return self._head(n_outputs, "batch")

    def _head(self, n_outputs: int, norm: str) -> nn.Module:
        width = self.width
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(self.n_pixels, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.BatchNorm1d(width) if norm == "batch" else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.Linear(width, n_outputs),
        )
