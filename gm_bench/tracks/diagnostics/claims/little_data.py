"""A GAN needs much data: with little its samples are worse, and they are copies of what there is.

Source: the lectures; Karras et al. 2020, "Training generative adversarial networks with limited data", §2 and
figure 1 (FID against the number of training images: the discriminator overfits); Webster et al. 2019,
"Detecting overfitting of deep generative networks via latent recovery" (which finds that GANs do not
memorise, at thousands of images).

The same GAN is trained for the same number of rounds on few training images, on more and on all of them: 100,
300 and 997 digits, or 500, 5,000 and 60,000 of MNIST (board claims_long). Copying is measured as on the
boards: the median distance of samples to their nearest training image over that of held-out images, 1 for
samples that are as far as new images are, 0 for copies. FID is to the held-out images, with that of the
training images themselves beside it: what a perfect copyist would get.

In short: with little data samples are worse; copies there are none at this budget.

Found: with five seeds less data costs FID (1.6 to 3.3 times as much from 100 images as from all), but there
is no copy: samples lie 1.3 to 1.5 times as far from their nearest training image as new images do, however
many there are; that 1.47 is more than the 1.25 expected of all images says that samples are poor, and of
copies nothing. Longer training brings some (tried by hand with seed 0): after 4,000 rounds, 2,560 looks at
each of 100 images, samples are 1.15 times as far and 0.6 % near duplicates, where of new images 1 % would be
called so; after 6,000, 8,000 and 12,000 rounds 0.99, 1.03 and 0.96, and 3.5, 3.3 and 1.8 %. Here little data
means worse samples, hardly any of them stolen.

In short on claims_long: worse from 500 images, from 5,000 as good as from 60,000; no copies. One seed.

Found on claims_long: with one seed of a DCGAN on MNIST, so that nothing can be told: FID is 7.5 from 500
images and 4.1 both from 5,000 and from all. There is no copy either: samples lie 1.3 to 1.4 times as far from
their nearest training image as new images do, and at most 0.5 % are near duplicates.
"""

from dataclasses import dataclass

from gm_bench.metrics.distances import between
from gm_bench.metrics.memorisation import memorisation
from gm_bench.tracks.diagnostics import checkpoint
from gm_bench.tracks.diagnostics.claim import Claim, Outcome, Panel, about, at_least, at_most
from gm_bench.tracks.diagnostics.images import splits
from gm_bench.tracks.diagnostics.samples import BETAS, Rounds, draw, gauge, new_gan, trainer_of
from gm_bench.variants.ns_gan import NSGAN

QUANTILE = 0.01  # of held-out images: what lies nearer is a near duplicate, as on the boards


@dataclass(frozen=True)
class Budget(Rounds):
    """`n_few` and `n_more` images are trained on, besides all there are."""

    dataset: str
    n_few: int
    n_more: int


def experiment(seed: int, budget: Budget) -> Outcome:
    """The same GAN on three numbers of training images."""
    data = splits(budget.dataset)
    n_all = len(data.train_images)
    if not budget.n_few < budget.n_more < n_all:
        raise ValueError(
            f"params.yaml: little_data has n_few {budget.n_few:,} and n_more {budget.n_more:,}: they must "
            f"grow, and be less than the {n_all:,} training images"
        )
    known = gauge(budget.dataset, data)
    fids, ratios, duplicates, perfect = [], [], [], []
    for n in (budget.n_few, budget.n_more, n_all):
        images = data.train_images[:n]
        model = new_gan(NSGAN, images, budget, "batch", seed, "little_data")
        trainer = trainer_of(model, images, budget, seed, "little_data", BETAS)
        checkpoint.rounds(f"{n} images", trainer, budget.n_rounds)
        samples = draw(model.eval(), len(data.test_images), seed, "little_data")
        seen, of_training = known.features(samples), known.features(images)
        near = memorisation(
            between(seen, of_training).a.squared, between(known.held_out, of_training).a.squared, QUANTILE
        )
        fids.append((float(n), known.fid(samples)))
        ratios.append((float(n), near.distance_ratio))
        duplicates.append((float(n), near.duplicates))
        perfect.append((float(n), known.fid(images)))
    return Outcome(
        {
            "little_data_fid": fids[0][1] / fids[-1][1],
            "little_data_distance": ratios[0][1],
            "little_data_distance_all": ratios[-1][1],
        },
        {
            "samples": fids,
            "the training images themselves": perfect,
            "distance to training images over held-out images' own": ratios,
            "share of near duplicates": duplicates,
        },
    )


CLAIM = Claim(
    sentence="GANs need much data: with little they memorise it.",
    source="Karras et al. 2020, §2 and figure 1",
    setting="the same GAN for the same rounds on few, on more and on all training images",
    expected=(
        at_least(
            "little_data_fid",
            "FID from few images over FID from all",
            1.5,
            "much data is needed: without nine tenths of them or more FID is half as high again at least",
        ),
        at_most(
            "little_data_distance",
            "few images: median distance of samples to training images over held-out images' own",
            0.75,
            "1 for new images, 0 for copies: nearer by a quarter than new images ever are",
        ),
        about(
            "little_data_distance_all",
            "the same from all images",
            1.0,
            0.25,
            "with enough data there is no copying; within a quarter",
        ),
    ),
    panels=(
        Panel(
            "FID to held-out images",
            "training images",
            "FID",
            ("samples", "the training images themselves"),
            log_x=True,
            log_y=True,
        ),
        Panel(
            "Copies",
            "training images",
            "ratio, share",
            ("distance to training images over held-out images' own", "share of near duplicates"),
            log_x=True,
        ),
    ),
    budget=Budget,
    experiment=experiment,
)
