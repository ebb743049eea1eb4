"""Two leaderboards, or two variants of one, side by side: every metric, for looking; nothing fails.

Two leaderboards are compared as the gate does: where a variant is what it was, both sides are draws of one
distribution, so their spreads are pooled. Two variants have each a noise of its own, as in ranks.
"""

import math
from collections.abc import Iterator, Sequence

from gm_bench.metrics.catalogue import Catalogue
from gm_bench.results.baseline import set_up_differs
from gm_bench.results.comparing import (
    Comparison,
    NotComparable,
    Pair,
    Verdict,
    compare,
    count,
    seeds_of,
    shares_of,
    spreads_of,
    unknown_noise,
)
from gm_bench.results.leaderboard import Entry, Leaderboard, catalogue_of
from gm_bench.results.ranking import estimates, limit
from gm_bench.results.regression import false_alarm_rate, is_unchanged


def contrast(before: Leaderboard, after: Leaderboard) -> Verdict:
    """Two leaderboards side by side, every metric whose direction is known.

    Raises:
        NotComparable: they share no variant of a dataset under one protocol and budget.
    """
    remarks, pairs, unchanged = [], [], []
    after_by_key = after.by_key
    for key, entry in before.by_key.items():
        if key not in after_by_key:
            remarks.append(f"{'/'.join(key)} stands in the first only.")
        elif difference := set_up_differs(before, after, *key):
            remarks.append(f"{'/'.join(key)} cannot be compared: {difference}.")
        elif is_unchanged(entry, after_by_key[key]):
            unchanged.append(key)
        else:
            pairs.append((key, entry, after_by_key[key]))
            remarks += _without_numbers("/".join(key), entry, after_by_key[key])
    others = [key for key in after_by_key if key not in before.by_key]
    remarks += [f"{'/'.join(key)} stands in the second only." for key in others]
    if not pairs and not unchanged:
        raise NotComparable(f"nothing to compare: {remarks[0] if remarks else 'both are empty.'}")
    catalogue = catalogue_of(before.by_key.values(), after_by_key.values(), catalogue=after.catalogue)
    metrics = _metrics(pairs, catalogue)
    spreads = spreads_of(before.by_key, metrics, catalogue)
    rate = false_alarm_rate(before)
    kinds = {key: entry.kind_of_noise for key, entry in before.by_key.items()}
    found, unknown = compare(pairs, spreads, metrics, catalogue, rate, kinds, margins=False)
    if unknown and not found:
        raise unknown_noise(*unknown[0])
    left_out = [
        f"{metric} on {dataset} is left out: its noise is not known, no variant has two seeds with it."
        for dataset, metric in unknown
    ]
    return Verdict(found, (), [*remarks, *left_out], unchanged)


def contrast_variants(board: Leaderboard, one: str, other: str) -> Verdict:
    """Two variants of one leaderboard, on every dataset that has both.

    Raises:
        NotComparable: there is no such dataset, or one of them has fewer than two seeds wherever both are.
    """
    entries, name = board.by_key, f"{one} → {other}"
    pairs = [
        ((dataset, name), entries[dataset, one], entries[dataset, other])
        for dataset in board.datasets
        if (dataset, one) in entries and (dataset, other) in entries
    ]
    if not pairs:
        raise NotComparable(f"no dataset of the leaderboard has both {one} and {other}")
    remarks = [each for (d, _), *sides in pairs for each in _without_numbers(f"{d}/{name}", *sides)]
    few = list(_with_few_seeds(pairs))
    catalogue = catalogue_of(entries.values(), catalogue=board.catalogue)
    found = list(_compared(board, pairs, catalogue))
    if few and not found:
        raise NotComparable(f"{few[0]}; gm-bench run --board {board.name} --seeds 0,1,2 makes more")
    return Verdict(found, (), [*remarks, *(f"{each}." for each in few)])


def _compared(board: Leaderboard, pairs: Sequence[Pair], catalogue: Catalogue) -> Iterator[Comparison]:
    """Every metric of each pair that both sides have of two seeds or more."""
    known = {
        (key[0], metric): (key[1], before, after)
        for metric in _metrics(pairs, catalogue)
        for key, before, after in pairs
        if min(count(before, metric), count(after, metric)) > 1
    }
    rate, shares = false_alarm_rate(board), shares_of(dict.fromkeys(known, 1), catalogue)
    for (dataset, metric), (name, before, after) in known.items():
        found = estimates(*seeds_of(board.entries[dataset], metric, catalogue))
        one, other = found[before.variant], found[after.variant]
        yield Comparison(
            dataset,
            name,
            metric,
            before.metrics[metric].mean,
            after.metrics[metric].mean,
            shift=other.mean - one.mean,
            noise=math.hypot(one.error, other.error),
            limit=limit(one, other, rate * shares[dataset, metric]),
            seeds=(count(before, metric), count(after, metric)),
        )


def _metrics(pairs: Sequence[Pair], catalogue: Catalogue) -> list[str]:
    """The metrics of the first sides that have a better side; others are not compared."""
    names = dict.fromkeys(metric for _, entry, _ in pairs for metric in entry.metrics)
    return [metric for metric in names if catalogue.direction(metric)]


def _without_numbers(name: str, before: Entry, after: Entry) -> list[str]:
    """A sentence for each side that has nothing to compare."""
    return [
        f"{name} has no numbers in the {side}: all of its seeds diverged ({len(entry.seeds)})."
        for side, entry in (("first", before), ("second", after))
        if not entry.n_finished
    ]


def _with_few_seeds(pairs: Sequence[Pair]) -> Iterator[str]:
    """What keeps two variants from being compared, but for one whose seeds all diverged."""
    for (dataset, _), before, after in pairs:
        for entry in (before, after):
            if entry.n_finished == 1:
                yield f"{dataset}/{entry.variant} has one seed, so its noise is not known"
