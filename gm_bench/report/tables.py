"""The leaderboard as people read it: Markdown, the terminal, and the protocol in words."""

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from gm_bench.results.leaderboard import COLUMNS, ORDER_BY, Entry, Leaderboard, Score
from gm_bench.results.protocol import LIKELIHOOD
from gm_bench.tracking.record import FLOOR, divergence_place

NOT_AVAILABLE = "–"
MARKS = "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲ"


def to_markdown(board: Leaderboard) -> str:
    """A section per dataset: main table, which seeds diverged, the protocol in words, other metrics."""
    sections = []
    for dataset in board.datasets:
        rest = [name for name in board.metrics(dataset) if name not in main_metrics(board, dataset)]
        facts = "\n".join(
            f"- {_markdown(line)}" for line in (*notes(board, dataset), *protocol_in_words(board, dataset))
        )
        parts = [
            _markdown_table(_text_table(board, dataset, main_metrics(board, dataset)), n_left=3),
            facts,
            *(
                [f"The other metrics:\n\n{_markdown_table(_plain_table(board, dataset, rest), 1)}"]
                if rest
                else []
            ),
        ]
        sections.append(f"## {dataset}\n\n" + "\n\n".join(parts) + "\n")
    return "# Leaderboard\n\n" + "\n".join(sections)


def main_metrics(board: Leaderboard, dataset: str) -> list[str]:
    """Names of the metrics that a narrow table shows."""
    return [name for name in board.metrics(dataset) if name not in COLUMNS or COLUMNS[name].short]


def main_table(board: Leaderboard, dataset: str) -> list[list[str]]:
    """Header, floor, entries with the main metrics; as text."""
    return _text_table(board, dataset, main_metrics(board, dataset))


def _markdown_table(lines: list[list[str]], n_left: int) -> str:
    """Lines of cells, the header first; so many columns to the left, the others to the right."""
    escaped = [list(map(_markdown, line)) for line in lines]
    escaped.insert(1, ["---"] * n_left + ["---:"] * (len(lines[0]) - n_left))
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped)


def rich_tables(board: Leaderboard) -> list[Table]:
    """A table per dataset for the terminal, with the main metrics only."""
    tables = []
    for dataset in board.datasets:
        header, *lines = _text_table(board, dataset, main_metrics(board, dataset))
        caption = "\n".join((*notes(board, dataset), *protocol_in_words(board, dataset)[:3]))
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


def title(metric: str) -> str:
    """The metric's name in tables, with the sign of its direction."""
    column = COLUMNS.get(metric)
    return f"{column.title} {column.direction}" if column else metric


def decimals(entries: Sequence[Entry], metric: str) -> int:
    """Decimals for a whole column, so that its spreads can be read.

    Two figures of the median spread and at least one of the smallest, unless that alone takes more than two
    decimals. Without spreads three figures of the median value.
    """
    scores = [entry.metrics[metric] for entry in entries if metric in entry.metrics]
    spreads = [score.sd for score in scores if score.sd]
    if not spreads:
        return _decimals_for([abs(score.mean) for score in scores if score.mean], figures=3)
    typical = _decimals_for(spreads, figures=2)
    return max(typical, min(_decimals_for([min(spreads)], figures=1), typical + 2))


def _decimals_for(values: Sequence[float], figures: int) -> int:
    """Decimals that show the median of positive values with so many significant figures."""
    if not values:
        return figures
    return min(max(figures - 1 - math.floor(math.log10(statistics.median(values))), 0), 6)


def number(value: float, digits: int) -> str:
    """Fixed decimals, thousands apart, a true minus, and no negative zero."""
    text = f"{value:,.{digits}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text.removeprefix("-")


def score_text(score: Score | None, digits: int) -> str:
    """12.3 ± 0.4; without a spread the mean alone."""
    if score is None:
        return NOT_AVAILABLE
    mean = number(score.mean, digits)
    return mean if score.sd is None else f"{mean} ±\u00a0{number(score.sd, digits)}"


def interval_text(score: Score | None, digits: int) -> str:
    """10.1 to 14.5."""
    if score is None or score.interval is None:
        return NOT_AVAILABLE
    low, high = (number(end, digits) for end in score.interval)
    return f"{low} to {high}"


def density_marks(board: Leaderboard, dataset: str) -> dict[str, str]:
    """Of each variant with a likelihood the sign that stands behind it: the same sign, the same kind."""
    kinds = _densities(board, dataset)
    return {
        variant: mark for mark, variants in zip(MARKS, kinds.values(), strict=False) for variant in variants
    }


def _densities(board: Leaderboard, dataset: str) -> dict[str, list[str]]:
    """What likelihoods are of → the variants whose likelihood is of that."""
    kinds: dict[str, list[str]] = {}
    for entry in board.entries[dataset]:
        if LIKELIHOOD[0] in entry.metrics:
            kinds.setdefault(entry.density, []).append(entry.variant)
    return dict(sorted(kinds.items()))


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


def outcome(entry: Entry) -> str | None:
    """How an entry without numbers ended; None where a seed finished."""
    return (
        f"diverged at {divergence_place(first_divergence(entry)[1])}" if entry.status == "diverged" else None
    )


def marked(entry: Entry) -> str:
    """The variant's name, with a star where not its last model is reported."""
    return f"{entry.variant}*" if entry.picked else entry.variant


def first_divergence(entry: Entry) -> tuple[int, Mapping[str, Any]]:
    """The seed that diverged earliest, and where."""
    return min(entry.divergences.items(), key=lambda item: (item[1]["step"], item[0]))


def notes(board: Leaderboard, dataset: str) -> list[str]:
    """What has to be known of single rows: which seeds diverged, and what the numbers then are of."""
    said = [
        f"{marked(entry)}: the snapshot with the least FID against validation images is reported, after "
        + ", ".join(f"{images:,} images (seed {seed})" for seed, images in entry.picked.items())
        + ", and not the last model."
        for entry in board.entries[dataset]
        if entry.picked
    ]
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


def protocol_in_words(board: Leaderboard, dataset: str) -> list[str]:
    """What the numbers of a dataset depend on and how to read them, one sentence a line."""
    protocol, entries = board.protocols[dataset], board.entries[dataset]
    extractor, n, draws = protocol["extractor"], protocol["n_samples"], protocol["draws"]
    seeds = _list({len(entry.seeds) for entry in entries})
    budgets = _list({f"{entry.cost['budget']:,}" for entry in entries})
    devices = _list({entry.cost["device"] for entry in entries})
    names = board.metrics(dataset)
    score = "Inception Score" if "inception_score" in names else "classifier score"
    scope = (
        "comparable wherever this protocol is used"
        if extractor["comparable"] == "everywhere"
        else f"made for this dataset: numbers comparable {extractor['comparable']} only"
    )
    return [
        f"N = {n:,}: each value compares {n:,} generated images with {n:,} real ones of the "
        f"{protocol['split']} split and is the mean over {_count(draws, 'independent draw')} per seed.",
        f"±: standard deviation between seeds (n = {seeds}); without ± there is one seed. 95 %: "
        "interval of the mean FID, from Student's t with variances moderated over the variants (Smyth 2004).",
        "Rank: by FID, 1 + how many variants are better beyond noise (moderated t-tests of log FID, 5 % over "
        "all pairs together, Bonferroni); variants that cannot be told apart share a rank.",
        f"{FLOOR}: the same metrics between two disjoint sets of real images at the same N, "
        "the best that a model can be expected to reach; ± over "
        f"{_count(protocol['floor_splits'], 'random split')} of the same {n + protocol['n_train']:,} "
        "held-out and training images into two such sets, class by class (no ± where the floor is fixed).",
        f"Better: {', '.join(title(name) for name in names)} "
        "(↓ lower, ↑ higher, →0.5 nearer to one half). 1-NN: leave-one-out accuracy of telling generated "
        "from real; 1-NN train: the same against training images, below 0.5 where they are copied.",
        f"Extractor: {extractor['name']}, sha256 {extractor['sha256'][:12]}, "
        f"{extractor['features']} features, {scope}.",
        f"Preprocessing: {protocol['preprocessing']}; {protocol['dtype']}, "
        f"TF32 {'on' if protocol['tf32'] else 'off'}.",
        f"Estimates: {score} over {_count(protocol['score_splits'], 'split')}; "
        f"KID over {_count(protocol['kid_subsets'], 'subset')} of {protocol['kid_subset_size']:,}; "
        f"precision, recall, density and coverage with {_count(protocol['neighbours'], 'neighbour')}; "
        f"FID∞ through {_count(protocol['fid_subsets'], 'size')} of subsets.",
        f"Memorisation: against {protocol['n_train']:,} images that training was shown; duplicates are "
        f"nearer to one of them than {protocol['duplicate_quantile']:.0%} of the held-out images are.",
        *_likelihood_in_words(board, dataset),
        f"Budget: {budgets} real images shown to each model. Time and parameters: of one seed, on {devices}.",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in protocol["versions"].items()) + ".",
    ]


def _likelihood_in_words(board: Leaderboard, dataset: str) -> list[str]:
    """What the ELBO is of, where there is one."""
    kinds, marks = _densities(board, dataset), density_marks(board, dataset)
    if not kinds:
        return []
    protocol = board.protocols[dataset]
    told = "; ".join(f"{marks[names[0]]} {kind}: {', '.join(names)}" for kind, names in kinds.items())
    return [
        f"Likelihood: ELBO and importance-weighted bound of log p, mean over {protocol['bound_images']:,} "
        f"test images with {_count(protocol['bound_codes'], 'code')} each, in nats per image. Only values of "
        f"one sign can be compared. {told}."
    ]


def _text_table(board: Leaderboard, dataset: str, metrics: Sequence[str]) -> list[list[str]]:
    """Header, floor, entries; as text."""
    entries = board.entries[dataset]
    digits = {name: decimals(entries, name) for name in metrics}
    floor, spread = board.floors[dataset], board.floor_sds[dataset]
    header = ["rank", "variant", "family", *(title(name) for name in metrics), "seeds", "time", "parameters"]
    floor_line = [NOT_AVAILABLE, FLOOR, "real images"]
    floor_line += [floor_text(floor.get(name), digits[name], spread.get(name)) for name in metrics]
    lines = [header, [*floor_line, *[NOT_AVAILABLE] * 3]]
    for entry in entries:
        cells = [score_text(entry.metrics.get(name), digits[name]) for name in metrics]
        cells[0] = outcome(entry) or cells[0]
        n, n_bad = len(entry.seeds), len(entry.divergences)
        seeds = f"{n - n_bad} of {n}" if n_bad else str(n)
        size = number(sum(entry.cost["parameters"].values()), 0)
        rank = NOT_AVAILABLE if entry.rank is None else str(entry.rank)
        time = duration(entry.cost["seconds"])
        lines.append([rank, marked(entry), entry.family, *cells, seeds, time, size])
    if ORDER_BY in metrics:
        place = 4 + metrics.index(ORDER_BY)
        spans = [interval_text(entry.metrics.get(ORDER_BY), digits[ORDER_BY]) for entry in entries]
        for line, text in zip(lines, ["95 %", NOT_AVAILABLE, *spans], strict=True):
            line.insert(place, text)
    return lines


def _plain_table(board: Leaderboard, dataset: str, metrics: Sequence[str]) -> list[list[str]]:
    """Header, floor, entries with the given metrics and nothing else; as text."""
    entries = board.entries[dataset]
    digits = {name: decimals(entries, name) for name in metrics}
    floor, spread = board.floors[dataset], board.floor_sds[dataset]
    marks = density_marks(board, dataset)
    lines = [
        ["variant", *(title(name) for name in metrics)],
        [FLOOR, *(floor_text(floor.get(name), digits[name], spread.get(name)) for name in metrics)],
    ]
    for entry in entries:
        cells = [score_text(entry.metrics.get(name), digits[name]) for name in metrics]
        for i, name in enumerate(metrics):
            if name in LIKELIHOOD:
                cells[i] += marks.get(entry.variant, "")
        lines.append([marked(entry), *cells])
    return lines


def _markdown(text: str) -> str:
    """Text as it stands: nothing in it is read as Markdown or HTML."""
    text = re.sub(r"[\\`*\[\]<>|&]|(?<!\w)_|_(?!\w)", lambda sign: "\\" + sign[0], text)
    return " ".join(text.split("\n"))


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _list(values: set[Any]) -> str:
    return ", ".join(map(str, sorted(values)))
