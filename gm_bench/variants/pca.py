"""Principal component analysis with a Gaussian in the subspace: what a linear autoencoder can do at best.

Source: Baldi & Hornik 1989, "Neural networks and principal component analysis: learning from examples without
local minima", §2: min ‖x − D E x‖² over linear E and D is reached where D spans the leading eigenvectors.

    h = Vᵀ (x − μ),   x̂ = μ + V h,   h ~ N(0, diag λ) for samples

with the leading z_dim eigenvectors V and eigenvalues λ of the covariance of the training images. Nothing else
of the images is kept: samples lie in the subspace, clipped to the range of images.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from gm_bench.data.scale import from_uint8
from gm_bench.nets.network import Network
from gm_bench.options import PositiveInt
from gm_bench.variants.base.contract import Batch, Decoder, Encoder, Variant

CHUNK = 5000


def moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D), float64, of uint8 images (N, …) brought to [-1, 1] and flattened."""
    n = len(images)
    parts = images.flatten(1).split(CHUNK)
    mean = sum(from_uint8(part).double().sum(dim=0) for part in parts) / n
    centred = (from_uint8(part).double() - mean for part in parts)
    return torch.as_tensor(mean), torch.as_tensor(sum(part.T @ part for part in centred) / (n - 1))


def leading_components(covariance: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The n largest eigenvalues (n,), falling, and their orthonormal eigenvectors as rows (n, D)."""
    values, vectors = torch.linalg.eigh(covariance)
    return values.flip(0)[:n].clamp_min(0), vectors.flip(1)[:, :n].T


class PCA(Variant, Encoder, Decoder):
    """Principal component analysis.

    Args:
        z_dim: dimensions of the subspace, at most the number of pixels.
    """

    family: ClassVar[str] = "baselines"
    source: ClassVar[str] = "Baldi & Hornik 1989, §2"
    players: ClassVar[tuple[str, ...]] = ()

    def __init__(self, network: Network, z_dim: PositiveInt) -> None:
        super().__init__(network)
        n_pixels = torch.Size(self.image_shape).numel()
        if z_dim > n_pixels:
            raise ValueError(
                f"params.yaml: z_dim of pca is {z_dim}; images of {n_pixels} values allow at most so many"
            )
        self.z_dim = z_dim
        self.mean: Tensor
        self.components: Tensor
        self.sigma: Tensor
        self.register_buffer("mean", torch.zeros(n_pixels))
        self.register_buffer("components", torch.eye(z_dim, n_pixels))
        self.register_buffer("sigma", torch.ones(z_dim))

    def begin(self, data: Mapping[str, Tensor]) -> None:
        mean, covariance = moments(data["images"])
        variances, components = leading_components(covariance, self.z_dim)
        self.mean, self.components, self.sigma = mean.float(), components.float(), variances.sqrt().float()

    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        raise ValueError("pca has no player to train")

    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        return self.sigma * torch.randn(n, self.z_dim, generator=generator, device=generator.device)

    def sample(self, n: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        return self.decode(self.latent(n, generator))

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return (images.flatten(1) - self.mean) @ self.components.T

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return (self.mean + z @ self.components).clamp(-1, 1).view(-1, *self.image_shape)
