"""What training costs on this machine, and the budget that it can afford: measured, not derived."""

import statistics
import time

import torch

from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.derived import Facts
from gm_bench.reproducibility import resolve
from gm_bench.training.job import Job
from gm_bench.training.loop import train
from gm_bench.training.state import start

MINUTES_A_CELL = 5.0  # what the slowest variant may take
BUDGETS = (50_000, 2_000_000)


def images_per_second(params: Params, name: str, variant: str, facts: Facts) -> float:
    """Real images that training shows in a second on one core, or on the GPU, by a second of it on noise."""

    device, threads = resolve("auto"), torch.get_num_threads()
    recipe = params.recipe_of(name, name, variant)
    n = max(2 * recipe.batch_size, 2 * max(1, facts.n_classes))
    data = {
        "images": torch.randint(0, 256, (n, *facts.shape), dtype=torch.uint8, device=device),
        "labels": torch.arange(n, device=device) % max(1, facts.n_classes),
    }
    speeds: list[float] = []
    torch.set_num_threads(1)
    try:
        for n_images in (recipe.batch_size * 10, recipe.batch_size * 20):
            job = Job(Cell(name, name, variant, 0), recipe, n_images)
            state = start(job, facts.shape, facts.n_classes, device)
            began = time.process_time() if device.type == "cpu" else time.monotonic()
            train(
                state,
                job,
                data,
                on_row=lambda progress: None,
                save=lambda state: None,
                save_every=1e9,
                stop_asked=lambda: False,
            )
            ended = time.process_time() if device.type == "cpu" else time.monotonic()
            speeds.append(state.images / max(ended - began, 1e-9))
    finally:
        torch.set_num_threads(threads)
    return statistics.fmean(speeds[1:])  # the first one warms up


def budget(slowest: float) -> int:
    """Images that the slowest variant is shown in a few minutes here, in two figures."""
    least, most = BUDGETS
    amount = min(most, max(least, slowest * 60 * MINUTES_A_CELL))
    step = 10 ** (len(str(int(amount))) - 2)
    return int(amount // step * step)
