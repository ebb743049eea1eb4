"""Critics of points: small networks of `nets`, trained on known distributions by the losses of `variants`.

A critic is trained alone, p and q stay as they are, so that what it converges to can be held against theory.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gm_bench.nets.mlp import MLP
from gm_bench.nets.network import Norm
from gm_bench.reproducibility import derive
from gm_bench.tracks.diagnostics.descent import descend
from gm_bench.variants.gan import cross_entropy_critic_loss
from gm_bench.variants.wgan import wasserstein_critic_loss
from gm_bench.variants.wgan_gp import gradient_penalty

Draw = Callable[[int, torch.Generator], Tensor]  # (n, generator) → points (n, D)
Loss = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]  # critic, real, fake, generator


@dataclass(frozen=True)
class Training:
    """How a critic is trained: by Adam, whose rate falls linearly to 0 over the updates where `decay` is set.

    Args:
        clip: bound on every weight after each update; None leaves them.
    """

    n_updates: int
    batch_size: int
    lr: float
    decay: bool = True
    clip: float | None = None


def new_critic(seed: int, purpose: str, n_dimensions: int, width: int, norm: Norm = "none") -> nn.Module:
    """Points (n, D) → scores (n, 1): two hidden layers, its weights drawn from (seed, purpose)."""
    torch.manual_seed(derive(seed, f"{purpose}/weights"))
    return MLP((n_dimensions,), 0, width, norm).discriminator()


def train(
    critic: nn.Module,
    loss: Loss,
    p: Draw,
    q: Draw,
    training: Training,
    generator: torch.Generator,
    after: Callable[[int], None] = lambda update: None,
) -> None:
    """Train a critic in place; p are real points, q fake ones, drawn anew for every update.

    Args:
        after: called after each update with how many there have been.
    """
    parameters = list(critic.parameters())
    optimiser = torch.optim.Adam(parameters, lr=training.lr)
    critic.train()
    for update in range(training.n_updates):
        if training.decay:
            optimiser.param_groups[0]["lr"] = training.lr * (1 - update / training.n_updates)
        real, fake = p(training.batch_size, generator), q(training.batch_size, generator)
        descend(optimiser, loss(critic, real, fake, generator))
        if training.clip is not None:
            with torch.no_grad():
                for parameter in parameters:
                    parameter.clamp_(-training.clip, training.clip)
        after(update + 1)
    critic.eval()


def trained(
    seed: int,
    purpose: str,
    n_dimensions: int,
    width: int,
    loss: Loss,
    p: Draw,
    q: Draw,
    training: Training,
    norm: Norm = "none",
    after: Callable[[nn.Module, int], None] = lambda critic, update: None,
) -> tuple[nn.Module, torch.Generator]:
    """A new critic, trained, and the generator that its points came from, all drawn from (seed, purpose).

    Args:
        after: called after each update with the critic and how many updates there have been.
    """
    critic = new_critic(seed, purpose, n_dimensions, width, norm)
    generator = torch.Generator().manual_seed(derive(seed, purpose))
    train(critic, loss, p, q, training, generator, lambda update: after(critic, update))
    return critic, generator


def discriminator_loss(critic: nn.Module, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
    """That of the minimax GAN's discriminator."""
    return cross_entropy_critic_loss(critic(real), critic(fake))


def critic_loss(critic: nn.Module, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
    """That of WGAN's critic, which something else has to keep Lipschitz."""
    return wasserstein_critic_loss(critic(real), critic(fake))


def penalised_loss(penalty: float) -> Loss:
    """That of WGAN-GP's critic, its penalty weighted with λ = `penalty`."""

    def loss(critic: nn.Module, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
        epsilon = torch.rand(len(real), *[1] * (real.ndim - 1), generator=generator)
        return critic_loss(critic, real, fake, generator) + penalty * gradient_penalty(
            critic, real, fake, epsilon
        )

    return loss


@torch.no_grad()
def scores(critic: nn.Module, points: Tensor) -> Tensor:
    """f of points (n, D), (n,), float64."""
    values: Tensor = critic(points.float())[:, 0].double()
    return values


def dual_value(critic: nn.Module, real: Tensor, fake: Tensor) -> float:
    """E f(real) − E f(fake), the Kantorovich–Rubinstein value of a critic on points (n, D)."""
    return float(scores(critic, real).mean() - scores(critic, fake).mean())


def slopes_on_line(critic: nn.Module, x: Tensor) -> Tensor:
    """f′ at points x (n,) of the line, (n,), float64."""
    points = x.float()[:, None].requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points)
    return gradient[:, 0].double()


def as_curve(x: Tensor, y: Tensor) -> list[tuple[float, float]]:
    """Points of a curve from (n,) and (n,)."""
    return list(zip(x.double().tolist(), y.double().tolist(), strict=True))
