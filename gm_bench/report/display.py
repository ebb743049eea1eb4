"""What a track brings to the pages of its leaderboards: words, charts, pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gm_bench.metrics.catalogue import Catalogue
from gm_bench.report.charts import Chart
from gm_bench.report.pictures import Gallery
from gm_bench.results.leaderboard import Entry, Leaderboard
from gm_bench.results.schema import CellResult

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Samples:
    """What a cell drew.

    Args:
        images: of the finished model, uint8 (n, C, H, W); None where the cell diverged.
        snapshots: from the same codes at several times of the training, uint8 (P, n, C, H, W), or None.
        images_shown: real examples that training had been shown at each of those times, ascending.
    """

    images: Tensor | None = None
    snapshots: Tensor | None = None
    images_shown: tuple[int, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """A table that stands below a dataset's own, such as of published numbers.

    Args:
        title: above it.
        header: names of the columns.
        rows: their texts.
        n_left: how many columns hold words; the others hold numbers.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_left: int


def _no_summary(board: Leaderboard, dataset: str) -> str:
    return ""


def _images(protocol: Json) -> str:
    return "images"


def _no_sentences(board: Leaderboard, dataset: str) -> list[str]:
    return []


def _no_comparison(board: Leaderboard, dataset: str) -> Comparison | None:
    return None


def _no_verdicts(board: Leaderboard, dataset: str) -> dict[str, list[str]]:
    return {}


def _no_marks(board: Leaderboard, dataset: str) -> dict[tuple[str, str], str]:
    return {}


def _no_verdict(result: CellResult, floor: Mapping[str, float], floor_sd: Mapping[str, float]) -> list[str]:
    return []


def _no_facts(board: Leaderboard, entry: Entry) -> Json:
    return {}


def _no_star(entry: Entry) -> bool:
    return False


def _nothing_of_cell(result: CellResult) -> list[Any]:
    return []


def _no_galleries(results: Sequence[CellResult], n_bytes: int) -> list[Gallery]:
    return []


@dataclass(frozen=True, kw_only=True)
class Display:
    """How the results of a track are shown.

    Args:
        catalogue: its metrics.
        protocol_in_words: (board, dataset) → what the numbers depend on, one sentence a line.
        charts: (board, dataset, its cells) → charts.
        examples: protocol of a dataset → what training is shown and samples are, in the plural.
        summary: (board, dataset) → what stands beside the dataset's name.
        notes: (board, dataset) → what has to be known of single rows.
        beside: (board, dataset) → what the numbers stand beside, such as published ones.
        verdicts: (board, dataset) → variant, or words for several → what the rows say in words, beyond noise.
        marks: (board, dataset) → signs that stand behind values, by (variant, metric).
        starred: whether an entry carries a star, which a note explains.
        row_facts: (board, entry) → what an entry's row in leaderboard.json has besides.
        failures: what went wrong in a cell besides divergence, one sentence each.
        cell_verdict: (cell, floor, its standard deviation) → what its metrics say in words.
        cell_facts: terms and texts that stand under the protocol on a cell's page.
        samples: what a cell drew, as pictures; None where samples are no pictures.
        real: (dataset, n) → n real images of its test split, uint8 (n, C, H, W).
        galleries: (the cells shown, bytes that each may take) → further pictures on the leaderboard's page.
        cell_galleries: further pictures on a cell's page.
        pages: (this display, board, its cells, charts by dataset) → what people read under reports/BOARD, by
            file name, in place of leaderboard.md, leaderboard.html (both must be among them) and the cells'
            pages; None for the ones that every track has.
    """

    catalogue: Catalogue
    protocol_in_words: Callable[[Leaderboard, str], list[str]]
    charts: Callable[[Leaderboard, str, Sequence[CellResult]], list[Chart]]
    examples: Callable[[Json], str] = _images
    summary: Callable[[Leaderboard, str], str] = _no_summary
    notes: Callable[[Leaderboard, str], list[str]] = _no_sentences
    beside: Callable[[Leaderboard, str], Comparison | None] = _no_comparison
    verdicts: Callable[[Leaderboard, str], Mapping[str, Sequence[str]]] = _no_verdicts
    marks: Callable[[Leaderboard, str], Mapping[tuple[str, str], str]] = _no_marks
    starred: Callable[[Entry], bool] = _no_star
    row_facts: Callable[[Leaderboard, Entry], Json] = _no_facts
    failures: Callable[[CellResult], list[str]] = _nothing_of_cell
    cell_verdict: Callable[[CellResult, Mapping[str, float], Mapping[str, float]], list[str]] = _no_verdict
    cell_facts: Callable[[CellResult], list[tuple[str, str]]] = _nothing_of_cell
    samples: Callable[[CellResult], Samples] | None = None
    real: Callable[[str, int], Tensor] | None = None
    galleries: Callable[[Sequence[CellResult], int], list[Gallery]] = _no_galleries
    cell_galleries: Callable[[CellResult], list[Gallery]] = _nothing_of_cell
    pages: (
        Callable[
            ["Display", Leaderboard, Sequence[CellResult], Mapping[str, Sequence[Chart]]], Mapping[str, str]
        ]
        | None
    ) = None
