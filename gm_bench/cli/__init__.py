"""The console script `gm-bench`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gm_bench.cli import pictures
from gm_bench.cli.pictures import CellWords, at_home
from gm_bench.defaults import BASELINE, LEADERBOARD
from gm_bench.running.gpus import n_cores
from gm_bench.running.stage import Device, guarded, refuse_given

N_CORES = n_cores()

BoardName = Annotated[str | None, typer.Option(help="an entry of boards in params.yaml; else the first")]
ShownWords = Annotated[list[str], typer.Argument(help="DATASET/VARIANT/SEED, or a board, or a dataset")]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A benchmark of generative models that can be re-run.",
)


@app.command()
@guarded
def run(
    context: typer.Context,
    board: BoardName = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="cells side by side")] = N_CORES,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda")] = None,
    on: Annotated[
        str | None, typer.Option(help="ray, ray://auto or ray://HOST:PORT: give cells to the nodes of a Ray")
    ] = None,
    gpus_per_cell: Annotated[
        float | None, typer.Option(min=0, max=1, help="with --on: the share of a GPU that each cell has")
    ] = None,
    datasets: Annotated[str | None, typer.Option(help="a,b: only these of the board's")] = None,
    variants: Annotated[str | None, typer.Option(help="a,b: only these of the board's")] = None,
    seeds: Annotated[str | None, typer.Option(help="0,1: only these of the board's")] = None,
) -> None:
    """Bring every cell of a board up to date, several side by side, and print its leaderboard.

    With --datasets, --variants or --seeds a part of the board is run, and the leaderboard is that of all
    cells that there are; one that has more stays.
    """
    from gm_bench.running import driver

    if on is None:
        refuse_given(
            context, "shares out the GPUs of a Ray: give --on as well, or leave it out", "gpus_per_cell"
        )
    driver.run(board, jobs, device, on, gpus_per_cell, datasets=datasets, variants=variants, seeds=seeds)


@app.command()
@guarded
def add(
    path: Annotated[Path, typer.Argument(help="a folder of images, or of one sub-folder for each class")],
    name: Annotated[str, typer.Option(help="of the dataset and of its board: a-z, 0-9 and _")],
    size: Annotated[int | None, typer.Option(min=4, help="crop and resize to so many pixels a side")] = None,
    variants: Annotated[str, typer.Option(help="a,b: of the board")] = "vae,ns_gan,wgan_gp",
    sheet: Annotated[
        Path | None, typer.Option(help="contact sheet, PNG; else reports/NAME/images.png", callback=at_home)
    ] = None,
) -> None:
    """Look at a folder of your own images, say what it holds, and write a board for it into params.yaml."""
    from gm_bench.running import adding

    adding.add(path, name, size, variants.split(","), sheet)


@app.command()
@guarded
def evaluate(
    images: Annotated[
        Path, typer.Argument(metavar="PATH", help="a folder of PNG or JPEG files, a .npz or a .safetensors")
    ],
    reference: Annotated[str, typer.Option(help="a dataset, an exported reference, or real images")],
    channels: Annotated[str | None, typer.Option(help="convert the images to grey or rgb")] = None,
    resize: Annotated[int | None, typer.Option(min=1, help="resize to so many pixels a side")] = None,
    key: Annotated[str | None, typer.Option(help="which array, where a file holds several")] = None,
    reference_key: Annotated[str | None, typer.Option(help="the same for a reference path")] = None,
    extractor: Annotated[
        str,
        typer.Option(
            help="for a reference path: auto, clip, dinov2, efficientnet_lite0, inception, lenet, vgg16 or "
            "a dataset"
        ),
    ] = "auto",
    allow_low_range: Annotated[
        bool, typer.Option("--allow-low-range", help="take images of hardly any contrast as they are")
    ] = False,
    floats: Annotated[
        str | None, typer.Option("--range", help="what floats span, 0,1 or -1,1; else only uint8 is taken")
    ] = None,
    board: Annotated[
        str | None, typer.Option(help="whose leaderboard; else the first of the dataset that has a report")
    ] = None,
    n: Annotated[int | None, typer.Option("--n", min=2, help="of a reference path; else all images")] = None,
    draws: Annotated[int | None, typer.Option(min=1, help="at most so many sets of N; else all")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="also write the row to this file", callback=at_home)
    ] = None,
    device: Device = "auto",
) -> None:
    """Score images that another program made, and show them beside the leaderboard."""
    from gm_bench.tracks.generation.scoring.request import Request, judge, read

    request = Request(
        images,
        reference,
        channels=channels,
        resize=resize,
        key=key,
        reference_key=reference_key,
        extractor=extractor,
        allow_low_range=allow_low_range,
        floats=floats,
        board=board,
        n=n,
        draws=draws,
        json_file=json_file,
        device=device,
    )
    params = judge(request)
    found = read(request)  # only then what takes seconds to import
    from gm_bench.tracks.generation.scoring import command as evaluate_command

    evaluate_command.main(request, params, found)


reference_app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(reference_app, name="reference", help="The reference of a dataset as a file that travels.")


@reference_app.command()
@guarded
def export(
    dataset: Annotated[str, typer.Argument(help="an entry of datasets in params.yaml")],
    out: Annotated[
        Path | None, typer.Option(help="the file; else DATASET-reference.safetensors", callback=at_home)
    ] = None,
) -> None:
    """Write all that images are held against into one file, to score with it anywhere."""
    from gm_bench.tracks.generation.scoring import command as evaluate_command

    evaluate_command.export_reference(dataset, out or Path(f"{dataset}-reference.safetensors"))


@app.command()
@guarded
def audit(device: Annotated[str | None, typer.Option(help="auto, cpu or cuda")] = None) -> None:
    """Test the metrics themselves: what they notice of real images disturbed on purpose."""
    from gm_bench.running import driver

    sys.exit(driver.audit(device))


@app.command("list")
@guarded
def list_(board: BoardName = None) -> None:
    """Show boards, datasets, variants, which cells are fresh, stale or missing; with --board its cells."""
    from gm_bench.running import driver

    driver.show_inventory(board)


@app.command()
@guarded
def pack(
    board: BoardName = None,
    out: Annotated[
        Path | None, typer.Option(help="the file; else reports/BOARD/cells.zip", callback=at_home)
    ] = None,
) -> None:
    """Write the finished cells of a board into one small file, for its leaderboard to be made elsewhere."""
    from gm_bench.running import driver

    driver.pack(board, out)


@app.command()
@guarded
def unpack(file: Annotated[Path, typer.Argument(help="what gm-bench pack wrote", callback=at_home)]) -> None:
    """Take over finished cells of a board; run then makes only what is missing or of something else."""
    from gm_bench.running import driver

    driver.unpack(file)


@app.command()
@guarded
def check(
    context: typer.Context,
    baseline: Annotated[str, typer.Option(help="a file, or a revision of this repository")] = str(BASELINE),
    leaderboard: Annotated[Path, typer.Option(help="what is judged", callback=at_home)] = LEADERBOARD,
    update: Annotated[bool, typer.Option("--update", help="accept it as the new baseline")] = False,
    summary: Annotated[
        Path | None, typer.Option(help="write the verdict there as Markdown", callback=at_home)
    ] = None,
    resolve: Annotated[
        bool, typer.Option("--resolve", help="run more seeds of what looks worse until it can be told")
    ] = False,
    most_seeds: Annotated[int, typer.Option(min=2, help="of a variant, with --resolve")] = 12,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="cells side by side")] = N_CORES,
    board: Annotated[
        str | None, typer.Option(help="of claims: run the cheap ones, hold them against reports/BOARD")
    ] = None,
) -> None:
    """Compare the leaderboard with the baseline: exit 1 where samples got worse, 2 where none can tell.

    With --update --resolve the baseline is given so many seeds of every variant.
    """
    from gm_bench.running import gate

    if summary is not None and summary.suffix not in ("", ".md"):
        refuse_given(context, f"is Markdown, which {summary} is not: let it end with .md", "summary")
    if board is not None:
        made = f"gm-bench run --board {board} makes the reports/{board} that is held against"
        others = ("baseline", "leaderboard", "update", "resolve", "most_seeds", "jobs")
        refuse_given(context, f"does not go with --board: {made}", *others)
        sys.exit(gate.check_board(board, summary))
    if not resolve:
        refuse_given(
            context, "is of further seeds: give --resolve as well, or leave it out", "most_seeds", "jobs"
        )
    if update:
        refuse_given(
            context, "holds a verdict, and with --update there is none: leave one of them out", "summary"
        )
    resolving = gate.Resolving(most_seeds, jobs) if resolve else None
    sys.exit(gate.check(baseline, leaderboard, update, summary, resolving))


@app.command()
@guarded
def compare(
    first: Annotated[str, typer.Argument(help="a variant, a leaderboard.json or a revision")],
    second: Annotated[str, typer.Argument(help="another of the same kind")],
    leaderboard: Annotated[
        Path, typer.Option(help="where variants are looked up", callback=at_home)
    ] = LEADERBOARD,
) -> None:
    """Show how two variants, files or revisions differ, and where that is more than noise."""
    from gm_bench.running import gate

    gate.compare(first, second, leaderboard)


@app.command()
@guarded
def show(cell: ShownWords, board: BoardName = None) -> None:
    """Show one cell: state, recipe and where it stands, metrics, cost, files and what makes it again.

    Of a board, or of a dataset (on the board of --board): every number, and where it stands or comes from.
    """
    from gm_bench.running import driver

    driver.show_cell(cell, board)


app.add_typer(pictures.app)  # without a name: sample, interpolate, reconstruct


@app.command()
@guarded
def adopt(
    cell: CellWords,
    board: Annotated[str, typer.Option(help="of the track search")] = "search",
    recipe: Annotated[str | None, typer.Option(help="its name; else RECIPE_searched")] = None,
) -> None:
    """Make the best recipe that a search found one of params.yaml, beside those there are."""
    from gm_bench.cell import parse_cell
    from gm_bench.tracks.search import adopting

    typer.echo(adopting.adopt(parse_cell(cell, board), recipe))


@app.command()
@guarded
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="port on the loopback address")] = 5000,
) -> None:
    """Open MLflow's pages on the results, on this machine only."""
    from gm_bench.tracking import ui as tracking_ui

    tracking_ui.main(port)
