"""Non-saturating GAN whose critic is also shown fakes of the past, so that old mistakes stay unlearned.

Source: Shrivastava et al. 2017, "Learning from simulated and unsupervised images through adversarial
training", §2.3.

    critic     min  −E log D(x) − E log(1 − D(x̃)),   half of the x̃ fresh G(z), half drawn from a buffer
    generator  min  −E log D(G(z))

After each look, as many slots of the buffer as were drawn, chosen at random, take the fresh images that the
critic saw. Until the buffer is full its slots are filled in turn, and only filled slots are drawn from.

Deviates from the paper: its generator refines synthetic images; here it makes them from noise.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from gm_bench.nets.network import Network
from gm_bench.options import PositiveInt
from gm_bench.variants.base.contract import Batch
from gm_bench.variants.ns_gan import NSGAN


class GANReplay(NSGAN):
    """Non-saturating GAN with a buffer of past fakes.

    Args:
        capacity: images that the buffer holds, at least half a batch.
    """

    family: ClassVar[str] = "GAN"
    source: ClassVar[str] = "Shrivastava et al. 2017, §2.3"

    def __init__(
        self, network: Network, z_dim: PositiveInt, prior: Literal["normal", "uniform"], capacity: PositiveInt
    ) -> None:
        super().__init__(network, z_dim, prior)
        self.capacity = capacity
        self.past: Tensor
        self.n_filled: Tensor
        self.register_buffer("past", torch.zeros(capacity, *network.image_shape))
        self.register_buffer("n_filled", torch.zeros((), dtype=torch.int64))

    def fakes_for_critic(self, fake: Tensor, batch: Batch) -> Tensor:
        """The first half (rounded up) of `fake`, then as many past ones as are missing."""
        n_past = batch.n // 2
        if n_past > self.capacity:
            raise ValueError(
                f"params.yaml: capacity {self.capacity} of gan_replay is less than half a batch of {batch.n}"
            )
        generator, device = batch.generator, fake.device
        fresh, rest = fake[: batch.n - n_past], fake[batch.n - n_past :]
        drawn = (torch.rand(n_past, generator=generator, device=device) * self.n_filled).long()
        # Before the first image is stored there is nothing to draw. The choice is made on the device.
        past = torch.where(self.n_filled > 0, self.past[drawn], rest)

        in_turn = (self.n_filled + torch.arange(n_past, device=device)) % self.capacity
        at_random = torch.randperm(self.capacity, generator=generator, device=device)[:n_past]
        slots = torch.where(self.n_filled < self.capacity, in_turn, at_random)
        self.past[slots] = fresh[:n_past]
        self.n_filled.add_(n_past).clamp_(max=self.capacity)
        return torch.cat([fresh, past])
