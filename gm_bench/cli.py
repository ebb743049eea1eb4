"""The console script `gm-bench`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gm_bench.running.stage import Device, guarded

if TYPE_CHECKING:
    from torch import Tensor

N_CORES = os.cpu_count() or 1
LEADERBOARD = Path("reports/leaderboard.json")
BASELINE = "reports/baseline.json"

CellWords = Annotated[list[str], typer.Argument(help="DATASET/VARIANT/SEED, or the three apart")]
SearchSteps = Annotated[int, typer.Option(min=1, help="to find a code where there is no encoder")]
SearchRate = Annotated[float, typer.Option(min=1e-6, help="learning rate of that search")]

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
    datasets_: Annotated[str | None, typer.Option("--datasets", help="a,b: set grid.datasets first")] = None,
    variants: Annotated[str | None, typer.Option(help="a,b or all: set grid.variants first")] = None,
    seeds: Annotated[str | None, typer.Option(help="0,1: set grid.seeds first")] = None,
) -> None:
    """Bring every cell of the grid up to date, several side by side, and print the leaderboard.

    The options that set an axis of the grid write it into params.yaml, where Git shows the change.
    """
    from gm_bench.config import load_params
    from gm_bench.running import runner
    from gm_bench.running.overview import RunDisplay
    from gm_bench.tracking.live import LiveCurves

    environ = runner.environment(device)
    with runner.alone(typer.echo):
        _set_grid(datasets=datasets_, variants=variants, seeds=seeds)
        datasets, cells, leaderboard = runner.layers(load_params())
        stale = runner.stale_stages(typer.echo)
        for title, chains in (("datasets", datasets), ("cells", cells)):
            due = [chain for chain in chains if stale.keys() & set(chain.stages)]
            if not due:
                continue
            with RunDisplay(title, due) as display, LiveCurves(due, display.say):
                runner.run_layer(due, jobs, environ)
            failed = [chain.name for chain in due if chain.state == "failed"]
            if failed:
                raise ValueError(
                    f"{len(failed)} of {len(due)} {title} failed ({', '.join(failed)}); the reasons stand "
                    "above, what was finished is kept, and the same command goes on from there"
                )
            if chains is datasets:  # what came out of them decides about the cells
                stale = runner.stale_stages(typer.echo)
        sys.exit(runner.publish(leaderboard[0], environ))


@app.command()
@guarded
def evaluate(
    images: Annotated[
        Path, typer.Argument(metavar="PATH", help="a folder of PNG or JPEG files, a .npz or a .safetensors")
    ],
    reference: Annotated[str, typer.Option(help="a dataset of params.yaml, or a path of real images")],
    channels: Annotated[str | None, typer.Option(help="convert the images to grey or rgb")] = None,
    resize: Annotated[int | None, typer.Option(min=1, help="resize to so many pixels a side")] = None,
    key: Annotated[str | None, typer.Option(help="which array, where a file holds several")] = None,
    reference_key: Annotated[str | None, typer.Option(help="the same for a reference path")] = None,
    extractor: Annotated[
        str, typer.Option(help="for a reference path: auto, lenet, inception, or a dataset that has one")
    ] = "auto",
    allow_low_range: Annotated[
        bool, typer.Option("--allow-low-range", help="take images of hardly any contrast as they are")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="also write the row to this file")] = None,
    device: Device = "auto",
) -> None:
    """Score images that another program made, and show them beside the leaderboard."""
    from gm_bench.tracks.generation.scoring import command as evaluate_command

    evaluate_command.main(
        images,
        reference,
        channels=channels,
        resize=resize,
        key=key,
        reference_key=reference_key,
        extractor=extractor,
        allow_low_range=allow_low_range,
        json_file=json_file,
        device=device,
    )


@app.command()
@guarded
def audit(device: Annotated[str | None, typer.Option(help="auto, cpu or cuda")] = None) -> None:
    """Test the metrics themselves: what they notice of real images disturbed on purpose."""
    from gm_bench.config import load_params
    from gm_bench.running import runner

    params = load_params()
    for dataset in params.audit.datasets:
        if dataset not in params.grid.datasets:
            raise ValueError(
                f"params.yaml: audit.datasets names {dataset}, which grid.datasets does not: the grid "
                "fetches the images, so name it there as well"
            )
    command = [*runner.DVC, "repro", "pipelines/audit/dvc.yaml"]
    sys.exit(os.spawnve(os.P_WAIT, command[0], command, runner.environment(device)))


@app.command("list")
@guarded
def list_() -> None:
    """Show datasets, variants and which cells of the grid are fresh, stale or missing."""
    from gm_bench.config import load_params
    from gm_bench.running import runner
    from gm_bench.running.overview import print_inventory
    from gm_bench.variants.base.contract import find

    params = load_params()
    descriptions = {name: (find(name).family, find(name).source) for name in params.variants}
    print_inventory(params, descriptions, runner.cell_states(params, runner.stale_stages()))


@app.command()
@guarded
def check(
    baseline: Annotated[str, typer.Option(help="a file, or a revision of this repository")] = BASELINE,
    leaderboard: Annotated[Path, typer.Option(help="what is judged")] = LEADERBOARD,
    update: Annotated[bool, typer.Option("--update", help="accept it as the new baseline")] = False,
    summary: Annotated[Path | None, typer.Option(help="write the verdict there as Markdown")] = None,
) -> None:
    """Compare the leaderboard with the baseline: exit 1 where samples got worse, 2 where none can tell."""
    from gm_bench.running import gate

    sys.exit(gate.check(baseline, leaderboard, update, summary))


@app.command()
@guarded
def compare(
    first: Annotated[str, typer.Argument(help="a variant, a leaderboard.json or a revision")],
    second: Annotated[str, typer.Argument(help="another of the same kind")],
    leaderboard: Annotated[Path, typer.Option(help="where variants are looked up")] = LEADERBOARD,
) -> None:
    """Show how two variants, files or revisions differ, and where that is more than noise."""
    from gm_bench.running import gate

    gate.compare(first, second, leaderboard)


@app.command()
@guarded
def show(
    cell: Annotated[list[str], typer.Argument(help="DATASET/VARIANT/SEED, or the three apart")],
) -> None:
    """Show one cell: state, parameters, metrics, cost, files and the commands that make it again."""
    from rich.console import Console

    from gm_bench.config import load_params
    from gm_bench.running import runner
    from gm_bench.tracks.generation import inspection

    dataset, variant, seed = name = inspection.parse_cell(cell)
    params = load_params()
    recipe = params.recipe(variant, dataset).model_dump(mode="json")
    if name in params.cells():
        state = runner.cell_states(params, runner.stale_stages())[name]
    else:
        state = "not in the grid"
    n_images = params.dataset(dataset).training.n_images
    Console().print(inspection.describe((dataset, variant, seed), state, recipe, n_images))


@app.command()
@guarded
def sample(
    cell: CellWords,
    label: Annotated[int | None, typer.Option("--class", help="of conditional variants; else all")] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="how many")] = 64,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
    out: Annotated[Path, typer.Option(help="the picture, PNG")] = Path("samples.png"),
    device: Device = "auto",
) -> None:
    """Draw new samples from a trained cell into a picture."""
    from gm_bench.tracks.generation import inspection, strips

    _write_picture(out, strips.samples(strips.load(inspection.parse_cell(cell), device), n, label, seed))


@app.command()
@guarded
def interpolate(
    cell: CellWords,
    images: Annotated[tuple[int, int] | None, typer.Option(help="two test images, by number")] = None,
    steps: Annotated[int, typer.Option(min=1, help="from one end to the other")] = 8,
    rows: Annotated[int, typer.Option(min=1, help="pairs of drawn codes")] = 4,
    label: Annotated[int | None, typer.Option("--class", help="of drawn codes, conditional")] = None,
    seed: Annotated[int, typer.Option(help="of the codes, or of the search for them")] = 0,
    search_steps: SearchSteps = 300,
    search_rate: SearchRate = 0.05,
    out: Annotated[Path, typer.Option(help="the picture, PNG")] = Path("interpolation.png"),
    device: Device = "auto",
) -> None:
    """Walk from code to code: between two drawn ones, or between those of two test images."""
    from gm_bench.tracks.generation import inspection, strips

    trained = strips.load(inspection.parse_cell(cell), device)
    if images is None:
        picture = strips.walks(trained, rows, steps, label, seed)
    else:
        search = strips.Search(search_steps, search_rate)
        picture = strips.walk_between_images(trained, *images, steps, seed, search)
    _write_picture(out, picture)


@app.command()
@guarded
def reconstruct(
    cell: CellWords,
    n: Annotated[int, typer.Option("-n", min=1, help="how many test images")] = 16,
    seed: Annotated[int, typer.Option(help="of the search for codes")] = 0,
    search_steps: SearchSteps = 300,
    search_rate: SearchRate = 0.05,
    out: Annotated[Path, typer.Option(help="the picture, PNG")] = Path("reconstructions.png"),
    device: Device = "auto",
) -> None:
    """Make test images again from their codes; without an encoder, the codes are searched for."""
    from gm_bench.tracks.generation import inspection, strips

    trained = strips.load(inspection.parse_cell(cell), device)
    picture, error = strips.reconstructions(trained, n, seed, strips.Search(search_steps, search_rate))
    _write_picture(out, picture)
    typer.echo(f"mean squared error per pixel in [-1, 1]: {error:.4f}")


def _write_picture(path: Path, picture: "Tensor") -> None:
    from gm_bench import io
    from gm_bench.report.figures import png_bytes

    if path.suffix.lower() != ".png":
        raise ValueError(f"{path} is no name for a PNG file: let it end with .png")
    io.write_bytes(path, png_bytes(picture))
    typer.echo(f"wrote {path}")


@app.command()
@guarded
def ui(port: Annotated[int, typer.Option(help="port on the loopback address")] = 5000) -> None:
    """Open MLflow's pages on the results, on this machine only."""
    from gm_bench.tracking import ui as tracking_ui

    tracking_ui.main(port)


def _set_grid(**axes: str | None) -> None:
    from gm_bench import io
    from gm_bench.config import PARAMS_FILE, load_params
    from gm_bench.running.grid import with_axes

    chosen = {axis: text.split(",") for axis, text in axes.items() if text is not None}
    if not chosen:
        return
    if chosen.get("variants") == ["all"]:
        chosen["variants"] = list(load_params().variants)
    before = io.read_text(PARAMS_FILE)
    io.write_text(PARAMS_FILE, with_axes(before, chosen))
    try:
        load_params()
    except ValueError:
        io.write_text(PARAMS_FILE, before)
        raise


if __name__ == "__main__":
    app()
