"""Least squares keep a gradient for the generator, however sure the discriminator is of its fakes.

Source: Mao et al. 2017, "Least squares generative adversarial networks", §3.2 and figure 1: samples far from
the decision boundary are still penalised, so that the vanishing gradients of the sigmoid are relieved.

    critic     min  ½ E (D(x) − 1)² + ½ E D(G(z))²        generator  min  ½ E (D(G(z)) − 1)²

The experiment of better_discriminator with the discriminator trained by least squares, the minimax GAN on the
same generators beside it. With targets 0 and 1 the optimum is that of the minimax GAN, D* = p / (p + q)
(equation 5 of the paper), which is as flat on fakes far from all data: what a network has left there is what
it has not learnt yet. The agreement of batches says whether a gradient points anywhere.

In short: mostly kept: it falls by about one order against an early generator, where the minimax gradient
falls by two to three.

Found: with five seeds the least squares gradient falls by 0.7 to 1.2 orders against the early generator, by
more than the one that was expected with one seed, and the minimax gradient by 1.1 to 2.2 orders more. Against
the late generator both keep theirs.

In short on claims_long: kept against both generators, the minimax gradient against the late one alone. One
seed.

Found on claims_long: with one seed of a DCGAN on MNIST, so that nothing can be told: against the generator of
1 epoch the least squares gradient falls by 0.1 orders from its top and is 0.90 at the end, the minimax
gradient by 3.3 orders to 0.0003. Against that of 25 epochs both grow, from 0.07 to 4.0 and from 0.013 to 7.8.
"""

from collections.abc import Mapping
from functools import partial

from gm_bench.tracks.diagnostics.claim import Claim, Outcome, Panel, at_least, at_most
from gm_bench.tracks.diagnostics.frozen_generator import (
    Budget,
    CriticLoss,
    GeneratorLoss,
    curve,
    decades_lost,
    generators,
    gradients,
    real_images,
)
from gm_bench.variants.gan import cross_entropy_critic_loss, saturating_loss
from gm_bench.variants.lsgan import least_squares_critic_loss, least_squares_generator_loss

PAIRS: Mapping[str, tuple[CriticLoss, GeneratorLoss]] = {
    "least squares": (
        partial(least_squares_critic_loss, a=0.0, b=1.0),
        partial(least_squares_generator_loss, c=1.0),
    ),
    "minimax": (cross_entropy_critic_loss, saturating_loss),
}


def experiment(seed: int, budget: Budget) -> Outcome:
    """The early and the late generator of one training run, against both discriminators."""
    images = real_images(budget)
    models = generators(seed, "least_squares_gradient", budget, images)
    lost, curves = {}, {}
    for stage in ("early", "late"):
        for name, (critic_loss, generator_loss) in PAIRS.items():
            purpose = f"least_squares_gradient/{stage}"
            losses = {name: generator_loss}
            found = gradients(seed, purpose, models[stage], images, critic_loss, losses, budget)[name]
            lost[stage, name] = decades_lost(found)
            curves[f"{stage}, {name}"] = curve(found, lambda gradient: gradient.norm)
            curves[f"{stage}, {name}: agreement"] = curve(found, lambda gradient: gradient.agreement)
    return Outcome(
        {
            "ls_gradient_early": lost["early", "least squares"],
            "ls_gradient_late": lost["late", "least squares"],
            "ls_gradient_kept": lost["early", "minimax"] - lost["early", "least squares"],
        },
        curves,
    )


CLAIM = Claim(
    sentence="The least squares critic keeps a gradient for the generator on far fakes.",
    source="Mao et al. 2017, §3.2 and figure 1",
    setting="G fixed after few and after many rounds, D trained from scratch by least squares or minimax",
    expected=(
        at_most(
            "ls_gradient_early",
            "orders of magnitude that the least squares gradient falls, early generator",
            1.0,
            "it is kept: less than one order, where Arjovsky & Bottou see up to five for minimax",
        ),
        at_most(
            "ls_gradient_late",
            "orders of magnitude that the least squares gradient falls, late generator",
            1.0,
            "the same",
        ),
        at_least(
            "ls_gradient_kept",
            "orders by which the minimax gradient falls further, early generator",
            1.0,
            "the relief: at least one order",
        ),
    ),
    panels=(
        Panel(
            "The generator's gradient while D is trained",
            "updates of D",
            "norm of the gradient",
            ("early, least squares", "late, least squares", "early, minimax", "late, minimax"),
            log_x=True,
            log_y=True,
        ),
        Panel(
            "Whether it points anywhere",
            "updates of D",
            "agreement of batches",
            (
                "early, least squares: agreement",
                "late, least squares: agreement",
                "early, minimax: agreement",
                "late, minimax: agreement",
            ),
            log_x=True,
        ),
    ),
    budget=Budget,
    experiment=experiment,
)
