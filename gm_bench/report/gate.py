"""How comparisons are shown: the terminal's table and Markdown for a job summary."""

import math
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from gm_bench.metrics.catalogue import Catalogue
from gm_bench.report.formatting import markdown, markdown_table, number
from gm_bench.results.comparing import Comparison, Verdict
from gm_bench.results.leaderboard import Key

HEADER = ("dataset", "variant", "metric", "before", "after", "difference", "noise (sd)", "limit", "seeds", "")
N_OF_TEXT = 3  # columns of text before those of numbers
SIGNS = {"worse": "✗ worse", "better": "✓ better", "same": ""}
MOST_TIMES = 10  # a noise or limit above so many times the value is not told by how much
STYLES = {"worse": "red", "better": "green", "same": ""}


def rich_table(verdict: Verdict, caption: str, catalogue: Catalogue) -> Table:
    """One line per comparison, and per variant that did not change."""
    table = Table(caption=Text(caption), caption_justify="left", box=box.SIMPLE_HEAD)
    for i, name in enumerate(HEADER):
        table.add_column(name, justify="right" if i >= N_OF_TEXT and name else "left", no_wrap=True)
    for comparison in verdict.comparisons:
        table.add_row(*map(Text, _line(comparison, catalogue)), style=STYLES[comparison.outcome])
    for key in verdict.unchanged:
        table.add_row(*map(Text, _unchanged(key)))
    return table


def to_markdown(verdict: Verdict, heading: str, catalogue: Catalogue) -> str:
    """The verdict first, then what failed, then what differs, then everything, folded away."""
    differing = [*verdict.worse, *verdict.better]
    parts = [f"## {heading}", in_one_sentence(verdict)]
    sentences = (*verdict.failures, *verdict.remarks)
    if sentences:
        parts.append("\n".join(f"- {markdown(sentence)}" for sentence in sentences))
    if differing:
        parts.append(_table(differing, catalogue))
    table = _table(verdict.comparisons, catalogue, verdict.unchanged)
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
    said = f"{'Passed' if verdict.passed else 'Regression'}: {', '.join(counts)}{cells}"
    unchanged = ", ".join("/".join(key) for key in verdict.unchanged)
    return f"{said}; unchanged: {unchanged}." if unchanged else f"{said}."


READING = (
    "Noise: standard deviation of the difference that seeds and draws alone make. A difference counts where "
    "it exceeds the limit. The chance that noise alone is called worse in any comparison of a run is set to "
    "1 % (.25 % where the first side has a variant of fewer than 12 seeds), better the same. Of metrics with "
    "→ a number, differences of the distance from it are meant. Seeds: of the baseline, of the candidate. "
    "Unchanged: all values are the baseline's to the last bit, and nothing is tested."
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
        difference(comparison, catalogue),
        _amount(comparison.noise, ratio, digits),
        _amount(comparison.limit, ratio, digits),
        f"{comparison.seeds[0]}, {comparison.seeds[1]}",
        SIGNS[comparison.outcome],
    ]


def _unchanged(key: Key) -> list[str]:
    return [*key, "all", *[""] * (len(HEADER) - N_OF_TEXT - 1), "unchanged"]


def decimals(comparison: Comparison, ratio: bool) -> int:
    """Two figures of the noise, on the metric's own scale."""
    noise = comparison.noise
    if ratio:
        noise *= abs(comparison.before)
    return min(max(1 - math.floor(math.log10(noise)), 0), 6) if noise > 0 else 3


def difference(comparison: Comparison, catalogue: Catalogue) -> str:
    """After less before; in percent where the metric is compared by ratio."""
    ratio = catalogue.is_relative(comparison.metric)
    if ratio:
        change = math.expm1(comparison.shift)
        return f"{'+' if change > 0 else ''}{number(100 * change, 1)} %"
    change = comparison.after - comparison.before
    return f"{'+' if change > 0 else ''}{number(change, decimals(comparison, ratio))}"


def _amount(value: float, ratio: bool, digits: int) -> str:
    if not ratio:
        return number(value, digits)
    if value > math.log1p(MOST_TIMES):
        return f"> {number(100 * MOST_TIMES, 0)} %"
    return f"{number(100 * math.expm1(value), 1)} %"


def _table(comparisons: Sequence[Comparison], catalogue: Catalogue, unchanged: Sequence[Key] = ()) -> str:
    found = [*(_line(comparison, catalogue) for comparison in comparisons), *map(_unchanged, unchanged)]
    return markdown_table(HEADER, found, range(N_OF_TEXT, len(HEADER) - 1))
