"""The dual value of a Lipschitz critic estimates the Wasserstein distance (Kantorovich and Rubinstein).

Source: Villani 2009, "Optimal transport", theorem 5.10 and remark 6.5; as a critic Arjovsky et al. 2017,
"Wasserstein GAN", equation 2, and Gulrajani et al. 2017, "Improved training of Wasserstein GANs".

    W₁(p, q) = sup over 1-Lipschitz f of  E_p f − E_q f

WGAN-GP's critic between two Gaussians of unequal mean and width on the line, where W₁ = E |Δmean + Δsd Z|,
and between two sets of points in the plane, where W₁ is the cheapest assignment. A critic with clipped
weights is Lipschitz with a constant that nobody knows: its value over W₁ must be the same at two distances.

In short: between two sets of points WGAN-GP's value is W₁ to 3 %; between two Gaussians on the line its
training gets stuck far from it.

Found: between the two sets of points it holds. Between the two Gaussians it is the critic's training that
fails, not the estimate: the best f goes down and up again, its slope −1 left of x = 0.75 and 1 right of it.
This network can draw that, with a value of 1.00 W₁ and a higher objective (0.41 against the best line's 0.30;
weights set by hand), and trained on from there it stays; from its own first weights it does not find the fold
and stays nearly a line: two seeds of five end at 0.77 and 0.78 W₁, where a line has the value 0.3 (1 + 0.3 /
(2 λ)) = 0.75 W₁, and three at a line that rises, −0.66 to −0.72 W₁, the second optimum that penalty_bias has
too. No seed is near, and yet the verdict hangs on the mean of seeds at two ends: one more that falls would
have left it open. The clipped critic's ratio is 1.00 on average and 0.88 to 1.10 from seed to seed, too wide
to be told.
"""

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from gm_bench.reproducibility import derive
from gm_bench.tracks.diagnostics.claim import Claim, Curve, Outcome, Panel, about
from gm_bench.tracks.diagnostics.closed_forms import Gaussian, wasserstein
from gm_bench.tracks.diagnostics.critics import (
    Draw,
    Training,
    critic_loss,
    dual_value,
    penalised_loss,
    trained,
)

P, Q = Gaussian(0.0, 1.0), Gaussian(0.3, 0.6)
SHIFTS, WIDTH_OF_BOTH = (0.5, 1.0), 0.1  # of the Gaussians that the clipped critic is judged on
N_FRESH = 20_000
N_MOMENTS = 20  # points of the curves over training


@dataclass(frozen=True)
class Budget:
    n_updates: int
    batch_size: int
    lr: float
    width: int
    penalty: float
    clip: float
    n_points: int


def assignment_distance(a: Tensor, b: Tensor) -> float:
    """W₁ between two sets of n points (n, D) each: the mean distance under the cheapest assignment."""
    distances = torch.cdist(a.double(), b.double())
    rows, columns = linear_sum_assignment(distances.numpy())
    return float(distances[rows, columns].mean())


def cloud_and_ring(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two sets of points (n, 2): N(0, 0.3² I), and a ring of radius 1."""
    angle = 2 * torch.pi * torch.rand(n, generator=generator)
    return 0.3 * torch.randn(n, 2, generator=generator), torch.stack([angle.cos(), angle.sin()], dim=1)


def rows_of(points: Tensor) -> Draw:
    """Draws rows of a set of points, each as likely."""
    return lambda n, generator: points[torch.randint(len(points), (n,), generator=generator)]


def penalised_value(
    seed: int, what: str, p: Draw, q: Draw, real: Tensor, fake: Tensor, budget: Budget
) -> Curve:
    """(updates, dual value on real and fake points) while WGAN-GP's critic is trained, to its end."""
    curve: Curve = []

    def note(critic: nn.Module, update: int) -> None:
        if update % max(1, budget.n_updates // N_MOMENTS) == 0 or update == budget.n_updates:
            curve.append((update, dual_value(critic, real, fake)))

    loss, training = penalised_loss(budget.penalty), Training(budget.n_updates, budget.batch_size, budget.lr)
    n_dimensions = real.shape[1]
    trained(seed, f"dual_value/{what}", n_dimensions, budget.width, loss, p, q, training, after=note)
    return curve


def clipped_constant(seed: int, shift: float, budget: Budget) -> float:
    """The dual value of a clipped critic over W₁, for two Gaussians that one shift takes to each other."""
    p, q = Gaussian(0.0, WIDTH_OF_BOTH), Gaussian(-shift, WIDTH_OF_BOTH)
    training = Training(budget.n_updates, budget.batch_size, budget.lr, clip=budget.clip)
    critic, generator = trained(
        seed, f"dual_value/clipped/{shift}", 1, budget.width, critic_loss, p.sample, q.sample, training
    )
    return dual_value(critic, p.sample(N_FRESH, generator), q.sample(N_FRESH, generator)) / shift


def experiment(seed: int, budget: Budget) -> Outcome:
    """Critics trained on Gaussians and on point sets, their values over the exact distances."""
    generator = torch.Generator().manual_seed(derive(seed, "dual_value/points"))
    cloud, ring = cloud_and_ring(budget.n_points, generator)
    fresh = P.sample(N_FRESH, generator), Q.sample(N_FRESH, generator)
    exact = {"Gaussians": wasserstein(P, Q), "points": assignment_distance(cloud, ring)}
    curves = {
        "Gaussians": penalised_value(seed, "Gaussians", P.sample, Q.sample, *fresh, budget),
        "points": penalised_value(seed, "points", rows_of(cloud), rows_of(ring), cloud, ring, budget),
    }
    ratios = {
        name: [(update, value / exact[name]) for update, value in curve] for name, curve in curves.items()
    }
    near, far = (clipped_constant(seed, shift, budget) for shift in SHIFTS)
    return Outcome(
        {
            "dual_gaussians": ratios["Gaussians"][-1][1],
            "dual_points": ratios["points"][-1][1],
            "dual_clipped": far / near,
        },
        {
            "two Gaussians": ratios["Gaussians"],
            "two sets of points": ratios["points"],
            "exact": [(update, 1.0) for update, _ in ratios["points"]],
        },
    )


CLAIM = Claim(
    sentence="The dual value of a Lipschitz critic estimates the Wasserstein distance.",
    source="Villani 2009, remark 6.5; Arjovsky et al. 2017, equation 2",
    setting="WGAN-GP's critic between N(0, 1) and N(0.3, 0.6²), and between a cloud and a ring of points in "
    "the plane; a clipped critic at two distances",
    expected=(
        about("dual_gaussians", "dual value over W₁, two Gaussians", 1.0, 0.05, "5 %"),
        about("dual_points", "dual value over the cheapest assignment, two sets of points", 1.0, 0.05, "5 %"),
        about(
            "dual_clipped",
            "clipped critic: value over W₁ at W₁ = 1, over the same at W₁ = 0.5",
            1.0,
            0.1,
            "up to a constant, which is the same at both distances; 10 %",
        ),
    ),
    panels=(
        Panel(
            "The dual value while the critic is trained",
            "updates",
            "dual value / exact W₁",
            ("two Gaussians", "two sets of points"),
            ("exact",),
        ),
    ),
    budget=Budget,
    experiment=experiment,
)
