"""Stage measure: real images of one dataset, disturbed on purpose → audit/DATASET/values.json."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from gm_bench import io
from gm_bench.config import load_params
from gm_bench.data.dataset import read_split
from gm_bench.metrics.extractors.features import PREPROCESSING, extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.nets.lenet import shape_of
from gm_bench.reproducibility import describe, make_deterministic, resolve
from gm_bench.results.protocol import build_protocol
from gm_bench.running.stage import Device, run
from gm_bench.tracks.audit.measuring import Subject, config_at, measure


def main(
    dataset: Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")],
    device: Device = "auto",
) -> None:
    """Write audit/DATASET/values.json: every metric of clean and of disturbed images."""
    params = load_params()
    config, size = params.dataset(dataset).protocol, params.audit.sets[dataset]
    place = resolve(device)
    make_deterministic()
    splits = [read_split(Path("data", dataset), split) for split in ("train", "test")]
    images, labels = (torch.cat(tensors) for tensors in zip(*splits, strict=True))
    info, extractor = load_extractor(Path("extractors", dataset), shape_of(images))
    subject = Subject(
        images,
        labels,
        lambda chosen: extract(extractor, chosen, place),
        config,
        place,
        info["name"] != "inception",
    )
    measured = measure(subject, params.audit, size, say=lambda text: typer.echo(f"{dataset}: {text}"))
    protocol = build_protocol(
        dataset,
        config_at(config, size.n_samples),
        info,
        PREPROCESSING[info["name"]],
        {"all": io.sha256_tensor(images)},
    )
    for unused in ("draws", "split", "bound_images", "bound_codes", "floor_splits"):
        del protocol[unused]
    io.write_json(
        Path("audit", dataset, "values.json"),
        {"schema": 1, "dataset": dataset, "protocol": protocol, "device": describe(place), **measured},
    )


if __name__ == "__main__":
    run(main)
