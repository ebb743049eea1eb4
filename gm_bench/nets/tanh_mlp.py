"""Fully connected networks of tanh units without norm, for which likelihoods of digits are published."""

import math

from torch import nn

from gm_bench.nets.network import Network, Norm
from gm_bench.options import PositiveInt


class TanhMLP(Network):
    """Two hidden layers of `width` tanh units in every network.

    Source: Burda et al. 2016, "Importance weighted autoencoders", §5 and appendix C (one stochastic layer of
    50 units, two deterministic ones of 200 on either side; weights after Glorot & Bengio 2010, biases 0).

    Deviates from the source, which has no critic: the last layer of one has torch's own initialisation.

    Args:
        image_shape: (C, H, W), any size.
        n_classes: see Network.
        width: units of each hidden layer.
        critic_norm: see Network; "batch" normalises the critic's second hidden layer. Encoders have none.
    """

    def __init__(
        self, image_shape: tuple[int, ...], n_classes: int, width: PositiveInt, critic_norm: Norm
    ) -> None:
        super().__init__(image_shape, n_classes, critic_norm)
        self.width = width

    def encoder(self, n_outputs: int, n_channels: int | None = None) -> nn.Module:
        body, n_features = self._body(n_channels or self.image_shape[0], "none")
        return _glorot(nn.Sequential(body, nn.Linear(n_features, n_outputs)))

    def _decoder(self, z_dim: int, n_channels: int) -> nn.Module:
        width, shape = self.width, (n_channels, *self.image_shape[1:])
        return _glorot(
            nn.Sequential(
                nn.Linear(z_dim, width),
                nn.Tanh(),
                nn.Linear(width, width),
                nn.Tanh(),
                nn.Linear(width, math.prod(shape)),
                nn.Unflatten(1, shape),
            )
        )

    def _body(self, n_channels: int, norm: Norm) -> tuple[nn.Module, int]:
        width = self.width
        layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(n_channels * math.prod(self.image_shape[1:]), width),
            nn.Tanh(),
            nn.Linear(width, width),
            nn.BatchNorm1d(width) if norm == "batch" else nn.Identity(),
            nn.Tanh(),
        )
        return _glorot(layers), width


def _glorot(module: nn.Module) -> nn.Module:
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return module
