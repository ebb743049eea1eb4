"""Stage evaluate: samples of one cell → metrics.json, every metric for every draw."""

from pathlib import Path
from typing import Annotated, Any

import typer
from torch import Tensor

from gm_bench import io
from gm_bench.config import Protocol, load_params
from gm_bench.metrics.extractors.features import PREPROCESSING, Features, extract
from gm_bench.metrics.extractors.loading import load_extractor
from gm_bench.nets.lenet import shape_of
from gm_bench.reproducibility import describe, make_deterministic, resolve
from gm_bench.results.protocol import LIKELIHOOD, build_protocol, same_protocol
from gm_bench.running.stage import Device, run
from gm_bench.tracks.generation.evaluation import (
    Reference,
    all_metrics,
    closest_pairs,
    curve_point,
    missing_classes,
)


def main(
    dataset: Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")],
    variant: Annotated[str, typer.Argument(help="an entry of variants in params.yaml")],
    seed: int,
    device: Device = "auto",
) -> None:
    """Write runs/DATASET/VARIANT/SEED/metrics.json; a diverged cell gets no values.

    Models with a density have the means of its bounds among their values, one for all draws, in nats;
    `density` says what it is of. Beside the values, `details` has for every draw the classes that it misses,
    and its samples nearest to training images: places in the draw and in the training split, and their
    distance over the median one of held-out images. `curve` has FID and 1-NN accuracy of the snapshots of
    training, against the validation images, by the number of images shown before; both at that smaller N.
    """
    config = load_params().dataset(dataset).protocol
    place = resolve(device)
    make_deterministic()
    folder = Path("runs", dataset, variant, str(seed))
    samples, made = io.read_tensors(folder / "samples.safetensors")
    images = samples["images"]
    real, real_made = io.read_tensors(Path("reference", dataset, "features.safetensors"))
    info, extractor = load_extractor(Path("extractors", dataset), shape_of(images))
    protocol = _checked_protocol(dataset, config, info, real_made["protocol"])

    values: dict[str, list[float]] = {}
    details: dict[str, list[Any]] = {"missing_classes": [], "closest_pairs": []}
    if made["status"] == "ok":
        check_samples(images, config, dataset)
        reference, places = Reference.from_tensors(real), real["train_places"]
        for i, draw in enumerate(images):
            seen = extract(extractor, draw, place)
            asked = samples["labels"][i] if "labels" in samples else None
            for name, value in all_metrics(seen, draw, reference, config, place, asked).items():
                values.setdefault(name, []).append(value)
            details["missing_classes"].append(
                [real_made["classes"][label] for label in missing_classes(seen, reference)]
            )
            pairs = closest_pairs(seen, reference)
            details["closest_pairs"].append([pair | {"train": int(places[pair["train"]])} for pair in pairs])
        values |= {name: [float(samples[name].mean())] for name in LIKELIHOOD if name in samples}
    snapshots, moments = io.read_tensors(folder / "snapshots.safetensors")
    validation = Features(real["validation_features"], real["validation_logits"])
    points = [curve_point(extract(extractor, s, place), validation, place) for s in snapshots["images"]]
    curve = {"images": moments["images_shown"]}
    curve |= {name: [point[name] for point in points] for name in ("fid", "one_nn")}
    content = {
        "schema": 1,
        "cell": {"dataset": dataset, "variant": variant, "seed": seed},
        "status": made["status"],
        "divergence": made["divergence"],
        "density": made["density"],
        "checkpoint": made["checkpoint"],
        "values": values,
        "details": details,
        "curve": curve,
        "protocol": protocol,
        "device": describe(place),
        "hashes": {"training_key": made["training_key"], "samples": io.sha256_tensor(images)},
    }
    io.write_json(folder / "metrics.json", content)
    shown = ", ".join(f"{name} {sum(per) / len(per):.3g}" for name, per in values.items()) or made["status"]
    typer.echo(f"{dataset} {variant} {seed}: {shown}")


def check_samples(images: Tensor, config: Protocol, dataset: str) -> None:
    """Refuse samples that are not as many as params.yaml says.

    Raises:
        ValueError: with the numbers.
    """
    if images.shape[:2] != (config.draws, config.n_samples):
        raise ValueError(
            f"the samples are {images.shape[0]} draws of {images.shape[1]} images but datasets.{dataset}"
            f".protocol says {config.draws} of {config.n_samples}: run the sample stage again"
        )


def _checked_protocol(
    dataset: str, config: Protocol, info: dict[str, Any], of_reference: dict[str, Any]
) -> dict[str, Any]:
    """The protocol of this cell, which must be the one that the reference was made under."""
    protocol = build_protocol(
        dataset, config, info, PREPROCESSING[info["name"]], of_reference["images_sha256"]
    )
    difference = same_protocol(protocol, of_reference)
    if difference:
        raise ValueError(
            f"reference/{dataset} was made under another protocol ({difference}): run that stage again"
        )
    return protocol


if __name__ == "__main__":
    run(main)
