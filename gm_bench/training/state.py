"""Everything that changes while a cell trains, and how it begins."""

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gm_bench.nets import network as networks
from gm_bench.reproducibility import derive
from gm_bench.training.job import Job
from gm_bench.training.recipe import Adam, Optimiser
from gm_bench.variants.base import contract as variants
from gm_bench.variants.base.contract import Variant


@dataclass
class State:
    """What a checkpoint holds.

    `snapshots` has samples (n, C, H, W), uint8, from the same codes, by the number of images shown before;
    `candidates` the weights that drew them, on the CPU, where the recipe reports the best of them.
    """

    model: Variant
    optimisers: dict[str, torch.optim.Optimizer]
    average: Variant | None = None
    images: int = 0
    rounds: int = 0
    updates: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    flops: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    pending: dict[tuple[str, str], list[Tensor]] = field(default_factory=dict)
    snapshots: dict[int, Tensor] = field(default_factory=dict)
    candidates: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    divergence: dict[str, Any] | None = None

    @property
    def reported(self) -> Variant:
        """The model that is sampled from: the moving average where the recipe asks for one."""
        return self.average or self.model


@dataclass(frozen=True)
class Progress:
    """What is known at a logging interval."""

    images: int
    n_images: int
    images_per_second: float
    seconds_left: float
    row: dict[str, float]


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop; its state had been saved before this was raised. The message says so."""


def build(job: Job, image_shape: tuple[int, ...], n_classes: int, device: torch.device) -> Variant:
    """The untrained model of a cell, its weights drawn from (seed, "init").

    Raises:
        ValueError: the recipe does not fit the variant; the message names the key in params.yaml.
    """
    torch.manual_seed(derive(job.seed, "init"))
    choice = job.recipe.network
    network = networks.build(choice.name, choice.options, image_shape, n_classes)
    model = variants.build(job.variant, network, job.recipe.model)
    for name, entry in (("updates", job.recipe.updates), ("optimisers", job.recipe.optimisers)):
        if set(entry) != set(model.players):
            raise ValueError(
                f"params.yaml: {name} of variants.{job.variant} name {', '.join(entry) or 'nobody'}; "
                f"its players are {', '.join(model.players) or 'nobody'}"
            )
    # Kernels with the channels of a place side by side: convolutions are faster for it; the rest stays.
    return model.to(device).to(memory_format=torch.channels_last)


def start(job: Job, image_shape: tuple[int, ...], n_classes: int, device: torch.device) -> State:
    """A cell before its first update.

    Raises:
        ValueError: see `build`; or the best checkpoint is asked of a variant that is not trained.
    """
    model = build(job, image_shape, n_classes, device)
    if job.recipe.checkpoint == "best" and not model.players:
        raise ValueError(
            f"params.yaml: variants.{job.variant} asks for checkpoint best, but it is fitted, not trained: "
            "there is only one model, set last"
        )
    is_captured = job.recipe.capture and device.type == "cuda"
    optimisers = {
        p: _optimiser(job.recipe.optimisers[p], getattr(model, p), is_captured) for p in model.players
    }
    # What is fitted has no weights that move: a copy would stay as it was before the fit.
    average = copy.deepcopy(model) if job.recipe.ema is not None and model.players else None
    return State(model, optimisers, average, updates=dict.fromkeys(model.players, 0))


def laid_out_as(parameter: Tensor, tensor: Tensor) -> Tensor:
    """A tensor in the memory format of a parameter of its shape: fused optimisers rely on it unchecked."""
    if tensor.stride() == parameter.stride() or tensor.shape != parameter.shape:
        return tensor
    return torch.empty_like(parameter).copy_(tensor)


def _optimiser(choice: Optimiser, player: nn.Module, is_captured: bool) -> torch.optim.Optimizer:
    parameters = list(player.parameters())
    # A graph reads the rate from the device each time it is replayed, a number it would keep.
    lr = torch.tensor(choice.lr, device=parameters[0].device) if is_captured else choice.lr
    if isinstance(choice, Adam):
        return torch.optim.Adam(parameters, lr, choice.betas, fused=True, capturable=is_captured)
    return torch.optim.RMSprop(parameters, lr, choice.alpha, foreach=True, capturable=is_captured)
