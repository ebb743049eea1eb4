"""Stage reference: what the extractor sees in real images, and how far apart two sets of them are."""

from typing import Annotated

import typer

from gm_bench.config import load_params
from gm_bench.reproducibility import resolve
from gm_bench.running.stage import Device, run
from gm_bench.tracks.generation.reference import make


def main(
    dataset: Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")],
    device: Device = "auto",
) -> None:
    """Write reference/DATASET: features of held-out and of training images, the floor and its spread."""
    entry = load_params().dataset(dataset)
    values = make(dataset, entry.protocol, entry.training.n_validation, resolve(device))["values"]
    typer.echo(f"{dataset}: floor FID {values['fid']:.3g}, 1-NN accuracy {values['one_nn']:.3f}")


if __name__ == "__main__":
    run(main)
