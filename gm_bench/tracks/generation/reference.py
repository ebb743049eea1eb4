"""The stage reference, from files to files: features of real images, and how far two sets of them differ."""

from dataclasses import asdict
from typing import Any

import torch

from gm_bench import io
from gm_bench.cell import DATA, EXTRACTORS, REFERENCE
from gm_bench.data.dataset import read_split
from gm_bench.data.split import choose, hold_out
from gm_bench.metrics.extractors.features import extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.metrics.memorisation import leak
from gm_bench.nets.lenet import shape_of
from gm_bench.reproducibility import describe, make_deterministic
from gm_bench.results.protocol import Protocol, build_protocol
from gm_bench.tracks.generation.evaluation import floor, floor_spread, make_reference

SCHEMA = 2


def make(dataset: str, config: Protocol, n_validation: int, device: torch.device) -> dict[str, Any]:
    """Write reference/DATASET: features of held-out and of training images, the floor and its spread.

    Args:
        config: the dataset's protocol.
        n_validation: training images that are held back for learning curves.

    Returns:
        What floor.json says.

    Raises:
        ValueError: fewer images than the protocol says, or a metric refuses them.
        FileError: a file of an earlier stage is missing or damaged.
    """
    make_deterministic()
    out = REFERENCE / dataset
    test_split, train_split = (read_split(DATA / dataset, split) for split in ("test", "train"))
    shown, held_back = hold_out(train_split[1], n_validation)
    test_places = choose(
        torch.arange(len(test_split[0])), config.n_samples, f"{dataset}.protocol.n_samples", "test"
    )
    train_places = choose(shown, config.n_train, f"{dataset}.protocol.n_train", "train")
    test_images, train_images = test_split[0][test_places], train_split[0][train_places]
    record, extractor = load_extractor(EXTRACTORS / dataset, shape_of(test_images))
    test, train = extract(extractor, test_images, device), extract(extractor, train_images, device)
    classes: list[str] = []
    if extractor.own_classes:
        classes = io.read_json(DATA / dataset / "card.json")["classes"]
    labels = train_split[1][shown] if classes else None
    validation = extract(extractor, train_split[0][held_back], device)
    reference = make_reference(test_images, test, train, config, device, labels)
    protocol = build_protocol(
        dataset,
        config,
        record,
        extractor.preprocessing,
        {"test": io.sha256_tensor(test_images), "train": io.sha256_tensor(train_images)},
    )
    values = floor(train_images, reference, config, device)
    pool = torch.cat([train_images, test_images])
    labels_of_pool = torch.cat([train_split[1][train_places], test_split[1][test_places]])
    spread = floor_spread(pool, labels_of_pool, reference, config, device)
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
    content = {
        "schema": SCHEMA,
        "dataset": dataset,
        "values": values,
        "sd": spread,
        "leak": asdict(leak(reference.held_out_to_train)),
        "protocol": protocol,
        "device": describe(device),
    }
    io.write_json(out / "floor.json", content)
    return content
