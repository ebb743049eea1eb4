"""Numbers and tables as people read them: decimals that fit a column, spreads, durations, Markdown."""

import math
import re
import statistics
from collections.abc import Collection, Iterable, Sequence

from gm_bench.results.leaderboard import Entry, Score

NOT_AVAILABLE = "–"


def decimals(entries: Sequence[Entry], metric: str) -> int:
    """Of a whole column: two figures of its median spread; without spreads three of its median value."""
    scores = [entry.metrics[metric] for entry in entries if metric in entry.metrics]
    spreads = [score.sd for score in scores if score.sd]
    if not spreads:
        return _decimals_for([abs(score.mean) for score in scores if score.mean], figures=3)
    return _decimals_for(spreads, figures=2)


def _decimals_for(values: Sequence[float], figures: int) -> int:
    """Decimals that show the median of positive values with so many significant figures."""
    if not values:
        return figures
    return min(max(figures - 1 - math.floor(math.log10(statistics.median(values))), 0), 6)


def number(value: float, digits: int) -> str:
    """Fixed decimals, thousands apart, a true minus, and no negative zero."""
    text = f"{value:,.{digits}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text.removeprefix("-")


def spread_text(sd: float, digits: int) -> str:
    """0.4, or < 0.1 where the decimals would make of it a spread of nothing."""
    text = number(sd, digits)
    return f"<\u00a0{number(10**-digits, digits)}" if sd and not float(text.replace(",", "")) else text


def score_text(score: Score | None, digits: int) -> str:
    """12.3 ± 0.4; without a spread the mean alone."""
    if score is None:
        return NOT_AVAILABLE
    mean = number(score.mean, digits)
    return mean if score.sd is None else f"{mean} ±\u00a0{spread_text(score.sd, digits)}"


def rank_text(rank: int | None) -> str:
    return NOT_AVAILABLE if rank is None else str(rank)


def interval_text(score: Score | None, digits: int) -> str:
    """10.1 to 14.5."""
    if score is None or score.interval is None:
        return NOT_AVAILABLE
    low, high = (number(end, digits) for end in score.interval)
    return f"{low} to {high}"


def floor_text(value: float | None, digits: int, sd: float | None = None) -> str:
    """0.650 ± 0.031: with the column's decimals, or more where a floor far below the models, or its spread,
    would be rounded to nothing."""
    if value is None:
        return NOT_AVAILABLE
    digits = max(digits, _decimals_for([abs(value)], figures=2) if value else 0)
    if sd is None:
        return number(value, digits)
    digits = max(digits, _decimals_for([sd], figures=1) if sd else 0)
    return f"{number(value, digits)} ±\u00a0{number(sd, digits)}"


def duration(seconds: float) -> str:
    """12.3 s, 4 min 05 s, 2 h 07 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min"


def count(n: int, noun: str) -> str:
    """1 draw, 3 draws."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[int]) -> str:
    """A table in Markdown, in whose cells nothing is read as markup.

    Args:
        right: places of the columns that are set to the right; the others are to the left.
    """
    rule = ["---:" if i in right else "---" for i in range(len(header))]
    first, *others = ([markdown(cell) for cell in line] for line in (header, *rows))
    lines = [first, rule, *others]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown(text: str) -> str:
    """Text as it stands: nothing in it is read as Markdown or HTML."""
    text = re.sub(r"[\\`*\[\]<>|&]|(?<!\w)_|_(?!\w)", lambda sign: "\\" + sign[0], text)
    return " ".join(text.split("\n"))
