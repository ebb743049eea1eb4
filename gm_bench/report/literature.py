"""The page that holds our order of variants against a published one."""

from collections.abc import Mapping
from typing import Any

from gm_bench.report.formatting import number, score_text
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.literature import Agreement, agreement

HEAD = """# Held to the literature

Written by `python -m pipelines.literature` from the boards in `reports/`. Published: {title}. Their protocol:
{protocol}.

Their FID and ours are not the same number: the extractor differs, and so do recipe, budget and the choice
of the checkpoint. What can be compared is the order of the variants.
"""


def page(boards: Mapping[str, Leaderboard], table: Mapping[str, Any]) -> str:
    """Markdown: per board and dataset both columns, side by side, and how far the orders agree.

    Args:
        boards: those that were run, by name.
        table: of `results.literature.published`.
    """
    parts = [HEAD.format(**table)]
    for name, board in boards.items():
        for dataset in board.datasets:
            if dataset in table["fid"]:
                parts.append(_section(name, board, dataset, table))
    return "\n".join(parts)


def _section(name: str, board: Leaderboard, dataset: str, table: Mapping[str, Any]) -> str:
    theirs = {variant: mean for variant, (mean, _) in table["fid"][dataset].items()}
    entries = {entry.variant: entry for entry in board.with_metric(dataset, "fid")}
    scores = {variant: entry.metrics["fid"] for variant, entry in entries.items()}
    ours = {variant: score.mean for variant, score in scores.items()}
    shared = [variant for variant in theirs if variant in ours]
    if len(shared) < 3:
        return ""
    rows = [
        f"| {variant} | {score_text(scores[variant], 1)} | {_place(ours, shared, variant)} | "
        f"{table['names'][variant]} | {theirs[variant]} ± {table['fid'][dataset][variant][1]} | "
        f"{_place(theirs, shared, variant)} |"
        for variant in sorted(shared, key=ours.__getitem__)
    ]
    protocol, cost = board.protocols[dataset], entries[shared[0]].cost
    said = (
        f"Network `{cost['network']}`, {cost['budget']:,} images shown, last checkpoint; features of "
        f"{protocol['extractor']['name']}, N = {protocol['n_samples']:,}. "
        f"{_in_words(agreement(ours, theirs))}"
    )
    head = [
        "| variant | FID here | place | published as | FID there | place |",
        "| --- | ---: | ---: | --- | ---: | ---: |",
    ]
    return f"## {dataset}: board `{name}`\n\n" + "\n".join([*head, *rows]) + f"\n\n{said}\n"


def _place(values: Mapping[str, float], shared: list[str], variant: str) -> int:
    return 1 + sum(values[other] < values[variant] for other in shared)


def _in_words(found: Agreement) -> str:
    between = ""
    if found.interval is not None:
        low, high = (number(end, 2) for end in found.interval)
        between = f", 95 % interval {low} to {high} (rough for so few)"
    return (
        f"Spearman's ρ over {len(found.variants)} variants: {number(found.rho, 2)}{between}; an order at "
        f"least as close comes by chance with p = {number(found.p, 3)}."
    )
