"""Stage measure: real images of one dataset, disturbed on purpose → audit/DATASET/values.json."""

from typing import Annotated

import typer

from gm_bench.config import load_params
from gm_bench.reproducibility import resolve
from gm_bench.running.stage import Device, run
from gm_bench.tracks.audit.measuring import measure_dataset
from gm_bench.tracks.audit.stages import audit_settings


def main(
    dataset: Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")],
    device: Device = "auto",
) -> None:
    """Write audit/DATASET/values.json: every metric of clean and of disturbed images."""
    params = load_params()
    config, plan = params.dataset(dataset).protocol, audit_settings(params)
    measure_dataset(dataset, config, plan, resolve(device), say=lambda text: typer.echo(f"{dataset}: {text}"))


if __name__ == "__main__":
    run(main)
