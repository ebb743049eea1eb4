"""A GAN draws hundreds of images a second, since a sample is one pass through one network.

Source: Goodfellow 2016, "NIPS 2016 tutorial: generative adversarial networks", §3.2 and 3.5 (a GAN draws all
of a sample at once, an autoregressive model one entry after the other); van den Oord et al. 2017, "Neural
discrete representation learning", §3.3 (codes drawn by an autoregressive prior).

Sampling takes the time that the network takes, trained or not, so that no network is trained here. All GANs
of one network share their generator, and are one row: the loss makes no difference. The VAE's decoder is of
the same family; the VQ-VAE draws its codes place by place. Seconds are those of one core's work, which is
what a claim is run on; they depend on the machine, and from one run to the next.

In short: hundreds of 32×32 images, about a hundred of 64×64, on one core.

Found: on one core of an idle machine the generator of the boards of colour images draws 540 to 590 images of
32×32 a second and 98 to 102 of 64×64, so that a hundred cannot be told; those of 8×8 come by the ten
thousand. The seconds are the machine's: beside other work it was 320 to 530 and 74 to 81, and an older core
gave 188 and 32. The VAE's decoder is as fast, the VQ-VAE takes three times as long at 32×32 and twice as long
at 64×64. A GPU was not tried.
"""

import time
from dataclasses import dataclass

import torch

from gm_bench.nets import network as networks
from gm_bench.nets.network import Network
from gm_bench.reproducibility import derive
from gm_bench.tracks.diagnostics.claim import Claim, Outcome, Panel, at_least
from gm_bench.tracks.diagnostics.samples import draw
from gm_bench.variants.base.contract import Variant
from gm_bench.variants.ns_gan import NSGAN
from gm_bench.variants.vae import VAE
from gm_bench.variants.vq_vae import VQVAE

SIDES = (8, 16, 32, 64)
ENOUGH = 100.0  # images a second: "hundreds"


@dataclass(frozen=True)
class Budget:
    """`n_images` are drawn of each size; `n_codes`, `code_dim` and `prior_*` are the VQ-VAE's."""

    network: str
    width: int
    z_dim: int
    n_images: int
    n_codes: int
    code_dim: int
    prior_width: int
    prior_layers: int


def untrained(network: Network, budget: Budget) -> dict[str, Variant]:
    """The models by name."""
    return {
        "GAN": NSGAN(network, z_dim=budget.z_dim, prior="normal"),
        "VAE": VAE(network, z_dim=budget.z_dim, sigma=1.0),
        "VQ-VAE": VQVAE(
            network,
            n_codes=budget.n_codes,
            code_dim=budget.code_dim,
            beta=0.25,
            sigma=1.0,
            prior_width=budget.prior_width,
            prior_layers=budget.prior_layers,
        ),
    }


def images_per_second(model: Variant, n: int, seed: int) -> float:
    """Images drawn in a second of the processor's time, after a first one that is not counted."""
    model.eval()
    draw(model, 1, seed, "sampling_speed")
    began = time.process_time()
    draw(model, n, seed, "sampling_speed")
    return n / (time.process_time() - began)


def experiment(seed: int, budget: Budget) -> Outcome:
    """Images a second of each model by the side of its images."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for side in SIDES:
        options = {"width": budget.width, "critic_norm": "none"}
        network = networks.build(budget.network, options, (3, side, side), 0)
        torch.manual_seed(derive(seed, "sampling_speed/weights"))
        for name, model in untrained(network, budget).items():
            speed = images_per_second(model, budget.n_images, seed)
            curves.setdefault(name, []).append((float(side), speed))
    of_gan = dict(curves["GAN"])
    return Outcome(
        {"speed_gan_32": of_gan[32.0], "speed_gan_64": of_gan[64.0]},
        {**curves, "a hundred": [(float(side), ENOUGH) for side in SIDES]},
    )


CLAIM = Claim(
    sentence="GANs draw hundreds of images a second.",
    source="Goodfellow 2016, §3.2 and 3.5",
    setting="generators of the boards of colour images, untrained, one core of this machine; a VAE's decoder "
    "and a VQ-VAE with an autoregressive prior beside them",
    expected=(
        at_least("speed_gan_32", "32×32 colour images a second, one core", ENOUGH, "hundreds"),
        at_least("speed_gan_64", "64×64 colour images a second, one core", ENOUGH, "hundreds"),
    ),
    panels=(
        Panel(
            "Images a second on one core",
            "side of the image",
            "images a second",
            ("GAN", "VAE", "VQ-VAE"),
            ("a hundred",),
            log_x=True,
            log_y=True,
        ),
    ),
    budget=Budget,
    experiment=experiment,
)
