"""A discriminator trained between two fixed distributions ends at p / (p + q), its value at 2 JS − 2 log 2.

Source: Goodfellow et al. 2014, "Generative adversarial nets", proposition 1 and theorem 1.

    D*(x) = p(x) / (p(x) + q(x)),   max_D V(D) = E_p log D* + E_q log(1 − D*) = 2 JS(p, q) − 2 log 2

p and q are Gaussians of unequal width on the line, so that the score of D* is a parabola, not a line. The
value of the trained D is taken by quadrature, not from samples.

In short: to one part in a hundred of D's range, its value to one in a thousand.
"""

from dataclasses import dataclass

import torch

from gm_bench.tracks.diagnostics.claim import Claim, Outcome, Panel, about, at_most
from gm_bench.tracks.diagnostics.closed_forms import (
    LOG_2,
    Gaussian,
    discriminator_value,
    jensen_shannon,
    optimal_discriminator,
    quadrature_points,
)
from gm_bench.tracks.diagnostics.critics import (
    Training,
    as_curve,
    discriminator_loss,
    scores,
    trained,
)

P, Q = Gaussian(-1.0, 1.0), Gaussian(1.0, 0.7)
NOT_TINY = 0.05  # p + q from there on


@dataclass(frozen=True)
class Budget:
    n_updates: int
    batch_size: int
    lr: float
    width: int


def experiment(seed: int, budget: Budget) -> Outcome:
    """D trained on fresh samples of p and q, held against the closed form on the line."""
    training = Training(budget.n_updates, budget.batch_size, budget.lr)
    critic, _ = trained(
        seed, "optimal_discriminator", 1, budget.width, discriminator_loss, P.sample, Q.sample, training
    )

    x = quadrature_points(P, Q)
    score = scores(critic, x[:, None])
    value, best = discriminator_value(P, Q, x, score), 2 * jensen_shannon(P, Q) - 2 * LOG_2
    mass = P.log_density(x).exp() + Q.log_density(x).exp()
    error = (score.sigmoid() - optimal_discriminator(P, Q, x)).abs()[mass > NOT_TINY]
    shown = torch.linspace(-5, 4, 91, dtype=torch.float64)
    return Outcome(
        {"optimal_d_error": float(error.max()), "optimal_d_value_ratio": value / best},
        {
            "trained D": as_curve(shown, scores(critic, shown[:, None]).sigmoid()),
            "p/(p + q)": as_curve(shown, optimal_discriminator(P, Q, shown)),
        },
    )


CLAIM = Claim(
    sentence="The optimal discriminator is p/(p + q), and its value is 2 JS − 2 log 2.",
    source="Goodfellow et al. 2014, proposition 1 and theorem 1",
    setting="D trained on p = N(−1, 1) and q = N(1, 0.7²), held against both closed forms by quadrature",
    expected=(
        at_most(
            "optimal_d_error",
            "largest |D − p/(p + q)| where p + q > 0.05",
            0.02,
            "2 % of D's range",
        ),
        about(
            "optimal_d_value_ratio",
            "V(D) over 2 JS − 2 log 2",
            1.0,
            0.02,
            "2 %; V of any D lies below the optimum: of two negative numbers the ratio is above 1",
        ),
    ),
    panels=(Panel("The discriminator", "x", "D(x)", ("trained D",), ("p/(p + q)",)),),
    budget=Budget,
    experiment=experiment,
)
