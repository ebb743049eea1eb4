"""readme (make readme, no stage of dvc.yaml): tables of leaderboards and pictures of samples → README.md."""

import re
from itertools import takewhile
from pathlib import Path
from typing import Annotated

import typer

from gm_bench import io
from gm_bench.cell import DATA, Cell, reports_of
from gm_bench.config import Board, load_params
from gm_bench.defaults import BOARD
from gm_bench.report.figures import image_grid, labelled, png_bytes
from gm_bench.report.tables import NOT_MEASURED
from gm_bench.results.schema import OK, Origin, read_cell
from gm_bench.running.runner import is_made
from gm_bench.running.stage import run
from gm_bench.tracks.generation.pages import GIVEN
from gm_bench.tracks.generation.shown import N_SHOWN, first, read

README = Path("README.md")
SHOWN = ("mnist_cpu", "fashion_mnist_cpu", "cifar10_cpu")  # boards, in the order of README
BEGIN, END = "<!-- leaderboard: written by make readme -->", "<!-- end of leaderboard -->"
PROTOCOL = (("N = ", "±: "), ("Extractor: ", "Budget: "))  # how the lines that README repeats begin
RANK = "Rank: "  # its first sentence too, where there are ranks
LEFT_OUT = ("family", "KID", "Sharpness", "time", "parameters")  # columns without room on README
N_COLUMNS = 8


def main(board: Annotated[str, typer.Argument(help="an entry of boards in params.yaml")] = BOARD) -> None:
    """Write pictures of a board's samples, as far as they were drawn, and README.md of the boards it shows.

    Raises:
        ValueError: README.md lacks the two markers, or a leaderboard is of another form.
        FileError: the board was not run, or a shown one is not among the reports.
    """
    params = load_params()
    grid = params.board(board)
    for dataset in grid.datasets:
        picture = _picture(board, dataset)
        io.write_bytes(picture, _sheet(board, dataset, grid.variants, grid.seeds[0]))
        typer.echo(f"written: {picture}")
    content = "\n\n".join(shown(name, params.board(name)) for name in SHOWN)
    io.write_text(README, between_markers(io.read_text(README), content))
    typer.echo(f"written: {README}")


def shown(board: str, grid: Board) -> str:
    """What README.md shows of a board: the main tables of its report, and its pictures."""
    table = reports_of(board) / "leaderboard.md"
    tables = main_tables(io.read_text(table), table)
    variants = [variant for variant in grid.variants if f"| {variant} |" in tables]
    text = f"Real images and samples of {', '.join(variants)}"
    said = f"Seed {grid.seeds[0]}, unselected"
    if GIVEN in tables:
        said += "; variants that are given the class are given the same ones in the same order"
    pictures = [f"![{text}]({_picture(board, dataset)})<br>*{said}.*" for dataset in grid.datasets]
    return "\n\n".join([tables, *pictures])


def main_tables(markdown: str, source: Path) -> str:
    """The main table of each dataset in a leaderboard.md, narrowed, what it lacks, and its protocol.

    Args:
        source: the file that `markdown` was read from, which is linked to.

    Raises:
        ValueError: a section has no table or lacks one of the lines.
    """
    before, *sections = re.split(r"^## ", markdown, flags=re.MULTILINE)
    missing = [line for line in before.splitlines() if line.startswith(NOT_MEASURED)]
    return "\n\n".join(_section(section, missing, source) for section in sections)


def between_markers(readme: str, content: str) -> str:
    """README.md with other content between its markers.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{README} lacks the lines '{BEGIN}' and '{END}' between which the table is written")
    return "".join([before, BEGIN, "\n\n", content, "\n\n", END, after])


def _picture(board: str, dataset: str) -> Path:
    return reports_of(board) / f"samples-{dataset}.png"


def _section(section: str, missing: list[str], source: Path) -> str:
    title, table, said = section.split("\n\n")[:3]
    lines = [line.removeprefix("- ") for line in said.splitlines()]
    chosen = [line for line in missing if re.search(rf" cells of {re.escape(title)}[:.]", line)]
    noise, extractor = (" ".join(_starting(lines, start, source) for start in starts) for starts in PROTOCOL)
    rank = "".join(f" {line.partition('. ')[0]}." for line in lines if line.startswith(RANK))
    whole = f" All metrics, times and the whole protocol: [{source}]({source})."
    notes = takewhile(lambda line: not line.startswith(PROTOCOL[0]), lines)
    chosen += [" ".join([*notes, noise + rank]), extractor.partition(" Time and ")[0] + whole]
    features = extractor.partition(",")[0].partition(": ")[2]
    title = f"### {title}, in features of {features}"
    return "\n\n".join([title, _narrowed(table), "\n".join(f"- {line}" for line in chosen)])


def _narrowed(table: str) -> str:
    """A Markdown table without the columns that are left out; their names may have an arrow behind them."""
    header, *lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
    kept = [i for i, name in enumerate(header) if not name.strip().startswith(LEFT_OUT)]
    return "\n".join(f"|{'|'.join(cells[i] for i in kept)}|" for cells in [header, *lines])


def _starting(lines: list[str], start: str, source: Path) -> str:
    found = [line for line in lines if line.startswith(start)]
    if len(found) != 1:
        raise ValueError(
            f"{source} has {len(found)} lines that begin with '{start}': make repro writes it anew"
        )
    return found[0]


def _sheet(board: str, dataset: str, variants: list[str], seed: int) -> bytes:
    """The first images of the test split and of each variant's first draw, none of them chosen.

    Variants whose cell is not finished here are left out.

    Raises:
        FileError: the dataset was not fetched, or no cell of that seed is finished.
    """
    sets = {"real (test split)": io.read_rows(DATA / dataset / "test.safetensors", "images", N_SHOWN)}
    cells = [Cell(board, dataset, variant, seed) for variant in variants]
    for cell in filter(is_made, cells):
        result = read_cell(cell, Origin("", ""))
        if result.status == OK:
            sets[cell.variant] = read(cell, first(result))
    if len(sets) == 1:
        raise io.FileError(f"no cell of {dataset} has samples here: run gm-bench run --board {board}")
    scale = max(1, 24 // next(iter(sets.values())).shape[-1])
    grids = {name: image_grid(images, N_COLUMNS, scale) for name, images in sets.items()}
    return png_bytes(labelled(grids, columns=min(4, len(grids))))


if __name__ == "__main__":
    run(main)
