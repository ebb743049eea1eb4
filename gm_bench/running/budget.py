"""What training costs on this machine, and the budget that it can afford: measured, not derived."""

import math

import torch

from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.derived import Facts
from gm_bench.reproducibility import resolve
from gm_bench.training.cost import clock_of
from gm_bench.training.in_memory import train_in_memory
from gm_bench.training.job import Job
from gm_bench.training.state import start

MINUTES_A_CELL = 5.0  # what the slowest variant may take
N_ROUNDS = 8  # at least
BUDGETS = (50_000, 2_000_000)


def images_per_second(params: Params, name: str, variant: str, facts: Facts) -> float:
    """Real images that training shows in a second on one core, or on the GPU, by a few rounds of it on noise.

    On the CPU its own seconds are counted, whatever else the machine does. Infinite for a model that is
    fitted and not trained, and for one whose training breaks off.
    """
    device, threads = resolve("auto"), torch.get_num_threads()
    clock = clock_of(device)
    recipe = params.recipe_of(name, name, variant)
    n = max(2 * recipe.batch_size, 2 * max(1, facts.n_classes))
    data = {
        "images": torch.randint(0, 256, (n, *facts.shape), dtype=torch.uint8, device=device),
        "labels": torch.arange(n, device=device) % max(1, facts.n_classes),
    }
    a_round = recipe.batch_size * sum(recipe.updates.values())  # at most: some players look at none
    job = Job(Cell(name, name, variant, 0), recipe, a_round * N_ROUNDS)
    state = start(job, facts.shape, facts.n_classes, device)
    times: list[tuple[int, float]] = []
    torch.set_num_threads(1)
    try:
        train_in_memory(state, job, data, on_row=lambda progress: times.append((progress.images, clock())))
    finally:
        torch.set_num_threads(threads)
    if not state.model.players or state.divergence:
        return math.inf
    (shown_before, began), (shown, ended) = times[1], times[-1]  # the first round counts operations
    return (shown - shown_before) / (ended - began)


def budget(slowest: float) -> int:
    """Images that the slowest variant is shown in a few minutes here, in two figures."""
    least, most = BUDGETS
    amount = min(most, max(least, slowest * 60 * MINUTES_A_CELL))
    step = 10 ** (len(str(int(amount))) - 2)
    return int(amount // step * step)
