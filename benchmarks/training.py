"""What the suite's training loop costs over a plain hand-written one: python benchmarks/training.py

Both train the same network on the same digits with the same optimiser on one thread, in turn, several times;
the figure is the median of the pairs' ratios of CPU seconds, which a busy machine disturbs less than the
clock. The plain loop is what a paper's repository would hold: data ready as floats, zero_grad, backward,
step, nothing recorded, nothing resumable.
"""

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import softplus

from gm_bench import training
from gm_bench.checkpoint import Checkpoint
from gm_bench.config import Recipe, load_params
from gm_bench.data.dataset import load
from gm_bench.determinism import make_deterministic

CPU = torch.device("cpu")


def suite(job: training.Job, images: Tensor, labels: Tensor) -> float:
    """CPU seconds of the suite's loop, with its history and a checkpoint every 30 s."""
    state = training.start(job, tuple(images.shape[1:]), CPU)
    with TemporaryDirectory() as folder:
        began = time.process_time()
        training.train(
            state,
            job,
            images,
            labels,
            on_row=lambda progress: None,
            save=Checkpoint(job, "benchmark", Path(folder)).save,
            save_every=30.0,
            stop_asked=lambda: False,
        )
        return time.process_time() - began


def plain(job: training.Job, images: Tensor) -> float:
    """CPU seconds of the plain loop."""
    recipe = job.recipe
    model = training.build(job, tuple(images.shape[1:]), CPU)
    data = images.float() / 127.5 - 1
    optimisers = {player: optimiser(recipe, player, getattr(model, player)) for player in model.players}
    n_batches = job.n_images // recipe.batch_size
    began = time.process_time()
    if job.variant == "vae":
        plain_vae(model, optimisers["model"], data, recipe, n_batches)
    else:
        plain_gan(model, optimisers, data, job, n_batches)
    return time.process_time() - began


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
    job: training.Job,
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
    n_images: Annotated[int, typer.Option(help="budget of each run")] = 64 * 1000,
    pairs: Annotated[int, typer.Option(help="runs of each loop, in turn")] = 7,
) -> None:
    """Print images per second and the ratio suite / plain for every variant."""
    make_deterministic()
    params = load_params()
    digits = load("digits", n_test=800, split_seed=0)
    images, labels = digits.split("train")
    table = Table(
        "variant", "suite images/s", "plain images/s", "suite / plain seconds", "min … max", box=None
    )
    for variant in params.grid.variants:
        recipe = params.variants[variant]["mlp"]
        job = training.Job("digits", variant, 0, recipe, n_images)
        plain(job, images), suite(job, images, labels)  # both have warmed up
        seconds = [(suite(job, images, labels), plain(job, images)) for _ in range(pairs)]
        ratios = sorted(ours / theirs for ours, theirs in seconds)
        fastest = [n_images / statistics.median(column) for column in zip(*seconds, strict=True)]
        table.add_row(
            variant,
            f"{fastest[0]:,.0f}",
            f"{fastest[1]:,.0f}",
            f"{statistics.median(ratios):.3f}",
            f"{ratios[0]:.3f} … {ratios[-1]:.3f}",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    typer.run(main)
