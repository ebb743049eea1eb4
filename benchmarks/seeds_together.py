"""Seeds one after another against seeds in one pass: python benchmarks/seeds_together.py

k networks of the board mode_collapse (ns_gan on the ring, by its recipe), critic and generator each with a
step of its optimiser, three ways: one network after another; all in one pass by torch.func (stacked
parameters under vmap); and the same written out as batched products of matrices, without what torch.func
costs. One process, one thread, the ways in turn; the figure is the median over rounds of the ratio of CPU
seconds. All start from the same weights and are given the same draws; ways that do not come to the same
scores are an error.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import batch_norm, relu

from gm_bench.config import load_params
from gm_bench.nets import network as networks
from gm_bench.reproducibility import derive, make_deterministic
from gm_bench.tracks.mode_collapse.mixtures import mixture
from gm_bench.tracks.mode_collapse.stages import mixture_of, recipe_of
from gm_bench.training.recipe import Recipe
from gm_bench.variants.base import contract
from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.gan import cross_entropy_critic_loss
from gm_bench.variants.ns_gan import non_saturating_loss

# The ways are held against each other in the second round: Adam follows the sign of a gradient first, so that
# float32 leads them apart soon.
COMPARED, TOLERANCE = 1, 1e-4
N_WARM = 3  # rounds that are not measured: the first steps fill caches
Forward = Callable[[Tensor], Tensor]  # (k, n, …) → (k, n, …), all networks
# Of k networks: the generators and the critics as functions, and the parameters of each.
Way = tuple[Forward, Forward, list[Tensor], list[Tensor]]


def in_one_pass(models: Sequence[Adversarial]) -> Way:
    """By torch.func: the modules of the suite, their parameters stacked."""
    forwards, stacked = [], []
    for modules in ([m.generator for m in models], [m.critic for m in models]):
        parameters, buffers = stack_module_state(list(modules))
        skeleton = copy.deepcopy(modules[0]).to("meta")
        forwards.append(_mapped(skeleton, parameters, buffers))
        stacked.append(list(parameters.values()))
    return forwards[0], forwards[1], stacked[0], stacked[1]


def _mapped(skeleton: nn.Module, parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Forward:
    def forward(own: dict[str, Tensor], kept: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(skeleton, (own, kept), (x,))

    return lambda x: vmap(forward)(parameters, buffers, x)


def written_out(models: Sequence[Adversarial], pieces: int) -> Way:
    """As batched products of matrices; the statistics that batch norm keeps for evaluation are left out."""
    generators, critics = (
        [torch.stack(each).detach().requires_grad_() for each in zip(*weights, strict=True)]
        for weights in ([m.generator.parameters() for m in models], [m.critic.parameters() for m in models])
    )

    def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.baddbmm(bias[:, None], x, weight.mT)

    def normalised(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        k, _, width = x.shape
        rows = x.transpose(0, 1).flatten(1)
        rows = batch_norm(rows, None, None, weight.flatten(), bias.flatten(), training=True)
        return rows.unflatten(1, (k, width)).transpose(0, 1)

    def generator(z: Tensor) -> Tensor:
        *hidden, weight, bias = generators
        for i in range(0, len(hidden), 3):
            z = relu(normalised(torch.bmm(z, hidden[i].mT), hidden[i + 1], hidden[i + 2]))
        return linear(z, weight, bias)[..., None, None]

    def critic(x: Tensor) -> Tensor:
        *hidden, weight, bias = critics
        x = x.flatten(2)
        for i in range(0, len(hidden), 2):
            x = linear(x, hidden[i], hidden[i + 1]).unflatten(2, (pieces, -1)).amax(dim=2)
        return linear(x, weight, bias)

    return generator, critic, generators, critics


class Loop:
    """Rounds of k networks at once; `spent` are its CPU seconds."""

    def __init__(self, way: Way, recipe: Recipe) -> None:
        self.generator, self.critic, self.of_generator, self.of_critic = way
        self.adams = [
            torch.optim.Adam(parameters, recipe.optimisers[p].lr, recipe.optimisers[p].betas, fused=True)
            for p, parameters in (("critic", self.of_critic), ("generator", self.of_generator))
        ]
        self.spent = 0.0
        self.scores = torch.empty(0)

    def round(self, real: Tensor, codes: Sequence[Tensor]) -> None:
        """One update of critic and generator; real points (k, n, 2, 1, 1), two batches of codes (k, n, z)."""
        began = time.process_time()
        with torch.no_grad():
            fake = self.generator(codes[0])
        on_real, on_fake = self.critic(real), self.critic(fake)
        # Mean over a batch, sum over networks: the gradient of each is that of its own loss.
        k = len(real)
        self._step(0, k * cross_entropy_critic_loss(on_real, on_fake), self.of_critic)
        self.scores = self.critic(self.generator(codes[1]))
        self._step(1, k * non_saturating_loss(self.scores), self.of_generator)
        self.spent += time.process_time() - began

    def _step(self, player: int, loss: Tensor, parameters: list[Tensor]) -> None:
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.contiguous()
        self.adams[player].step()


class OneByOne:
    """The same as `Loop`, one network after another, with the modules of the suite."""

    def __init__(self, models: Sequence[Adversarial], recipe: Recipe) -> None:
        self.loops = [Loop(_alone(model), recipe) for model in models]

    def round(self, real: Tensor, codes: Sequence[Tensor]) -> None:
        for i, loop in enumerate(self.loops):
            loop.round(real[i][None], [code[i][None] for code in codes])

    @property
    def spent(self) -> float:
        return sum(loop.spent for loop in self.loops)

    @property
    def scores(self) -> Tensor:
        return torch.cat([loop.scores for loop in self.loops])


def _alone(model: Adversarial) -> Way:
    own = copy.deepcopy(model)
    generator, critic = own.generator, own.critic
    return (
        lambda z: generator(z[0])[None],
        lambda x: critic(x[0])[None],
        list(generator.parameters()),
        list(critic.parameters()),
    )


def measured(k: int, n_rounds: int) -> list[Tensor]:
    """CPU seconds of each round (n_rounds,), one after another, in one pass and written out."""
    params = load_params()
    recipe = recipe_of(params, "ring", "ns_gan")
    models = []
    for seed in range(k):
        torch.manual_seed(derive(seed, "init"))
        network = networks.build(recipe.network.name, recipe.network.options, (2, 1, 1), 0)
        models.append(contract.build("ns_gan", network, recipe.model).train())
    ways: list[OneByOne | Loop] = [
        OneByOne(models, recipe),
        Loop(in_one_pass(models), recipe),
        Loop(written_out(models, recipe.network.options["pieces"]), recipe),
    ]
    ring, generator = mixture(mixture_of(params, "ring")), torch.Generator().manual_seed(0)
    n, z_dim = recipe.batch_size, recipe.model["z_dim"]
    seconds = torch.empty(len(ways), n_rounds)
    for i in range(n_rounds):
        real = ring.sample(k * n, generator).view(k, n, 2, 1, 1)
        codes = torch.randn(2, k, n, z_dim, generator=generator).unbind()
        for way, row in zip(ways, seconds, strict=True):
            before = way.spent
            way.round(real, codes)
            row[i] = way.spent - before
        if i == COMPARED:
            for way in ways[1:]:
                torch.testing.assert_close(way.scores, ways[0].scores, rtol=0.0, atol=TOLERANCE)
    return list(seconds[:, N_WARM:])


def main(
    rounds: Annotated[int, typer.Option(min=20, help="of each way, in turn")] = 100,
    seeds: Annotated[list[int], typer.Option(help="networks at once")] = [1, 4, 10],  # noqa: B006
) -> None:
    """Print CPU milliseconds a network and round, and how much faster the stacked ways are."""
    make_deterministic()
    torch.set_num_threads(1)
    table = Table("seeds", "one by one", "in one pass", "written out", "speed-up", "written out", box=None)
    for k in seeds:
        apart, together, products = measured(k, rounds)
        cells = [f"{1000 * float(way.median()) / k:.1f} ms" for way in (apart, together, products)]
        table.add_row(str(k), *cells, _ratio(apart / together), _ratio(apart / products))
    Console(width=110).print(table)


def _ratio(ratios: Tensor) -> str:
    """Median with its 95 % interval between order statistics: binomial(n, ½), in its normal approximation."""
    ordered, n = ratios.sort().values, len(ratios)
    half = round(0.98 * math.sqrt(n))
    return f"{ordered.median():.2f} ({ordered[n // 2 - half]:.2f} … {ordered[n // 2 + half]:.2f})"


if __name__ == "__main__":
    typer.run(main)
