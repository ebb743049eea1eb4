"""A small convolutional classifier whose features the metrics read.

Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition", §II: convolutions with
pooling, then fully connected layers.
Deviates from the paper: rectifiers, max pooling, batch normalisation, dropout before the last layer.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from gm_bench.data.scale import from_uint8
from gm_bench.nets import LENET_SIDES, lenet_reads

N_FEATURES = 128


class LeNet(nn.Module):
    """Images → (features, logits).

    The image is halved until at most 7 pixels a side are left, then read by one more convolution and a fully
    connected layer of 128 units.

    The features are the values of those units after batch normalisation and *before* the rectifier, because
    the Fréchet distance describes a set by its mean and covariance: rectified units are zero for most images,
    which makes the covariance close to singular and the set anything but Gaussian, and hides how far below
    zero a strange image falls. The normalisation has no scale of its own, so that on the training images each
    feature has about mean 0 and variance 1 and none outweighs the others by its unit.

    Args:
        image_shape: (C, H, W), C 1 or 3, sides from 8 to 64.
        n_classes: K, at least 2.
        dropout: share of the rectified features that training drops.
    """

    def __init__(self, image_shape: tuple[int, int, int], n_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        channels, height, width = image_shape
        if not lenet_reads(image_shape):
            raise ValueError(
                f"the LeNet reads 1 or 3 channels of {LENET_SIDES[0]} to {LENET_SIDES[-1]} pixels a side, "
                f"not {channels}×{height}×{width}: resize the images or choose the extractor inception"
            )
        if n_classes < 2:
            raise ValueError(f"a classifier needs at least 2 classes, not {n_classes}")
        self.image_shape = image_shape
        stages: list[nn.Module] = []
        inputs, outputs = channels, 32
        while max(height, width) > 7:
            stages += [*_convolution(inputs, outputs), nn.MaxPool2d(2, ceil_mode=True)]
            height, width = (height + 1) // 2, (width + 1) // 2
            inputs, outputs = outputs, 64
        self.convolutions = nn.Sequential(*stages, *_convolution(inputs, 64))
        self.penultimate = nn.Linear(64 * height * width, N_FEATURES, bias=False)
        self.normalise = nn.BatchNorm1d(N_FEATURES, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(N_FEATURES, n_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (N, C, H, W) → features (N, 128) and logits (N, K), float32."""
        x = self.convolutions(from_uint8(images)).flatten(1)
        features: Tensor = self.normalise(self.penultimate(x))
        logits: Tensor = self.classify(self.dropout(F.relu(features)))
        return features, logits


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def from_weights(weights: dict[str, Tensor], image_shape: tuple[int, int, int]) -> LeNet:
    """The network that these weights belong to, ready to evaluate.

    Raises:
        ValueError: the weights are not those of a LeNet for such images.
    """
    try:
        network = LeNet(image_shape, len(weights["classify.bias"]))
        network.load_state_dict(weights)
    except (KeyError, RuntimeError):
        shape = "×".join(map(str, image_shape))
        raise ValueError(f"the extractor's weights are not those of a LeNet for images of {shape}") from None
    return network.eval().requires_grad_(False)


def shape_of(images: Tensor) -> tuple[int, int, int]:
    """(C, H, W) of images (…, C, H, W)."""
    channels, height, width = images.shape[-3:]
    return channels, height, width
