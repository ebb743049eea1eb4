"""The leaderboard as one web page that holds all it shows: table, samples, charts, protocol."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from gm_bench.report import pictures
from gm_bench.report.charts import Chart, family_colours
from gm_bench.report.drawing import COLOURS
from gm_bench.report.exhibit import Exhibit, page_name
from gm_bench.report.pictures import Film, data_uri
from gm_bench.report.tables import (
    NOT_AVAILABLE,
    decimals,
    density_marks,
    duration,
    floor_text,
    marked,
    notes,
    number,
    outcome,
    protocol_in_words,
    score_text,
    title,
)
from gm_bench.report.template import templates
from gm_bench.results.leaderboard import COLUMNS, ORDER_BY, Entry, Leaderboard, Score
from gm_bench.results.protocol import LIKELIHOOD

STRIP_WIDTH, STRIP_MARGIN = 120, 6
# What all sample pictures of the page may take together, before they are written as text a third longer.
PICTURE_BYTES = 2_000_000
SHARE_OF_FILMS = 0.8


def render(
    board: Leaderboard,
    exhibits: Sequence[Exhibit],
    real: Mapping[str, Tensor],
    charts: Mapping[str, Sequence[Chart]],
) -> str:
    """The page as HTML; links lead to `cells/` and `figures/` beside it.

    Args:
        board: the leaderboard.
        exhibits: what its cells left behind; the first seed of a variant that has samples is shown.
        real: images of each dataset's test split, uint8 (n, C, H, W).
        charts: of each dataset.
    """
    shown = {dataset: _shown(board, dataset, exhibits) for dataset in board.datasets}
    n_shown = sum(len(chosen) for chosen in shown.values()) + len(real)
    n_bytes = PICTURE_BYTES // max(1, n_shown)
    sections = [
        _section(board, dataset, exhibits, shown[dataset], real.get(dataset), n_bytes)
        | {"charts": charts.get(dataset, ())}
        for dataset in board.datasets
    ]
    page = templates().get_template("leaderboard.html")
    return page.render(sections=sections, strip_width=STRIP_WIDTH)


def _section(
    board: Leaderboard,
    dataset: str,
    exhibits: Sequence[Exhibit],
    shown: Mapping[str, Exhibit],
    real: Tensor | None,
    n_bytes: int,
) -> dict[str, Any]:
    metrics, entries = board.metrics(dataset), board.entries[dataset]
    floor, spread = board.floors[dataset], board.floor_sds[dataset]
    digits = {metric: decimals(entries, metric) for metric in metrics}
    colours = {family: COLOURS[ink][0] for family, ink in family_colours(board).items()}
    marks = density_marks(board, dataset)
    place = _scale(board, dataset)
    protocol, extractor = board.protocols[dataset], board.protocols[dataset]["extractor"]
    films = {variant: _film(exhibit, int(SHARE_OF_FILMS * n_bytes)) for variant, exhibit in shown.items()}
    n_images = max((film.n_images for film in films.values()), default=pictures.MOST_IMAGES)
    return {
        "name": dataset,
        "summary": f"{len(entries)} variants, N = {protocol['n_samples']:,}, features of {extractor['name']}",
        "families": [(family, colours[family]) for family in dict.fromkeys(e.family for e in entries)],
        "columns": [
            {
                "name": metric,
                "title": title(metric),
                "first": _better_first(metric),
                "sorted": metric == ORDER_BY,
                "short": metric not in COLUMNS or COLUMNS[metric].short,
            }
            for metric in metrics
        ],
        "n_short": sum(metric not in COLUMNS or COLUMNS[metric].short for metric in metrics),
        "floor": [floor_text(floor.get(metric), digits[metric], spread.get(metric)) for metric in metrics],
        "floor_place": place(floor[ORDER_BY]) if ORDER_BY in floor else None,
        "rows": [
            _row(entry, metrics, digits, place, colours[entry.family], exhibits, marks.get(entry.variant, ""))
            for entry in entries
        ],
        "notes": notes(board, dataset),
        "protocol": [line.partition(": ")[::2] for line in protocol_in_words(board, dataset)],
        "real": None if real is None else _frame(pictures.still(real, n_images, n_bytes)),
        "moments": max((film.moments for film in films.values()), key=len, default=()),
        "samples_note": _samples_note(shown, films),
        "gallery": [
            _gallery(entry, shown.get(entry.variant), films.get(entry.variant), digits.get(ORDER_BY, 0))
            for entry in entries
        ],
        "pairs": [
            _pairs(exhibit, int((1 - SHARE_OF_FILMS) * n_bytes))
            for exhibit in shown.values()
            if exhibit.pairs
        ],
    }


def _row(
    entry: Entry,
    metrics: Sequence[str],
    digits: Mapping[str, int],
    place: Any,
    colour: str,
    exhibits: Sequence[Exhibit],
    mark: str,
) -> dict[str, Any]:
    n, n_bad = len(entry.seeds), len(entry.divergences)
    n_parameters = sum(entry.cost["parameters"].values())
    scores = [entry.metrics.get(metric) for metric in metrics]
    order = entry.metrics.get(ORDER_BY)
    cells = [exhibit.cell for exhibit in exhibits if exhibit.cell[:2] == (entry.dataset, entry.variant)]
    return {
        "variant": entry.variant,
        "marked": marked(entry),
        "family": entry.family,
        "source": entry.source,
        "colour": colour,
        "words": f"{entry.variant} {entry.family} {entry.source}".lower(),
        "diverged": outcome(entry),
        "cells": [
            _cell(score, digits[metric], mark if metric in LIKELIHOOD else "") if score else None
            for metric, score in zip(metrics, scores, strict=True)
        ],
        "places": [place(value) for value in order.values] if order else [],
        "rank": NOT_AVAILABLE if entry.rank is None else str(entry.rank),
        "seeds": f"{n - n_bad} of {n}" if n_bad else str(n),
        "pages": [(cell[2], f"cells/{page_name(cell)}") for cell in cells],
        "seconds": duration(entry.cost["seconds"]),
        "parameters": number(n_parameters, 0),
        # What each column is sorted by, in the order of the columns; null stays at the end.
        "keys": [
            entry.rank,
            entry.variant,
            *(_sort_key(m, score.mean) if score else None for m, score in zip(metrics, scores, strict=True)),
            n - n_bad,
            entry.cost["seconds"],
            n_parameters,
        ],
    }


def _cell(score: Score, digits: int, mark: str) -> dict[str, Any]:
    low, high = score.interval or (None, None)
    return {
        "mean": number(score.mean, digits) + mark,
        "sd": None if score.sd is None else number(score.sd, digits),
        "low": None if low is None else number(low, digits),
        "high": None if high is None else number(high, digits),
    }


def _shown(board: Leaderboard, dataset: str, exhibits: Sequence[Exhibit]) -> dict[str, Exhibit]:
    """Of each variant the cell whose samples are shown: the first seed that finished, else the first that
    left snapshots before it diverged."""
    chosen = {}
    for entry in board.entries[dataset]:
        own = sorted(
            (e for e in exhibits if e.cell[:2] == (dataset, entry.variant)), key=lambda each: each.seed
        )
        finished = [e for e in own if e.samples is not None]
        begun = [e for e in own if e.snapshots is not None]
        if finished or begun:
            chosen[entry.variant] = (finished or begun)[0]
    return chosen


def _film(exhibit: Exhibit, n_bytes: int) -> Film:
    """Snapshots of the training where there are any, else the samples."""
    if exhibit.snapshots is not None:
        return pictures.film(exhibit.snapshots, exhibit.images_shown, n_bytes)
    assert exhibit.samples is not None
    return pictures.film(exhibit.samples[None], (int(exhibit.cost["images"]),), n_bytes)


def _frame(film: Film) -> dict[str, Any]:
    """A film as the template shows it."""
    return {
        "source": data_uri(film.picture),
        "width": film.picture.width,
        "height": film.picture.height,
        "moments": list(film.moments),
        "n": len(film.moments),
    }


def _samples_note(shown: Mapping[str, Exhibit], films: Mapping[str, Film]) -> str:
    """Which samples are shown and what was done to them."""
    if not shown:
        return "No cell left samples."
    seeds = sorted({exhibit.seed for exhibit in shown.values()})
    said = f"Seed {', '.join(map(str, seeds))}, unselected; other seeds are on the pages of the cells."
    if any(len(film.moments) > 1 for film in films.values()):
        said = f"The same codes at every moment of a training. {said}"
    if not all(film.picture.exact for film in films.values()):
        said += " Pictures are compressed to keep the page small; those of the cells' pages are exact."
    return said


def _gallery(entry: Entry, exhibit: Exhibit | None, film: Film | None, digits: int) -> dict[str, Any]:
    score = entry.metrics.get(ORDER_BY)
    frame = None
    if exhibit and film:
        text = f"samples of {entry.variant} on {entry.dataset}, seed {exhibit.seed}"
        frame = _frame(film) | {"text": text}
    return {
        "variant": entry.variant,
        "score": score_text(score, digits) if score else None,
        "diverged": outcome(entry),
        "film": frame,
    }


def _pairs(exhibit: Exhibit, n_bytes: int) -> dict[str, Any]:
    picture = pictures.pairs_picture(exhibit.pairs, n_bytes)
    nearest = exhibit.pairs[0].distance_ratio
    dataset, variant, seed = exhibit.cell
    return {
        "variant": variant,
        "source": data_uri(picture),
        "width": picture.width,
        "height": picture.height,
        "nearest": f"nearest {nearest:.2f}",
        "text": f"the {len(exhibit.pairs)} samples of {variant} on {dataset}, seed {seed}, that are nearest "
        "to a training image, above those images",
    }


def _better_first(metric: str) -> str:
    return "descending" if metric in COLUMNS and COLUMNS[metric].direction == "↑" else "ascending"


def _sort_key(metric: str, value: float) -> float:
    """The value, or its distance from the best one where that is neither end."""
    direction = COLUMNS[metric].direction if metric in COLUMNS else ""
    return abs(value - float(direction[1:])) if direction.startswith("→") else value


def _scale(board: Leaderboard, dataset: str) -> Any:
    """Where a value of the ordering metric stands on a logarithmic strip that holds all of them."""
    values = [
        v
        for entry in board.entries[dataset]
        if ORDER_BY in entry.metrics
        for v in entry.metrics[ORDER_BY].values
    ]
    values += [board.floors[dataset][ORDER_BY]] if ORDER_BY in board.floors[dataset] else []
    positive = [value for value in values if value > 0] or [1.0]
    low, high = math.log(min(positive)), math.log(max(positive))
    width = STRIP_WIDTH - 2 * STRIP_MARGIN

    def place(value: float) -> float:
        share = (math.log(max(value, min(positive))) - low) / (high - low) if high > low else 0.5
        return round(STRIP_MARGIN + width * share, 1)

    return place
