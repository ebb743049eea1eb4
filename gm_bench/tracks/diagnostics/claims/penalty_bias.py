"""The value of WGAN-GP's critic is read as a Wasserstein distance at any distance: its penalty is soft.

Source: Gulrajani et al. 2017, "Improved training of Wasserstein GANs", §5.6 (the critic's loss as a measure
of convergence) with λ = 10 of §4.

The penalty asks for slope 1 and does not force it. Between distributions W apart in one direction a critic
with slope s has the objective

    s W − λ (s − 1)²,   largest at  s* = 1 + W / (2 λ)

so that its value, s* W, should lie above W₁ by a share of W / (2 λ): derived here, not in the paper.

In short: it is W₁ (1 + W₁ / (2 λ)), 40 % too much at W₁ = 8, since the penalty is soft; and on the line its
sign can come out wrong.

Found: at W₁ = 8 the value is 1.40 W₁, as derived. At every distance from 0.25 to 4 some of the five seeds end
at the wrong sign, three of them at 0.25 (lines near −1 in the picture). The penalty asks for a slope of size
1: s = 0 is a hill of height λ, and −1 + W / (2 λ) is a second optimum. On the line, where a slope has no
other way than through 0, a critic that starts on the wrong side of the hill stays there. Seeds that end in
two places have no mean to speak of: twenty of them would mostly give "does not hold", by that mean alone.
"""

from dataclasses import dataclass

from gm_bench.tracks.diagnostics.claim import Claim, Outcome, Panel, about
from gm_bench.tracks.diagnostics.closed_forms import Gaussian
from gm_bench.tracks.diagnostics.critics import Training, dual_value, penalised_loss, trained

DISTANCES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
SD = 0.1
N_FRESH = 20_000


@dataclass(frozen=True)
class Budget:
    n_updates: int
    batch_size: int
    lr: float
    width: int
    penalty: float


def value_ratio(seed: int, distance: float, budget: Budget) -> float:
    """The dual value over W₁ = `distance` of two Gaussians, for a trained critic."""
    p, q = Gaussian(distance / 2, SD), Gaussian(-distance / 2, SD)
    loss, training = penalised_loss(budget.penalty), Training(budget.n_updates, budget.batch_size, budget.lr)
    critic, generator = trained(
        seed, f"penalty_bias/{distance}", 1, budget.width, loss, p.sample, q.sample, training
    )
    return dual_value(critic, p.sample(N_FRESH, generator), q.sample(N_FRESH, generator)) / distance


def experiment(seed: int, budget: Budget) -> Outcome:
    """A critic for each distance."""
    ratios = {distance: value_ratio(seed, distance, budget) for distance in DISTANCES}
    optimum = {distance: 1 + distance / (2 * budget.penalty) for distance in DISTANCES}
    far = DISTANCES[-1]
    return Outcome(
        {
            "penalty_ratio_near": ratios[DISTANCES[0]],
            "penalty_ratio_far": ratios[far],
            "penalty_ratio_optimum": ratios[far] / optimum[far],
        },
        {"WGAN-GP": list(ratios.items()), "1 + W / (2 λ)": list(optimum.items())},
    )


CLAIM = Claim(
    sentence="The value of WGAN-GP's critic is the Wasserstein distance, near or far.",
    source="Gulrajani et al. 2017, §5.6 (the loss as a measure); what it should be is derived here",
    setting="two Gaussians of sd 0.1 on the line, 0.25 to 8 apart; λ = 10",
    expected=(
        about("penalty_ratio_near", "value over W₁ at W₁ = 0.25", 1.0, 0.05, "5 %"),
        about("penalty_ratio_far", "value over W₁ at W₁ = 8", 1.0, 0.05, "5 %; our derivation says 1.4"),
        about(
            "penalty_ratio_optimum",
            "value over W₁ (1 + W₁ / (2 λ)) at W₁ = 8",
            1.0,
            0.05,
            "the penalised optimum, within 5 %: the cause where the line above does not hold",
        ),
    ),
    panels=(
        Panel(
            "The value of WGAN-GP's critic over the distance",
            "W₁",
            "value / W₁",
            ("WGAN-GP",),
            ("1 + W / (2 λ)",),
            log_x=True,
        ),
    ),
    budget=Budget,
    experiment=experiment,
)
