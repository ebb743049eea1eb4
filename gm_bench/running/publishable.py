"""What a leaderboard of a part of a board would take from the report that there is."""

import json
from collections.abc import Sequence
from pathlib import Path

from gm_bench.cell import Cell, reports_of


def would_lose(board: str, missing: Sequence[Cell]) -> str | None:
    """Why the report of a board is not replaced, in a sentence; None where it is.

    Args:
        missing: cells of the board that were not made here.

    Raises:
        ValueError: the report cannot be read.
    """
    report = reports_of(board) / "leaderboard.json"
    reported = _cells_of(report) if missing else set()
    lost = [cell for cell in missing if str(cell) in reported]
    if not lost:
        return None
    which = f"{lost[0]} is" if len(lost) == 1 else f"{len(lost)} of its cells ({lost[0]}, …) are"
    return f"{report} is left as it is: {which} missing here, and gm-bench run --board {board} makes all"


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
