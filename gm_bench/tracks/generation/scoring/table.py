"""A set of scored images beside the leaderboard, for the terminal."""

import math
import statistics
from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from gm_bench.metrics.catalogue import IMAGES
from gm_bench.report.formatting import number
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.schema import FLOOR
from gm_bench.tracks.generation.scoring.score import Scored

THESE = "these images"
Means = Mapping[str, float]


def score_table(scored: Scored, board: Leaderboard | None) -> Table:
    """Floor, the images and, where a board of the same protocol is given, its variants, the best first.

    Args:
        board: the leaderboard, or None where the row may not stand in it.
    """
    means = {name: statistics.fmean(values) for name, values in scored.values.items()}
    rows: list[tuple[str, Means, bool]] = [(THESE, means, True)]
    for entry in board.entries.get(scored.standard.name, ()) if board else ():
        if entry.metrics:
            rows.append((entry.variant, {name: score.mean for name, score in entry.metrics.items()}, False))
    rows.sort(key=lambda row: row[1].get(IMAGES.order_by, math.inf))
    shown = [name for name in means if IMAGES.is_main(name)]
    digits = {name: _digits([row[1][name] for row in rows if name in row[1]]) for name in shown}
    table = Table(
        title=Text(f"{scored.name} against {scored.standard.name}", style="table.title"),
        caption=Text("\n".join(_facts(scored))),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("")
    for name in shown:
        table.add_column(Text(IMAGES.title(name)), justify="right")
    table.add_row(FLOOR, *_cells(scored.standard.floor, shown, digits), style="dim")
    for label, values, ours in rows:
        table.add_row(Text(label), *_cells(values, shown, digits), style="bold" if ours else None)
    return table


def other_metrics(scored: Scored) -> Table:
    """The metrics that the main table leaves out: of the images and of the floor."""
    table = Table(box=box.SIMPLE_HEAD, title="other metrics", title_justify="left")
    for heading in ("", THESE, FLOOR):
        table.add_column(heading, justify="left" if heading == "" else "right")
    for name, values in scored.values.items():
        if not IMAGES.is_main(name):
            pair = (statistics.fmean(values), scored.standard.floor.get(name))
            digits = _digits([value for value in pair if value is not None])
            table.add_row(Text(IMAGES.title(name)), *("–" if v is None else number(v, digits) for v in pair))
    return table


def _facts(scored: Scored) -> list[str]:
    protocol = scored.protocol
    extractor = protocol["extractor"]
    draws = protocol["draws"]
    facts = [
        f"N = {protocol['n_samples']:,}, mean over {draws} draw{'' if draws == 1 else 's'}; "
        f"{FLOOR}: real images against real ones, the best to be expected.",
        f"Extractor: {extractor['name']}, sha256 {extractor['sha256'][:12]}, "
        f"comparable {extractor['comparable']}.",
    ]
    if any(scored.missing):
        per_draw = [", ".join(names) or "none" for names in scored.missing]
        facts.append(f"Missing classes: {'; '.join(dict.fromkeys(per_draw))}.")
    return facts


def _cells(values: Means, names: Sequence[str], digits: Mapping[str, int]) -> list[str]:
    return [number(values[name], digits[name]) if name in values else "–" for name in names]


def _digits(values: Sequence[float]) -> int:
    """Decimals that show the largest of them with four figures."""
    largest = max(abs(value) for value in values)
    return min(max(3 - math.floor(math.log10(largest)), 0), 5) if largest else 3
