"""Between two distant Gaussians the discriminator saturates and WGAN's critic does not.

Source: Arjovsky et al. 2017, "Wasserstein GAN", figure 2 (a critic with clipped weights) and §3; Arjovsky &
Bottou 2017, theorem 2.1. The same is asked of the critics of Gulrajani et al. 2017 and Miyato et al. 2018.

A generator learns from the slope of D, or of the critic f, at its own samples. p and q are Gaussians ten
standard deviations apart at a distance of 1, the scale of images in [−1, 1]. The critics are those of WGAN-GP
(slope pulled to 1), of WGAN (weights clipped: a slope up to a constant) and one under spectral normalisation
(slope at most 1).

Two optima of a function f(x) = s x are known. Of log D: D = σ(s x) → a step. Of the penalised critic:
s W − λ (s − 1)² is largest at s = 1 + W / (2 λ), with W = 1 and λ = 10 a slope of 1.05, not of 1.

In short: D's slope at the fakes is 0 and no critic's is; WGAN-GP's points the wrong way with three seeds of
five, on the line.

Found: D saturates and none of the critics does, but WGAN-GP's is at a slope of 1.05 for two seeds of five and
of −0.95 for three. That is the second optimum, −1 + W / (2 λ): on the line a slope that begins negative would
have to pass through 0, where the penalty is largest (see penalty_bias). It tells the generator to go away.
The clipped critic's slope at q is 0.47 to 0.72 of its largest, so that the half cannot be told.
"""

from dataclasses import dataclass

import torch

from gm_bench.nets.network import Norm
from gm_bench.tracks.diagnostics.claim import Claim, Outcome, Panel, about, at_least, at_most
from gm_bench.tracks.diagnostics.closed_forms import Gaussian
from gm_bench.tracks.diagnostics.critics import (
    Loss,
    Training,
    as_curve,
    critic_loss,
    discriminator_loss,
    penalised_loss,
    scores,
    slopes_on_line,
    trained,
)

P, Q = Gaussian(0.5, 0.1), Gaussian(-0.5, 0.1)


@dataclass(frozen=True)
class Budget:
    n_updates: int
    batch_size: int
    lr: float
    width: int
    penalty: float
    clip: float


def experiment(seed: int, budget: Budget) -> Outcome:
    """A discriminator and three critics on the same p and q: their slopes at q and between the two."""
    critics: dict[str, tuple[Loss, Norm, float | None]] = {
        "D": (discriminator_loss, "none", None),
        "WGAN-GP": (penalised_loss(budget.penalty), "none", None),
        "clipped": (critic_loss, "none", budget.clip),
        "spectral": (critic_loss, "spectral", None),
    }
    between = torch.linspace(Q.mean, P.mean, 101, dtype=torch.float64)
    shown = torch.linspace(-1, 1, 81, dtype=torch.float64)
    slopes, at_q, curves = {}, {}, {}
    for name, (loss, norm, clip) in critics.items():
        training = Training(budget.n_updates, budget.batch_size, budget.lr, clip=clip)
        critic, _ = trained(
            seed, f"saturation/{name}", 1, budget.width, loss, P.sample, Q.sample, training, norm
        )
        slopes[name] = slopes_on_line(critic, between)
        at_q[name] = float(slopes_on_line(critic, torch.tensor([Q.mean]))[0])
        score, slope = scores(critic, shown[:, None]), slopes_on_line(critic, shown)
        if name == "D":
            d = score.sigmoid()
            at_q[name] *= float(_sigmoid_slope(scores(critic, torch.tensor([[Q.mean]])))[0])
            curves["D, value"], curves["D, slope"] = as_curve(shown, d), as_curve(shown, slope * d * (1 - d))
        else:
            largest = slope.abs().max()
            curves[f"{name}, value"] = as_curve(shown, (score - score.mean()) / largest)
            curves[f"{name}, slope"] = as_curve(shown, slope / (largest if name == "clipped" else 1))
    return Outcome(
        {
            "saturation_d_slope": abs(at_q["D"]),
            "saturation_gp_slope": float(slopes["WGAN-GP"].mean()),
            "saturation_clipped_slope": at_q["clipped"] / float(slopes["clipped"].abs().max()),
            "saturation_spectral_slope": float(slopes["spectral"].mean()),
        },
        curves,
    )


def _sigmoid_slope(score: torch.Tensor) -> torch.Tensor:
    return score.sigmoid() * (-score).sigmoid()


CLAIM = Claim(
    sentence="Between distant distributions the discriminator saturates, and WGAN's critic does not.",
    source="Arjovsky et al. 2017, figure 2 (clipped); Gulrajani et al. 2017; Miyato et al. 2018",
    setting="p = N(0.5, 0.1²) real, q = N(−0.5, 0.1²) fake: ten standard deviations, W₁ = 1",
    expected=(
        at_most(
            "saturation_d_slope",
            "slope of D at the mean of q",
            0.01,
            "near 0: a hundredth of the slope 1 that a critic has there",
        ),
        about(
            "saturation_gp_slope",
            "mean slope of WGAN-GP's critic between the means",
            1.0,
            0.1,
            "near 1; the penalised optimum is 1 + W / (2 λ) = 1.05",
        ),
        at_least(
            "saturation_clipped_slope",
            "slope of the clipped critic at the mean of q, over its largest",
            0.5,
            "clipping leaves the scale of the slope open, but it must not vanish at q",
        ),
        about(
            "saturation_spectral_slope",
            "mean slope of the spectrally normalised critic between the means",
            0.9,
            0.12,
            "at most 1 by construction, and near it: 0.78 to 1.02, the power method being approximate",
        ),
    ),
    panels=(
        Panel(
            "D and the critics",
            "x",
            "D; critics over their largest slope",
            ("D, value", "WGAN-GP, value", "clipped, value", "spectral, value"),
        ),
        Panel(
            "What the generator learns from: their slopes",
            "x",
            "slope (clipped: over its largest)",
            ("D, slope", "WGAN-GP, slope", "clipped, slope", "spectral, slope"),
        ),
    ),
    budget=Budget,
    experiment=experiment,
)
