"""Stage reference: what the extractor sees in real images, and how far apart two sets of them are."""

from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from gm_bench import io
from gm_bench.config import load_params
from gm_bench.data.dataset import read_split
from gm_bench.determinism import make_deterministic
from gm_bench.device import describe, resolve
from gm_bench.evaluation import floor
from gm_bench.extractors import load_extractor
from gm_bench.features import PREPROCESSING, extract
from gm_bench.nets.lenet import shape_of
from gm_bench.protocol import build_protocol
from gm_bench.seeding import derive
from gm_bench.stage import Device, run

SEED = 0


def main(
    dataset: Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")],
    device: Device = "auto",
) -> None:
    """Write reference/DATASET: features of held-out and of training images, and the floor of every metric."""
    config = load_params().dataset(dataset).protocol
    place = resolve(device)
    make_deterministic()
    out = Path("reference", dataset)
    test_images, train_images = (choose(dataset, split, config.n_samples) for split in ("test", "train"))
    info, extractor = load_extractor(Path("extractors", dataset), shape_of(test_images))
    test, train = extract(extractor, test_images, place), extract(extractor, train_images, place)
    protocol = build_protocol(
        dataset, config, info, PREPROCESSING[info["name"]], io.sha256_tensor(test_images)
    )
    values = floor(test, train, config, place)
    features = {
        "test_features": test.features,
        "test_logits": test.logits,
        "train_features": train.features,
        "train_logits": train.logits,
    }
    io.write_tensors(out / "features.safetensors", features, {"protocol": protocol})
    io.write_json(
        out / "floor.json",
        {"schema": 1, "dataset": dataset, "values": values, "protocol": protocol, "device": describe(place)},
    )
    typer.echo(f"{dataset}: floor FID {values['fid']:.3g}, 1-NN accuracy {values['one_nn']:.3f}")


def choose(dataset: str, split: str, n_samples: int) -> Tensor:
    """Images of a split, chosen at random without replacement, the same on every machine.

    Raises:
        ValueError: the split has fewer.
    """
    images, _ = read_split(Path("data", dataset), split)
    if len(images) < n_samples:
        raise ValueError(
            f"datasets.{dataset}.protocol.n_samples is {n_samples} but the {split} split has {len(images)} "
            f"images: set it to at most {len(images)} in params.yaml"
        )
    generator = torch.Generator().manual_seed(derive(SEED, f"reference/{split}"))
    return images[torch.randperm(len(images), generator=generator)[:n_samples]]


if __name__ == "__main__":
    run(main)
