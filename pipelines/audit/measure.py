"""Stage measure: real images of one dataset, disturbed on purpose → audit/DATASET/values.json."""

from typing import Annotated

import typer

from gm_bench.config import load_params
from gm_bench.reproducibility import resolve
from gm_bench.running.stage import Device, run
from gm_bench.tracks.audit.measuring import measure_dataset


def main(
    dataset: Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")],
    device: Device = "auto",
) -> None:
    """Write audit/DATASET/values.json: every metric of clean and of disturbed images."""
    params = load_params()
    config = params.dataset(dataset).protocol
    measure_dataset(
        dataset, config, params.audit, resolve(device), say=lambda text: typer.echo(f"{dataset}: {text}")
    )


if __name__ == "__main__":
    run(main)
