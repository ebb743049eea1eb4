"""What the convolutional networks train at beside another revision: python benchmarks/revision.py TREE

    git worktree add /elsewhere 0b0434b
    python benchmarks/revision.py /elsewhere

TREE is 0b0434b, whose recipes and loop `in_revision` knows. Each contestant is a process of its own, one
thread, that trains the recipe `grey_cpu` on MNIST, some batches at a time and in turn with the others: TREE's
code with TREE's recipe, this code with the recipe that boards have now, and the same in batches of twice the
size at twice the rate. The figure is the median over turns of the ratio of images per CPU second, which a
busy machine disturbs less than the clock; the ratio of operations stands beside it, since today's networks do
more for an image. At the end each draws 10,000 images; their FID is against the test split, in LeNet
features. One seed: small differences of FID are chance. MNIST is read from GM_BENCH_MIRROR, else downloaded.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated

import torch
import typer
import yaml
from rich.console import Console
from rich.table import Table
from torch import Tensor

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parent.parent
BOARD, SET, RECIPE = "mnist_cpu", "mnist", "grey_cpu"
VARIANTS = "vae,ns_gan,wgan_gp,sngan"
TURN = 3200  # images
N_DRAWN = 10_000
Pair = tuple[Callable[[int], float], Callable[[], Tensor]]  # train so far, operations an image; draw


def in_revision(variant: str, n_images: int, data: dict[str, Tensor]) -> Pair:
    """The loop of 0b0434b with its recipe."""
    training, config, sampling = (
        import_module(f"gm_bench.{name}") for name in ("training", "config", "sampling")
    )
    recipe = config.Recipe.model_validate(
        yaml.safe_load(Path("params.yaml").read_text())["variants"][variant][RECIPE]
    )
    job = training.Job(SET, variant, 0, recipe, n_images)
    state = training.start(job, tuple(data["images"].shape[1:]), 10, CPU)

    def train(target: int) -> float:
        with suppress(training.Interrupted):
            training.train(
                state,
                job,
                data["images"],
                data["labels"],
                on_row=lambda progress: None,
                save=lambda state: None,
                save_every=float("inf"),
                stop_asked=lambda: state.images >= target,
            )
        return float(state.flops * state.rounds / state.images)

    return train, lambda: sampling.draw(state.reported.eval(), None, N_DRAWN, 0, CPU)


def as_of_now(variant: str, n_images: int, data: dict[str, Tensor], times: int) -> Pair:
    """This revision's loop with the recipe of its boards, batches and rates times a factor."""
    from gm_bench.cell import Cell
    from gm_bench.config import load_params
    from gm_bench.training.in_memory import train_in_memory
    from gm_bench.training.job import Job
    from gm_bench.training.sampling import draw
    from gm_bench.training.state import start

    written = load_params().recipe(variant, RECIPE)
    faster = {
        player: choice.model_copy(update={"lr": times * choice.lr})
        for player, choice in written.optimisers.items()
    }
    recipe = written.model_copy(update={"batch_size": times * written.batch_size, "optimisers": faster})
    job = Job(Cell(BOARD, SET, variant, 0), recipe, n_images)
    state = start(job, tuple(data["images"].shape[1:]), 10, CPU)

    def train(target: int) -> float:
        train_in_memory(state, job, data, stop_asked=lambda: state.images >= target)
        return state.flops * state.rounds / state.images

    return train, lambda: draw(state.reported.eval(), None, N_DRAWN, 0, CPU)


def contest(variant: str, n_images: int, folder: Path, times: int) -> None:
    """Train a turn for each line that comes in, answer with CPU seconds and operations; then draw."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    data = torch.load(folder / "train.pt", weights_only=True)
    train, draw = as_of_now(variant, n_images, data, times) if times else in_revision(variant, n_images, data)
    for line in sys.stdin:
        began = time.process_time()
        operations = train(int(line))
        typer.echo(json.dumps([time.process_time() - began, operations]))
    torch.save(draw(), folder / f"{variant}-{times}.pt")


class Contestant:
    """A process that trains when it is told to."""

    def __init__(self, tree: Path, variant: str, n_images: int, folder: Path, times: int) -> None:
        arguments = [str(tree), "--contest", variant, "--images", str(n_images), "--times", str(times)]
        self._drawn = folder / f"{variant}-{times}.pt"
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks/revision.py"), *arguments, "--folder", str(folder)],
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def train(self, target: int) -> tuple[float, float]:
        """CPU seconds up to so many images, and operations an image."""
        assert self._process.stdin
        assert self._process.stdout
        print(target, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"a contestant ended with {self._process.wait()}; what it printed says why")
        seconds, operations = json.loads(answer)
        return seconds, operations

    def samples(self) -> Tensor:
        """The images that it draws at the end, uint8."""
        self._process.communicate()
        images: Tensor = torch.load(self._drawn, weights_only=True)
        return images


def row(tree: Path, variant: str, n_images: int, folder: Path, judge: Callable[[Tensor], float]) -> list[str]:
    """A variant's line of the table."""
    three = [
        Contestant(where, variant, n_images, folder, times)
        for where, times in ((tree, 0), (ROOT, 1), (ROOT, 2))
    ]
    # The first turn counts operations and fills caches.
    operations = [each.train(TURN)[1] for each in three]
    targets = range(2 * TURN, n_images + 1, TURN)
    seconds = torch.tensor([[each.train(target)[0] for each in three] for target in targets])
    rates = TURN / seconds.median(dim=0).values
    cells = [variant, *(f"{rate:,.0f}" for rate in rates)]
    now, twice = seconds[:, 0] / seconds[:, 1], seconds[:, 0] / seconds[:, 2]
    cells += [f"{each.median():.2f} ({each.min():.2f} … {each.max():.2f})" for each in (now, twice)]
    more = operations[1] / operations[0]
    cells += [f"{more:.2f}", f"{more * now.median():.2f}"]
    return [*cells, *(f"{judge(each.samples()):.1f}" for each in three)]


def main(
    tree: Annotated[Path, typer.Argument(help="the top of a working tree of revision 0b0434b")],
    images: Annotated[int, typer.Option(min=4 * TURN, help="to train each on, a multiple of 3,200")] = 64_000,
    variants: Annotated[str, typer.Option(help="a,b,c")] = VARIANTS,
    contest_of: Annotated[str, typer.Option("--contest", hidden=True)] = "",
    times: Annotated[int, typer.Option(hidden=True)] = 0,
    folder: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Print images per CPU second of the three, their ratios and their FID."""
    if contest_of and folder:
        contest(contest_of, images, folder, times)
        return
    from gm_bench.data.dataset import load
    from gm_bench.metrics.extractors.features import extract
    from gm_bench.metrics.extractors.lenet import LeNetExtractor
    from gm_bench.metrics.frechet import fid, moments

    dataset = load(SET)
    (shown, labels), (real, _) = dataset.split("train"), dataset.split("test")
    _, extractor = LeNetExtractor.of_package(SET, tuple(shown.shape[1:]))
    known = moments(extract(extractor, real, CPU).features)
    table = Table(
        "variant",
        *("revision", "now", "×2", "now / revision", "×2 / revision", "operations an image", "and a second"),
        *("FID", "now", "×2"),
        box=None,
        title=f"images a CPU second; FID after {images:,} images",
    )
    with tempfile.TemporaryDirectory() as work:
        torch.save({"images": shown, "labels": labels}, Path(work, "train.pt"))
        for variant in variants.split(","):
            judged = row(
                tree.resolve(),
                variant,
                images,
                Path(work),
                lambda drawn: fid(extract(extractor, drawn, CPU).features, known),
            )
            table.add_row(*judged)
            typer.echo(" ".join(judged), err=True)
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
