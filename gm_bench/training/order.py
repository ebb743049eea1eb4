"""In which order the training set is shown."""

import torch
from torch import Tensor

from gm_bench.reproducibility import derive


class Order:
    """Batches of indices without replacement: a fresh permutation, from (seed, "epoch"), each time round.

    Args:
        n: size of the training set, at least a batch; what is left over at the end of an epoch is not shown.
    """

    def __init__(self, seed: int, n: int, batch_size: int, device: torch.device) -> None:
        self.seed, self.n, self.batch_size = seed, n, batch_size
        self.batches_per_epoch = n // batch_size
        self.generator = torch.Generator(device)
        self.epoch, self.permutation = -1, torch.empty(0)

    def __getitem__(self, step: int) -> Tensor:
        """Indices (batch_size,), int64, of a batch, counted from the beginning of training."""
        epoch, position = divmod(step, self.batches_per_epoch)
        if epoch != self.epoch:
            self.generator.manual_seed(derive(self.seed, "epoch", epoch))
            self.permutation = torch.randperm(self.n, generator=self.generator, device=self.generator.device)
            self.epoch = epoch
        return self.permutation[position * self.batch_size : (position + 1) * self.batch_size]
