"""Least squares and Wasserstein losses train more steadily than cross-entropy.

Source: Mao et al. 2017, "Least squares generative adversarial networks", §4 (without batch norm, LSGAN
learns where the regular GAN collapses); Arjovsky et al. 2017, "Wasserstein GAN", §4.3 (improved stability);
Gulrajani et al. 2017, "Improved training of Wasserstein GANs", §5.1 (a random grid of architectures). Lucic
et al. 2018, "Are GANs created equal?", find no loss better than another once all are searched alike.

Every loss is trained at three rates, with and without batch norm in the critic (WGAN-GP without alone), from
one recipe: one critic and one generator update a round, Adam with β₁ = 0.5. What is asked is

    failures   the share of runs whose samples are further from real images than real images of half of the
               classes are, by FID; a run that is not finite counts as one that draws black images
    spread     the standard deviation of log₁₀ FID over the runs

of each loss, less (failures) or over (spread) those of the non-saturating GAN in the same runs. The number of
rounds was set so that the non-saturating GAN, at the middle rate with batch norm, does not fail.

Deviates from Arjovsky et al., who give a WGAN five critic updates and RMSprop, and find momentum harmful to
it: one recipe for all losses is what is compared.

In short: by one recipe for all (one critic update a round, Adam) no loss depends less on rate and batch norm
than the non-saturating GAN does.

Found: with five seeds no loss depends less on the rate and on batch norm than the non-saturating GAN does:
the spread is 0.98 to 1.22 times as large with LSGAN, 0.89 to 1.32 with WGAN and 2.2 to 9.2 with WGAN-GP; nor
can it be told of any that fewer of its runs fail. 300 rounds are few: at the slow rate with batch norm every
loss fails, so that failures say who is not there yet. LSGAN is better without batch norm at the two faster
rates (mean FID 42 and 41, the non-saturating GAN 55 and 57) and worse with it at the middle one (72, where
that has 34); WGAN, which is clipped, is the worse the faster without batch norm (102, 110, 132). Between
seeds the standard deviation of log₁₀ FID, pooled over the runs, is 0.16 for the non-saturating GAN, 0.20 for
LSGAN and for WGAN and, in the runs that it has, 0.10 for WGAN-GP: 1.23 (95 % interval 0.82 to 1.86, by the F
distribution), 1.23 (0.82 to 1.85) and 1.30 (0.72 to 2.35) times as large, so that no loss is told to vary
less between seeds. Most of it is one seed or two that the fast rate with batch norm throws off, in each loss
that has those runs: such runs are no normal noise, and the intervals are rough. The board claims_long has ten
times the rounds.

In short on claims_long: with ten times the rounds WGAN alone fails at times, at the fast rate; the rest
cannot be told from the non-saturating GAN.

Found on claims_long: with three seeds one run of six of WGAN fails in each, always at the fast rate (with
batch norm FID 421 and 322, without 51), and no run of the other losses, nor of the non-saturating GAN: of six
runs and three a seed too few to tell. No spread is told from its: LSGAN's is 0.80 to 1.25 times as large,
WGAN-GP's 0.57 to 1.79, WGAN's 1.8 to 5.3. Between seeds, pooled over the runs, log₁₀ FID varies by 0.09 for
it, 0.06 for LSGAN (0.63 times as much, 95 % interval 0.35 to 1.14), 0.07 for WGAN-GP (0.98, 0.41 to 2.36) and
0.33 for WGAN (3.72, 2.05 to 6.73; all of the excess from the two runs that failed).
"""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gm_bench.data.dataset import Dataset
from gm_bench.nets.network import Norm
from gm_bench.tracks.diagnostics.checkpoint import kept
from gm_bench.tracks.diagnostics.claim import Claim, Curve, Outcome, Panel, at_most
from gm_bench.tracks.diagnostics.images import splits
from gm_bench.tracks.diagnostics.samples import Gauge, Rounds, draw, gauge, new_gan, trained_gan
from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.gan import GAN
from gm_bench.variants.lsgan import LSGAN
from gm_bench.variants.ns_gan import NSGAN
from gm_bench.variants.wgan import WGAN
from gm_bench.variants.wgan_gp import WGANGP

NORMS: tuple[Norm, ...] = ("none", "batch")
REFERENCE = "ns_gan"
CHALLENGERS = {"lsgan": "LSGAN", "wgan": "WGAN", "wgan_gp": "WGAN-GP"}
CLASSES: Mapping[str, type[Adversarial]] = {
    "gan": GAN,
    REFERENCE: NSGAN,
    "lsgan": LSGAN,
    "wgan": WGAN,
    "wgan_gp": WGANGP,
}
RATES = ("slow", "middle", "fast")  # fields of the budget
Run = tuple[float, Norm]  # rate, norm of the critic


@dataclass(frozen=True)
class Budget:
    """Every loss is trained at each of three rates; `clip` is WGAN's, `penalty` WGAN-GP's λ."""

    dataset: str
    network: str
    width: int
    n_rounds: int
    batch_size: int
    slow: float
    middle: float
    fast: float
    clip: float
    penalty: float


def options_of(budget: Budget) -> dict[str, Mapping[str, Any]]:
    """Name of a loss → its keywords."""
    return {
        "gan": {},
        REFERENCE: {},
        "lsgan": {"a": 0.0, "b": 1.0, "c": 1.0},
        "wgan": {"clip": budget.clip},
        "wgan_gp": {"penalty": budget.penalty},
    }


def norms(name: str) -> list[Norm]:
    """Of the critic, that a loss allows of."""
    allowed = CLASSES[name].critic_norms
    return [norm for norm in NORMS if not allowed or norm in allowed]


def half_of_the_classes(known: Gauge, data: Dataset) -> float:
    """FID of real images of the first half of the classes, to the held-out images of all."""
    n_classes = int(data.train_labels.max()) + 1
    return known.fid(data.train_images[data.train_labels < n_classes / 2])


def failures(fids: Mapping[Run, float], limit: float) -> float:
    """Share of runs with an FID above the limit."""
    return statistics.fmean(fid > limit for fid in fids.values())


def spread(fids: Mapping[Run, float]) -> float:
    """Standard deviation of log₁₀ FID over runs, at least two."""
    return statistics.stdev(math.log10(fid) for fid in fids.values())


def experiment(seed: int, budget: Budget) -> Outcome:
    """Every loss at every rate, with and without batch norm where it allows of it."""
    data = splits(budget.dataset)
    known = gauge(budget.dataset, data)
    limit = half_of_the_classes(known, data)
    rates = tuple(getattr(budget, rate) for rate in RATES)
    found: dict[str, dict[Run, float]] = {}
    for name, options in options_of(budget).items():
        found[name] = {}
        for norm in norms(name):
            for rate in rates:
                rounds = Rounds(budget.network, budget.width, budget.n_rounds, budget.batch_size, rate)
                measured = partial(_fid, CLASSES[name], options, norm, rounds, seed, data, known)
                found[name][rate, norm] = kept(f"{name}/{norm}/{rate}", measured)
    values = {}
    for name in CHALLENGERS:
        own, reference = found[name], {run: found[REFERENCE][run] for run in found[name]}
        values[f"steady_{name}_failures"] = failures(own, limit) - failures(reference, limit)
        values[f"steady_{name}_spread"] = spread(own) / spread(reference)
    curves: dict[str, Curve] = {
        f"{name}, {norm}": [(rate, fids[rate, norm]) for rate in rates]
        for name, fids in found.items()
        for norm in NORMS
        if (rates[0], norm) in fids
    }
    return Outcome(values, {**curves, "half of the classes": [(rate, limit) for rate in rates]})


def _fid(
    kind: type[Adversarial],
    options: Mapping[str, Any],
    norm: Norm,
    rounds: Rounds,
    seed: int,
    data: Dataset,
    known: Gauge,
) -> float:
    """Of the samples of one loss, trained at one rate with one norm."""
    model = new_gan(kind, data.train_images, rounds, norm, seed, "steadiness", **options)
    trained_gan(model, data.train_images, rounds, seed, "steadiness")
    return known.fid(_samples(model, len(data.test_images), seed))


def _samples(model: Adversarial, n: int, seed: int) -> Tensor:
    """Samples of a trained GAN; black images where its weights or its statistics are not finite."""
    if all(bool(values.isfinite().all()) for values in model.state_dict().values()):
        return draw(model, n, seed, "steadiness")
    return torch.zeros(n, *model.image_shape, dtype=torch.uint8)


def _curves(norm: str) -> tuple[str, ...]:
    names = ("gan", REFERENCE, *CHALLENGERS)
    return tuple(f"{name}, {norm}" for name in names if (name, norm) != ("wgan_gp", "batch"))


CLAIM = Claim(
    sentence="Least squares and Wasserstein losses train more steadily.",
    source="Mao et al. 2017, §4; Arjovsky et al. 2017, §4.3; Gulrajani et al. 2017, §5.1",
    setting="digits, each loss at three rates, with batch norm in the critic and without; beside the "
    "non-saturating GAN in the same runs",
    expected=tuple(
        expected
        for name, title in CHALLENGERS.items()
        for expected in (
            at_most(
                f"steady_{name}_failures",
                f"share of runs that fail, {title} less the non-saturating GAN",
                0.0,
                "steadier: no more of them fail",
                step=1 / (len(RATES) * len(norms(name))),
            ),
            at_most(
                f"steady_{name}_spread",
                f"spread of log FID over the runs, {title} over the non-saturating GAN",
                0.8,
                "steadier: it depends on rate and batch norm by a fifth less at least",
            ),
        )
    ),
    panels=(
        Panel(
            "FID by rate, no batch norm in the critic",
            "rate",
            "FID",
            _curves("none"),
            ("half of the classes",),
            log_x=True,
            log_y=True,
        ),
        Panel(
            "FID by rate, batch norm in the critic",
            "rate",
            "FID",
            _curves("batch"),
            ("half of the classes",),
            log_x=True,
            log_y=True,
        ),
    ),
    budget=Budget,
    experiment=experiment,
)
