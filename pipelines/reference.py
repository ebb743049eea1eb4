"""Stage reference: what the extractor sees in real images, and how far apart two sets of them are."""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from gm_bench import io
from gm_bench.config import load_params
from gm_bench.data.dataset import read_split
from gm_bench.determinism import make_deterministic
from gm_bench.device import describe, resolve
from gm_bench.evaluation import floor, make_reference
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
    test_images, _ = choose(dataset, "test", config.n_samples, "n_samples")
    train_images, train_places = choose(dataset, "train", config.n_train, "n_train")
    info, extractor = load_extractor(Path("extractors", dataset), shape_of(test_images))
    test, train = extract(extractor, test_images, place), extract(extractor, train_images, place)
    classes, labels = known_classes(dataset, info)
    reference = make_reference(test_images, test, train, config, place, labels)
    protocol = build_protocol(
        dataset,
        config,
        info,
        PREPROCESSING[info["name"]],
        {"test": io.sha256_tensor(test_images), "train": io.sha256_tensor(train_images)},
    )
    values = floor(train_images, reference, config, place)
    io.write_tensors(
        out / "features.safetensors",
        {**reference.tensors(), "train_places": train_places},
        {"protocol": protocol, "classes": classes},
    )
    io.write_json(
        out / "floor.json",
        {"schema": 1, "dataset": dataset, "values": values, "protocol": protocol, "device": describe(place)},
    )
    typer.echo(f"{dataset}: floor FID {values['fid']:.3g}, 1-NN accuracy {values['one_nn']:.3f}")


def choose(dataset: str, split: str, n: int, key: str) -> tuple[Tensor, Tensor]:
    """Images of a split, chosen at random without replacement, the same on every machine.

    Args:
        key: of params.yaml that says n.

    Returns:
        The images, uint8 (n, C, H, W), and their places in the split, int64 (n,).

    Raises:
        ValueError: the split has fewer.
    """
    images, _ = read_split(Path("data", dataset), split)
    if len(images) < n:
        raise ValueError(
            f"datasets.{dataset}.protocol.{key} is {n} but the {split} split has {len(images)} "
            f"images: set it to at most {len(images)} in params.yaml"
        )
    generator = torch.Generator().manual_seed(derive(SEED, f"reference/{split}"))
    places = torch.randperm(len(images), generator=generator)[:n]
    return images[places], places


def known_classes(dataset: str, extractor: dict[str, Any]) -> tuple[list[str], Tensor | None]:
    """Names of the classes and the training labels, where the extractor tells just those classes apart."""
    names = io.read_json(Path("data", dataset, "card.json"))["classes"]
    if extractor["name"] == "inception" or not names:
        return [], None
    return names, read_split(Path("data", dataset), "train")[1]


if __name__ == "__main__":
    run(main)
