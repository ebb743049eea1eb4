"""Small sets of real images for experiments, and a training loop for the variants on them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gm_bench.data.dataset import Dataset, load
from gm_bench.nets import network as networks
from gm_bench.nets.network import Network, Norm
from gm_bench.reproducibility import derive
from gm_bench.tracks.diagnostics.descent import descend
from gm_bench.variants.base.contract import Batch, Variant

# As in params.yaml, which an experiment does not read.
OPTIONS: Mapping[str, Mapping[str, int]] = {"digits": {"n_test": 800, "split_seed": 0}}


def splits(loader: str) -> Dataset:
    """Both splits of a set of images, with their labels.

    Raises:
        DataError: no such loader, or data that cannot be had.
    """
    return load(loader, **OPTIONS.get(loader, {}))


def training_images(loader: str) -> Tensor:
    """The images of the training split, uint8 (N, C, H, W).

    Raises:
        DataError: no such loader, or data that cannot be had.
    """
    return splits(loader).train_images


def network_for(images: Tensor, name: str, width: int, critic_norm: Norm = "none") -> Network:
    """A module of gm_bench.nets for images (N, C, H, W), without classes."""
    return networks.build(name, {"width": width, "critic_norm": critic_norm}, tuple(images.shape[1:]), 0)


def batch_of(images: Tensor, n: int, generator: torch.Generator) -> Batch:
    """n images (N, C, H, W), uint8, drawn with replacement."""
    rows = torch.randint(len(images), (n,), generator=generator)
    return Batch(generator, {"images": images}, rows)


class Trainer:
    """Adam at one rate for every player of a variant; all draws derive from (seed, purpose).

    Args:
        model: trained in place, on the CPU.
        images: uint8 (N, C, H, W).
    """

    def __init__(
        self,
        model: Variant,
        images: Tensor,
        *,
        seed: int,
        purpose: str,
        batch_size: int,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        self.model, self.images, self.batch_size = model, images, batch_size
        self.generator = torch.Generator().manual_seed(derive(seed, f"{purpose}/training"))
        self.optimisers = {
            player: torch.optim.Adam(getattr(model, player).parameters(), lr=lr, betas=betas)
            for player in model.players
        }

    def rounds(self, n: int) -> None:
        """n rounds: an update of each player in each."""
        self.model.train()
        for _ in range(n):
            for player, optimiser in self.optimisers.items():
                batch = batch_of(self.images, self.batch_size, self.generator)
                descend(optimiser, self.model.loss(player, batch)["loss"])
                with torch.no_grad():
                    self.model.after_update(player)
