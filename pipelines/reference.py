"""Stage reference: what the extractor sees in real images, and how far apart two sets of them are."""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from gm_bench import io
from gm_bench.config import load_params
from gm_bench.data.dataset import read_split
from gm_bench.data.split import choose, hold_out
from gm_bench.metrics.extractors.features import PREPROCESSING, extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.nets.lenet import shape_of
from gm_bench.reproducibility import describe, make_deterministic, resolve
from gm_bench.results.protocol import build_protocol
from gm_bench.running.stage import Device, run
from gm_bench.tracks.generation.evaluation import floor, floor_spread, make_reference


def main(
    dataset: Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")],
    device: Device = "auto",
) -> None:
    """Write reference/DATASET: features of held-out and of training images, the floor and its spread."""
    entry = load_params().dataset(dataset)
    config = entry.protocol
    place = resolve(device)
    make_deterministic()
    out = Path("reference", dataset)
    test_split, train_split = (read_split(Path("data", dataset), split) for split in ("test", "train"))
    shown, held_back = hold_out(train_split[1], entry.training.n_validation)
    test_places = choose(
        torch.arange(len(test_split[0])), config.n_samples, f"{dataset}.protocol.n_samples", "test"
    )
    train_places = choose(shown, config.n_train, f"{dataset}.protocol.n_train", "train")
    test_images, train_images = test_split[0][test_places], train_split[0][train_places]
    info, extractor = load_extractor(Path("extractors", dataset), shape_of(test_images))
    test, train = extract(extractor, test_images, place), extract(extractor, train_images, place)
    classes = known_classes(dataset, info)
    labels = train_split[1][shown] if classes else None
    validation = extract(extractor, train_split[0][held_back], place)
    reference = make_reference(test_images, test, train, config, place, labels)
    protocol = build_protocol(
        dataset,
        config,
        info,
        PREPROCESSING[info["name"]],
        {"test": io.sha256_tensor(test_images), "train": io.sha256_tensor(train_images)},
    )
    values = floor(train_images, reference, config, place)
    pool = torch.cat([train_images, test_images])
    of_pool = torch.cat([train_split[1][train_places], test_split[1][test_places]])
    spread = floor_spread(pool, of_pool, reference, config, place)
    io.write_tensors(
        out / "features.safetensors",
        {
            **reference.tensors(),
            "train_places": train_places,
            "validation_features": validation.features,
            "validation_logits": validation.logits,
        },
        {"protocol": protocol, "classes": classes},
    )
    io.write_json(
        out / "floor.json",
        {
            "schema": 1,
            "dataset": dataset,
            "values": values,
            "sd": spread,
            "protocol": protocol,
            "device": describe(place),
        },
    )
    typer.echo(f"{dataset}: floor FID {values['fid']:.3g}, 1-NN accuracy {values['one_nn']:.3f}")


def known_classes(dataset: str, extractor: dict[str, Any]) -> list[str]:
    """Names of the classes, where the extractor tells just those classes apart."""
    names: list[str] = io.read_json(Path("data", dataset, "card.json"))["classes"]
    return [] if extractor["name"] == "inception" else names


if __name__ == "__main__":
    run(main)
