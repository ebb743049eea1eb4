"""Stage extractor: the network whose features the metrics of one dataset read."""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from gm_bench import io
from gm_bench.config import load_params
from gm_bench.data.dataset import read_split
from gm_bench.metrics.extractors import pinned
from gm_bench.reproducibility import make_deterministic, resolve
from gm_bench.running.stage import Device, run

SEED = 0


def main(
    dataset: Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")],
    pin: Annotated[
        bool, typer.Option("--pin", help="train anew on the CPU and keep the weights in the package")
    ] = False,
    device: Device = "auto",
) -> None:
    """Write extractors/DATASET: pinned weights, newly trained ones, or the name and hash of Inception."""
    name = load_params().dataset(dataset).protocol.extractor
    out = Path("extractors", dataset)
    if name == "inception":
        if pin:
            raise ValueError(f"the extractor of {dataset} is inception, whose weights are not trained here")
        info = _inception()
    else:
        info = _lenet(
            dataset, out / "weights.safetensors", pin, torch.device("cpu") if pin else resolve(device)
        )
    io.write_json(out / "extractor.json", info)
    accuracy = "" if info["test_accuracy"] is None else f", test accuracy {info['test_accuracy']:.2%}"
    typer.echo(f"{dataset}: {name} {info['sha256'][:8]}, rows comparable {info['comparable']}{accuracy}")


def _inception() -> dict[str, Any]:
    from gm_bench.metrics.extractors.inception import SHA256, find_weights

    find_weights()
    return _info("inception", SHA256, n_features=2048, n_logits=1008, comparable="everywhere")


def _lenet(dataset: str, weights: Path, pin: bool, device: torch.device) -> dict[str, Any]:
    train = read_split(Path("data", dataset), "train")
    train_sha256 = io.sha256_tensor(train[0])
    record = None if pin else pinned.record_for(dataset, train_sha256)
    if record:
        io.write_bytes(weights, pinned.read_pinned(dataset, record))
        accuracy = record["test_accuracy"]
    else:
        accuracy = _train(dataset, train, weights, device)
    sha256 = io.sha256_file(weights)
    if pin:
        record = {
            "sha256": sha256,
            "test_accuracy": accuracy,
            "train_sha256": train_sha256,
            "seed": SEED,
            "command": f"python -m pipelines.extractor {dataset} --pin",
            "torch": torch.__version__.partition("+")[0],
        }
        pinned.pin(dataset, weights, record)
    tensors, _ = io.read_tensors(weights)
    return _info(
        "lenet",
        sha256,
        n_features=len(tensors["penultimate.weight"]),
        n_logits=len(tensors["classify.weight"]),
        comparable="everywhere" if record else "among themselves",
        test_accuracy=accuracy,
        weights=weights.name,
    )


def _train(
    dataset: str, train: tuple[torch.Tensor, torch.Tensor], weights: Path, device: torch.device
) -> float:
    from gm_bench.metrics.extractors.classifier import train_classifier

    make_deterministic()
    trained = train_classifier(train, read_split(Path("data", dataset), "test"), SEED, device)
    io.write_tensors(weights, trained.weights)
    return trained.test_accuracy


def _info(
    name: str,
    sha256: str,
    n_features: int,
    n_logits: int,
    comparable: str,
    test_accuracy: float | None = None,
    weights: str | None = None,
) -> dict[str, Any]:
    return {
        "schema": 1,
        "name": name,
        "sha256": sha256,
        "features": n_features,
        "logits": n_logits,
        "comparable": comparable,
        "test_accuracy": test_accuracy,
        "weights": weights,
    }


if __name__ == "__main__":
    run(main)
