"""The leaderboard as one web page that holds all it shows: table, samples, charts, protocol."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from gm_bench.cell import Cell
from gm_bench.metrics.catalogue import Catalogue
from gm_bench.report import pictures
from gm_bench.report.charts import Chart, family_colours
from gm_bench.report.display import Display, Samples
from gm_bench.report.drawing import COLOURS
from gm_bench.report.formatting import (
    count,
    decimals,
    duration,
    floor_text,
    number,
    rank_text,
    score_text,
    spread_text,
)
from gm_bench.report.pictures import Frames, data_uri
from gm_bench.report.tables import in_words, marked, missing_in_words, notes, outcome
from gm_bench.report.template import templates
from gm_bench.results.leaderboard import Entry, Leaderboard, Score
from gm_bench.results.schema import CellResult

STRIP_WIDTH, STRIP_MARGIN = 90, 6
# What all sample pictures of the page may take together, before they are written as text a third longer.
PICTURE_BYTES = 2_000_000
SHARE_OF_FRAMES = 0.8


def render(
    board: Leaderboard,
    results: Sequence[CellResult],
    display: Display,
    charts: Mapping[str, Sequence[Chart]],
    samples: Mapping[Cell, Samples] | None = None,
    real: Mapping[str, Tensor] | None = None,
) -> str:
    """The page as HTML; links lead to `cells/` and `figures/` beside it.

    Args:
        board: the leaderboard.
        results: its cells; the first seed of a variant that has samples is shown.
        display: how the track shows them.
        charts: of each dataset.
        samples: what the cells drew; empty for a track whose samples are no pictures.
        real: images of each dataset's test split, uint8 (n, C, H, W).
    """
    samples, real = samples or {}, real or {}
    shown = {dataset: _shown(board, dataset, results, samples) for dataset in board.datasets}
    n_shown = sum(len(chosen) for chosen in shown.values()) + len(real)
    n_bytes = PICTURE_BYTES // max(1, n_shown)
    sections = [
        _section(board, dataset, results, display)
        | _pictures(board, dataset, shown[dataset], samples, real.get(dataset), n_bytes)
        | {
            "charts": charts.get(dataset, ()),
            "galleries": display.galleries(
                list(shown[dataset].values()), int((1 - SHARE_OF_FRAMES) * n_bytes)
            ),
        }
        for dataset in board.datasets
    ]
    page = templates().get_template("leaderboard.html")
    order = board.catalogue.name(board.order_by)
    return page.render(
        name=board.name,
        order=order,
        missing=missing_in_words(board),
        sections=sections,
        strip_width=STRIP_WIDTH,
    )


def _section(
    board: Leaderboard, dataset: str, results: Sequence[CellResult], display: Display
) -> dict[str, Any]:
    """Table, notes and protocol of a dataset."""
    metrics, entries, catalogue = board.metrics(dataset), board.entries[dataset], board.catalogue
    floor, spread = board.floors[dataset], board.floor_sds[dataset]
    digits = {metric: decimals(entries, metric) for metric in metrics}
    colours = {family: COLOURS[ink][0] for family, ink in family_colours(board).items()}
    marks = display.marks(board, dataset)
    place = _scale(board, dataset)
    return {
        "name": dataset,
        "examples": display.examples(board.protocols[dataset]),
        "summary": ", ".join(filter(None, (count(len(entries), "variant"), display.summary(board, dataset)))),
        "families": [(family, colours[family]) for family in dict.fromkeys(e.family for e in entries)],
        "columns": [
            {
                "name": metric,
                "title": catalogue.title(metric),
                "sentence": catalogue[metric].sentence if metric in catalogue else "",
                "first": "descending" if catalogue.direction(metric) == "↑" else "ascending",
                "sorted": metric == board.order_by,
                "short": catalogue.is_main(metric),
            }
            for metric in metrics
        ],
        "n_short": len(board.main_metrics(dataset)),
        "floor": [floor_text(floor.get(metric), digits[metric], spread.get(metric)) for metric in metrics],
        "floor_place": place(floor[board.order_by]) if board.order_by in floor else None,
        "rows": [
            _row(entry, board, digits, place, colours[entry.family], results, display, marks)
            for entry in entries
        ],
        "verdicts": list(display.verdicts(board, dataset).items()),
        "notes": notes(board, dataset, display),
        "beside": display.beside(board, dataset),
        "protocol": [line.partition(": ")[::2] for line in in_words(board, dataset, display)],
    }


def _pictures(
    board: Leaderboard,
    dataset: str,
    shown: Mapping[str, CellResult],
    samples: Mapping[Cell, Samples],
    real: Tensor | None,
    n_bytes: int,
) -> dict[str, Any]:
    """Samples over training time, of each variant and beside real images; nothing without any samples."""
    entries = board.entries[dataset]
    digits = decimals(entries, board.order_by)
    frames = {
        variant: _frames(result, samples[result.cell], int(SHARE_OF_FRAMES * n_bytes))
        for variant, result in shown.items()
    }
    n_images = max((each.n_images for each in frames.values()), default=pictures.MOST_IMAGES)
    return {
        "has_samples": bool(samples),
        "real": None if real is None else _as_dict(pictures.still(real, n_images, n_bytes)),
        "times": max((each.images_shown for each in frames.values()), key=len, default=()),
        "samples_note": _samples_note(shown, frames),
        "gallery": [
            _gallery(entry, board, shown.get(entry.variant), frames.get(entry.variant), digits)
            for entry in entries
        ],
    }


def _row(
    entry: Entry,
    board: Leaderboard,
    digits: Mapping[str, int],
    place: Any,
    colour: str,
    results: Sequence[CellResult],
    display: Display,
    marks: Mapping[tuple[str, str], str],
) -> dict[str, Any]:
    metrics = list(digits)
    n, n_bad = len(entry.seeds), entry.n_diverged
    n_parameters = sum(entry.cost["parameters"].values())
    scores = [entry.metrics.get(metric) for metric in metrics]
    order = entry.metrics.get(board.order_by)
    cells = [r.cell for r in results if (r.dataset, r.variant) == (entry.dataset, entry.variant)]
    return {
        "variant": entry.variant,
        "marked": marked(entry, display),
        "family": entry.family,
        "source": entry.source,
        "colour": colour,
        "words": f"{entry.variant} {entry.family} {entry.source}".lower(),
        "diverged": outcome(entry),
        "cells": [
            _cell(score, digits[metric], marks.get((entry.variant, metric), "")) if score else None
            for metric, score in zip(metrics, scores, strict=True)
        ],
        "places": [place(value) for value in order.values] if order else [],
        "rank": rank_text(entry.rank),
        "seeds": f"{n - n_bad} of {n}" if n_bad else str(n),
        "pages": [(cell.seed, f"cells/{cell.page}") for cell in cells],
        "seconds": duration(entry.cost["seconds"]),
        "parameters": number(n_parameters, 0),
        # What each column is sorted by, in the order of the columns; null stays at the end.
        "keys": [
            entry.rank,
            entry.variant,
            *(
                _sort_key(board.catalogue, metric, score.mean) if score else None
                for metric, score in zip(metrics, scores, strict=True)
            ),
            n - n_bad,
            entry.cost["seconds"],
            n_parameters,
        ],
    }


def _cell(score: Score, digits: int, mark: str) -> dict[str, Any]:
    low, high = score.interval or (None, None)
    return {
        "mean": number(score.mean, digits) + mark,
        "sd": None if score.sd is None else spread_text(score.sd, digits),
        "low": None if low is None else number(low, digits),
        "high": None if high is None else number(high, digits),
    }


def _shown(
    board: Leaderboard, dataset: str, results: Sequence[CellResult], samples: Mapping[Cell, Samples]
) -> dict[str, CellResult]:
    """Of each variant the cell whose samples are shown: the first seed that finished, else the first that
    left snapshots before it diverged."""
    chosen = {}
    for entry in board.entries[dataset]:
        own = sorted(
            (r for r in results if (r.dataset, r.variant) == (dataset, entry.variant) and r.cell in samples),
            key=lambda each: each.seed,
        )
        finished = [r for r in own if samples[r.cell].images is not None]
        begun = [r for r in own if samples[r.cell].snapshots is not None]
        if finished or begun:
            chosen[entry.variant] = (finished or begun)[0]
    return chosen


def _frames(result: CellResult, samples: Samples, n_bytes: int) -> Frames:
    """Snapshots of the training where there are any, else the samples."""
    if samples.snapshots is not None:
        return pictures.frames_within(samples.snapshots, samples.images_shown, n_bytes)
    assert samples.images is not None
    return pictures.frames_within(samples.images[None], (int(result.cost["images"]),), n_bytes)


def _as_dict(frames: Frames) -> dict[str, Any]:
    """Frames as the template shows them."""
    return {
        "source": data_uri(frames.picture),
        "width": frames.picture.width,
        "height": frames.picture.height,
        "times": list(frames.images_shown),
        "n": len(frames.images_shown),
    }


def _samples_note(shown: Mapping[str, CellResult], frames: Mapping[str, Frames]) -> str:
    """Which samples are shown and what was done to them."""
    if not shown:
        return "No cell left samples."
    seeds = sorted({result.seed for result in shown.values()})
    said = f"Seed {', '.join(map(str, seeds))}, unselected; other seeds are on the pages of the cells."
    if any(len(each.images_shown) > 1 for each in frames.values()):
        said = f"The same codes at every time of a training. {said}"
    if not all(each.picture.exact for each in frames.values()):
        said += " Pictures are compressed to keep the page small; those of the cells' pages are exact."
    return said


def _gallery(
    entry: Entry, board: Leaderboard, result: CellResult | None, frames: Frames | None, digits: int
) -> dict[str, Any]:
    score = entry.metrics.get(board.order_by)
    shown = None
    if result and frames:
        text = f"samples of {entry.variant} on {entry.dataset}, seed {result.seed}"
        shown = _as_dict(frames) | {"text": text}
    return {
        "variant": entry.variant,
        "score": score_text(score, digits) if score else None,
        "diverged": outcome(entry),
        "frames": shown,
    }


def _sort_key(catalogue: Catalogue, metric: str, value: float) -> float:
    """The value, or its distance from the best one where that is neither end."""
    in_between = catalogue.direction(metric).startswith("→")
    return catalogue.badness(metric, value) if in_between else value


def _scale(board: Leaderboard, dataset: str) -> Any:
    """Where a value of the ordering metric stands on a logarithmic strip that holds all of them."""
    order, floor = board.order_by, board.floors[dataset]
    values = [v for e in board.with_metric(dataset, order) for v in e.metrics[order].values]
    values += [floor[order]] if order in floor else []
    positive = [value for value in values if value > 0] or [1.0]
    low, high = math.log(min(positive)), math.log(max(positive))
    width = STRIP_WIDTH - 2 * STRIP_MARGIN

    def place(value: float) -> float:
        share = (math.log(max(value, min(positive))) - low) / (high - low) if high > low else 0.5
        return round(STRIP_MARGIN + width * share, 1)

    return place
