"""literature (no stage of dvc.yaml): our boards beside published tables → docs/literature.md."""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from gm_bench import io
from gm_bench.cell import Cell, reports_of
from gm_bench.config import Board, Params, load_params
from gm_bench.report.literature import Section, page
from gm_bench.reproducibility import resolve
from gm_bench.results.leaderboard_file import from_json
from gm_bench.results.literature import published
from gm_bench.running.stage import Device, run
from gm_bench.tracks.generation.published_features import inception_fid
from gm_bench.tracks.track import find
from gm_bench.training.recipe import Optimiser, Recipe

PAGE, TABLE, KEPT = Path("docs/literature.md"), "lucic_2018", "inception.json"


def main(
    inception: Annotated[
        bool, typer.Option("--inception", help="measure samples that are here in Inception's features too")
    ] = False,
    device: Device = "auto",
) -> None:
    """Write the page from every board that was run on a dataset of the published table.

    Raises:
        WeightsError: Inception's features are asked for and its weights cannot be had.
        FileError: a report or samples are damaged.
    """
    params, table = load_params(), published(TABLE)
    sections = []
    for name, grid in params.boards.items():
        report = reports_of(name) / "leaderboard.json"
        datasets = [dataset for dataset in grid.datasets if dataset in table["fid"]]
        if grid.track == "generation" and datasets and report.exists():
            board = from_json(io.read_json(report), str(report), find(grid.track).catalogue)
            if inception:
                _measure(name, grid, datasets, resolve(device))
            kept = reports_of(name) / KEPT
            measured = io.read_json(kept) if kept.exists() else {}
            sections += [
                Section(
                    name, dataset, board, measured.get(dataset, {}), _recipes(params, name, dataset, table)
                )
                for dataset in datasets
                if dataset in board.datasets
            ]
    io.write_text(PAGE, page(sections, table))
    typer.echo(f"written: {PAGE}")


def _recipes(params: Params, name: str, dataset: str, table: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Recipe of each variant of a board in words, here and in the published table."""
    return {
        variant: (
            in_words(params.recipe_of(name, dataset, variant)),
            in_words(params.recipe(variant, table["recipe"])) if variant in table["of_recipe"] else "–",
        )
        for variant in params.board(name).variants
    }


def in_words(recipe: Recipe) -> str:
    """Updates of a round, optimisers, network and the model's own numbers."""
    rates = {player: _of_optimiser(optimiser) for player, optimiser in recipe.optimisers.items()}
    alike = len(set(rates.values())) == 1
    told = [f"{n} {player} updates" for player, n in recipe.updates.items() if n > 1]
    told += [rate if alike else f"{player} {rate}" for player, rate in rates.items()][: 1 if alike else None]
    told.append(" ".join([recipe.network.name, *(f"{k} {v}" for k, v in recipe.network.options.items())]))
    told += [f"{key} {value}" for key, value in recipe.model.items()]
    return "; ".join(told)


def _of_optimiser(optimiser: Optimiser) -> str:
    told = optimiser.model_dump()
    name, rate, decay = (told.pop(key) for key in ("name", "lr", "decay"))
    rest = [f"{key} {value}" for key, value in told.items()]
    return " ".join([name, f"{rate:g}", *rest, *([] if decay == "none" else [f"{decay} decay"])])


def _measure(name: str, grid: Board, datasets: list[str], device: torch.device) -> None:
    """Keep FID in Inception's features beside a board's report: dataset → variant → a value for each seed.

    What was kept of a variant stays where fewer of its seeds have samples here.
    """
    cells = {d: [Cell(name, d, v, s) for v in grid.variants for s in grid.seeds] for d in datasets}
    path = reports_of(name) / KEPT
    kept: dict[str, dict[str, list[float]]] = io.read_json(path) if path.exists() else {}
    for dataset, of in cells.items():
        before = kept.setdefault(dataset, {})
        measured = inception_fid(of, device)
        kept[dataset] = before | {v: f for v, f in measured.items() if len(f) >= len(before.get(v, ()))}
    io.write_json(path, kept)


if __name__ == "__main__":
    run(main)
