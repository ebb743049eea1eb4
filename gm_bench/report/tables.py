"""The leaderboard as people read it: Markdown, the terminal, and the protocol in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from gm_bench.report.display import Display
from gm_bench.report.formatting import (
    NOT_AVAILABLE,
    decimals,
    duration,
    floor_text,
    interval_text,
    markdown,
    markdown_table,
    number,
    rank_text,
    score_text,
)
from gm_bench.results.leaderboard import Entry, Leaderboard, catalogue_of
from gm_bench.results.schema import FLOOR, divergence_place

NOT_MEASURED = "Not measured yet: "  # how what a board lacks begins
COMPARABLE = "Extractor: "  # how the sentence of a protocol begins that says so


def to_markdown(board: Leaderboard, display: Display) -> str:
    """A section per dataset: main table, which seeds diverged, the protocol, verdicts, other metrics."""
    sections = []
    for dataset in board.datasets:
        main = board.main_metrics(dataset)
        rest = [name for name in board.metrics(dataset) if name not in main]
        said = (*notes(board, dataset, display), *in_words(board, dataset, display))
        parts = [
            _numbers(_text_table(board, dataset, main, display), n_left=3),
            "\n".join(f"- {markdown(line)}" for line in said),
            *_beside(board, dataset, display),
            *_verdicts(board, dataset, display),
        ]
        if rest:
            table = _numbers(_plain_table(board, dataset, rest, display), n_left=1)
            parts.append(f"The other metrics:\n\n{table}")
        sections.append(f"## {dataset}\n\n" + "\n\n".join(parts) + "\n")
    return "\n\n".join(["# Leaderboard", *map(markdown, missing_in_words(board)), "\n".join(sections)])


def _beside(board: Leaderboard, dataset: str, display: Display) -> list[str]:
    """Markdown of the table that a track puts beside its own; nothing where there is none."""
    table = display.beside(board, dataset)
    if table is None:
        return []
    columns = range(table.n_left, len(table.header))
    return [f"{table.title}:\n\n{markdown_table(table.header, table.rows, columns)}"]


def _verdicts(board: Leaderboard, dataset: str, display: Display) -> list[str]:
    """Markdown of what each row says in words; nothing where the track says nothing."""
    lines = [
        f"- {markdown(variant)}: {markdown(' '.join(sentences))}"
        for variant, sentences in display.verdicts(board, dataset).items()
    ]
    return ["In words, where beyond noise:\n\n" + "\n".join(lines)] if lines else []


def missing_in_words(board: Leaderboard) -> list[str]:
    """What a board lacks that is not made whole yet, a sentence for each dataset; nothing of a whole one."""
    said = []
    for dataset in dict.fromkeys(cell.dataset for cell in board.missing):
        lacking: dict[str, list[int]] = {}
        for cell in board.missing:
            if cell.dataset == dataset:
                lacking.setdefault(cell.variant, []).append(cell.seed)
        n_missing = sum(map(len, lacking.values()))
        n_made = sum(len(entry.seeds) for entry in board.entries.get(dataset, ()))
        by_seeds: dict[str, list[str]] = {}
        for variant, seeds in lacking.items():
            by_seeds.setdefault(", ".join(map(str, sorted(seeds))), []).append(variant)
        which = "; ".join(f"{', '.join(variants)} seed {seeds}" for seeds, variants in by_seeds.items())
        named = f": {which}" if n_made else ""
        said.append(f"{NOT_MEASURED}{n_missing} of the {n_made + n_missing} cells of {dataset}{named}.")
    return said


def main_table(board: Leaderboard, dataset: str, display: Display) -> list[list[str]]:
    """Header, floor, entries with the main metrics; as text."""
    return _text_table(board, dataset, board.main_metrics(dataset), display)


def _numbers(lines: list[list[str]], n_left: int) -> str:
    """Markdown of lines, the header first: so many columns of words, the others numbers."""
    header, *rows = lines
    return markdown_table(header, rows, range(n_left, len(header)))


def rich_tables(board: Leaderboard, display: Display) -> list[Table]:
    """A table per dataset for the terminal, with the main metrics only."""
    tables = []
    for dataset in board.datasets:
        header, *lines = main_table(board, dataset, display)
        said = in_words(board, dataset, display)
        of_variants = [f"{v}: {' '.join(each)}" for v, each in display.verdicts(board, dataset).items()]
        scope = [line for line in said[3:] if line.startswith(COMPARABLE)]  # with what it may be compared
        caption = "\n".join((*of_variants, *notes(board, dataset, display), *said[:3], *scope))
        table = Table(
            title=Text(dataset),
            caption=Text(caption),
            title_justify="left",
            caption_justify="left",
            box=box.SIMPLE_HEAD,
        )
        for i, name in enumerate(header):
            table.add_column(Text(name), justify="left" if i in (1, 2) else "right", no_wrap=i < 3)
        for i, line in enumerate(lines):
            # Without the space that keeps it together elsewhere: rich would break the line there.
            table.add_row(
                *(Text(text.replace("±\u00a0", "±")) for text in line), style="dim" if i == 0 else None
            )
        tables.append(table)
    return tables


def outcome(entry: Entry) -> str | None:
    """How an entry without numbers ended; None where a seed finished."""
    return (
        f"diverged at {divergence_place(first_divergence(entry)[1])}" if entry.status == "diverged" else None
    )


def marked(entry: Entry, display: Display) -> str:
    """The variant's name, with a star where a note has to be read with it."""
    return f"{entry.variant}*" if display.starred(entry) else entry.variant


def first_divergence(entry: Entry) -> tuple[int, Mapping[str, Any]]:
    """The seed that diverged earliest, and where."""
    return min(entry.divergences.items(), key=lambda item: (item[1]["step"], item[0]))


def notes(board: Leaderboard, dataset: str, display: Display) -> list[str]:
    """What has to be known of single rows: what the track says, and which seeds diverged."""
    said = list(display.notes(board, dataset))
    for entry in board.entries[dataset]:
        n_bad, n = len(entry.divergences), len(entry.seeds)
        if n_bad == 0 or n == 1:
            continue
        seed, where = first_divergence(entry)
        which = f"seed {seed}" if n_bad == 1 else f"earliest seed {seed}"
        rest = f"; its numbers are of the other {n - n_bad}" if n_bad < n else ""
        said.append(
            f"{entry.variant}: {n_bad} of {n} seeds diverged, {which} at {divergence_place(where)}{rest}."
        )
    return said


def in_words(board: Leaderboard, dataset: str, display: Display) -> list[str]:
    """How to read the numbers of a dataset and what they depend on, one sentence a line."""
    entries, catalogue = board.entries[dataset], board.catalogue
    order = catalogue.name(board.order_by)
    log = "log " if catalogue_of(entries, catalogue=catalogue).is_relative(board.order_by) else ""
    budgets = _list({f"{entry.cost['budget']:,}" for entry in entries})
    devices = _list({entry.cost["device"] for entry in entries})
    names = board.metrics(dataset)
    return [
        *_of_noise(entries, order, log),
        *display.protocol_in_words(board, dataset),
        f"Better: {', '.join(catalogue.title(name) for name in names if catalogue.direction(name))} "
        "(↓ lower, ↑ higher, → nearer to that number).",
        f"Budget: {budgets} real {display.examples(board.protocols[dataset])} shown to each model. "
        f"Time and parameters: mean per seed, on {devices}.",
    ]


def _of_noise(entries: Sequence[Entry], order: str, log: str) -> list[str]:
    """What is known of the noise between seeds."""
    if all(entry.rank is None for entry in entries):
        return [
            "±: not known, since no variant has a second seed that finished; so there are no ranks and no "
            "intervals, and small differences may be chance."
        ]
    seeds = _list({len(entry.seeds) for entry in entries})
    several = all(entry.n_finished > 1 for entry in entries)
    single = "" if several else "; of one seed no noise is known, so it has no ±, no interval and no rank"
    return [
        f"±: standard deviation between seeds (n = {seeds}){single}. 95 %: interval of the mean {order}, "
        "from Student's t with variances moderated among the variants that are trained, and among fits in "
        "closed form (Smyth 2004).",
        f"Rank: by {order}, 1 + how many variants are better beyond noise (moderated t-tests of "
        f"{log}{order}, 5 % over all pairs together, Bonferroni). It counts the better ones: variants of "
        "different rank need not be told apart, which gm-bench compare says of any two.",
    ]


def _text_table(
    board: Leaderboard, dataset: str, metrics: Sequence[str], display: Display
) -> list[list[str]]:
    """Header, floor, entries; as text."""
    entries, titles = board.entries[dataset], [board.catalogue.title(name) for name in metrics]
    digits = {name: decimals(entries, name) for name in metrics}
    floor, spread = board.floors[dataset], board.floor_sds[dataset]
    header = ["rank", "variant", "family", *titles, "seeds", "time", "parameters"]
    floor_line = [NOT_AVAILABLE, FLOOR, f"real {display.examples(board.protocols[dataset])}"]
    floor_line += [floor_text(floor.get(name), digits[name], spread.get(name)) for name in metrics]
    lines = [header, [*floor_line, *[NOT_AVAILABLE] * 3]]
    for entry in entries:
        cells = [score_text(entry.metrics.get(name), digits[name]) for name in metrics]
        cells[0] = outcome(entry) or cells[0]
        n, n_bad = len(entry.seeds), entry.n_diverged
        seeds = f"{n - n_bad} of {n}" if n_bad else str(n)
        size = number(sum(entry.cost["parameters"].values()), 0)
        time = duration(entry.cost["seconds"])
        lines.append([rank_text(entry.rank), marked(entry, display), entry.family, *cells, seeds, time, size])
    order = board.order_by
    if order in metrics:
        place = 4 + metrics.index(order)
        spans = [interval_text(entry.metrics.get(order), digits[order]) for entry in entries]
        for line, text in zip(lines, ["95 %", NOT_AVAILABLE, *spans], strict=True):
            line.insert(place, text)
    return lines


def _plain_table(
    board: Leaderboard, dataset: str, metrics: Sequence[str], display: Display
) -> list[list[str]]:
    """Header, floor, entries with the given metrics and nothing else; as text."""
    entries = board.entries[dataset]
    digits = {name: decimals(entries, name) for name in metrics}
    floor, spread = board.floors[dataset], board.floor_sds[dataset]
    marks = display.marks(board, dataset)
    lines = [
        ["variant", *(board.catalogue.title(name) for name in metrics)],
        [FLOOR, *(floor_text(floor.get(name), digits[name], spread.get(name)) for name in metrics)],
    ]
    for entry in entries:
        cells = [
            score_text(entry.metrics.get(name), digits[name]) + marks.get((entry.variant, name), "")
            for name in metrics
        ]
        lines.append([marked(entry, display), *cells])
    return lines


def _list(values: set[Any]) -> str:
    return ", ".join(map(str, sorted(values)))
