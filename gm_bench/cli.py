"""The console script `gm-bench`."""

import os
import sys
from typing import Annotated

import typer

from gm_bench.stage import guarded

N_CORES = os.cpu_count() or 1
LOOPBACK = "127.0.0.1"

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A benchmark of generative models that can be re-run.",
)


@app.command()
@guarded
def run(
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="cells side by side")] = N_CORES,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda")] = None,
) -> None:
    """Bring every cell of the grid up to date, several side by side, and print the leaderboard."""
    from gm_bench import runner
    from gm_bench.config import load_params
    from gm_bench.live import LiveCurves
    from gm_bench.overview import RunDisplay

    environ = runner.environment(device)
    datasets, cells, leaderboard = runner.layers(load_params())
    stale = runner.stale_stages()
    for title, chains in (("datasets", datasets), ("cells", cells)):
        due = [chain for chain in chains if stale.keys() & set(chain.stages)]
        if not due:
            continue
        with RunDisplay(title, due) as display, LiveCurves(due, display.say):
            runner.run_layer(due, jobs, environ)
        failed = [chain.name for chain in due if chain.state == "failed"]
        if failed:
            raise ValueError(
                f"{len(failed)} of {len(due)} {title} failed ({', '.join(failed)}); the reasons stand above, "
                "what was finished is kept, and the same command goes on from there"
            )
        if chains is datasets:  # what came out of them decides about the cells
            stale = runner.stale_stages()
    command = [*runner.DVC, "repro", "--single-item", *leaderboard[0].stages]
    sys.exit(os.spawnve(os.P_WAIT, command[0], command, environ))


@app.command("list")
@guarded
def list_() -> None:
    """Show datasets, variants and which cells of the grid are fresh, stale or missing."""
    from gm_bench import runner
    from gm_bench.config import load_params
    from gm_bench.overview import print_inventory
    from gm_bench.variant import find

    params = load_params()
    descriptions = {name: (find(name).family, find(name).source) for name in params.variants}
    print_inventory(params, descriptions, runner.cell_states(params, runner.stale_stages()))


@app.command()
@guarded
def ui(port: Annotated[int, typer.Option(help="port on the loopback address")] = 5000) -> None:
    """Open MLflow's pages on the results, on this machine only."""
    from gm_bench.tracking import tracking_uri

    uri = tracking_uri()
    database = uri.removeprefix("sqlite:///")
    if database != uri and not os.path.exists(database):
        raise ValueError(f"{database} is not there yet: make repro publishes the results into it")
    store = ["--backend-store-uri", uri, "--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    # The server's own job queue, eight processes, is for features that a benchmark has no use for.
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", "ui", *store], os.environ | quiet)


if __name__ == "__main__":
    app()
