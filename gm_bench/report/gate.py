"""How comparisons are shown: the terminal's table and Markdown for a job summary."""

import math
import re
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from gm_bench.metrics.catalogue import Catalogue
from gm_bench.report.formatting import number
from gm_bench.results.comparing import Comparison, Verdict

HEADER = ("dataset", "variant", "metric", "before", "after", "difference", "noise (sd)", "limit", "")
SIGNS = {"worse": "✗ worse", "better": "✓ better", "same": ""}
STYLES = {"worse": "red", "better": "green", "same": ""}


def rich_table(comparisons: Sequence[Comparison], caption: str, catalogue: Catalogue) -> Table:
    """One line per comparison."""
    table = Table(caption=Text(caption), caption_justify="left", box=box.SIMPLE_HEAD)
    for i, name in enumerate(HEADER):
        table.add_column(name, justify="left" if i < 3 or i == 8 else "right", no_wrap=True)
    for comparison in comparisons:
        table.add_row(*map(Text, _line(comparison, catalogue)), style=STYLES[comparison.outcome])
    return table


def to_markdown(verdict: Verdict, heading: str, catalogue: Catalogue) -> str:
    """The verdict first, then what failed, then what differs, then everything, folded away."""
    differing = [*verdict.worse, *verdict.better]
    parts = [f"## {heading}", in_one_sentence(verdict)]
    sentences = (*verdict.failures, *verdict.remarks)
    if sentences:
        parts.append("\n".join(f"- {_escaped(sentence)}" for sentence in sentences))
    if differing:
        parts.append(_markdown_table(differing, catalogue))
    table = _markdown_table(verdict.comparisons, catalogue)
    parts.append(
        f"<details><summary>All {len(verdict.comparisons)} comparisons</summary>\n\n{table}\n\n</details>"
    )
    return "\n\n".join([*parts, READING]) + "\n"


def in_one_sentence(verdict: Verdict) -> str:
    """What a reader wants to know first."""
    counts = [
        f"{len(verdict.worse)} worse",
        f"{len(verdict.better)} better",
        f"{len(verdict.comparisons) - len(verdict.worse) - len(verdict.better)} within noise",
    ]
    cells = f", {len(verdict.failures)} missing or diverged" if verdict.failures else ""
    return f"{'Passed' if verdict.passed else 'Regression'}: {', '.join(counts)}{cells}."


READING = (
    "Noise: standard deviation of the difference that seeds and draws alone make. A difference counts where "
    "it exceeds the limit, which takes the number of comparisons into account; of metrics with → a number, "
    "differences of the distance from it are meant."
)


def _line(comparison: Comparison, catalogue: Catalogue) -> list[str]:
    ratio = catalogue.is_relative(comparison.metric)
    digits = decimals(comparison, ratio)
    return [
        comparison.dataset,
        comparison.variant,
        catalogue.title(comparison.metric),
        number(comparison.before, digits),
        number(comparison.after, digits),
        _difference(comparison, ratio, digits),
        _amount(comparison.noise, ratio, digits),
        _amount(comparison.limit, ratio, digits),
        SIGNS[comparison.outcome],
    ]


def decimals(comparison: Comparison, ratio: bool) -> int:
    """Two figures of the noise, on the metric's own scale."""
    noise = comparison.noise
    if ratio:
        noise *= abs(comparison.before)
    return min(max(1 - math.floor(math.log10(noise)), 0), 6) if noise > 0 else 3


def _difference(comparison: Comparison, ratio: bool, digits: int) -> str:
    """After less before; in percent where the metric is compared by ratio."""
    if ratio:
        change = math.expm1(comparison.shift)
        return f"{'+' if change > 0 else ''}{number(100 * change, 1)} %"
    change = comparison.after - comparison.before
    return f"{'+' if change > 0 else ''}{number(change, digits)}"


def _amount(value: float, ratio: bool, digits: int) -> str:
    return f"{number(100 * math.expm1(value), 1)} %" if ratio else number(value, digits)


def _markdown_table(comparisons: Sequence[Comparison], catalogue: Catalogue) -> str:
    rule = ["---"] * 3 + ["---:"] * 5 + ["---"]
    lines = [HEADER, rule, *(list(map(_escaped, _line(comparison, catalogue))) for comparison in comparisons)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escaped(text: str) -> str:
    return " ".join(re.sub(r"([\\`*\[\]<>|&])", r"\\\1", text).split("\n"))
