"""DINOv2's vision transformer: images → features that were learned without labels.

Source: Oquab et al. 2024, "DINOv2: learning robust visual features without supervision"; the network is that
of Dosovitskiy et al. 2021, "An image is worth 16x16 words", with the layer scale of Touvron et al. 2021,
"Going deeper with image transformers". Names of the layers are those of the published weights.
"""

from collections.abc import Mapping
from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 14  # pixels a side
HEAD = 64  # channels of an attention head, in all published sizes
EPSILON = 1e-6
OFFSET = 0.1


class Attention(nn.Module):
    """Tokens (N, L, D) look at each other: softmax(q kᵀ / √64) v in each of D / 64 heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.qkv(tokens).unflatten(2, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)
        shares = (q * HEAD**-0.5 @ k.mT).softmax(dim=-1)
        mixed: Tensor = self.proj((shares @ v).transpose(1, 2).flatten(2))
        return mixed


class Perceptron(nn.Module):
    """Each token (…, D) by itself through a layer of 4 D."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        seen: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return seen


class LayerScale(nn.Module):
    """A factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens * self.gamma


class Block(nn.Module):
    """x ← x + γ₁ attention(norm(x)), then x ← x + γ₂ perceptron(norm(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.attn = Attention(width)
        self.ls1 = LayerScale(width)
        self.norm2 = nn.LayerNorm(width, EPSILON)
        self.mlp = Perceptron(width)
        self.ls2 = LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbedding(nn.Module):
    """Images (N, 3, 14 h, 14 w) → one token for each patch, (N, h w, D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, images: Tensor) -> Tensor:
        patches: Tensor = self.proj(images)
        return patches.flatten(2).mT


class DinoV2(nn.Module):
    """Square float images (N, 3, 14 h, 14 h) → the normalised class token (N, D).

    Args:
        width: D, a multiple of 64.
        depth: number of blocks.
        grid: patches a side that there are position embeddings for; other numbers are interpolated.
    """

    def __init__(self, width: int, depth: int, grid: int) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding(width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid**2, width))
        self.blocks = nn.Sequential(*[Block(width) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, EPSILON)

    def forward(self, images: Tensor) -> Tensor:
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), self.patch_embed(images)], dim=1)
        tokens = tokens + positions(self.pos_embed, images.shape[-1] // PATCH)
        features: Tensor = self.norm(self.blocks(tokens)[:, 0])
        return features


def positions(embeddings: Tensor, side: int) -> Tensor:
    """Position embeddings of side × side patches from those of M × M: (1, 1 + M², D) → (1, 1 + side², D).

    That of the class token, the first, stays. The others are interpolated by the bicubic filter, without
    antialiasing. Its steps are M / (side + 0.1), as in the published code, and not M / side: from 37 to 16
    the last patch stands at 35.1 and not at 35.3.
    """
    grid = isqrt(embeddings.shape[1] - 1)
    if grid == side:
        return embeddings
    of_class, of_patches = embeddings.split([1, grid**2], dim=1)
    factor = (side + OFFSET) / grid
    square = of_patches.mT.unflatten(2, (grid, grid))
    resized = F.interpolate(square, scale_factor=(factor, factor), mode="bicubic")
    return torch.cat([of_class, resized.flatten(2).mT], dim=1)


def from_weights(weights: Mapping[str, Tensor]) -> DinoV2:
    """The network in evaluation mode; its sizes are those of the weights.

    Raises:
        ValueError: they are not the weights of such a network.
    """
    # The mask stands for patches that are hidden in training.
    kept = {name: tensor for name, tensor in weights.items() if name != "mask_token"}
    depth = sum(name.endswith(".attn.qkv.weight") for name in kept)
    try:
        _, n_positions, width = kept["pos_embed"].shape
        network = DinoV2(width, depth, isqrt(n_positions - 1))
        network.load_state_dict(kept)
    except (KeyError, RuntimeError) as error:
        raise ValueError("the weights are not those of a vision transformer of DINOv2") from error
    return network.eval().requires_grad_(False)
