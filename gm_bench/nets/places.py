"""Layers of convolutional networks that keep the channels of a place side by side in memory.

torch calls that format channels_last; its convolutions are faster in it on a CPU. What flattens maps or makes
maps of a row, must keep to it, or everything is copied there and back. Convolutions between an image and many
channels are written as products of matrices where torch's own kernel is slow on a CPU.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ToRow(nn.Module):
    """Maps (N, C, h, w) → (N, h · w · C), place by place: no copy of maps in channels_last."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.permute(0, 2, 3, 1).flatten(1)


class ToMaps(nn.Module):
    """The reverse of `ToRow`: (N, h · w · C) → (N, C, h, w) in channels_last.

    Args:
        shape: (C, h, w).
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, rows: Tensor) -> Tensor:
        channels, height, width = self.shape
        return rows.unflatten(1, (height, width, channels)).permute(0, 3, 1, 2)


class ImageConv2d(nn.Conv2d):
    """A convolution that reads an image of few channels.

    On a CPU torch's gradient with respect to the image takes as long as that of a layer with many times its
    operations. Where it is asked for, the patches of the image are multiplied with the kernels as a matrix.
    """

    def forward(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu" or not (torch.is_grad_enabled() and images.requires_grad):
            return super().forward(images)
        kernel, stride, padding = _numbers(self)
        side = (images.shape[2] + 2 * padding - kernel) // stride + 1
        patches = F.unfold(images, kernel, padding=padding, stride=stride)
        rows = F.linear(patches.transpose(1, 2), self.weight.flatten(1), self.bias)
        return rows.unflatten(1, (side, -1)).permute(0, 3, 1, 2)


class ImageConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution that makes an image of few channels; see `ImageConv2d`."""

    def forward(self, maps: Tensor, output_size: list[int] | None = None) -> Tensor:
        if maps.device.type != "cpu":
            return super().forward(maps, output_size)
        kernel, stride, padding = _numbers(self)
        size = tuple((extent - 1) * stride - 2 * padding + kernel for extent in maps.shape[2:])
        rows = maps.permute(0, 2, 3, 1).flatten(1, 2)
        patches = (rows @ self.weight.flatten(1)).transpose(1, 2)
        images = F.fold(patches, size, kernel, padding=padding, stride=stride)
        return images if self.bias is None else images + self.bias[:, None, None]


def _numbers(layer: nn.Conv2d | nn.ConvTranspose2d) -> tuple[int, int, int]:
    """Kernel, stride and padding of a layer that has the same in both directions."""
    assert isinstance(layer.padding, tuple)
    return layer.kernel_size[0], layer.stride[0], layer.padding[0]
