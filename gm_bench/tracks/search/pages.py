"""A board of searches as people read it: the table, what was found, a page of all trials of each cell."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from gm_bench.report import page, tables
from gm_bench.report.charts import Chart
from gm_bench.report.display import Display
from gm_bench.report.formatting import count, duration
from gm_bench.report.template import templates
from gm_bench.results.leaderboard import Entry, Leaderboard
from gm_bench.results.schema import OK, CellResult, divergence_place
from gm_bench.tracks.search.draws import DEFAULT
from gm_bench.tracks.search.evaluating import BEST, DEFAULT_FID, WITHOUT
from gm_bench.tracks.search.searching import recipe_of, shown
from gm_bench.tracks.search.space import difference
from gm_bench.yaml_text import dump_yaml

Json = Mapping[str, Any]


def search_in_words(board: Leaderboard, dataset: str) -> list[str]:
    """How the rows came about, one sentence a line."""
    summaries = [each["summary"] for entry in board.entries[dataset] for each in entry.details.values()]
    numbers = ", ".join(sorted({count(each["n_trials"], "trial") for each in summaries}))
    fresh = ", ".join(sorted({count(each["n_fresh"], "fresh training") for each in summaries}))
    return [
        f"Search: {numbers} of each variant and seed at one budget, the first the recipe as it stands, the "
        "others drawn at random; judged by FID against validation images, which no model is trained on.",
        f"Rows: {fresh} of the best recipe and as many, with the same seeds, of the recipe without a search "
        "(FID default), measured on the test split, which the search does not read.",
    ]


def notes(board: Leaderboard, dataset: str) -> list[str]:
    """What the search of each variant found, how sure that is, and which trials diverged."""
    said = []
    for entry in board.entries[dataset]:
        for seed, details in sorted(entry.details.items()):
            name = entry.variant if len(entry.seeds) == 1 else f"{entry.variant}, seed {seed}"
            said += [f"{name}: {sentence}" for sentence in _found(details["summary"])]
    return said


def row_facts(board: Leaderboard, entry: Entry) -> Json:
    """What a row of leaderboard.json says of the search, by seed."""
    return {"search": {str(seed): details["summary"] for seed, details in sorted(entry.details.items())}}


def pages(
    display: Display,
    board: Leaderboard,
    results: Sequence[CellResult],
    drawn: Mapping[str, Sequence[Chart]],
) -> dict[str, str]:
    """The leaderboard as Markdown and as a page, and a page of the trials of each cell, by file name."""
    files = {
        "leaderboard.md": tables.to_markdown(board, display),
        "leaderboard.html": page.render(board, results, display, drawn),
    }
    made = templates("gm_bench.tracks.search")
    template = made.get_template("trials.html")
    for result in results:
        files[f"cells/{result.cell.page}"] = template.render(**_of_cell(result))
    return files


def overlay(details: Json) -> dict[str, Any]:
    """The layer that turns the recipe without a search into the best one; empty where nothing was better."""
    number = details["summary"]["best"]["number"]
    best = recipe_of(details["space"], details["recipe"], number, details["trials"][number]["values"])
    return difference(details["recipe"], best.model_dump(mode="json"))


def adopting(result: CellResult) -> str:
    """The command that makes the best recipe of a cell one of params.yaml."""
    return shlex.join(["gm-bench", "adopt", str(result.cell), "--board", result.cell.board])


def _found(summary: Json) -> list[str]:
    best, default = summary["best"], summary["default"]
    was = "diverged" if default["fid"] is None else f"had {default['fid']:.4g}"
    if best["number"] == DEFAULT:
        first = (
            f"none of {summary['n_trials'] - 1} drawn recipes was better than the one there is, FID "
            f"{best['fid']:.4g}"
        )
    else:
        changed = ", ".join(
            f"{name} {shown(value)} ({shown(default['values'][name])})"
            for name, value in best["values"].items()
        )
        first = (
            f"trial {best['number']} of 0 to {summary['n_trials'] - 1} was best on validation images, FID "
            f"{best['fid']:.4g} where the recipe without a search {was}: {changed}"
        )
    found = [f"{first}; the trials took {duration(summary['seconds'])}."]
    if summary["diverged"]:
        listed = ", ".join(map(str, summary["diverged"]))
        found.append(
            f"{count(len(summary['diverged']), 'trial')} diverged and counted as the worst: {listed}."
        )
    for name, words in ((BEST, "the best recipe"), (WITHOUT, "the recipe without a search")):
        if summary["n_fresh_diverged"][name]:
            n = summary["n_fresh_diverged"][name]
            found.append(f"{n} of {count(summary['n_fresh'], 'fresh training')} of {words} diverged.")
    return found


def _of_cell(result: CellResult) -> dict[str, Any]:
    """What the page of a cell shows."""
    cell, details = result.cell, result.details
    names = list(details["space"])
    worst = float("inf")
    order = sorted(details["trials"], key=lambda trial: worst if trial["fid"] is None else trial["fid"])
    layer = overlay(details)
    return {
        "name": f"{cell.dataset} / {cell.variant} / seed {cell.seed}",
        "dataset": cell.dataset,
        "family": result.origin.family,
        "source": result.origin.source,
        "found": _found(details["summary"]),
        "measured": [
            (words, [f"{value:.4g}" for value in result.values[metric]], f"{result.mean(metric):.4g}")
            for words, metric in (("the best recipe", "fid"), ("without a search", DEFAULT_FID))
            if result.status == OK
        ],
        "overlay": dump_yaml(layer, default_flow_style=None, width=100) if layer else "",
        "command": adopting(result),
        "names": names,
        "space": [(name, _range(details["space"][name])) for name in names],
        "trials": [
            {
                "number": trial["number"],
                "values": [shown(trial["values"][name]) for name in names],
                "end": f"{trial['fid']:.4g}"
                if trial["fid"] is not None
                else f"diverged at {divergence_place(trial['divergence'])}",
                "diverged": trial["fid"] is None,
                "best": trial["number"] == details["summary"]["best"]["number"],
            }
            for trial in order
        ],
    }


def _range(hyperparameter: Json) -> str:
    if hyperparameter["choices"] is not None:
        return f"{hyperparameter['key']}: {', '.join(map(str, hyperparameter['choices']))}"
    scale = "uniform in the logarithm" if hyperparameter["log"] else "uniform"
    return f"{hyperparameter['key']}: {hyperparameter['low']:g} to {hyperparameter['high']:g}, {scale}"
