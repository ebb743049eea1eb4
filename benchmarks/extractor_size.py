"""At which size EfficientNet-Lite0 should see small colour images: what it tells, and what it costs.

    GM_BENCH_CIFAR10_JPEG=FOLDER python -m benchmarks.extractor_size [--sizes 32,64,96,128]

FOLDER holds CIFAR-10 as JPEG files, train/CLASS/*.jpg and test/CLASS/*.jpg. For every size: the accuracy of
a linear classifier of the features (5,000 training and 1,000 test images), how far small disturbances move
FID, KID and 1-NN in standard deviations of clean draws, and CPU seconds an image on one thread. Then, at the
pinned size, whether ImageNet's own classes are recognised under this scaling of the pixels and under others.
Writes reports/extractors/efficientnet_lite0.md.
"""

import os
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Annotated

import torch
import typer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional as F

from gm_bench import io
from gm_bench.data.dataset import Dataset, load
from gm_bench.metrics.extractors import efficientnet_lite0 as lite
from gm_bench.metrics.fidelity import kid
from gm_bench.metrics.frechet import fid
from gm_bench.metrics.neighbours import leave_one_out_1nn
from gm_bench.nets.efficientnet_lite import EfficientNetLite0, from_weights
from gm_bench.tracks.audit.corruptions import FAILURES, Hand

VARIABLE = "GM_BENCH_CIFAR10_JPEG"
OUT = Path("reports/extractors/efficientnet_lite0.md")
N_TRAIN, N_TEST = 5000, 1000
N, CLEAN, DEALS = 1000, 20, 2
BATCH = 64
DISTURBANCES = {
    "noise_images": 0.02,
    "other_fakes": 0.05,
    "blur": 0.02,
    "pixel_noise": 8,
    "shift": 2,
    "dropped_classes": 1,
}
METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "FID": fid,
    "KID": lambda fake, real: kid(fake, real, 10, N // 2),
    "1-NN": lambda fake, real: leave_one_out_1nn(fake, real).overall,
}
# Classes of ImageNet that show what a class of CIFAR-10 shows; it has neither deer nor riding horses.
IMAGENET = {
    "airplane": (404, 895),
    "automobile": (436, 468, 511, 627, 656, 661, 751, 817),
    "bird": (*range(7, 25), *range(80, 101), *range(127, 147)),
    "cat": tuple(range(281, 286)),
    "dog": tuple(range(151, 269)),
    "frog": (30, 31, 32),
    "ship": (403, 484, 510, 554, 625, 628, 724, 780, 814, 833, 871, 914),
    "truck": (555, 569, 675, 717, 734, 864, 867),
}
SCALINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "(x − 127) / 128": lambda x: x,
    "x / 255": lambda x: (x * 128 + 127) / 255,
    "ImageNet's mean and deviation": lambda x: (
        ((x * 128 + 127) / 255 - torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1))
        / torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    ),
    "(x − 127) / 128, blue first": lambda x: x.flip(1),
}


@dataclass(frozen=True)
class Measured:
    """What one size and interpolation gives.

    Args:
        accuracy: of the linear classifier on test images.
        seconds: CPU seconds an image.
        moves: metric → disturbance → move in standard deviations of clean draws.
    """

    accuracy: float
    seconds: float
    moves: Mapping[str, Mapping[str, float]]


def main(
    sizes: Annotated[str, typer.Option(help="pixels a side, separated by commas")] = "32,64,96,128",
    probe_only: Annotated[str, typer.Option(help="sizes of which only the probe is measured")] = "224",
    bilinear: Annotated[str, typer.Option(help="the same with bilinear interpolation")] = "96",
) -> None:
    """Measure every size and write the report."""
    torch.set_num_threads(1)
    if VARIABLE not in os.environ:
        raise SystemExit(f"set {VARIABLE} to the folder that holds train/ and test/")
    folder = Path(os.environ[VARIABLE])
    dataset = load("folder", path=str(folder / "train"), test_path=str(folder / "test"))
    network = from_weights(lite.read_weights(lite.find_weights())).to(memory_format=torch.channels_last)
    cases = [(int(size), "bicubic", True) for size in sizes.split(",")]
    cases += [(int(size), "bicubic", False) for size in probe_only.split(",") if size]
    cases += [(int(size), "bilinear", False) for size in bilinear.split(",") if size]
    found: dict[tuple[int, str], Measured] = {}
    for size, way, disturbed in cases:
        found[size, way] = measure(network, dataset, size, way, disturbed)
        print(size, way, found[size, way], flush=True)  # noqa: T201
        io.write_text(OUT, report(found, {}))
    io.write_text(OUT, report(found, recognition(network, dataset)))


def chosen(labels: Tensor, n: int, seed: int) -> Tensor:
    """Places of n images, the same number of each class."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    classes = labels.unique()
    return torch.cat([order[labels[order] == label][: n // len(classes)] for label in classes])


def look(
    network: EfficientNetLite0, images: Tensor, prepare: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Features and logits of uint8 images."""
    seen = []
    with torch.inference_mode():
        for batch in images.split(BATCH):
            seen.append(network(prepare(batch).contiguous(memory_format=torch.channels_last)))
    return torch.cat([each[0] for each in seen]), torch.cat([each[1] for each in seen])


def prepare_with(size: int, way: str) -> Callable[[Tensor], Tensor]:
    def prepare(images: Tensor) -> Tensor:
        resized = F.interpolate(images.float(), size=(size, size), mode=way, antialias=True)
        return resized.clamp(0, 255).sub(lite.MEAN).div(lite.DEVIATION)

    return prepare


def measure(network: EfficientNetLite0, dataset: Dataset, size: int, way: str, disturbed: bool) -> Measured:
    """Linear probe, cost and moves at one size."""
    prepare = prepare_with(size, way)
    train = chosen(dataset.train_labels, N_TRAIN, 0)
    test = chosen(dataset.test_labels, N_TEST, 0)
    began = process_time()
    seen, _ = look(network, dataset.train_images[train], prepare)
    seconds = (process_time() - began) / N_TRAIN
    unseen, _ = look(network, dataset.test_images[test], prepare)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    probe.fit(seen.numpy(), dataset.train_labels[train].numpy())
    accuracy = probe.score(unseen.numpy(), dataset.test_labels[test].numpy())
    return Measured(accuracy, seconds, moves(network, dataset, prepare, seen, train) if disturbed else {})


def moves(
    network: EfficientNetLite0,
    dataset: Dataset,
    prepare: Callable[[Tensor], Tensor],
    seen: Tensor,
    places: Tensor,
) -> dict[str, dict[str, float]]:
    """Metric → disturbance → how far its mean over deals moves towards worse, in sd of clean draws.

    Args:
        seen: features of the training images in these places, from which clean sets are dealt.
    """
    images, labels = dataset.train_images[places], dataset.train_labels[places]
    known = {image.numpy().tobytes(): row for image, row in zip(images, seen, strict=True)}
    clean: dict[str, list[float]] = {name: [] for name in METRICS}
    moved: dict[str, dict[str, list[float]]] = {name: {d: [] for d in DISTURBANCES} for name in METRICS}
    for deal in range(CLEAN):
        generator = torch.Generator().manual_seed(deal)
        order = torch.randperm(len(images), generator=generator)
        real, rest = order[:N], order[N:]
        for name, metric in METRICS.items():
            clean[name].append(metric(seen[rest[:N]], seen[real]))
        if deal >= DEALS:
            continue
        hand = Hand(images[real], images[rest[-N:]], images[rest], labels[rest])
        for disturbance, strength in DISTURBANCES.items():
            fakes = FAILURES[disturbance].apply(hand, strength, generator)
            assert fakes is not None
            features = look_again(network, fakes, prepare, known)
            for name, metric in METRICS.items():
                moved[name][disturbance].append(metric(features, seen[real]))
    return {
        name: {
            disturbance: (statistics.fmean(values) - statistics.fmean(clean[name]))
            / statistics.stdev(clean[name])
            for disturbance, values in of.items()
        }
        for name, of in moved.items()
    }


def look_again(
    network: EfficientNetLite0,
    images: Tensor,
    prepare: Callable[[Tensor], Tensor],
    known: Mapping[bytes, Tensor],
) -> Tensor:
    """Features of images, of which those that were seen before are not computed again."""
    keys = [image.numpy().tobytes() for image in images]
    new = [place for place, key in enumerate(keys) if key not in known]
    computed = look(network, images[new], prepare)[0] if new else images.new_zeros((0, 0))
    rows = dict(zip(new, computed, strict=True))
    return torch.stack([rows[place] if place in rows else known[key] for place, key in enumerate(keys)])


def recognition(network: EfficientNetLite0, dataset: Dataset) -> dict[str, tuple[float, float]]:
    """Scaling → shares of test images that have a fitting class of ImageNet first, and among five."""
    places = chosen(dataset.test_labels, N_TEST, 0)
    images, labels = dataset.test_images[places], dataset.test_labels[places]
    result = {}
    for scaling, change in SCALINGS.items():
        _, logits = look(network, images, lambda batch, change=change: change(lite.prepare(batch)))
        best = logits.topk(5).indices
        hits = []
        for name, fitting in IMAGENET.items():
            mine = best[labels == dataset.card.classes.index(name)]
            hits.append(torch.isin(mine, torch.tensor(fitting)))
        fits = torch.cat(hits)
        result[scaling] = (fits[:, 0].float().mean().item(), fits.any(1).float().mean().item())
    return result


def report(
    found: Mapping[tuple[int, str], Measured],
    recognised: Mapping[str, tuple[float, float]],
) -> str:
    """The page: one table of costs, one for each metric, one of recognition where it was measured."""
    fastest = min(measured.seconds for measured in found.values())
    head = ["size", "interpolation", "linear probe", "CPU seconds, relative", "images/s"]
    rows = [
        [
            str(size),
            way,
            f"{100 * measured.accuracy:.1f} %",
            f"{measured.seconds / fastest:.1f}",
            f"{1 / measured.seconds:.0f}",
        ]
        for (size, way), measured in found.items()
    ]
    lines = [
        "# The size at which EfficientNet-Lite0 sees small colour images",
        f"    {VARIABLE}=FOLDER python -m benchmarks.extractor_size",
        "CIFAR-10 as JPEG files, one CPU thread. Linear probe: logistic regression on the standardised 1,280 "
        f"features of {N_TRAIN:,} training images, its accuracy on {N_TEST:,} test images (standard error "
        "about 1.4 points). Images a second are of this machine, the relative seconds compare.",
        table(head, rows),
        f"Pinned in the extractor, and so in every protocol: {lite.SIZE} pixels, bicubic with antialiasing.",
        f"How far a small disturbance moves a metric towards worse, in standard deviations of {CLEAN} clean "
        f"draws (N = {N:,}, mean over {DEALS} deals; below 3 it counts as unnoticed):",
    ]
    for metric in METRICS:
        head = ["size", "interpolation", *(FAILURES[d].title for d in DISTURBANCES)]
        strengths = ["", "", *(FAILURES[d].label(s, N) for d, s in DISTURBANCES.items())]
        rows = [strengths] + [
            [str(size), way, *(f"{measured.moves[metric][d]:.1f}" for d in DISTURBANCES)]
            for (size, way), measured in found.items()
            if measured.moves
        ]
        lines += [f"## {metric}", table(head, rows)]
    if recognised:
        lines += [
            "## Are the pixels scaled as the weights expect?",
            f"Share of {N_TEST * len(IMAGENET) // 10:,} test images, of the eight classes that ImageNet has "
            "too, for which a fitting one of its 1,000 classes comes first, and among the first five, at "
            f"{lite.SIZE} pixels. The first row is the scaling of the source (TensorFlow's "
            "`efficientnet/lite`).",
            table(
                ["scaling", "first", "among five"],
                [
                    [name, f"{100 * first:.1f} %", f"{100 * five:.1f} %"]
                    for name, (first, five) in recognised.items()
                ],
            ),
        ]
    return "\n\n".join(lines) + "\n"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * 2 + ["---:"] * (len(head) - 2), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    typer.run(main)
