"""readme (make readme, no stage of dvc.yaml): the last leaderboard's tables and samples → README.md."""

import re
from pathlib import Path

from gm_bench import io
from gm_bench.cell import DATA, Cell, reports_of
from gm_bench.config import load_params
from gm_bench.report.figures import image_grid, labelled, png_bytes
from gm_bench.running.stage import run

README, BOARD = Path("README.md"), "digits"
BEGIN, END = "<!-- leaderboard: written by make readme -->", "<!-- end of leaderboard -->"
N_ROWS = N_COLUMNS = 8


def main() -> None:
    """Write what the pipeline produced between the markers of README.md, and the pictures it shows."""
    grid = load_params().board(BOARD)
    parts = [
        re.sub(
            "^#",
            "##",
            io.read_text(reports_of(BOARD) / "leaderboard.md").partition("\n")[2].strip(),
            flags=re.M,
        )
    ]
    for dataset in grid.datasets:
        picture = reports_of(BOARD) / f"samples-{dataset}.png"
        io.write_bytes(picture, _sheet(dataset, grid.variants, grid.seeds[0]))
        names = ", ".join(grid.variants)
        seed = grid.seeds[0]
        parts.append(
            f"![Real images of {dataset} and samples of {names}, seed {seed}, unselected]({picture})"
        )
    before, begin, rest = io.read_text(README).partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{README} lacks the lines '{BEGIN}' and '{END}' between which the table is written")
    io.write_text(README, "".join([before, BEGIN, "\n\n", "\n\n".join(parts), "\n\n", END, after]))


def _sheet(dataset: str, variants: list[str], seed: int) -> bytes:
    """The first images of the test split and of each variant's first draw, none of them chosen."""
    n = N_ROWS * N_COLUMNS
    sets = {"real (test split)": io.read_rows(DATA / dataset / "test.safetensors", "images", n)}
    for variant in variants:
        file = Cell(BOARD, dataset, variant, seed).folder / "samples.safetensors"
        draws = io.read_tensors(file)[0]["images"]
        if len(draws):
            sets[variant] = draws[0, :n]
    scale = max(1, 24 // next(iter(sets.values())).shape[-1])
    grids = {name: image_grid(images, N_COLUMNS, scale) for name, images in sets.items()}
    return png_bytes(labelled(grids, columns=4))


if __name__ == "__main__":
    run(main)
