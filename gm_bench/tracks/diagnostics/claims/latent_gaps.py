"""The codes of an autoencoder have gaps, in which its decoder makes no images; those of a VAE have none.

Source: the lectures' "why not just sample an autoencoder"; Kingma & Welling 2014, "Auto-encoding
variational Bayes", §2.3 (the divergence from the prior regularises the codes); Ghosh et al. 2020, "From
variational to deterministic autoencoders", §4 (a density fitted to codes afterwards, the remedy tried here).

    h = h_a + t (h_b − h_a),  0 ≤ t ≤ 1,   (h_a, h_b) codes of two training images

The walk is looked at over many pairs: which share of D(h) lies within the manifold of held-out images
(precision), and how well D(h) is told from them (1-NN accuracy). The mean of both images themselves is shown
beside, which needs no code. New images are drawn from a Gaussian fitted to the codes (autoencoder) and from
the prior (VAE).

Features and FID are those of the LeNet that is pinned for the digits and lies in the package, as on the board
`digits`: raw pixels would call the mean of two images near to both, whatever it shows.

In short: both have a gap half-way, between classes; codes drawn from a fitted Gaussian make images as good as
the VAE's, at this budget.

Found: with five seeds the autoencoder's codes have a gap half-way (0.91 of its images lie within at the ends,
0.56 in the middle), but so have the VAE's (0.95 and 0.68). A Gaussian fitted to the autoencoder's codes of 16
numbers draws images that are no worse: FID is 0.80 to 1.00 of the VAE's. After 400,000 images it is
otherwise: the board all has 27.3 for its autoencoder of 64 numbers and 15.7 for its VAE of 16. Most of that
is the budget: with codes of 16 the ratio is 0.9 after 1,000 updates and 1.4 after 4,000 (tried by hand with
seed 0). It is the remedy, too, that is tried here: codes drawn from N(0, I), as if the autoencoder were a
VAE, give 1.9 and 5.9 times the VAE's FID after as many updates. The gap lies between classes (tried by hand
with seed 0): for pairs of one class the share falls by 0.03 in the autoencoder and by 0.01 in the VAE, for
pairs of two classes by 0.36 and 0.28. Half-way between a 0 and a 1 there is no digit, whatever the prior;
what the VAE gains there it loses at the ends, where its images are blurred and more easily told (1-NN 0.75
against 0.58).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gm_bench.data.scale import from_uint8, to_uint8
from gm_bench.reproducibility import derive
from gm_bench.tracks.diagnostics.claim import Claim, Curve, Outcome, Panel, at_least, at_most
from gm_bench.tracks.diagnostics.images import network_for, splits
from gm_bench.tracks.diagnostics.samples import Rounds, draw, gauge, trained
from gm_bench.variants.autoencoder import Autoencoder
from gm_bench.variants.vae import VAE

SIGMA = 0.5  # of a pixel, as on the board of digits
SHARES = tuple(i / 8 for i in range(9))  # of the way; 1/2 is one of them


@dataclass(frozen=True)
class Budget:
    dataset: str
    network: str
    width: int
    z_dim: int
    n_updates: int
    batch_size: int
    lr: float
    n_pairs: int


def between(model: Autoencoder | VAE, first: Tensor, last: Tensor, share: float) -> Tensor:
    """D of the codes at a share of the way from those of images (n, C, H, W) to those of others; uint8."""
    with torch.no_grad():
        start, end = (model.encode(from_uint8(images)) for images in (first, last))
        return to_uint8(model.decode(start + share * (end - start)))


def mixed(first: Tensor, last: Tensor, share: float) -> Tensor:
    """The images themselves, mixed; uint8."""
    return to_uint8(from_uint8(first) + share * (from_uint8(last) - from_uint8(first)))


def different(n_images: int, n_pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Places (n_pairs,) of the first and of the last image of pairs; no image is paired with itself.

    No image is first twice, nor last: of two that are equal, 1-NN accuracy tells both from real ones.

    Raises:
        ValueError: more pairs than images.
    """
    if n_pairs > n_images:
        raise ValueError(
            f"params.yaml: latent_gaps has n_pairs {n_pairs:,}, and there are {n_images:,} training images"
        )
    order = torch.randperm(n_images, generator=generator)
    step = int(torch.randint(1, n_images, (), generator=generator))
    return order[:n_pairs], order.roll(step)[:n_pairs]


def experiment(seed: int, budget: Budget) -> Outcome:
    """An autoencoder and a VAE of one size: new images, and walks between the same pairs."""
    data = splits(budget.dataset)
    images, known = data.train_images, gauge(budget.dataset, data)
    generator = torch.Generator().manual_seed(derive(seed, "latent_gaps/pairs"))
    first, last = (images[rows] for rows in different(len(images), budget.n_pairs, generator))
    plain, variational = models(seed, images, budget)
    within, told = {}, {}
    for name, made in {
        "autoencoder": lambda share: between(plain, first, last, share),
        "VAE": lambda share: between(variational, first, last, share),
        "mean of the images": lambda share: mixed(first, last, share),
    }.items():
        walk = [made(share) for share in SHARES]
        within[name] = _curve(known.precision, walk)
        told[name] = _curve(known.one_nn, walk)
    fids = [
        known.fid(draw(each, len(data.test_images), seed, "latent_gaps")) for each in (plain, variational)
    ]
    half = len(SHARES) // 2
    return Outcome(
        {
            "gaps_fid_ratio": fids[0] / fids[1],
            "gaps_autoencoder_dip": dip(within["autoencoder"]),
            "gaps_vae_dip": dip(within["VAE"]),
            "gaps_told": told["autoencoder"][half][1] - told["VAE"][half][1],
        },
        {
            **{f"{name}, within": curve for name, curve in within.items()},
            **{f"{name}, told": curve for name, curve in told.items()},
        },
    )


def models(seed: int, images: Tensor, budget: Budget) -> tuple[Autoencoder, VAE]:
    """Both, from the same weights and images; the VAE's noise makes its batches others after the first."""
    network = network_for(images, budget.network, budget.width)
    torch.manual_seed(derive(seed, "latent_gaps/weights"))
    plain = Autoencoder(network, z_dim=budget.z_dim)
    torch.manual_seed(derive(seed, "latent_gaps/weights"))
    variational = VAE(network, z_dim=budget.z_dim, sigma=SIGMA)
    rounds = Rounds(budget.network, budget.width, budget.n_updates, budget.batch_size, budget.lr)
    for model in (plain, variational):
        trained(model, images, rounds, seed, "latent_gaps")
    return plain, variational


def dip(curve: Curve) -> float:
    """How much lower a curve is half-way than at its two ends, on the mean."""
    return (curve[0][1] + curve[-1][1]) / 2 - curve[len(curve) // 2][1]


def _curve(measure: Callable[[Tensor], float], walk: list[Tensor]) -> Curve:
    return [(share, measure(images)) for share, images in zip(SHARES, walk, strict=True)]


CLAIM = Claim(
    sentence="An autoencoder's space of codes has gaps, in which there are no images; a VAE's has none.",
    source="Kingma & Welling 2014, §2.3; Ghosh et al. 2020, §4",
    setting="digits, codes of 16 dimensions, one size of network; walks between pairs of training images, "
    "new images from a Gaussian fitted to codes and from the prior",
    expected=(
        at_least(
            "gaps_fid_ratio",
            "FID of new images, autoencoder with a fitted Gaussian over VAE",
            1.5,
            "poor means half as much again at least; 1 would be no difference",
        ),
        at_least(
            "gaps_autoencoder_dip",
            "autoencoder: share within the manifold of real images, less half-way than at the ends",
            0.1,
            "gaps: one walk in ten at least leaves the images",
        ),
        at_most(
            "gaps_vae_dip",
            "VAE: the same",
            0.1,
            "no gaps: half-way images are as good as those of the codes themselves, within one in ten",
        ),
        at_least(
            "gaps_told",
            "1-NN accuracy against real images half-way, autoencoder less VAE",
            0.05,
            "its half-way images are told more easily; its spread between seeds is about 0.01",
        ),
    ),
    panels=(
        Panel(
            "Walks between two codes: within the manifold of real images",
            "share of the way",
            "precision",
            ("autoencoder, within", "VAE, within", "mean of the images, within"),
        ),
        Panel(
            "Walks between two codes: told from real images",
            "share of the way",
            "1-NN accuracy",
            ("autoencoder, told", "VAE, told", "mean of the images, told"),
        ),
    ),
    budget=Budget,
    experiment=experiment,
)
