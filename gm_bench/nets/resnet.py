"""Residual networks: the generator and critic of the spectrally normalised GANs."""

import math
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from gm_bench.nets.network import Network, Norm
from gm_bench.options import PositiveInt

Resample = Literal["up", "down", "none"]


class ResNet(Network):
    """Residual blocks of constant width; the image doubles in the generator's and halves in the critic's.

    The generator starts where the side is 4 or odd: 64 → 4 blocks from 4×4, 32 → 3 from 4×4, 28 → 2 from 7×7,
    8 → 1 from 4×4. The critic halves the image until its side is at most 8 (at least once), then reads it
    with two more blocks, a rectifier and a sum over places. A conditional generator has conditional batch
    norm.

    Source: Miyato et al. 2018, "Spectral normalization for generative adversarial networks", table 4
    (CIFAR-10: width 256, critic_width 128), after Gulrajani et al. 2017; conditional batch norm
    after Dumoulin et al. 2017, as in Miyato & Koyama 2018.

    Deviates from the papers: sides other than 32 keep the same rules and one width, where theirs change; the
    last layer of critics and encoders has torch's own initialisation, not Glorot's.

    Args:
        image_shape: (C, H, W) with H = W even.
        n_classes: see Network.
        width: channels of the generator.
        critic_width: channels of the critic.
        critic_norm: see Network.
    """

    std: ClassVar[float | None] = None  # layers made here are initialised here, after Glorot

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        n_classes: int,
        width: PositiveInt,
        critic_width: PositiveInt,
        critic_norm: Norm,
    ) -> None:
        super().__init__(image_shape, n_classes, critic_norm)
        _, height, breadth = image_shape
        if height != breadth or height % 2:
            raise ValueError(
                f"network resnet needs square images of even side, not {height}×{breadth}; "
                "set datasets.<name>.source.size or use network mlp"
            )
        self.width, self.critic_width = width, critic_width
        self.base, self.n_up = height, 0
        while self.base > 4 and self.base % 2 == 0:
            self.base, self.n_up = self.base // 2, self.n_up + 1
        side, self.n_down = height // 2, 1
        while side > 8 and side % 2 == 0:
            side, self.n_down = side // 2, self.n_down + 1

    def conditional_generator(self, z_dim: int) -> nn.Module:
        return ResidualGenerator(
            z_dim, self.width, self.base, self.n_up, self.image_shape[0], self.n_classes, bounded=True
        )

    def _decoder(self, z_dim: int, n_channels: int) -> nn.Module:
        return ResidualGenerator(z_dim, self.width, self.base, self.n_up, n_channels, 0, bounded=False)

    def _body(self, n_channels: int, norm: Norm) -> tuple[nn.Module, int]:
        width, batch = self.critic_width, norm == "batch"
        layers: list[nn.Module] = [FirstBlock(n_channels, width, batch)]
        for _ in range(self.n_down - 1):
            layers.append(CriticBlock(width, "down", batch))
        layers += [CriticBlock(width, "none", batch) for _ in range(2)]
        return nn.Sequential(*layers, nn.ReLU(), SumOverPlaces()), width


class ResidualGenerator(nn.Module):
    """Codes (n, z_dim), and classes (n,) where n_classes > 0, → (n, n_channels, H, W).

    Args:
        base: side at which it starts.
        n_up: blocks, each of which doubles the side.
        bounded: whether tanh bounds the output.
    """

    def __init__(
        self, z_dim: int, width: int, base: int, n_up: int, n_channels: int, n_classes: int, bounded: bool
    ) -> None:
        super().__init__()
        self.shape = (width, base, base)
        self.bounded = bounded
        self.first = _glorot(nn.Linear(z_dim, width * base**2))
        self.blocks = nn.ModuleList(GeneratorBlock(width, n_classes) for _ in range(n_up))
        self.norm = nn.BatchNorm2d(width)
        self.last = _glorot(nn.Conv2d(width, n_channels, 3, padding=1))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.first(z).unflatten(1, self.shape)
        for block in self.blocks:
            x = block(x, labels)
        x = self.last(self.norm(x).relu())
        return x.tanh() if self.bounded else x


class GeneratorBlock(nn.Module):
    """norm, rectify, double, convolve, norm, rectify, convolve; beside it double, convolve 1×1."""

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ConditionalBatchNorm(width, n_classes) for _ in range(2))
        self.first = _glorot(nn.Conv2d(width, width, 3, padding=1, bias=False), gain=math.sqrt(2))
        self.second = _glorot(nn.Conv2d(width, width, 3, padding=1), gain=math.sqrt(2))
        self.shortcut = _glorot(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        inner = self.first(_resample(self.norms[0](x, labels).relu(), "up"))
        inner = self.second(self.norms[1](inner, labels).relu())
        # A 1×1 convolution commutes with doubling, and costs a quarter before it.
        out: Tensor = inner + _resample(self.shortcut(x), "up")
        return out


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose scale (1 at first) and shift (0 at first) belong to the class; plain without classes.

    Source: Dumoulin et al. 2017, "A learned representation for artistic style", equation 5.
    """

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm2d(width, affine=n_classes == 0)
        self.n_classes = n_classes
        if n_classes:
            self.scale = nn.Embedding(n_classes, width)
            self.shift = nn.Embedding(n_classes, width)
            nn.init.ones_(self.scale.weight)
            nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        x = self.normalise(x)
        if self.n_classes:
            x = self.scale(labels)[:, :, None, None] * x + self.shift(labels)[:, :, None, None]
        return x


class FirstBlock(nn.Module):
    """convolve, rectify, convolve, halve; beside it halve, convolve 1×1: no rectifier touches the image."""

    def __init__(self, n_channels: int, width: int, batch_norm: bool) -> None:
        super().__init__()
        self.first = _glorot(nn.Conv2d(n_channels, width, 3, padding=1), gain=math.sqrt(2))
        self.norm = nn.BatchNorm2d(width) if batch_norm else nn.Identity()
        self.second = _glorot(nn.Conv2d(width, width, 3, padding=1), gain=math.sqrt(2))
        self.shortcut = _glorot(nn.Conv2d(n_channels, width, 1))

    def forward(self, images: Tensor) -> Tensor:
        inner = self.second(self.norm(self.first(images)).relu())
        out: Tensor = _resample(inner, "down") + self.shortcut(_resample(images, "down"))
        return out


class CriticBlock(nn.Module):
    """[norm], rectify, convolve, [norm], rectify, convolve, [halve]; beside it nothing, or convolve and
    halve."""

    def __init__(self, width: int, resample: Resample, batch_norm: bool) -> None:
        super().__init__()
        self.resample = resample
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) if batch_norm else nn.Identity() for _ in range(2))
        self.first = _glorot(nn.Conv2d(width, width, 3, padding=1), gain=math.sqrt(2))
        self.second = _glorot(nn.Conv2d(width, width, 3, padding=1), gain=math.sqrt(2))
        self.shortcut = nn.Identity() if resample == "none" else _glorot(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(self.norms[1](self.first(self.norms[0](x).relu())).relu())
        # A 1×1 convolution commutes with the mean of four places, and costs a quarter after it.
        out: Tensor = _resample(inner, self.resample) + self.shortcut(_resample(x, self.resample))
        return out


class SumOverPlaces(nn.Module):
    """(n, F, h, w) → (n, F)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(dim=(2, 3))


def _resample(x: Tensor, how: Resample) -> Tensor:
    """The side doubled by repetition, halved by the mean of four, or as it is."""
    if how == "up":
        return F.interpolate(x, scale_factor=2)
    return F.avg_pool2d(x, 2) if how == "down" else x


def _glorot(layer: nn.Linear | nn.Conv2d, gain: float = 1.0) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
