"""The likelihoods of binary MNIST that are published for a VAE and for an IWAE of 50 codes, measured again.

Source: Burda et al. 2016, "Importance weighted autoencoders", table 1 (one stochastic layer: −log p 86.76 for
the VAE and 84.78 for the IWAE, k = 50), with the protocol of its §5 and appendix C, and of the authors' code
(github.com/yburda/iwae) where the paper says nothing.

    −log p(x) ≈ −log (1/K) Σ_i w_i,   w_i = p(x | z_i) p(z_i) / q(z_i | x),   z_i ~ q(z | x),   K = 5,000

Pixels are drawn black or white with their grey level's probability, those of training images anew for every
epoch, those of held-out images once. Adam of ε = 1e-4 in stages: stage i = 0, 1, … has 3^i epochs at the
rate 0.001 · 10^(−i / 7), batches of 20, whose gradients are summed, as in the code (ε is set for that). The
decoder's last biases begin at the log odds of the pixels' mean grey levels in [.001, .999], and the encoder
sees black as 0 and white as 1, as in the code.
The paper has 8 stages, which are 3,280 epochs. After each stage −log p is taken, which is the curve against
the budget.

Deviates from the paper: batches are drawn with replacement, an epoch being as many of them as would show each
image once, and held-out images are the first `n_test`. The code has β₁ = 0.99, begins Adam's second moments
at 1, rounds the rates to 0.0001, keeps 400 of the training images for validation, draws the VAE's KL term and
lets the encoder give log σ; here β₁ is 0.9, as in the paper, the KL is exact and the encoder gives log σ².

In short on likelihood: after 40 of 3,280 epochs five nats are missing of both; the IWAE is ahead by 2.0 and
2.2, as published.

Found on likelihood: with two seeds after 40 of the 3,280 epochs the VAE has 91.5 and 91.7, the IWAE 89.5 with
both, five nats above what is published, and still falling (after 13 epochs 95.3 and 95.1, 92.8 and 93.0):
that they do not reach it is of this budget. The IWAE is lower by 2.0 and 2.2, published 2.0, which two seeds
cannot tell. Held-out images are the first 1,000 of 10,000, the same for every seed, so that the interval has
nothing of which images they are. What the encoder sees is worth four nats: by pixels of -1 and 1 seed 0 had
95.4 and 92.1. By such pixels too, where the decoder begins is worth more than anything else so early: with
last biases of 0 and mean gradients the VAE had 116.1 after 13 epochs, 107.6 after 40 and 99.1 after 121 (the
claim as it was first written, seed 0). By hand, seed 0, 13 epochs, 300 images, 500 codes: 112.9 so, 114.3
with summed gradients, 98.2 with both.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from gm_bench.data.scale import from_uint8
from gm_bench.reproducibility import derive
from gm_bench.tracks.diagnostics.checkpoint import kept, steps
from gm_bench.tracks.diagnostics.claim import Claim, Curve, Outcome, Panel, about
from gm_bench.tracks.diagnostics.images import Trainer, network_for, splits
from gm_bench.variants.iwae import IWAE
from gm_bench.variants.vae import evidence_bounds
from gm_bench.variants.vae_bernoulli import BernoulliVAE

LR, EPSILON = 1e-3, 1e-4
DARKEST, BRIGHTEST = 0.001, 0.999  # mean grey levels that the decoder begins at
WHY = "published for 3,280 epochs, within a nat"
PUBLISHED = {"VAE": 86.76, "IWAE": 84.78}
SEED_OF_TEST = 0  # the same held-out pixels for every seed
CHUNK = 100  # held-out images whose codes are drawn together: of 1,000, 5,000 codes took 9 GB


@dataclass(frozen=True)
class Budget:
    """`n_codes` is the IWAE's k, `n_importance` the K of the estimate; 8 stages are those of the paper."""

    dataset: str
    network: str
    width: int
    z_dim: int
    n_codes: int
    batch_size: int
    n_stages: int
    n_test: int
    n_importance: int


def binary(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (n, C, H, W) of 0 and 255 whose pixels are white with the probability of their grey level."""
    return torch.bernoulli(images.float() / 255, generator=generator).mul(255).to(torch.uint8)


class ZeroToOne(nn.Module):
    """Images in [-1, 1] → [0, 1]."""

    def forward(self, images: Tensor) -> Tensor:
        return (images + 1) / 2


def see_zero_and_one(model: BernoulliVAE) -> None:
    """Have the encoder see black as 0 and white as 1."""
    model.model["encoder"] = nn.Sequential(ZeroToOne(), model.model["encoder"])


def stage_of(i: int) -> tuple[int, float]:
    """Epochs and rate of a stage, counted from 0."""
    return 3**i, LR * 10 ** (-i / 7)


@torch.no_grad()
def begin_at_means(model: BernoulliVAE, images: Tensor) -> None:
    """Set the decoder's last biases to the log odds of the mean grey levels of images (n, C, H, W), uint8."""
    *_, last = (layer for layer in model.model["decoder"].modules() if isinstance(layer, nn.Linear))
    means = images.float().mean(dim=0) / 255
    last.bias.copy_(means.clamp(DARKEST, BRIGHTEST).logit().flatten())


@torch.no_grad()
def negative_log_p(model: BernoulliVAE, images: Tensor, n_codes: int, generator: torch.Generator) -> float:
    """Mean over binary images (n, C, H, W) of −log p by importance sampling, in nats."""
    bounds = [
        evidence_bounds(model.log_weights(from_uint8(part), None, n_codes, generator).double())[1]
        for part in images.split(CHUNK)
    ]
    return -float(torch.cat(bounds).mean())


def experiment(seed: int, budget: Budget) -> Outcome:
    """Both models through all stages, −log p after each."""
    data = splits(budget.dataset)
    network = network_for(data.train_images, budget.network, budget.width)
    drawn = torch.Generator().manual_seed(derive(SEED_OF_TEST, "published_likelihood/test"))
    held_out = binary(data.test_images[: budget.n_test], drawn)
    curves: dict[str, Curve] = {}
    for name in PUBLISHED:
        torch.manual_seed(derive(seed, "published_likelihood/weights"))
        model = (
            BernoulliVAE(network, z_dim=budget.z_dim)
            if name == "VAE"
            else IWAE(network, z_dim=budget.z_dim, n_codes=budget.n_codes)
        )
        see_zero_and_one(model)
        begin_at_means(model, data.train_images)
        curves[name] = _course(name, model, data.train_images, held_out, seed, budget)
    last = {name: curve[-1][1] for name, curve in curves.items()}
    published = {
        f"{name}, published": [(epochs, value) for epochs, _ in curves[name]]
        for name, value in PUBLISHED.items()
    }
    return Outcome(
        {
            "likelihood_vae": last["VAE"],
            "likelihood_iwae": last["IWAE"],
            "likelihood_gained": last["VAE"] - last["IWAE"],
        },
        {**curves, **published},
    )


def _course(
    name: str, model: BernoulliVAE, images: Tensor, held_out: Tensor, seed: int, budget: Budget
) -> Curve:
    """(epochs, −log p of held-out images) after each stage of a model's training."""
    trainer = Trainer(
        model, images, seed=seed, purpose="published_likelihood", batch_size=budget.batch_size, lr=LR
    )
    # Gradients are means over a batch here, sums in the source: with so much of ε Adam takes the same steps.
    # Fused: of batches of 20 through small layers, Adam's own passes are half of the time.
    eps = EPSILON / budget.batch_size
    trainer.optimisers["model"] = torch.optim.Adam(model.parameters(), lr=LR, eps=eps, fused=True)
    curve: Curve = []
    epochs = 0
    for stage in range(budget.n_stages):
        n_epochs, rate = stage_of(stage)
        steps(f"{name}/{stage}", trainer, n_epochs, partial(_epoch, trainer, images, seed, epochs, rate))
        epochs += n_epochs
        estimate = partial(_estimate, model, held_out, seed, stage, budget)
        curve.append((float(epochs), kept(f"{name}/{stage}/estimate", estimate)))
    return curve


def _epoch(trainer: Trainer, images: Tensor, seed: int, before: int, rate: float, i: int) -> None:
    """Epoch i of a stage that `before` others preceded, on pixels drawn for it."""
    trainer.optimisers["model"].param_groups[0]["lr"] = rate
    drawn = torch.Generator().manual_seed(derive(seed, "published_likelihood/pixels", before + i))
    trainer.images = binary(images, drawn)
    trainer.rounds(len(images) // trainer.batch_size)


def _estimate(model: BernoulliVAE, held_out: Tensor, seed: int, stage: int, budget: Budget) -> float:
    codes = torch.Generator().manual_seed(derive(seed, "published_likelihood/codes", stage))
    return negative_log_p(model.eval(), held_out, budget.n_importance, codes)


CLAIM = Claim(
    sentence="On binary MNIST a VAE reaches −log p = 86.76 and an IWAE of 50 codes 84.78.",
    source="Burda et al. 2016, table 1",
    setting="one stochastic layer of 50 units, two of 200 on either side, 5,000 importance samples",
    expected=(
        about("likelihood_vae", "−log p of the VAE, nats", PUBLISHED["VAE"], 1.0, WHY),
        about("likelihood_iwae", "−log p of the IWAE of 50 codes, nats", PUBLISHED["IWAE"], 1.0, WHY),
        about(
            "likelihood_gained",
            "how much lower the IWAE's is",
            1.98,
            1.0,
            "86.76 − 84.78, within a nat",
        ),
    ),
    panels=(
        Panel(
            "−log p of held-out images",
            "epochs",
            "nats",
            ("VAE", "IWAE"),
            ("VAE, published", "IWAE, published"),
            log_x=True,
        ),
    ),
    budget=Budget,
    experiment=experiment,
)
