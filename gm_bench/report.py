"""The leaderboard as one web page that holds all it needs: table, samples, protocol."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from gm_bench.leaderboard import COLUMNS, ORDER_BY, Cell, Entry, Leaderboard
from gm_bench.tables import (
    decimals,
    duration,
    floor_text,
    notes,
    number,
    outcome,
    protocol_in_words,
    score_text,
    title,
)

STRIP_WIDTH, STRIP_MARGIN = 120, 6


def render(board: Leaderboard, samples: Mapping[Cell, bytes], real: Mapping[str, bytes]) -> str:
    """The page as HTML.

    Args:
        board: the leaderboard.
        samples: a PNG of samples for each cell; a diverged cell's is not shown.
        real: a PNG of real images for each dataset that has one.
    """
    environment = Environment(
        loader=PackageLoader("gm_bench"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [_section(board, dataset, samples, real.get(dataset)) for dataset in board.datasets]
    return environment.get_template("leaderboard.html").render(sections=sections, strip_width=STRIP_WIDTH)


def _section(
    board: Leaderboard, dataset: str, samples: Mapping[Cell, bytes], real: bytes | None
) -> dict[str, Any]:
    metrics, entries, floor = board.metrics(dataset), board.entries[dataset], board.floors[dataset]
    digits = {metric: decimals(entries, metric) for metric in metrics}
    place = _scale(board, dataset)
    protocol, extractor = board.protocols[dataset], board.protocols[dataset]["extractor"]
    return {
        "name": dataset,
        "summary": f"{len(entries)} variants, N = {protocol['n_samples']:,}, features of {extractor['name']}",
        "columns": [
            {
                "name": metric,
                "title": title(metric),
                "first": _better_first(metric),
                "sorted": metric == ORDER_BY,
            }
            for metric in metrics
        ],
        "floor": [floor_text(floor.get(metric), digits[metric]) for metric in metrics],
        "floor_place": place(floor[ORDER_BY]) if ORDER_BY in floor else None,
        "rows": [_row(entry, metrics, digits, place) for entry in entries],
        "notes": notes(board, dataset),
        "protocol": [line.partition(": ")[::2] for line in protocol_in_words(board, dataset)],
        "real": _data_uri(real) if real else None,
        "gallery": [_pictures(entry, samples, digits.get(ORDER_BY, 0)) for entry in entries],
    }


def _row(entry: Entry, metrics: Sequence[str], digits: Mapping[str, int], place: Any) -> dict[str, Any]:
    n, n_bad = len(entry.seeds), len(entry.divergences)
    n_parameters = sum(entry.cost["parameters"].values())
    scores = [entry.metrics.get(metric) for metric in metrics]
    order = entry.metrics.get(ORDER_BY)
    return {
        "variant": entry.variant,
        "family": entry.family,
        "source": entry.source,
        "diverged": outcome(entry),
        "cells": [
            {
                "mean": number(score.mean, digits[m]),
                "sd": None if score.sd is None else number(score.sd, digits[m]),
            }
            if score
            else None
            for m, score in zip(metrics, scores, strict=True)
        ],
        "places": [place(value) for value in order.values] if order else [],
        "seeds": f"{n - n_bad} of {n}" if n_bad else str(n),
        "seconds": duration(entry.cost["seconds"]),
        "parameters": number(n_parameters, 0),
        # What each column is sorted by, in the order of the columns; null stays at the end.
        "keys": [
            entry.variant,
            *(_sort_key(m, score.mean) if score else None for m, score in zip(metrics, scores, strict=True)),
            n - n_bad,
            entry.cost["seconds"],
            n_parameters,
        ],
    }


def _pictures(entry: Entry, samples: Mapping[Cell, bytes], digits: int) -> dict[str, Any]:
    pictures = [
        {
            "seed": seed,
            "source": _data_uri(samples[entry.dataset, entry.variant, seed]),
            "text": f"samples of {entry.variant} on {entry.dataset}, seed {seed}",
        }
        for seed in entry.seeds
        if seed not in entry.divergences
    ]
    score = entry.metrics.get(ORDER_BY)
    return {
        "variant": entry.variant,
        "score": score_text(score, digits) if score else None,
        "diverged": outcome(entry),
        "first": pictures[0] if pictures else None,
        "more": pictures[1:],
    }


def _better_first(metric: str) -> str:
    return "descending" if metric in COLUMNS and COLUMNS[metric].direction == "↑" else "ascending"


def _sort_key(metric: str, value: float) -> float:
    """The value, or its distance from one half where that is the best there is."""
    return abs(value - 0.5) if metric in COLUMNS and COLUMNS[metric].direction == "→0.5" else value


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


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
