"""The gradient that a generator gets from a discriminator that is trained from scratch while it stands still.

Source: Arjovsky & Bottou 2017, "Towards principled methods for training generative adversarial networks",
figures 2 and 3: a DCGAN is trained for 1, 10 and 25 epochs; then its generator is fixed, and a new
discriminator is trained for 4,000 updates.

Deviates from the paper: the discriminator has no batch norm; on digits networks are fully connected.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass

import torch
from torch import Tensor, nn

from gm_bench.reproducibility import derive
from gm_bench.tracks.diagnostics import checkpoint
from gm_bench.tracks.diagnostics.claim import Curve
from gm_bench.tracks.diagnostics.descent import descend
from gm_bench.tracks.diagnostics.images import Trainer, batch_of, network_for, training_images
from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.ns_gan import NSGAN

BETAS = (0.5, 0.999)  # DCGAN's
N_BATCHES = 16  # of fakes, whose gradients are averaged
PER_DECADE = 4  # looks at the gradient for each tenfold of updates
Z_DIM = 32
CriticLoss = Callable[[Tensor, Tensor], Tensor]  # scores (n, 1) of real and of fake images
GeneratorLoss = Callable[[Tensor], Tensor]  # scores (n, 1) of fake images


@dataclass(frozen=True)
class Budget:
    """`early`, `middle` and `late` are rounds after which generators are fixed, `n_updates` those of D."""

    dataset: str
    network: str
    width: int
    batch_size: int
    early: int
    middle: int
    late: int
    n_updates: int
    lr: float

    def __post_init__(self) -> None:
        if not self.early < self.middle < self.late:
            raise ValueError(
                f"params.yaml: a budget has early {self.early}, middle {self.middle} and late {self.late}: "
                "each must be more rounds than the one before"
            )


@dataclass(frozen=True)
class Gradient:
    """Of a generator's parameters over batches of fakes.

    Args:
        norm: mean of the norm of a batch's gradient.
        variance: sum over parameters of its variance between batches.
        agreement: ‖mean‖² over the mean of ‖·‖²: 1 where all batches agree, 1 / N_BATCHES where each says
            another thing.
    """

    norm: float
    variance: float
    agreement: float


def looks(n_updates: int) -> list[int]:
    """Numbers of updates after which the gradient is looked at: even on a log scale, from 10 to the last."""
    steps = round(math.log10(n_updates / 10) * PER_DECADE)
    return sorted({round(10 * (n_updates / 10) ** (i / max(steps, 1))) for i in range(max(steps, 1) + 1)})


def generators(seed: int, purpose: str, budget: Budget, images: Tensor) -> dict[str, Adversarial]:
    """GANs of the loss −log D after `early`, `middle` and `late` rounds of one training run, by name."""
    torch.manual_seed(derive(seed, f"{purpose}/weights"))
    model = NSGAN(network_for(images, budget.network, budget.width), z_dim=Z_DIM, prior="normal")
    trainer = Trainer(
        model,
        images,
        seed=seed,
        purpose=purpose,
        batch_size=budget.batch_size,
        lr=budget.lr,
        betas=BETAS,
    )
    found: dict[str, Adversarial] = {}
    done = 0
    for name in ("early", "middle", "late"):
        checkpoint.rounds(f"{purpose}/{name}", trainer, getattr(budget, name) - done)
        done = getattr(budget, name)
        found[name] = copy.deepcopy(model)
    return found


def gradients(
    seed: int,
    purpose: str,
    model: Adversarial,
    images: Tensor,
    critic_loss: CriticLoss,
    losses: Mapping[str, GeneratorLoss],
    budget: Budget,
) -> dict[str, dict[int, Gradient]]:
    """Train a new discriminator against a generator that stays as it is.

    Args:
        purpose: what the discriminator's weights and batches are drawn from.
        losses: the generator's losses whose gradients are looked at, by names that no other discriminator of
            this purpose is given.

    Returns:
        Loss → updates of the discriminator → gradient.
    """

    def train() -> dict[str, dict[int, tuple[float, ...]]]:
        torch.manual_seed(derive(seed, f"{purpose}/critic"))
        critic = network_for(images, budget.network, budget.width).discriminator()
        generator = torch.Generator().manual_seed(derive(seed, f"{purpose}/critic"))
        optimiser = torch.optim.Adam(critic.parameters(), lr=budget.lr, betas=BETAS)
        at = set(looks(budget.n_updates))
        found: dict[str, dict[int, tuple[float, ...]]] = {name: {} for name in losses}
        model.train()
        critic.train()
        for update in range(1, budget.n_updates + 1):
            real = batch_of(images, budget.batch_size, generator).images
            with torch.no_grad():
                fake = model.decode(model.latent(budget.batch_size, generator))
            descend(optimiser, critic_loss(critic(real), critic(fake)))
            if update not in at:
                continue
            for name, loss in losses.items():
                fresh = torch.Generator().manual_seed(derive(seed, f"{purpose}/look", update))
                found[name][update] = astuple(_gradient(model, critic, loss, budget.batch_size, fresh))
        return found

    known = checkpoint.kept(f"{purpose}/{', '.join(losses)}", train)
    return {name: {update: Gradient(*each) for update, each in of.items()} for name, of in known.items()}


def curve(found: Mapping[int, Gradient], what: Callable[[Gradient], float]) -> Curve:
    """(updates, what is asked of the gradient there)."""
    return [(float(update), what(each)) for update, each in found.items()]


def decades_lost(found: Mapping[int, Gradient]) -> float:
    """log₁₀ of the largest norm over the last one."""
    norms = [each.norm for each in found.values()]
    return math.log10(max(norms) / max(norms[-1], 1e-300))


def real_images(budget: Budget) -> Tensor:
    """The training images of the budget's dataset."""
    return training_images(budget.dataset)


def _gradient(
    model: Adversarial, critic: nn.Module, loss: GeneratorLoss, batch_size: int, draws: torch.Generator
) -> Gradient:
    parameters = list(model.generator.parameters())
    total = torch.zeros(sum(p.numel() for p in parameters), dtype=torch.float64)
    norms = []
    for _ in range(N_BATCHES):
        value = loss(critic(model.decode(model.latent(batch_size, draws))))
        slopes = torch.autograd.grad(value, parameters)
        flat = torch.cat([slope.flatten() for slope in slopes]).double()
        total += flat
        norms.append(float(flat.norm()))
    mean, square = float((total / N_BATCHES).norm()) ** 2, sum(n * n for n in norms) / N_BATCHES
    unbiased = (square - mean) * N_BATCHES / (N_BATCHES - 1)
    return Gradient(sum(norms) / N_BATCHES, unbiased, mean / square if square else 0.0)
