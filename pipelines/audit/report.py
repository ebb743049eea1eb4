"""Stage report: audit/DATASET/values.json → reports/audit/DATASET.{md,json,png}."""

from pathlib import Path
from typing import Annotated

import typer

from gm_bench import io
from gm_bench.config import load_params
from gm_bench.running.stage import run
from gm_bench.tracks.audit.detection import judge_all
from gm_bench.tracks.audit.report import figure, to_json, to_markdown
from gm_bench.tracks.audit.stages import audit_settings

REPORTS = Path("reports", "audit")


def main(dataset: Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")]) -> None:
    """Write the table, the verdicts and the figure of one dataset's audit."""
    noise_multiple = audit_settings(load_params()).noise_multiple
    measured = io.read_json(Path("audit", dataset, "values.json"))
    verdicts = judge_all(measured, noise_multiple)
    picture = REPORTS / f"{dataset}.png"
    io.write_bytes(picture, figure(measured, verdicts, noise_multiple))
    io.write_json(REPORTS / f"{dataset}.json", to_json(measured, verdicts, noise_multiple))
    text = to_markdown(measured, verdicts, noise_multiple, picture.name)
    io.write_text(REPORTS / f"{dataset}.md", text)
    typer.echo(f"{dataset}: written to {REPORTS}/{dataset}.md, .json and .png")


if __name__ == "__main__":
    run(main)
