"""Where the seconds of an evaluation go, and what FID's matrices take beside torch-fidelity's.

    python -m benchmarks.evaluation [--repeats 3] [--images 16]

One draw of N images through the extractor and every metric, one thread, CPU seconds. Inception has random
weights of the right shape, which take as long as the real ones; few images go through it, and the seconds
of N are extrapolated from them.
"""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Annotated
from unittest.mock import patch

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch_fidelity import feature_extractor_inceptionv3 as inception_module
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from gm_bench import evaluation, io, pinned
from gm_bench.config import Protocol, load_params
from gm_bench.determinism import make_deterministic
from gm_bench.features import Extractor, Features, extract, load_inception, load_lenet
from gm_bench.metrics.fidelity import classifier_score, kid
from gm_bench.metrics.frechet import fid, fid_infinity, moments
from gm_bench.metrics.sharpness import laplacian_variance

CPU = torch.device("cpu")
SIDES = {"digits": 8, "mnist": 28, "cifar10": 32}
DIMENSIONS = 2048


def main(
    repeats: Annotated[int, typer.Option(help="runs of short steps, of which the median counts")] = 3,
    images: Annotated[int, typer.Option(help="that go through Inception")] = 16,
) -> None:
    """Print seconds and share of each step, and the ratios."""
    make_deterministic()
    for dataset, side in SIDES.items():
        show(dataset, side, load_params().dataset(dataset).protocol, repeats, images)
    against_torch_fidelity(load_params().dataset("cifar10").protocol.n_samples)


def show(dataset: str, side: int, config: Protocol, repeats: int, images: int) -> None:
    """Seconds of each step for one dataset's protocol, on noise of its shape."""
    n, generator = config.n_samples, torch.Generator().manual_seed(0)
    given = torch.randint(0, 256, (2, n, 1, side, side), dtype=torch.uint8, generator=generator)
    if config.extractor == "lenet":
        weights, _ = io.read_tensors(pinned.FOLDER / pinned.file_name(dataset))
        extractor = load_lenet(weights, (1, side, side))
        extracting = median_seconds(lambda: extract(extractor, given[0], CPU), 1)
        fake, real = (extract(extractor, each, CPU) for each in given)
    else:
        extractor = random_inception((1, side, side))
        few = given[0][:images]
        with patch.dict("gm_bench.features.BATCH_SIZE", inception=images):
            extracting = median_seconds(lambda: extract(extractor, few, CPU), 1) / images * n
        fake, real = (
            Features(
                torch.randn(n, DIMENSIONS, generator=generator), torch.randn(n, 1008, generator=generator)
            )
            for _ in range(2)
        )
    config = config.model_copy(update={"n_train": n})
    reference = evaluation.make_reference(given[1], real, real, config, CPU)
    a, b = fake.features, real.features
    repeats = repeats if config.extractor == "lenet" else 1
    steps: dict[str, Callable[[], object]] = {
        "all metrics": lambda: evaluation.all_metrics(fake, given[0], reference, config, CPU),
        "  FID": lambda: fid(a, reference.moments),
        "  FID∞": lambda: fid_infinity(a, b, config.fid_subsets, 0),
        "  KID": lambda: kid(a, b, config.kid_subsets, config.kid_subset_size),
        "  score": lambda: classifier_score(fake.logits, config.score_splits),
        "  sharpness": lambda: laplacian_variance(given[0]),
    }
    seconds = {name: median_seconds(step, repeats) for name, step in steps.items()}
    whole = seconds["all metrics"]
    parts = sum(value for name, value in seconds.items() if name != "all metrics")
    seconds["  neighbours"] = whole - parts
    table = Table(
        "step", "CPU seconds", "of extraction", title=f"{dataset}: N = {n:,}, D = {a.shape[1]}", box=None
    )
    table.add_row("extract features", f"{extracting:.2f}", "1")
    for name, value in seconds.items():
        table.add_row(name, f"{value:.2f}", f"{value / extracting:.3f}")
    Console().print(table)


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
        return load_inception(path, image_shape)


def against_torch_fidelity(n: int) -> None:
    """FID at D = 2,048: all of ours from features, and what torch-fidelity does after its covariances alone.

    Raises:
        ValueError: they disagree.
    """
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(DIMENSIONS, DIMENSIONS, generator=generator) / DIMENSIONS**0.5
    fake, real = (torch.randn(n, DIMENSIONS, generator=generator) @ mix + shift for shift in (0.1, 0.0))
    began = process_time()
    both = tuple(fid_features_to_statistics(each.double()) for each in (fake, real))
    at_statistics = process_time()
    theirs = fid_statistics_to_metric(*both, verbose=False)[KEY_METRIC_FID]
    done = process_time()
    kept = moments(real)
    at_moments = process_time()
    ours = fid(fake, kept)
    ended = process_time()
    difference = abs(ours - theirs) / theirs
    if difference > 1e-6:
        raise ValueError(f"gm-bench says {ours} and torch-fidelity {theirs}")
    typer.echo(
        f"FID, N = {n:,}, D = {DIMENSIONS}: torch-fidelity {at_statistics - began:.1f} s for statistics and "
        f"{done - at_statistics:.1f} s for matrices, gm-bench {at_moments - done:.1f} s for the real "
        f"moments, once, and {ended - at_moments:.1f} s for all of the rest, covariance included: "
        f"matrices alone {(done - at_statistics) / (ended - at_moments):.1f} times, from features to FID "
        f"{(done - began) / (ended - done):.1f} times; relative difference {difference:.1e}"
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
