"""Stage extractor: the network whose features the metrics of one dataset read."""

from typing import Annotated

import typer

from gm_bench.cell import resolved_of_dataset
from gm_bench.reproducibility import resolve
from gm_bench.running import resolve as resolved
from gm_bench.running.stage import Dataset, Device, run
from gm_bench.tracks.generation.extraction import prepare


def main(
    dataset: Dataset,
    pin: Annotated[
        bool, typer.Option("--pin", help="train anew on the CPU and keep the weights in the package")
    ] = False,
    device: Device = "auto",
) -> None:
    """Write extractors/DATASET: pinned weights, newly trained ones, or the hash of published ones."""
    name = resolved.read(resolved_of_dataset(dataset, "extractor"))["extractor"]
    record = prepare(dataset, name, resolve(device), typer.echo, pin)
    text = f"{dataset}: {record['name']} {record['sha256'][:8]}, rows comparable {record['comparable']}"
    accuracy = record["test_accuracy"]
    typer.echo(text if accuracy is None else f"{text}, test accuracy {accuracy:.2%}")


if __name__ == "__main__":
    run(main)
