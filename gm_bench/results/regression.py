"""The regression gate: a leaderboard against an earlier one → what got worse by more than noise explains.

Pure functions: leaderboards in, verdicts out. How two sides are compared stands in `results/comparing.py`.

Training is deterministic. So a variant all of whose cells have the values of the baseline to the last bit is
unchanged: it is not compared and takes no share of the chance of a false alarm.

A variant that changed and looks worse but cannot be told from noise is given more seeds, until it can be told
or has as many as the bound allows (`judge`): a group sequential test. Each comparison spends its share of the
run's one chance of a false alarm over its looks (Lan & DeMets 1983, `results/spending.py`). The first
regression ends the run. A variant that no longer looks worse gets no more seeds, which makes false alarms
rarer, never more frequent.
"""

from collections.abc import Callable, Mapping, Sequence

from gm_bench.results.baseline import Baseline, check_floor, lacks, set_up_differs
from gm_bench.results.comparing import (
    Looks,
    NotComparable,
    Verdict,
    badness,
    compare,
    count,
    unknown_noise,
)
from gm_bench.results.leaderboard import Entry, Key, Leaderboard

MOST_SEEDS = 12
# Of a run, were spreads normal and well known. The simulation (benchmarks/gate.py) shows what comes of it:
# with fewer seeds in the baseline than MOST_SEEDS, spreads are known so badly that less has to be allowed.
FALSE_ALARM_RATE = 0.01
FALSE_ALARM_RATE_OF_FEW_SEEDS = 0.0025
N_LOOKS = 3
Wanted = Mapping[Key, Sequence[int]]  # dataset and variant → seeds to be run


def looks(n_first: int, most: int) -> Looks:
    """At which numbers of seeds a variant of a board with `n_first` seeds is looked at: 4, 8, 12."""
    last = max(n_first, most)
    n = min(N_LOOKS, 1 + last - n_first)
    if n == 1:
        return Looks((n_first,))
    return Looks(tuple(n_first + -(-k * (last - n_first) // (n - 1)) for k in range(n)))


def more_seeds(seeds: Sequence[int], n: int) -> list[int]:
    """The `n` smallest seeds that are not among these."""
    free = (seed for seed in range(len(seeds) + n) if seed not in seeds)
    return [seed for seed, _ in zip(free, range(n), strict=False)]


def judge(
    baseline: Baseline,
    board: Leaderboard,
    run: Callable[[Wanted], Leaderboard],
    most: int = MOST_SEEDS,
    gated: Sequence[str] | None = None,
) -> Verdict:
    """The gate with more seeds where it is unclear.

    Args:
        board: the candidate with the seeds of its board.
        run: brings more seeds of variants, and gives the leaderboard with them and all that it had.
        most: seeds of a variant at most, those of the board among them.
        gated: the metrics to judge; all that the catalogue says where it is None.

    Raises:
        NotComparable: nothing can be said, because what measures or the budget has changed.
    """
    n_first = max((len(entry.seeds) for entry in board.by_key.values()), default=0)
    sizes = looks(n_first, most)
    verdict = check(baseline, board, gated, sizes)
    for size in sizes.sizes[1:]:
        if not verdict.passed or not verdict.unclear:
            break
        entries = board.by_key
        wanted = {k: more_seeds(entries[k].seeds, size - len(entries[k].seeds)) for k in verdict.unclear}
        board = run(wanted)
        verdict = check(baseline, board, gated, sizes)
    return verdict


def check(
    baseline: Baseline, board: Leaderboard, gated: Sequence[str] | None = None, sizes: Looks | None = None
) -> Verdict:
    """The gate at one look: does `board` hold what `baseline` reached?

    Args:
        gated: the metrics to judge; all that the catalogue says where it is None.
        sizes: at which the board may be looked at; None where this look is the only one.

    Raises:
        NotComparable: nothing can be said, because what measures or the budget has changed.
    """
    if not baseline.board.by_key:
        raise NotComparable("the baseline has no rows, so that nothing is watched: gm-bench check --update")
    gated = board.catalogue.gated() if gated is None else gated
    failures, remarks, pairs, unchanged = [], [], [], []
    for dataset in baseline.board.datasets:
        if dataset in board.protocols:
            _refuse_what_differs(baseline.board, board, dataset)
    before_by_key, after_by_key = baseline.board.by_key, board.by_key
    for key, before in before_by_key.items():
        name, after = "/".join(key), after_by_key.get(key)
        due = baseline.due(before)
        if after is None:
            failures.append(f"{name} is missing: the baseline has it with {len(due)} seeds.")
            continue
        gone = sorted(due - set(after.seeds))
        if gone:
            failures.append(f"{name} is missing seed {', '.join(map(str, gone))} of the baseline.")
        diverged = f"{name}: {after.n_diverged} of {len(after.seeds)} seeds diverged"
        if _newly_diverged(before, after):
            failures.append(f"{diverged}.")
        elif after.n_diverged:
            named = before.names_diverged and after.names_diverged
            which = "none that finished in the baseline" if named else "no more than in the baseline"
            remarks.append(f"{diverged}, {which}.")
        failures += [
            f"{name} {lacks(after, metric)}, the baseline has."
            for metric in gated
            if metric in before.metrics and count(after, metric) != after.n_finished
        ]
        if _draws_are_alike(after, gated) and not _draws_are_alike(before, gated):
            failures.append(
                f"{name}: the draws of a seed all have the same values, in the baseline they differ."
            )
        if is_unchanged(before, after):
            unchanged.append(key)
        else:
            pairs.append((key, before, after))
    remarks += [
        f"{'/'.join(key)} is new: the baseline does not have it."
        for key in after_by_key
        if key not in before_by_key
    ]
    rate = false_alarm_rate(baseline.board)
    # The candidate's, where it has the variant: a baseline that was written before tells no updates.
    kinds = {key: entry.kind_of_noise for key, entry in {**before_by_key, **after_by_key}.items()}
    spreads, catalogue = baseline.spreads, board.catalogue
    comparisons, unknown = compare(pairs, spreads, gated, catalogue, rate, kinds, looks=sizes)
    if unknown:
        raise unknown_noise(*unknown[0])
    return Verdict(comparisons, failures, remarks, unchanged)


def false_alarm_rate(before: Leaderboard) -> float:
    """The chance of a false alarm that a run is given: it depends on how many seeds tell the noise."""
    few = any(len(entry.seeds) < MOST_SEEDS for entry in before.by_key.values())
    return FALSE_ALARM_RATE_OF_FEW_SEEDS if few else FALSE_ALARM_RATE


def is_unchanged(before: Entry, after: Entry) -> bool:
    """Whether every seed of `after` ended as in `before`, with the same values of the metrics, to the bit.

    Where seeds diverged and a file does not tell which, they are taken to have changed.
    """
    if not set(after.seeds) <= set(before.seeds) or not set(before.metrics) <= set(after.metrics):
        return False
    if not (before.names_diverged and after.names_diverged):
        return False
    if [seed for seed in before.finished if seed in after.seeds] != list(after.finished):
        return False
    return all(
        dict(zip(after.finished, after.metrics[metric].values, strict=False)).items()
        <= dict(zip(before.finished, score.values, strict=False)).items()
        and (after.metrics[metric].n, score.n) == (after.n_finished, before.n_finished)
        for metric, score in before.metrics.items()
    )


def _newly_diverged(before: Entry, after: Entry) -> bool:
    """Whether a seed diverged that finished before; more of them than before where a file tells none."""
    if not (before.names_diverged and after.names_diverged):
        return after.n_diverged > before.n_diverged
    return not set(after.divergences).isdisjoint(before.finished)


def _draws_are_alike(entry: Entry, gated: Sequence[str]) -> bool:
    """Whether no judged metric differs between the draws of a seed, of which there are several."""
    sds = [entry.metrics[metric].draw_sd for metric in gated if metric in entry.metrics]
    return bool(sds) and all(sd == 0 for sd in sds)


def _refuse_what_differs(before: Leaderboard, after: Leaderboard, dataset: str) -> None:
    """Raise where the numbers of a dataset mean another thing than they did."""
    for entry in before.entries[dataset]:
        difference = set_up_differs(before, after, dataset, entry.variant)
        if difference:
            raise NotComparable(
                f"{dataset}/{entry.variant} cannot be compared with the baseline: {difference}; if that is "
                "meant, make a new baseline with gm-bench check --update"
            )
    catalogue = after.catalogue
    for metric in check_floor(before, dataset):
        if metric not in after.floors.get(dataset, {}):
            raise NotComparable(
                f"{dataset} cannot be compared with the baseline: the floor lacks {metric}; gm-bench "
                f"run --board {after.name} measures it again"
            )
        old, new = (board.floors[dataset][metric] for board in (before, after))
        (bad_old,), (bad_new,) = (badness(metric, [value], catalogue) for value in (old, new))
        if abs(bad_old - bad_new) > catalogue.margin(metric):
            raise NotComparable(
                f"{dataset} cannot be compared with the baseline: {metric} of real images was {old:.4g} and "
                f"is {new:.4g} under the same protocol, so the measuring has changed; if that is meant, "
                "make a new baseline with gm-bench check --update"
            )
