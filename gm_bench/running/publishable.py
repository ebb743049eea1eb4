"""Whether the leaderboard of a board can be written of a part of its cells, while others are missing."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from gm_bench.cell import Cell, reports_of


def why_not(board: str, others: Mapping[Cell, str]) -> str | None:
    """Why a part of a board is not published, in a sentence; None where it can be.

    Args:
        others: the cells of the board that are not of the part; each fresh, stale or missing.

    Raises:
        ValueError: the report that there is cannot be read.
    """
    stale = [cell for cell, state in others.items() if state == "stale"]
    if stale:
        return (
            f"the leaderboard of {board} is left as it is: {_count(stale)}of another recipe, code or data "
            f"({stale[0]}{_more(stale)}); gm-bench run --board {board} makes them anew, gm-bench show prints "
            "one cell"
        )
    return would_lose(board, [cell for cell, state in others.items() if state == "missing"])


def would_lose(board: str, missing: Sequence[Cell]) -> str | None:
    """What a leaderboard without the missing cells of a board would take from the one that there is.

    Raises:
        ValueError: the report that there is cannot be read.
    """
    report = reports_of(board) / "leaderboard.json"
    reported = _cells_of(report) if missing else set()
    lost = [cell for cell in missing if str(cell) in reported]
    if not lost:
        return None
    return (
        f"{report} is left as it is: {_count(lost, 'of it ')}missing here ({lost[0]}{_more(lost)}); "
        f"gm-bench run --board {board} makes them, gm-bench show prints one cell"
    )


def _cells_of(report: Path) -> set[str]:
    """The cells that a leaderboard.json has; none where there is no such file."""
    try:
        rows = json.loads(report.read_text(encoding="utf-8"))["rows"]
        return {f"{row['dataset']}/{row['variant']}/{seed}" for row in rows for seed in row["seeds"]}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{report} cannot be read ({error}), so that nobody knows what a part of the board would "
            "replace in it: move it away or restore it"
        ) from None


def _count(cells: Sequence[Cell], which: str = "") -> str:
    return f"1 cell {which}is " if len(cells) == 1 else f"{len(cells)} cells {which}are "


def _more(cells: Sequence[Cell]) -> str:
    return ", …" if len(cells) > 1 else ""
