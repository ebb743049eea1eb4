"""Networks for points, which are images of one pixel with their coordinates as channels: those of PacGAN."""

import math
from typing import ClassVar

from torch import Tensor, nn

from gm_bench.nets.network import Network, Norm
from gm_bench.options import PositiveInt

N_GENERATOR_LAYERS, N_CRITIC_LAYERS = 4, 3


class Maxout(nn.Module):
    """The largest of `pieces` linear functions for each unit: (N, in) → (N, out).

    Source: Goodfellow et al. 2013, "Maxout networks", equation 1.
    """

    def __init__(self, n_inputs: int, n_outputs: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(n_inputs, n_outputs * pieces)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(1, (self.pieces, -1)).amax(dim=1)


class Points(Network):
    """A rectified generator with batch normalisation and a linear output; maxout layers in the discriminator.

    Source: Lin et al. 2018, "PacGAN", after Srivastava et al. 2017, "VEEGAN": generator of four hidden
    layers of 400, discriminator of three maxout layers of 200; weights begin as N(0, 0.02²) and biases as 0
    by the authors' code (github.com/fjxmlzn/PacGAN).

    Args:
        image_shape: see Network; for points (D, 1, 1).
        n_classes: see Network.
        width: units of each hidden layer of the generator.
        critic_width: units of each maxout layer.
        pieces: linear functions of each maxout unit.
        critic_norm: see Network; "batch" normalises all maxout layers but the first.
    """

    std: ClassVar[float] = 0.02

    def __init__(
        self,
        image_shape: tuple[int, ...],
        n_classes: int,
        width: PositiveInt,
        critic_width: PositiveInt,
        pieces: PositiveInt,
        critic_norm: Norm,
    ) -> None:
        super().__init__(image_shape, n_classes, critic_norm)
        self.width, self.critic_width, self.pieces = width, critic_width, pieces

    def generator(self, z_dim: int) -> nn.Module:
        """(N, z_dim) → points (N, D, 1, 1), unbounded: data that are no images have no range of their own."""
        return self.decoder(z_dim)

    def _decoder(self, z_dim: int, n_channels: int) -> nn.Module:
        shape = (n_channels, *self.image_shape[1:])
        layers: list[nn.Module] = []
        for i in range(N_GENERATOR_LAYERS):
            layers += [
                nn.Linear(self.width if i else z_dim, self.width, bias=False),
                nn.BatchNorm1d(self.width),
                nn.ReLU(),
            ]
        return nn.Sequential(*layers, nn.Linear(self.width, math.prod(shape)), nn.Unflatten(1, shape))

    def _body(self, n_channels: int, norm: Norm) -> tuple[nn.Module, int]:
        layers: list[nn.Module] = [nn.Flatten()]
        for i in range(N_CRITIC_LAYERS):
            n_inputs = self.critic_width if i else n_channels * math.prod(self.image_shape[1:])
            layers.append(Maxout(n_inputs, self.critic_width, self.pieces))
            if i and norm == "batch":
                layers.append(nn.BatchNorm1d(self.critic_width))
        return nn.Sequential(*layers), self.critic_width
