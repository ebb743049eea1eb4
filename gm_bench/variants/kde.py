"""Kernel density estimate: a Gaussian bump on every training image; a sample is one of them plus noise.

Source: Parzen 1962, "On estimation of a probability density function and mode", equation 1.3, with a Gaussian
kernel of one bandwidth h in all directions.

    p(x) = (1/N) Σᵢ N(x; xᵢ, h² I)

h maximises the likelihood of held-out training images, always the same ones: by steps of expectation
maximisation, h² ← mean over x of Σᵢ rᵢ ‖x − xᵢ‖² / d, with r = softmax of −‖x − xᵢ‖² / 2h² and d pixels, none
of which lowers it. Afterwards the held-out images get bumps too. The weights are the training images.

Deviates from the most likely h: at most 100 steps are taken. They suffice from about 4 dimensions on; in one
dimension they are slow, and among thousands of points h may be left several times too small.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from gm_bench.data.scale import from_uint8
from gm_bench.nets.network import Network
from gm_bench.options import PositiveInt
from gm_bench.variants.base.contract import Batch, Density, Variant

MAX_STEPS = 100
TOLERANCE = 1e-12  # of the variance: the bandwidth is kept in single precision
CHUNK = 250
SAME = (1 / 255) ** 2  # ‖x − xᵢ‖² of images in [-1, 1] that differ is at least 4 times this: a grey level


def log_density(squared_distances: Tensor, bandwidth: Tensor, n_pixels: int) -> Tensor:
    """log p(x) in nats (M,), from ‖x − xᵢ‖² (M, N) of M images to the N bumps."""
    kernels = -squared_distances / (2 * bandwidth.square())
    constant = math.log(squared_distances.shape[1]) + 0.5 * n_pixels * math.log(2 * math.pi)
    return kernels.logsumexp(dim=1) - constant - n_pixels * bandwidth.log()


def most_likely_bandwidth(squared_distances: Tensor, n_pixels: int) -> Tensor:
    """The h () under which held-out images are most likely, from their ‖x − xᵢ‖² (M, N) to the N bumps."""
    variance = squared_distances.min(dim=1).values.mean() / n_pixels
    for _ in range(MAX_STEPS):
        before = variance
        shares = (-squared_distances / (2 * before)).softmax(dim=1)
        variance = (shares * squared_distances).sum(dim=1).mean() / n_pixels
        if (variance - before).abs() <= TOLERANCE * variance:
            break
    return variance.sqrt()


class KDE(Variant, Density):
    """Gaussian kernel density estimate.

    Args:
        n_held_out: training images that choose the bandwidth; at least one must be left to build on.
    """

    family: ClassVar[str] = "baselines"
    source: ClassVar[str] = "Parzen 1962, eq. 1.3"
    players: ClassVar[tuple[str, ...]] = ()
    density: ClassVar[str] = "density over [-1, 1], exact"

    def __init__(self, network: Network, n_held_out: PositiveInt) -> None:
        super().__init__(network)
        self.n_held_out = n_held_out
        self.images: Tensor
        self.bandwidth: Tensor
        self.register_buffer("images", torch.zeros(1, *self.image_shape, dtype=torch.uint8))
        self.register_buffer("bandwidth", torch.ones(()))

    def begin(self, data: Mapping[str, Tensor]) -> None:
        images = data["images"]
        if len(images) <= self.n_held_out:
            raise ValueError(
                f"params.yaml: kde holds out {self.n_held_out} images to choose its bandwidth, but there are "
                f"only {len(images)}; set n_held_out lower"
            )
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).to(images.device)
        x = from_uint8(images[order].flatten(1)).double()
        held_out, centres = x[: self.n_held_out], x[self.n_held_out :]
        parts = [torch.cdist(part, centres).square() for part in held_out.split(CHUNK)]
        squared_distances = torch.cat(parts)
        if (squared_distances.min(dim=1).values < SAME).all():
            raise ValueError(
                f"params.yaml: kde cannot choose its bandwidth, since all {self.n_held_out} images that it "
                "holds out equal other training images; remove repeated images or set n_held_out higher"
            )
        self.bandwidth = most_likely_bandwidth(squared_distances, x.shape[1]).float()
        self.images = images.clone()

    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        raise ValueError("kde has no player to train")

    def sample(self, n: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        device = generator.device
        rows = torch.randint(len(self.images), (n,), generator=generator, device=device)
        noise = torch.randn(n, *self.image_shape, generator=generator, device=device)
        return (from_uint8(self.images[rows]) + self.bandwidth * noise).clamp(-1, 1)

    def log_likelihood_bounds(
        self, images: Tensor, labels: Tensor | None, n_codes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        x, centres = images.flatten(1).double(), from_uint8(self.images.flatten(1)).double()
        bandwidth = self.bandwidth.double()
        parts = [torch.cdist(part, centres).square() for part in x.split(CHUNK)]
        exact = torch.cat([log_density(part, bandwidth, x.shape[1]) for part in parts])
        return exact, exact

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As many bumps as were stored: a fresh model does not know how many images it was fitted to."""
        stored = state_dict.get(f"{prefix}images")
        if stored is not None:
            self.images = self.images.new_empty(stored.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)
