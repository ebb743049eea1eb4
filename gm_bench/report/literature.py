"""The page that holds our order of variants against a published one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from gm_bench.report.formatting import NOT_AVAILABLE, count, markdown_table, number, score_text
from gm_bench.results.comparing import seeds_of
from gm_bench.results.leaderboard import Leaderboard, catalogue_of
from gm_bench.results.literature import Agreement, agreement, places
from gm_bench.results.ranking import better

HEAD = """# Held to the literature

Written by `python -m pipelines.literature` from the boards in `reports/`. Published: {title}. Their protocol:
{protocol}.

Their FID and ours are not the same number: the extractor differs, and so do recipe, budget and the choice
of the checkpoint. What can be compared is the order of the variants. `python -m pipelines.literature
--inception` adds a column in the features that theirs is in, where Inception's weights and the samples are.
"""
WORDS = ("variant", "published as")  # the columns that hold no numbers
CHANCE = 0.05  # above which an agreement is not called one
FAR = 2  # places apart, of which the cause is asked


@dataclass(frozen=True)
class Section:
    """A dataset of a board.

    Args:
        inception: FID of each seed by variant in Inception's features; empty where it was not measured.
        recipes: by variant, in words: here and there.
    """

    name: str
    dataset: str
    board: Leaderboard
    inception: Mapping[str, Sequence[float]]
    recipes: Mapping[str, tuple[str, str]]


def page(sections: Sequence[Section], table: Mapping[str, Any]) -> str:
    """Markdown: of each section both columns, side by side, and how far the orders agree.

    Args:
        sections: of boards that were run, on datasets of the table.
        table: of `results.literature.published`.
    """
    return "\n".join([HEAD.format(**table), *filter(None, (_section(each, table) for each in sections))])


def _section(of: Section, table: Mapping[str, Any]) -> str:
    published = table["fid"][of.dataset]
    theirs = {variant: mean for variant, (mean, _) in published.items()}
    entries = {entry.variant: entry for entry in of.board.with_metric(of.dataset, "fid")}
    scores = {variant: entry.metrics["fid"] for variant, entry in entries.items()}
    ours = {variant: score.mean for variant, score in scores.items()}
    shared = sorted((variant for variant in theirs if variant in ours), key=ours.__getitem__)
    if len(shared) < 3:
        return ""
    ours, theirs = ({v: side[v] for v in shared} for side in (ours, theirs))
    left = _left_open(of, shared)
    columns: dict[str, list[str]] = {
        "variant": shared,
        "FID here": [score_text(scores[v], 1) for v in shared],
        "place": [str(_place(ours, v)) for v in shared],
        "left open": [_range(left.get(v)) for v in shared],
        "FID here, Inception": [_mean_text(of.inception.get(v)) for v in shared],
        "published as": [table["names"][v] for v in shared],
        "FID there": [f"{mean} ± {sd}" for mean, sd in (published[v] for v in shared)],
        "place there": [str(_place(theirs, v)) for v in shared],
    }
    recipes = {
        "variant": shared,
        "recipe here": [of.recipes[v][0] for v in shared],
        "default there, where the search began": [of.recipes[v][1] for v in shared],
    }
    if not of.inception:
        del columns["FID here, Inception"]
    protocol, cost = of.board.protocols[of.dataset], entries[shared[0]].cost
    n_seeds = sorted({len(entry.seeds) for entry in entries.values()})
    seeds = f"{n_seeds[0]} to " * (len(n_seeds) > 1) + count(n_seeds[-1], "seed")
    said = (
        f"Network `{cost['network']}`, {cost['budget']:,} images shown, last checkpoint, {seeds}; features "
        f"of {protocol['extractor']['name']}, N = {protocol['n_samples']:,}. Left open: the places that "
        "noise between seeds leaves to a variant, among those of this table; of one seed none is known."
    )
    right = [i for i, title in enumerate(columns) if title not in WORDS]
    orders = markdown_table([*columns], zip(*columns.values(), strict=True), right)
    told = markdown_table([*recipes], zip(*recipes.values(), strict=True), ())
    agreed = _in_words(agreement(ours, theirs))
    parts = [f"## {of.dataset}: board `{of.name}`", agreed, orders, said, told]
    apart = [v for v in shared if abs(_place(ours, v) - _place(theirs, v)) >= FAR]
    if apart:
        tested = table["tested"].get(of.name, {})
        why = "\n".join(f"- {v}: {_why(left.get(v), _place(theirs, v), tested.get(v))}." for v in apart)
        parts.append(f"{FAR} places apart or more, and what is known of the cause:\n\n{why}")
    return "\n\n".join(parts) + "\n"


def _mean_text(values: Sequence[float] | None) -> str:
    if not values:
        return NOT_AVAILABLE
    spread = f" ± {number(stdev(values), 1)}" if len(values) > 1 else ""
    return f"{number(fmean(values), 1)}{spread}"


def _place(values: Mapping[str, float], variant: str) -> int:
    return 1 + sum(value < values[variant] for value in values.values())


def _left_open(of: Section, shared: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The places that noise leaves to each variant of several seeds, among those of the table."""
    entries = of.board.entries[of.dataset]
    catalogue = catalogue_of(entries, catalogue=of.board.catalogue)
    return places(better(*seeds_of(entries, "fid", catalogue)), shared)


def _range(ends: tuple[int, int] | None) -> str:
    if ends is None:
        return NOT_AVAILABLE
    first, last = ends
    return str(first) if first == last else f"{first} to {last}"


def _why(left: tuple[int, int] | None, there: int, tested: str | None) -> str:
    """Chance where noise leaves the other place open, else what was tested."""
    if left and left[0] <= there <= left[1]:
        return f"noise leaves the places {_range(left)} open, theirs ({there}) among them"
    return tested or "not tested"


def _in_words(found: Agreement) -> str:
    seen = "That the orders agree cannot be seen" if found.p > CHANCE else "The orders agree beyond chance"
    between = ""
    if found.interval is not None:
        low, high = (number(end, 2) for end in found.interval)
        between = f", 95 % interval {low} to {high} (rough for so few)"
    return (
        f"**{seen}**: Spearman's ρ over {len(found.variants)} variants is {number(found.rho, 2)}{between}; "
        f"an order at least as close comes by chance with p = {number(found.p, 3)}."
    )
