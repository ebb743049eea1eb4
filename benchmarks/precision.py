"""Where a board's precision is lost: python benchmarks/precision.py BOARD VARIANT… [--seed 0]

For a board of images that a LeNet reads, whose cells were run here. Two causes are looked at, each on the
protocol's number of samples: images between two classes, which the extractor's classifier is not sure of, and
codes in the tails of the prior, which are drawn nearer to its middle (the truncation of Brock et al. 2019,
"Large scale GAN training", §3.1, by scaling in place of resampling). Writes reports/BOARD/precision.md.
"""

from collections.abc import Iterator
from typing import Annotated

import torch
import typer
from torch import Tensor

from gm_bench import io
from gm_bench.cell import DATA, Cell, reports_of
from gm_bench.config import load_params
from gm_bench.data.scale import to_uint8
from gm_bench.metrics.extractors.features import extract
from gm_bench.metrics.extractors.lenet import LeNetExtractor
from gm_bench.metrics.frechet import fid, moments
from gm_bench.metrics.neighbours import precision_recall
from gm_bench.reproducibility import make_deterministic
from gm_bench.running.stage import run
from gm_bench.tracks.generation.trained import TrainedCell, load
from gm_bench.variants.base.adversarial import Adversarial

CPU = torch.device("cpu")
SURE = 0.99  # probability of the likeliest class
SCALES = (1.0, 0.9, 0.8, 0.7, 0.5)  # of the codes
CHUNK = 500
HEADER = ("variant", "samples", "share sure of", "FID", "precision", "recall", "precision of those sure of")


class Judge:
    """Real images of a dataset in the features of its LeNet.

    Args:
        images: (n, C, H, W), uint8.
        neighbours: k of precision and recall.
    """

    def __init__(self, dataset: str, images: Tensor, neighbours: int) -> None:
        _, self.extractor = LeNetExtractor.of_package(dataset, tuple(images.shape[1:]))
        self.real = extract(self.extractor, images, CPU).features
        self.summary = moments(self.real)
        self.neighbours = neighbours

    def line(self, variant: str, name: str, images: Tensor) -> str:
        """A row of the table: what is said of images (n, C, H, W), uint8."""
        read = extract(self.extractor, images, CPU)
        sure = read.logits.softmax(dim=1).amax(dim=1) > SURE
        every = precision_recall(read.features, self.real, self.neighbours)
        clear = precision_recall(read.features[sure], self.real, self.neighbours)
        numbers = (
            f"{float(sure.float().mean()):.3f}",
            f"{fid(read.features, self.summary):.2f}",
            f"{every.precision:.3f}",
            f"{every.recall:.3f}",
            f"{clear.precision:.3f}",
        )
        return " | ".join(("", variant, name, *numbers, "")).strip()


def nearer(trained: TrainedCell, n: int) -> Iterator[tuple[float, Tensor]]:
    """Scale of the codes → n images of the same codes, uint8; nothing of a conditional model or no GAN."""
    model = trained.model
    if not isinstance(model, Adversarial) or model.conditional:
        return
    codes = model.latent(n, trained.generator("precision", trained.cell.seed))
    for scale in SCALES:
        with torch.no_grad():
            yield scale, to_uint8(torch.cat([model.decode(scale * part) for part in codes.split(CHUNK)]))


def main(
    board: Annotated[str, typer.Argument(help="an entry of boards in params.yaml")],
    variants: Annotated[list[str], typer.Argument(help="of its variants")],
    seed: Annotated[int, typer.Option(help="of the cells")] = 0,
) -> None:
    """Write reports/BOARD/precision.md.

    Raises:
        ValueError: a cell was not run, or the dataset has no LeNet that is packaged.
    """
    make_deterministic()
    params = load_params()
    dataset = params.board(board).datasets[0]
    protocol = params.dataset(dataset).protocol
    n = protocol.n_samples
    real = io.read_rows(DATA / dataset / "test.safetensors", "images", n)
    judge = Judge(dataset, real, protocol.neighbours)
    train = io.read_tensors(DATA / dataset / "train.safetensors")[0]["images"]
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))  # MNIST has one
    lines = [judge.line("–", "real images, of the training split", train[order[:n]])]
    for variant in variants:
        trained = load(Cell(board, dataset, variant, seed), CPU)
        lines.append(judge.line(variant, "as they are drawn", trained.sample(n, seed)))
        lines += [judge.line(variant, f"codes × {scale}", images) for scale, images in nearer(trained, n)]
    rule = ["---"] * 2 + ["---:"] * (len(HEADER) - 2)
    text = [
        f"# Where precision is lost: {dataset}, board {board}",
        "",
        f"`python benchmarks/precision.py {board} {' '.join(variants)} --seed {seed}` wrote this file.",
        "",
        f"{n:,} samples against {n:,} real images of the test split, k = {protocol.neighbours}, features of "
        f"LeNet. Sure of: its classifier gives one class more than {SURE}.",
        "",
        f"| {' | '.join(HEADER)} |",
        f"| {' | '.join(rule)} |",
        *lines,
    ]
    path = reports_of(board) / "precision.md"
    io.write_text(path, "\n".join(text) + "\n")
    typer.echo("\n".join(text[6:]))


if __name__ == "__main__":
    run(main)
