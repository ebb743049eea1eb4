"""The better the discriminator, the less a generator of the minimax loss learns from it.

Source: Arjovsky & Bottou 2017, "Towards principled methods for training generative adversarial networks",
theorem 2.4 and figure 2 (minimax), theorem 2.6 and figure 3 (−log D).

    ‖∇_θ E log(1 − D(G_θ(z)))‖ → 0  as  D → D*,      ∇_θ E −log D(G_θ(z))  grows, and its variance with it

A GAN is trained, and its generator fixed after few, more and many rounds. A new discriminator is trained from
scratch against each; the gradient that both losses would give the generator is looked at on the way. The
paper does so with a DCGAN on MNIST after 1, 10 and 25 epochs, with 4,000 updates of D, and says "5 orders of
magnitude in the best case": this is the board claims_long. On digits networks are fully connected.

In short: against an early generator the minimax gradient vanishes as stated; against a late one D does not
become perfect in these updates, and the gradient stays. That of −log D grows.

Found: with five seeds on digits the minimax gradient falls by 2.0 to 2.6 orders against the early generator,
and by 0.3 to 0.6 against the late one. The theorem supposes a discriminator that is nearly perfect. Against
the early generator D comes near to it; against the late one it does not in 4,000 updates (tried by hand with
seed 0: a loss of 0.11 is left, where the early one's D has less than 0.0001), and there the gradient stays.
That of −log D grows by 2.4 orders, its variance by 4.8, which is no more than the square: relative to the
squared norm the variance falls against the early generator (from 0.034 to 0.040 after 10 updates to 0.023 to
0.030), and is about what it was against the others (0.06 to 0.08 and then 0.05 to 0.08, 0.09 to 0.10 and then
0.09 to 0.21).

In short on claims_long: so it is after 1 epoch; after 10 and 25 epochs the minimax gradient grows instead.
One seed.

Found on claims_long: with one seed of a DCGAN on MNIST, so that nothing can be told: after 1 epoch of the
generator the minimax gradient falls by 3.7 orders, as in the paper's figure. After 10 and 25 epochs it does
not fall within 4,000 updates but grows by three orders from 10 updates on. That of −log D grows by 3.5
orders, its variance by 6.4, less than the square: relative to the squared norm it falls from 0.07 to 0.06,
from 0.42 to 0.05 and from 0.60 to 0.12. The gradient gets longer, not noisier. Whether D comes near to its
optimum against the generators of 10 and 25 epochs, which the theorem supposes, was not looked at.
"""

import math

from gm_bench.tracks.diagnostics.claim import Claim, Outcome, Panel, at_least
from gm_bench.tracks.diagnostics.frozen_generator import (
    Budget,
    curve,
    decades_lost,
    generators,
    gradients,
    real_images,
)
from gm_bench.variants.gan import cross_entropy_critic_loss, saturating_loss
from gm_bench.variants.ns_gan import non_saturating_loss

LOSSES = {"minimax": saturating_loss, "−log D": non_saturating_loss}


def experiment(seed: int, budget: Budget) -> Outcome:
    """Both losses' gradients for the generators of one training run."""
    images = real_images(budget)
    lost, kept, grown, curves = {}, [], [], {}
    for stage, model in generators(seed, "better_discriminator", budget, images).items():
        found = gradients(
            seed,
            f"better_discriminator/{stage}",
            model,
            images,
            cross_entropy_critic_loss,
            LOSSES,
            budget,
        )
        lost[stage] = decades_lost(found["minimax"])
        looked = list(found["−log D"].values())
        kept.append(math.log10(looked[-1].norm / looked[0].norm))
        grown.append(math.log10(looked[-1].variance / looked[0].variance))
        for loss in LOSSES:
            curves[f"{stage}, {loss}"] = curve(found[loss], lambda gradient: gradient.norm)
            curves[f"{stage}, {loss}: variance"] = curve(found[loss], lambda gradient: gradient.variance)
    return Outcome(
        {
            "better_d_minimax_early": lost["early"],
            "better_d_minimax_late": lost["late"],
            "better_d_log_d_norm": sum(kept) / len(kept),
            "better_d_log_d_variance": sum(grown) / len(grown),
        },
        curves,
    )


CLAIM = Claim(
    sentence="A better discriminator gives the generator of the minimax loss less gradient.",
    source="Arjovsky & Bottou 2017, figures 2 and 3",
    setting="G fixed after few, more and many rounds, D trained from scratch; norms over G's parameters",
    expected=(
        at_least(
            "better_d_minimax_early",
            "orders of magnitude that the minimax gradient falls, early generator",
            2.0,
            "figure 2: orders of magnitude, five in the best case",
        ),
        at_least(
            "better_d_minimax_late",
            "orders of magnitude that the minimax gradient falls, late generator",
            1.0,
            "figure 2: it falls for every generator, the later the less",
        ),
        at_least(
            "better_d_log_d_norm",
            "log₁₀ of the gradient of −log D, last over after 10 updates",
            0.0,
            "figure 3: it does not vanish but grows",
        ),
        at_least(
            "better_d_log_d_variance",
            "log₁₀ of the variance of that gradient, last over after 10 updates",
            0.0,
            "figure 3: its variance grows",
        ),
    ),
    panels=(
        Panel(
            "Minimax: the generator's gradient while D is trained",
            "updates of D",
            "norm of the gradient",
            ("early, minimax", "middle, minimax", "late, minimax"),
            log_x=True,
            log_y=True,
        ),
        Panel(
            "−log D: the same",
            "updates of D",
            "norm of the gradient",
            ("early, −log D", "middle, −log D", "late, −log D"),
            log_x=True,
            log_y=True,
        ),
        Panel(
            "−log D: variance between batches",
            "updates of D",
            "variance of the gradient",
            ("early, −log D: variance", "middle, −log D: variance", "late, −log D: variance"),
            log_x=True,
            log_y=True,
        ),
    ),
    budget=Budget,
    experiment=experiment,
)
