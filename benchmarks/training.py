"""What the suite's training loop costs over a plain hand-written one: python benchmarks/training.py

Both train the same network on the same digits with the same optimiser on one thread, in turn, 50 batches at
a time; the figure is the median over these chunks of the ratio of CPU seconds, which a busy machine disturbs
less than the clock. The plain loop is what a paper's repository would hold: data ready as floats, zero_grad,
backward, step, nothing recorded, nothing resumable. Not in it: a checkpoint every 30 s, some milliseconds.
"""

import math
import time
from collections.abc import Callable
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import softplus

from gm_bench.cell import Cell
from gm_bench.config import load_params
from gm_bench.data.dataset import load
from gm_bench.data.scale import from_uint8
from gm_bench.reproducibility import make_deterministic
from gm_bench.training.in_memory import train_in_memory
from gm_bench.training.job import Job
from gm_bench.training.recipe import Recipe
from gm_bench.training.state import build, start

CPU = torch.device("cpu")
CHUNK = 50  # batches: short against the spells in which a shared machine is slow
WRITTEN_OUT = ("vae", "gan", "ns_gan", "lsgan", "wgan", "wgan_gp")


def suite(job: Job, images: Tensor, labels: Tensor) -> Callable[[], float]:
    """The suite's loop, stopped after every chunk: a call trains one more, and returns its CPU seconds."""
    state = start(job, tuple(images.shape[1:]), 10, CPU)

    def chunk() -> float:
        target = state.images + CHUNK * job.recipe.batch_size
        began = time.process_time()
        data = {"images": images, "labels": labels}
        train_in_memory(state, job, data, stop_asked=lambda: state.images >= target)
        return time.process_time() - began

    return chunk


def plain(job: Job, images: Tensor) -> Callable[[], float]:
    """The plain loop, as calls that train one more chunk and return its CPU seconds."""
    recipe = job.recipe
    model = build(job, tuple(images.shape[1:]), 10, CPU)
    data = from_uint8(images)
    optimisers = {player: optimiser(recipe, player, getattr(model, player)) for player in model.players}

    def chunk() -> float:
        began = time.process_time()
        if job.variant == "vae":
            plain_vae(model, optimisers["model"], data, recipe, CHUNK)
        else:
            plain_gan(model, optimisers, data, job, CHUNK)
        return time.process_time() - began

    return chunk


def optimiser(recipe: Recipe, player: str, module: nn.Module) -> torch.optim.Optimizer:
    choice = recipe.optimisers[player]
    if choice.name == "adam":
        return torch.optim.Adam(module.parameters(), lr=choice.lr, betas=choice.betas, fused=True)
    return torch.optim.RMSprop(module.parameters(), lr=choice.lr, alpha=choice.alpha, foreach=True)


def plain_vae(
    model: nn.Module, optimiser: torch.optim.Optimizer, data: Tensor, recipe: Recipe, n_batches: int
) -> None:
    encoder, decoder = model.model["encoder"], model.model["decoder"]
    sigma = recipe.model["sigma"]
    for _ in range(n_batches):
        x = data[torch.randint(len(data), (recipe.batch_size,))]
        mu, log_variance = encoder(x).chunk(2, dim=1)
        reconstruction = decoder(mu + (0.5 * log_variance).exp() * torch.randn_like(mu))
        error = (x - reconstruction).square().flatten(1).sum(1).mean() / (2 * sigma**2)
        kl = 0.5 * (mu.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        optimiser.zero_grad()
        (error + kl).backward()
        optimiser.step()


def plain_gan(
    model: nn.Module,
    optimisers: dict[str, torch.optim.Optimizer],
    data: Tensor,
    job: Job,
    n_batches: int,
) -> None:
    recipe, variant = job.recipe, job.variant
    generator, critic = model.generator, model.critic
    n, z_dim, n_critic = recipe.batch_size, int(recipe.model["z_dim"]), recipe.updates["critic"]
    for _ in range(n_batches // n_critic):
        critic.requires_grad_(True)
        for _ in range(n_critic):
            x = data[torch.randint(len(data), (n,))]
            with torch.no_grad():
                fake = generator(torch.randn(n, z_dim))
            on_real, on_fake = critic(x), critic(fake)
            if variant in ("gan", "ns_gan"):
                loss = softplus(-on_real).mean() + softplus(on_fake).mean()
            elif variant == "lsgan":
                loss = 0.5 * (on_real - 1).square().mean() + 0.5 * on_fake.square().mean()
            else:
                loss = on_fake.mean() - on_real.mean()
            if variant == "wgan_gp":
                between = torch.lerp(fake, x, torch.rand(n, 1, 1, 1)).requires_grad_()
                (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
                loss = loss + 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
            optimisers["critic"].zero_grad()
            loss.backward()
            optimisers["critic"].step()
            if variant == "wgan":
                with torch.no_grad():
                    for weight in critic.parameters():
                        weight.clamp_(-recipe.model["clip"], recipe.model["clip"])
        critic.requires_grad_(False)
        scores = critic(generator(torch.randn(n, z_dim)))
        if variant == "gan":
            loss = -softplus(scores).mean()
        elif variant == "ns_gan":
            loss = softplus(-scores).mean()
        elif variant == "lsgan":
            loss = 0.5 * (scores - 1).square().mean()
        else:
            loss = -scores.mean()
        optimisers["generator"].zero_grad()
        loss.backward()
        optimisers["generator"].step()


def main(
    chunks: Annotated[int, typer.Option(min=6, help="of 50 batches, of each loop, in turn")] = 100,
) -> None:
    """Print images per second and the ratio suite / plain for every variant."""
    make_deterministic()
    params = load_params()
    digits = load("digits", n_test=800, split_seed=0)
    images, labels = digits.split("train")
    table = Table("variant", "suite images/s", "plain images/s", "suite / plain", "95 % interval", box=None)
    for variant in WRITTEN_OUT:
        recipe = params.recipe(variant, "tiny")
        job = Job(Cell("digits", "digits", variant, 0), recipe, params.board("digits").n_images)
        loops = suite(job, images, labels), plain(job, images)
        for loop in loops:  # the first round counts operations, the first steps fill caches
            loop()
        seconds = torch.tensor([[loop() for loop in loops] for _ in range(chunks)])
        ratios = (seconds[:, 0] / seconds[:, 1]).sort().values
        # The interval of a median between order statistics: binomial(n, ½), in its normal approximation.
        half = round(0.98 * math.sqrt(chunks))
        rates = CHUNK * recipe.batch_size / seconds.median(dim=0).values
        table.add_row(
            variant,
            f"{rates[0]:,.0f}",
            f"{rates[1]:,.0f}",
            f"{ratios.median():.3f}",
            f"{ratios[chunks // 2 - half]:.3f} … {ratios[chunks // 2 + half]:.3f}",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    typer.run(main)
