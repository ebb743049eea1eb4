"""The claims as people read them: a table of verdicts, below it each claim with pictures. Returns text."""

import math
import shlex
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gm_bench.report.charts import Chart
from gm_bench.report.display import Display
from gm_bench.report.formatting import count, number
from gm_bench.report.tables import missing_in_words
from gm_bench.report.template import templates
from gm_bench.results.leaderboard import Entry, Leaderboard
from gm_bench.results.schema import CellResult
from gm_bench.tracks.diagnostics.claim import find
from gm_bench.tracks.diagnostics.pictures import names_of
from gm_bench.tracks.diagnostics.verdict import FAILS, HOLDS, OPEN, Finding, findings, of_claim
from gm_bench.tracks.diagnostics.words import FIRST, explained, found, in_short

LEAST_SPREAD = 1e-6  # below it decimals would not be read
HOW_TO_READ = (
    "What is expected, and how near, stands in each claim's file and was written before it was run; where "
    "something was known then, Found says so. The verdict is on the experiment at its budget: a claim holds "
    "where the 95 % interval of the mean over seeds lies within what is expected for each of its quantities, "
    "does not hold where one interval lies outside, and cannot be told otherwise. (Student's t; that of a "
    "share of n runs reaches 1/n to either side at least.) Pictures have a line for each seed; dashed lines "
    "are what the experiment should give."
)


def pages(
    display: Display,
    board: Leaderboard,
    results: Sequence[CellResult],
    drawn: Mapping[str, Sequence[Chart]],
) -> dict[str, str]:
    """The verdicts and all that is behind them, as Markdown and as a page, by file name.

    Args:
        display: its catalogue knows the quantities; all words are the claims' own.
    """
    rows = {group: [_row(board, entry, results, drawn[group]) for entry in _in_order(board, group, results)]
            for group in board.datasets}  # fmt: skip
    missing = missing_in_words(board)
    page = templates("gm_bench.tracks.diagnostics").get_template("claims.html")
    return {
        "leaderboard.md": _markdown(board.name, rows, missing),
        "leaderboard.html": page.render(
            title=_title(board.name), how=HOW_TO_READ, missing=missing, groups=rows
        ),
    }


def findings_of(entry: Entry) -> list[Finding]:
    """What the seeds say of each quantity of the claim in a row of the leaderboard."""
    claim = find(entry.variant)
    return findings(claim, {each.key: entry.metrics[each.key].values for each in claim.expected})


def notes(board: Leaderboard, dataset: str) -> list[str]:
    """The verdict on each claim of a group, for the table in the terminal."""
    said = []
    for entry in board.entries[dataset]:
        judged = findings_of(entry)
        parts = "; ".join(f"{f.expected.title}: {measured(f)}, expected {f.expected.region}" for f in judged)
        said.append(f"{entry.variant} {of_claim(judged)}: {parts}.")
    return said


def row_facts(board: Leaderboard, entry: Entry) -> dict[str, Any]:
    """What a row of leaderboard.json says besides the values."""
    claim, judged = find(entry.variant), findings_of(entry)
    return {
        "claim": claim.sentence,
        "source": claim.source,
        "verdict": of_claim(judged),
        "in_short": in_short(entry.variant, board.name),
        "found": found(entry.variant, board.name),
        "findings": [
            {
                "quantity": f.expected.key,
                "expected": f.expected.region,
                "mean": f.mean,
                "interval": list(f.interval) if f.interval else None,
                "seeds_within": f.n_within,
                "verdict": f.verdict,
            }
            for f in judged
        ],
    }


def measured(finding: Finding) -> str:
    """The mean with its interval over seeds: 0.0141 ± 0.0015 (0.0122 to 0.0160), 5 of 5 seeds within."""
    write = _writer(finding)
    if finding.interval is None:
        return write(finding.mean)
    low, high = finding.interval
    if _all_equal(finding):  # shares are rounded
        reach = f" ({write(round(low, 12))} to {write(round(high, 12))})" if low < high else ""
        return f"{write(finding.mean)} with every seed{reach}"
    within = f"{finding.n_within} of {len(finding.values)} seeds within"
    spread = write(statistics.stdev(finding.values))
    return f"{write(finding.mean)} ± {spread} ({write(low)} to {write(high)}), {within}"


def _writer(finding: Finding) -> Callable[[float], str]:
    """How its numbers are written: to two figures of the spread between seeds, four figures without one."""
    spread = 0.0 if _all_equal(finding) else statistics.stdev(finding.values)
    if spread < LEAST_SPREAD:
        return lambda value: ("−" if value < 0 else "") + f"{abs(value):.4g}"
    digits = max(0, 1 - math.floor(math.log10(spread)))
    return lambda value: number(value, digits)


def _all_equal(finding: Finding) -> bool:
    return math.isclose(min(finding.values), max(finding.values), rel_tol=1e-12)


def _title(name: str) -> str:
    return "Claims" if name == FIRST else f"Claims: {name}"


def counted(judged: Sequence[Finding]) -> list[str]:
    """How many quantities of a claim there are with each verdict: 3 hold, 1 cannot be told."""
    verdicts = [finding.verdict for finding in judged]
    words = {HOLDS: ("holds", "hold"), FAILS: ("does not", "do not"), OPEN: ("cannot be told",) * 2}
    counts = {verdict: verdicts.count(verdict) for verdict in words}
    return [f"{n} {words[verdict][n > 1]}" for verdict, n in counts.items() if n]


def _in_order(board: Leaderboard, group: str, results: Sequence[CellResult]) -> list[Entry]:
    """The claims of a group as the board has them, not by a metric."""
    order = list(dict.fromkeys(result.variant for result in results if result.dataset == group))
    return sorted(board.entries[group], key=lambda entry: order.index(entry.variant))


def _row(
    board: Leaderboard, entry: Entry, results: Sequence[CellResult], drawn: Sequence[Chart]
) -> dict[str, Any]:
    claim, judged = find(entry.variant), findings_of(entry)
    cells = [r for r in results if (r.dataset, r.variant) == (entry.dataset, entry.variant)]
    names = names_of(entry.variant, claim)
    return {
        "name": entry.variant,
        "claim": claim,
        "verdict": of_claim(judged),
        "counted": counted(judged),
        "in_short": in_short(entry.variant, board.name),
        "explained": [(text, text.startswith(" ")) for text in explained(entry.variant)],
        "found": found(entry.variant, board.name),
        "findings": [
            {
                "title": f.expected.title,
                "expected": f.expected.region,
                "why": f.expected.why,
                "measured": measured(f),
                "seeds": ", ".join(map(_writer(f), f.values)),
                "verdict": f.verdict,
            }
            for f in judged
        ],
        "charts": [chart for chart in drawn if chart.name in names],
        "n_seeds": len(entry.seeds),
        "seconds": round(float(entry.cost["seconds"])),
        "budget": ", ".join(f"{key} {value}" for key, value in cells[0].details["budget"].items()),
        "command": shlex.join(
            [".venv/bin/gm-bench", "run", "--board", board.name, "--variants", entry.variant]
        ),
    }


def _markdown(name: str, rows: Mapping[str, Sequence[Mapping[str, Any]]], missing: Sequence[str]) -> str:
    sections = [f"# {_title(name)}", HOW_TO_READ, *missing]
    for group, of_group in rows.items():
        short = ["| claim | verdict | of its quantities | in short |", "| --- " * 4 + "|"]
        for row in of_group:
            short.append(
                f"| {_escaped(row['claim'].sentence)} | **{row['verdict']}** | {', '.join(row['counted'])} | "
                f"{_escaped(row['in_short'])} |"
            )
        lines = ["| claim | source | quantity | expected | measured | verdict |", "| --- " * 6 + "|"]
        for row in of_group:
            for i, finding in enumerate(row["findings"]):
                first = (row["claim"].sentence, row["claim"].source) if i == 0 else ("", "")
                cells = [*first, *(finding[key] for key in ("title", "expected", "measured", "verdict"))]
                lines.append("| " + " | ".join(map(_escaped, cells)) + " |")
        sections += [f"## {group}", "\n".join(short), "\n".join(lines)]
        for row in of_group:
            pictures = [f"![{_escaped(chart.title)}](figures/{chart.name}.svg)" for chart in row["charts"]]
            claim = row["claim"]
            why = "\n".join(f"- {_escaped(f['title'])}: {_escaped(f['why'])}." for f in row["findings"])
            sections += [
                f"### {_escaped(claim.sentence)}",
                f"**{row['verdict']}** ({_escaped(claim.source)}; {count(row['n_seeds'], 'seed')} of about "
                f"{row['seconds']} s; {_escaped(row['budget'])}). {_escaped(claim.setting)}.",
                *(text if is_equation else _escaped(text) for text, is_equation in row["explained"]),
                why,
                *([f"Found: {_escaped(row['found'])}"] if row["found"] else []),
                *pictures,
                f"To repeat it: `{row['command']}`",
            ]
    return "\n\n".join(sections) + "\n"


def _escaped(text: str) -> str:
    """Text in a cell of a Markdown table, in which a bar would end the cell."""
    return text.replace("|", "\\|").replace("*", "\\*")
