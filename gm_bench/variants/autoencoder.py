"""Autoencoder, sampled from a Gaussian fitted to its codes: why a code needs a prior while it is learned.

Source: Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks", for the
autoencoder; the Gaussian is what the lectures sample it with to show that its codes have gaps.

    min ‖x − D(E(x))‖²,   then  h ~ N(mean of E(x), covariance of E(x)) over the training images
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from gm_bench.data.scale import from_uint8
from gm_bench.nets.network import Network
from gm_bench.options import PositiveInt
from gm_bench.variants.base.contract import Batch, Decoder, Encoder, Variant

CHUNK = 1000


def reconstruction_error(x: Tensor, reconstruction: Tensor) -> Tensor:
    """‖x − reconstruction‖², summed over pixels, mean over images."""
    return (x - reconstruction).square().flatten(1).sum(dim=1).mean()


def fit_gaussian(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) of codes (N, D), and a factor F (D, D) with F Fᵀ their covariance, singular or not.

    Of codes that are not finite both are NaN, as the losses are that led there.
    """
    mean = codes.mean(dim=0)
    if not codes.isfinite().all():
        return torch.full_like(mean, torch.nan), torch.full((len(mean), len(mean)), torch.nan).to(codes)
    _, scales, directions = torch.linalg.svd(codes - mean, full_matrices=False)
    factor = directions.T * (scales / (len(codes) - 1) ** 0.5)
    return mean, nn.functional.pad(factor, (0, len(factor) - factor.shape[1]))


class Autoencoder(Variant, Encoder, Decoder):
    """Autoencoder with a Gaussian on its codes.

    Args:
        z_dim: dimensions of the code.
    """

    family: ClassVar[str] = "baselines"
    source: ClassVar[str] = "Hinton & Salakhutdinov 2006"
    players: ClassVar[tuple[str, ...]] = ("model",)

    def __init__(self, network: Network, z_dim: PositiveInt) -> None:
        super().__init__(network)
        self.z_dim = z_dim
        self.model = nn.ModuleDict({"encoder": network.encoder(z_dim), "decoder": network.generator(z_dim)})
        self.code_mean: Tensor
        self.code_factor: Tensor
        self.register_buffer("code_mean", torch.zeros(z_dim))
        self.register_buffer("code_factor", torch.eye(z_dim))

    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        x = batch.images
        error = reconstruction_error(x, self.decode(self.encode(x)))
        return {"loss": error}

    @torch.no_grad()
    def finish(self, data: Mapping[str, Tensor]) -> None:
        self.eval()
        codes = torch.cat([self.encode(from_uint8(part)) for part in data["images"].split(CHUNK)])
        mean, factor = fit_gaussian(codes.double())
        self.code_mean, self.code_factor = mean.float(), factor.float()

    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        epsilon = torch.randn(n, self.z_dim, generator=generator, device=generator.device)
        return self.code_mean + epsilon @ self.code_factor.T

    def sample(self, n: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        return self.decode(self.latent(n, generator))

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        codes: Tensor = self.model["encoder"](images)
        return codes

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        images: Tensor = self.model["decoder"](z)
        return images
