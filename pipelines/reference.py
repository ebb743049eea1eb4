"""Stage reference: what the extractor sees in real images, and how far apart two sets of them are."""

import typer

from gm_bench.cell import resolved_of_dataset
from gm_bench.metrics.memorisation import Leak
from gm_bench.reproducibility import resolve
from gm_bench.results.protocol import Protocol
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Dataset, Device, run
from gm_bench.tracks.generation.reference import make


def main(dataset: Dataset, device: Device = "auto") -> None:
    """Write reference/DATASET: features of held-out and of training images, the floor and its spread."""
    needs = resolved.read(resolved_of_dataset(dataset, "reference"))
    protocol = Protocol.model_validate(needs["protocol"])
    made = make(dataset, protocol, needs["n_validation"], resolve(device))
    values, said = made["values"], Leak(**made["leak"]).sentence
    typer.echo(f"{dataset}: floor FID {values['fid']:.4g}, 1-NN accuracy {values['one_nn']:.3f}")
    if said:
        typer.echo(f"{dataset}: {said}", err=True)


if __name__ == "__main__":
    run(main)
