"""What was accepted: a leaderboard, and what is known of the noise between its seeds.

A baseline may hold more seeds of every variant than its board has: a candidate brings the board's own, and
where these cannot tell, it is given more (`running/more_seeds.py`); nothing old has to be run again for that.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gm_bench.metrics.catalogue import Catalogue
from gm_bench.results.comparing import NotComparable, SpreadKey, count, spreads_of
from gm_bench.results.leaderboard import Entry, Leaderboard, LeaderboardError, Score
from gm_bench.results.leaderboard_file import SCHEMA as LEADERBOARD_SCHEMA
from gm_bench.results.leaderboard_file import from_json
from gm_bench.results.moderation import Spread
from gm_bench.results.protocol import same_protocol
from gm_bench.results.schema import OK, CellResult

SCHEMA = 1
KEPT_COSTS = ("budget", "updates")  # what says whether two sides, and whose noise, may be compared


@dataclass(frozen=True)
class Baseline:
    """A leaderboard that was accepted, and the spreads of it and of those accepted before it.

    `spreads` are by dataset, variant and gated metric, in badness. `seeds` are those of the board, which
    every candidate must bring; None where they are all that the baseline has.
    """

    board: Leaderboard
    revision: str
    spreads: Mapping[SpreadKey, Spread]
    seeds: tuple[int, ...] | None = None

    def due(self, entry: Entry) -> set[int]:
        """The seeds of an entry of the baseline that a candidate must bring."""
        return set(entry.seeds if self.seeds is None else self.seeds) & set(entry.seeds)


def read_board(content: Any, name: str, catalogue: Catalogue) -> Leaderboard:
    """The leaderboard in the content of a leaderboard.json called `name`.

    Raises:
        NotComparable: the content is of another kind or version, or a value is not finite.
    """
    try:
        return from_json(content, name, catalogue)
    except LeaderboardError as error:
        raise NotComparable(str(error)) from None


def read_baseline(content: Any, name: str, catalogue: Catalogue) -> Baseline:
    """The baseline in the content of a file: one that `to_json` made, or a bare leaderboard.

    Raises:
        NotComparable: the content is neither.
    """
    if not isinstance(content, dict) or "leaderboard" not in content:
        return of_board(read_board(content, name, catalogue), revision=name)
    if (found := content.get("schema")) != SCHEMA:
        raise NotComparable(f"{name} has schema {found}, not {SCHEMA}: make one with gm-bench check --update")
    board = read_board(content["leaderboard"], name, catalogue)
    try:
        spreads = {
            (dataset, variant, metric): _spread(s)
            for dataset, variants in content["spreads"].items()
            for variant, metrics in variants.items()
            for metric, s in metrics.items()
        }
        own = content.get("board_seeds")
        seeds = None if own is None else tuple(map(int, own))
        return Baseline(board, str(content["revision"]), spreads, seeds)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        raise NotComparable(f"{name} is no baseline: make one with gm-bench check --update") from None


def _spread(content: Mapping[str, Any]) -> Spread:
    """As `to_json` wrote it; ValueError where it can be none."""
    spread = Spread(float(content["sum_of_squares"]), int(content["degrees"]))
    if not 0 <= spread.sum_of_squares < math.inf or spread.degrees < 0:
        raise ValueError
    return spread


def of_board(
    board: Leaderboard,
    revision: str,
    earlier: Baseline | None = None,
    seeds: tuple[int, ...] | None = None,
) -> Baseline:
    """A baseline from a leaderboard; spreads of an earlier one are added where they were measured alike.

    Where seeds have the values of before, it is the same measurement: the larger of the two stands alone.

    Args:
        seeds: the board's own, where the leaderboard has more.

    Raises:
        NotComparable: a judged metric is missing of a finished seed, or of the floor.
    """
    gated = board.catalogue.gated()
    for dataset in board.datasets:
        check_floor(board, dataset)
    for (dataset, variant), entry in board.by_key.items():
        for metric in gated:
            if metric in entry.metrics and entry.metrics[metric].n != entry.n_finished:
                raise NotComparable(f"{dataset}/{variant} {lacks(entry, metric)}: evaluate it again")
    spreads = spreads_of(board.by_key, gated, board.catalogue)
    for key, old in (earlier.spreads if earlier else {}).items():
        dataset, variant, metric = key
        if earlier is None or key not in spreads or set_up_differs(earlier.board, board, dataset, variant):
            continue
        before, after = (_by_seed(each.by_key[dataset, variant], metric) for each in (earlier.board, board))
        new, same = spreads[key], before.items() & after.items()
        spreads[key] = max(old, new, key=lambda spread: spread.degrees) if same else old + new
    return Baseline(board, revision, spreads, seeds)


def _by_seed(entry: Entry, metric: str) -> dict[int, float]:
    """Seed → value."""
    score = entry.metrics.get(metric)
    return dict(zip(entry.finished, score.values, strict=False)) if score else {}


def with_seeds(board: Leaderboard, results: Sequence[CellResult]) -> Leaderboard:
    """A leaderboard with more seeds of its variants.

    Raises:
        NotComparable: a cell was measured under another protocol.
    """
    entries = board.by_key
    for result in results:
        key = result.dataset, result.variant
        difference = same_protocol(dict(board.protocols[result.dataset]), dict(result.protocol))
        if difference:
            raise NotComparable(f"cell {result.cell} cannot stand in the leaderboard: {difference}")
        entries[key] = _with_seed(entries[key], result)
    rows = {d: [entries[d, entry.variant] for entry in of_d] for d, of_d in board.entries.items()}
    return replace(board, entries=rows)


def _with_seed(entry: Entry, result: CellResult) -> Entry:
    """An entry with one seed more; its costs stay what they were."""
    seeds = tuple(sorted((*entry.seeds, result.seed)))
    if result.status != OK:
        divergences = {**entry.divergences, result.seed: dict(result.divergence or {})}
        return replace(entry, seeds=seeds, divergences=divergences)
    place = sorted((*entry.finished, result.seed)).index(result.seed)
    metrics = dict(entry.metrics)
    for metric, draws in result.values.items():
        old = metrics.get(metric, Score(()))
        values = (*old.values[:place], statistics.fmean(draws), *old.values[place:])
        metrics[metric] = Score(values, _pooled(old, draws))
    return replace(entry, seeds=seeds, n_finished=entry.n_finished + 1, metrics=metrics)


def _pooled(old: Score, draws: Sequence[float]) -> float | None:
    """Standard deviation between draws, of the seeds that a score has and one more."""
    if len(draws) < 2:
        return old.draw_sd
    of_old = old.n * (old.draw_sd or 0.0) ** 2
    return math.sqrt((of_old + statistics.variance(draws)) / (old.n + 1))


def to_json(baseline: Baseline) -> dict[str, Any]:
    """The content of baseline.json."""
    board = baseline.board
    rows = [
        {
            "dataset": dataset,
            "variant": variant,
            "seeds": list(entry.seeds),
            "status": entry.status,
            "diverged": sorted(entry.divergences),
            "metrics": {
                metric: {"values": list(score.values), "draw_sd": score.draw_sd}
                for metric, score in entry.metrics.items()
            },
            "cost": {key: entry.cost[key] for key in KEPT_COSTS if key in entry.cost},
        }
        for (dataset, variant), entry in board.by_key.items()
    ]
    spreads: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for (dataset, variant, metric), spread in baseline.spreads.items():
        of_variant = spreads.setdefault(dataset, {}).setdefault(variant, {})
        of_variant[metric] = {"sum_of_squares": spread.sum_of_squares, "degrees": spread.degrees}
    return {
        "schema": SCHEMA,
        "revision": baseline.revision,
        "board_seeds": None if baseline.seeds is None else list(baseline.seeds),
        "leaderboard": {
            "schema": LEADERBOARD_SCHEMA,
            "board": board.name,
            "track": board.track,
            "protocol": dict(board.protocols),
            "floors": dict(board.floors),
            "rows": rows,
        },
        "spreads": spreads,
    }


def set_up_differs(one: Leaderboard, other: Leaderboard, dataset: str, variant: str) -> str | None:
    """Why a variant's results cannot be compared; None where they can."""
    difference = same_protocol(dict(one.protocols[dataset]), dict(other.protocols[dataset]))
    if difference:
        return difference
    before, after = (board.by_key.get((dataset, variant)) for board in (one, other))
    if before and after and before.cost["budget"] != after.cost["budget"]:
        return f"its budget is {before.cost['budget']:,} images against {after.cost['budget']:,}"
    return None


def check_floor(board: Leaderboard, dataset: str) -> list[str]:
    """The judged metrics of a dataset; refuse a floor that lacks one of them."""
    judged = [m for m in board.catalogue.gated() if board.with_metric(dataset, m)]
    for metric in judged:
        if metric not in board.floors.get(dataset, {}):
            raise NotComparable(
                f"the floor of {dataset} lacks {metric}, so that nothing says whether the measuring has "
                f"changed: gm-bench run --board {board.name} measures it again"
            )
    return judged


def lacks(entry: Entry, metric: str) -> str:
    n = count(entry, metric)
    return f"has {metric} of {n} of {entry.n_finished} finished seeds" if n else f"has no {metric}"
