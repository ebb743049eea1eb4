"""The commands that draw pictures from trained cells: sample, interpolate and reconstruct."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gm_bench.defaults import BOARD
from gm_bench.running.stage import Device, guarded, refuse_given

if TYPE_CHECKING:
    from torch import Tensor

    from gm_bench.tracks.generation.trained import TrainedCell

MOST = 10_000  # of what a picture is asked to show: more cannot be looked at

CellBoard = Annotated[str, typer.Option(help="the board that it was trained for")]
CellWords = Annotated[list[str], typer.Argument(help="DATASET/VARIANT/SEED, or the three apart")]
SearchSteps = Annotated[int, typer.Option(min=1, help="to find a code where there is no encoder")]
SearchRate = Annotated[float, typer.Option(min=1e-6, help="learning rate of that search")]

app = typer.Typer(pretty_exceptions_enable=False)


def at_home(path: Path | None) -> Path | None:
    """The path that a user means: of --out=~/a.png a shell leaves the ~, which would name a folder here."""
    return path and Path(os.path.expanduser(path))  # Path's own fails where there is no such home


@app.command()
@guarded
def sample(
    cell: CellWords,
    label: Annotated[int | None, typer.Option("--class", help="of conditional variants; else all")] = None,
    n: Annotated[int, typer.Option("-n", min=1, max=MOST, help="how many")] = 64,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
    out: Annotated[Path, typer.Option(help="the picture, PNG", callback=at_home)] = Path("samples.png"),
    board: CellBoard = BOARD,
    device: Device = "auto",
) -> None:
    """Draw new samples from a trained cell into a picture."""
    from gm_bench.cell import parse_cell
    from gm_bench.tracks.generation import strips

    _refuse_no_png(out)
    _write_picture(out, strips.samples(strips.load(parse_cell(cell, board), device), n, label, seed))


@app.command()
@guarded
def interpolate(
    context: typer.Context,
    cell: CellWords,
    images: Annotated[tuple[int, int] | None, typer.Option(help="two test images, by number")] = None,
    steps: Annotated[int, typer.Option(min=1, max=MOST, help="from one end to the other")] = 8,
    rows: Annotated[int, typer.Option(min=1, max=MOST, help="pairs of drawn codes")] = 4,
    label: Annotated[int | None, typer.Option("--class", help="of drawn codes, conditional")] = None,
    seed: Annotated[int, typer.Option(help="of the codes, or of the search for them")] = 0,
    search_steps: SearchSteps = 300,
    search_rate: SearchRate = 0.05,
    out: Annotated[Path, typer.Option(help="the picture, PNG", callback=at_home)] = Path("interpolation.png"),
    board: CellBoard = BOARD,
    device: Device = "auto",
) -> None:
    """Walk from code to code: between two drawn ones, or between those of two test images."""
    from gm_bench.cell import parse_cell
    from gm_bench.tracks.generation import strips

    _refuse_no_png(out)
    if images is None:
        why = "is of the search for codes of test images: give --images as well"
        refuse_given(context, why, "search_steps", "search_rate")
    else:
        refuse_given(context, "is of drawn codes: leave it out, or --images", "rows", "label")
    trained = strips.load(parse_cell(cell, board), device)
    if images is None:
        picture = strips.walks(trained, rows, steps, label, seed)
    else:
        _refuse_search_options(context, trained)
        search = strips.Search(search_steps, search_rate)
        picture = strips.walk_between_images(trained, *images, steps, seed, search)
    _write_picture(out, picture)


@app.command()
@guarded
def reconstruct(
    context: typer.Context,
    cell: CellWords,
    n: Annotated[int, typer.Option("-n", min=1, max=MOST, help="how many test images")] = 16,
    seed: Annotated[int, typer.Option(help="of the search for codes")] = 0,
    search_steps: SearchSteps = 300,
    search_rate: SearchRate = 0.05,
    out: Annotated[Path, typer.Option(help="the picture, PNG", callback=at_home)] = Path(
        "reconstructions.png"
    ),
    board: CellBoard = BOARD,
    device: Device = "auto",
) -> None:
    """Make test images again from their codes; without an encoder, the codes are searched for."""
    from gm_bench.cell import parse_cell
    from gm_bench.tracks.generation import strips

    _refuse_no_png(out)
    trained = strips.load(parse_cell(cell, board), device)
    _refuse_search_options(context, trained)
    picture, error = strips.reconstructions(trained, n, seed, strips.Search(search_steps, search_rate))
    _write_picture(out, picture)
    typer.echo(f"mean squared error per pixel in [-1, 1]: {error:.4f}")


def _refuse_no_png(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path} is no name for a PNG file: let it end with .png")


def _refuse_search_options(context: typer.Context, trained: "TrainedCell") -> None:
    """Where a variant has an encoder, which gives codes without a search."""
    from gm_bench.tracks.generation import strips

    if strips.has_encoder(trained):
        why = f"is of the search for codes, and {trained.cell.variant} has an encoder: leave it out"
        refuse_given(context, why, "search_steps", "search_rate", "seed")


def _write_picture(path: Path, picture: "Tensor") -> None:
    from gm_bench import io
    from gm_bench.report.figures import png_bytes

    io.write_bytes(path, png_bytes(picture))
    typer.echo(f"wrote {path}")
