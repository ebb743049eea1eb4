"""Where the seconds of an evaluation go, and what FID's matrices take beside torch-fidelity's.

    python -m benchmarks.evaluation [--repeats 3] [--images 16]

One draw of N images through the extractor and every metric, one thread, CPU seconds. Inception has random
weights of the right shape, which take as long as the real ones; few images go through it, and the seconds
of N are extrapolated from them.
"""

import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from time import process_time
from typing import Annotated
from unittest.mock import patch

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch_fidelity import feature_extractor_inceptionv3 as inception_module
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from gm_bench import io
from gm_bench.config import load_params
from gm_bench.metrics.extractors import lenet
from gm_bench.metrics.extractors.features import Extractor, Features, extract
from gm_bench.metrics.extractors.inception import InceptionExtractor
from gm_bench.metrics.extractors.lenet import LeNetExtractor
from gm_bench.metrics.frechet import fid, moments
from gm_bench.reproducibility import make_deterministic
from gm_bench.results.protocol import Protocol
from gm_bench.tracks.generation import evaluation

CPU = torch.device("cpu")
SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
DIMENSIONS = 2048
PARTS = {
    "fid": "FID",
    "fid_infinity": "FID∞",
    "kid": "KID",
    "classifier_score": "score",
    "laplacian_variance": "sharpness",
}


def main(
    repeats: Annotated[int, typer.Option(min=1, help="runs of short steps, of which the median counts")] = 3,
    images: Annotated[int, typer.Option(min=1, help="that go through Inception")] = 16,
) -> None:
    """Print seconds and share of each step, and the ratios."""
    make_deterministic()
    for dataset in SHAPES:
        show(dataset, load_params().dataset(dataset).protocol, repeats, images)
    against_torch_fidelity(load_params().dataset("cifar10").protocol.n_samples, repeats)


def show(dataset: str, config: Protocol, repeats: int, images: int) -> None:
    """Seconds of each step for one dataset's protocol, on noise of its shape, and their ratio to extraction.

    Where the protocol has no LeNet, features are those of Inception with random weights.
    The parts are timed within one run of all metrics; what is left of it is the neighbours' share. What only
    real images take part in is computed once for a dataset, and not here.
    """
    n, shape, generator = config.n_samples, SHAPES[dataset], torch.Generator().manual_seed(0)
    given = torch.randint(0, 256, (2, n, *shape), dtype=torch.uint8, generator=generator)
    if config.extractor == "lenet":
        weights, _ = io.read_tensors(lenet.FOLDER / lenet.pinned_file(dataset))
        extractor = LeNetExtractor.of_weights(weights, shape)
        extracting = median_seconds(lambda: extract(extractor, given[0], CPU), 1)
        fake, real = (extract(extractor, each, CPU) for each in given)
    else:
        extractor = random_inception(shape)
        few = given[0][:images]
        with patch.object(InceptionExtractor, "batch_size", images):
            extracting = median_seconds(lambda: extract(extractor, few, CPU), 1) / images * n
        fake, real = (
            Features(
                torch.randn(n, DIMENSIONS, generator=generator), torch.randn(n, 1008, generator=generator)
            )
            for _ in range(2)
        )
    dimensions = real.features.shape[1]
    train = Features(
        torch.randn(config.n_train, dimensions, generator=generator),
        real.logits[:1].repeat(config.n_train, 1),
    )
    reference = evaluation.make_reference(given[1], real, train, config, CPU)
    repeats = repeats if config.extractor == "lenet" else 1
    runs = [seconds_of_parts(fake, given[0], reference, config) for _ in range(repeats)]
    seconds = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    table = Table(
        "step",
        "CPU seconds",
        "of extraction",
        title=f"{dataset}, {'×'.join(map(str, shape))}: N = {n:,}, {config.n_train:,} training images, "
        f"D = {dimensions}",
        box=None,
    )
    table.add_row("extract features", f"{extracting:.2f}", "1")
    for name, value in seconds.items():
        table.add_row(name, f"{value:.2f}", f"{value / extracting:.3f}")
    Console().print(table)


def seconds_of_parts(
    fake: Features, images: Tensor, reference: evaluation.Reference, config: Protocol
) -> dict[str, float]:
    """CPU seconds of all metrics together and of their parts, from one run."""
    spent = dict.fromkeys(PARTS, 0.0)

    def timed(name: str) -> Callable[..., object]:
        function = getattr(evaluation, name)

        def wrapped(*args: object) -> object:
            began = process_time()
            result = function(*args)
            spent[name] += process_time() - began
            return result

        return wrapped

    with ExitStack() as stack:
        for name in PARTS:
            stack.enter_context(patch.object(evaluation, name, timed(name)))
        began = process_time()
        evaluation.all_metrics(fake, images, reference, config, CPU)
        whole = process_time() - began
    parts = {f"  {title}": spent[name] for name, title in PARTS.items()}
    return {"all metrics": whole, **parts, "  neighbours": whole - sum(spent.values())}


def random_inception(image_shape: tuple[int, int, int]) -> Extractor:
    """Inception with random weights."""
    cls = inception_module.FeatureExtractorInceptionV3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.pth")
        with (
            patch.object(inception_module, "load_state_dict_from_url", lambda *args, **kwargs: {}),
            patch.object(cls, "load_state_dict", lambda *args, **kwargs: None),
        ):
            torch.save(cls("inception-v3-compat", ["2048"]).state_dict(), path)
        return InceptionExtractor.of_weights(path, image_shape)


def against_torch_fidelity(n: int, repeats: int) -> None:
    """FID of one set of fakes at D = 2,048, with what is known of the real ones: whole, and matrices alone.

    Matrices alone is all but the fakes' mean and covariance: of torch-fidelity what it does with its
    statistics, of gm-bench everything less the bare product of the centred features.

    Raises:
        ValueError: they disagree.
    """
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(DIMENSIONS, DIMENSIONS, generator=generator) / DIMENSIONS**0.5
    fake, real = (torch.randn(n, DIMENSIONS, generator=generator) @ mix + shift for shift in (0.1, 0.0))
    kept, known = moments(real), fid_features_to_statistics(real.double())
    runs = []
    for _ in range(repeats):
        times = [process_time()]
        statistics_of_fake = fid_features_to_statistics(fake.double())
        times.append(process_time())
        theirs = fid_statistics_to_metric(statistics_of_fake, known, verbose=False)[KEY_METRIC_FID]
        times.append(process_time())
        ours = fid(fake, kept)
        times.append(process_time())
        rows = fake.double()
        rows -= rows.mean(dim=0)
        rows.T @ rows
        times.append(process_time())
        runs.append([later - earlier for earlier, later in pairwise(times)])
    covariance, matrices, whole, product = (statistics.median(each) for each in zip(*runs, strict=True))
    difference = abs(ours - theirs) / theirs
    if difference > 1e-6:
        raise ValueError(f"gm-bench says {ours} and torch-fidelity {theirs}")
    typer.echo(
        f"FID, N = {n:,}, D = {DIMENSIONS}, CPU seconds: torch-fidelity {covariance + matrices:.1f}, "
        f"gm-bench {whole:.1f}, ratio {(covariance + matrices) / whole:.1f}; "
        f"matrices alone {matrices:.1f} and {whole - product:.1f}, "
        f"ratio {matrices / (whole - product):.1f}; relative difference {difference:.1e}"
    )


def median_seconds(step: Callable[[], object], repeats: int) -> float:
    """Median CPU seconds of a few calls."""
    seconds = []
    for _ in range(repeats):
        began = process_time()
        step()
        seconds.append(process_time() - began)
    return statistics.median(seconds)


if __name__ == "__main__":
    typer.run(main)
