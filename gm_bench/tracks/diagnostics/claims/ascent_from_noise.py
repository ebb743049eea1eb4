"""Climbing log p(y | x) from noise leads to points of which the classifier is sure, and which are no data.

Source: the lectures' "why not just invert a classifier"; Nguyen et al. 2015, "Deep neural networks are easily
fooled", §4; the remedy is Song & Ermon 2019, "Generative modeling by estimating gradients of the data
distribution", equation 4.

    x ← x + η g / ‖g‖,  g = ∇ log p(y | x)            p(y | x) says nothing of p(x)
    x ← x + η ∇ log p(x | y) + √(2 η) ε               ∇ log p(x | y) = ∇ log p(y | x) + ∇ log p(x)

Four classes in the plane, each a Gaussian; the classifier is a network trained on them. Of a linear one g is
(1 − p(y | x)) w, which never is 0: steps of one length, as classifier_ascent takes them, go on for ever.
The second line is Langevin's with the exact ∇ log p(x) beside the same classifier: what was missing is p(x).

In short: climbing log p(y | x) does not stop where data are; what is missing is p(x), with which the walk
ends there.

Found: with five seeds all of it is so, but how far the walkers go is the rule of one length: 500 steps of
0.02 are 20 standard deviations by arithmetic, and a fixed direction goes as far. With steps of
η ∇ log p(y | x) themselves (tried by hand, three seeds, η = 0.005 and 0.02) they do not run away: after the
1,000 steps they are 3.2 to 3.7 standard deviations from their class and still come nearer, and 16 to 26 % lie
within three, where 99 % of data do. Langevin's walk without log p(x) has 26 to 28 % within,
with it 99 %: that p(x) is what was missing does not hang on the rule.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from gm_bench.nets.mlp import MLP
from gm_bench.reproducibility import derive
from gm_bench.tracks.diagnostics.claim import Claim, Outcome, Panel, at_least, at_most

CENTRES = torch.tensor([[2.0, 2.0], [-2.0, 2.0], [-2.0, -2.0], [2.0, -2.0]], dtype=torch.float64)
SD = 0.5
WITHIN = 3.0  # standard deviations from the class's centre; of the class's own points 98.9 % lie there
N_LOOKS = 40
TINY = 1e-300  # a slope below is none


@dataclass(frozen=True)
class Budget:
    n_updates: int
    batch_size: int
    lr: float
    width: int
    n_walkers: int
    n_steps: int
    step_length: float
    langevin_step: float

    def __post_init__(self) -> None:
        if self.n_steps < 2:
            raise ValueError(
                f"params.yaml: ascent_from_noise has n_steps {self.n_steps}: it must be 2 at least"
            )


def classifier(seed: int, budget: Budget) -> nn.Module:
    """Points (n, 2) → logits of the four classes (n, 4), trained on fresh points."""
    torch.manual_seed(derive(seed, "ascent_from_noise/weights"))
    model = MLP((2,), 0, budget.width, "none").discriminator(len(CENTRES))
    generator = torch.Generator().manual_seed(derive(seed, "ascent_from_noise/data"))
    optimiser = torch.optim.Adam(model.parameters(), lr=budget.lr)
    for _ in range(budget.n_updates):
        labels = torch.randint(len(CENTRES), (budget.batch_size,), generator=generator)
        points = CENTRES[labels].float() + SD * torch.randn(budget.batch_size, 2, generator=generator)
        optimiser.zero_grad()
        cross_entropy(model(points), labels).backward()
        optimiser.step()
    return model.double().eval()  # in float32 the slope underflows a few steps beyond the data


def likelihood_slope(model: nn.Module, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """∇ₓ log p(y | x) (n, 2), and log p(y | x) (n,)."""
    x = x.detach().requires_grad_()
    log_p = log_softmax(model(x), dim=1).gather(1, labels[:, None])[:, 0]
    (slope,) = torch.autograd.grad(log_p.sum(), x)
    return slope, log_p.detach()


def prior_slope(x: Tensor) -> Tensor:
    """∇ₓ log p(x) (n, 2) of the mixture of the four classes, exact."""
    pull = (CENTRES - x[:, None]) / SD**2
    weights = (-0.5 * (CENTRES - x[:, None]).square().sum(dim=2) / SD**2).softmax(dim=1)
    return (weights[..., None] * pull).sum(dim=1)


def distance(x: Tensor, labels: Tensor) -> Tensor:
    """Of points from the centre of their class, in standard deviations (n,)."""
    return (x - CENTRES[labels]).norm(dim=1) / SD


def walk(
    model: nn.Module, labels: Tensor, budget: Budget, generator: torch.Generator, *, with_prior: bool
) -> tuple[Tensor, list[tuple[float, float]]]:
    """From N(0, I) up log p(y | x), or by Langevin's steps up log p(x | y).

    Returns:
        Where the walkers end (n, 2), and the median distance on the way.
    """
    x = torch.randn(len(labels), 2, generator=generator, dtype=torch.float64)
    looks = {round(budget.n_steps ** (i / (N_LOOKS - 1))) for i in range(N_LOOKS)} | {budget.n_steps // 2}
    path = []
    for step in range(1, budget.n_steps + 1):
        slope, _ = likelihood_slope(model, x, labels)
        if with_prior:
            noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
            x = x + budget.langevin_step * (slope + prior_slope(x))
            x = x + math.sqrt(2 * budget.langevin_step) * noise
        else:
            x = x + budget.step_length * slope / slope.norm(dim=1, keepdim=True).clamp_min(TINY)
        if step in looks:
            path.append((float(step), float(distance(x, labels).median())))
    return x.detach(), path


def experiment(seed: int, budget: Budget) -> Outcome:
    """A classifier, and walkers to every class by either way."""
    model = classifier(seed, budget)
    generator = torch.Generator().manual_seed(derive(seed, "ascent_from_noise/walk"))
    labels = torch.arange(budget.n_walkers) % len(CENTRES)
    climbed, path = walk(model, labels, budget, generator, with_prior=False)
    drawn, control = walk(model, labels, budget, generator, with_prior=True)
    sure = likelihood_slope(model, climbed, labels)[1].exp()
    return Outcome(
        {
            "ascent_sure": float(sure.median()),
            "ascent_within": float((distance(climbed, labels) <= WITHIN).double().mean()),
            "ascent_still_going": path[-1][1] - dict(path)[budget.n_steps // 2],
            "ascent_langevin_within": float((distance(drawn, labels) <= WITHIN).double().mean()),
        },
        {
            "climbing log p(y | x)": path,
            "Langevin on log p(x | y)": control,
            "three standard deviations": [(path[0][0], WITHIN), (path[-1][0], WITHIN)],
        },
    )


CLAIM = Claim(
    sentence="Walking up a classifier's log p(y | x) from noise does not lead to data: the point runs away.",
    source="Nguyen et al. 2015, §4; Song & Ermon 2019, equation 4",
    setting="four Gaussians of sd 0.5 at (±2, ±2), a trained classifier, walkers from N(0, I), steps of "
    "one length",
    expected=(
        at_least("ascent_sure", "p(y | x) at the end, median", 0.99, "the classifier is sure"),
        at_most(
            "ascent_within",
            "share of ends within three standard deviations of the class",
            0.1,
            "of data 0.989; next to none",
        ),
        at_least(
            "ascent_still_going",
            "median distance gained in the second half of the steps, in standard deviations",
            1.0,
            "there is no end to it",
        ),
        at_least(
            "ascent_langevin_within",
            "the same share with log p(x) added",
            0.9,
            "the control: 0.989 for an exact classifier and small steps",
        ),
    ),
    panels=(
        Panel(
            "How far the walkers are from their class",
            "steps",
            "median distance, sd",
            ("climbing log p(y | x)", "Langevin on log p(x | y)"),
            ("three standard deviations",),
            log_x=True,
            log_y=True,
        ),
    ),
    budget=Budget,
    experiment=experiment,
)
