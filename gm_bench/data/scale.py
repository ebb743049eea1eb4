"""Between images as they are stored, uint8 {0 … 255}, and as models see them, float32 in [-1, 1]."""

import torch
from torch import Tensor


def from_uint8(images: Tensor) -> Tensor:
    """{0 … 255} → [-1, 1]: x / 127.5 − 1, float32, of any shape."""
    return images.div(127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] → {0 … 255}, rounded to the nearest level; values outside are clipped."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
