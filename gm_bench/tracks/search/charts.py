"""Charts of searches: the best of k trials, and FID against each hyper-parameter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from gm_bench.cell import in_file_name
from gm_bench.report.charts import Chart, Panel, chart_name, csv_of, family_colours, ranking
from gm_bench.report.drawing import FLOOR_INK, PANEL, SOFT, WIDTH, figure_of, logarithmic, to_svg
from gm_bench.reproducibility import derive
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.schema import CellResult
from gm_bench.tracks.search.analysis import expected_minima, rank_correlation
from gm_bench.tracks.search.draws import DEFAULT

STYLES = ("solid", "dashed", "dotted", "dashdot")
SEED_OF_PERMUTATIONS = 0


@dataclass(frozen=True)
class Trials:
    """The trials of a variant on a dataset, those of all seeds of the board together.

    Args:
        space: that was searched, name → hyper-parameter.
        drawn: each that was drawn, with its `values` and `fid`, None where it diverged.
        defaults: FIDs of the recipe without a search, one a seed; None where it diverged.
        worst: FID that a diverged trial counts as.
    """

    space: Mapping[str, Any]
    drawn: Sequence[Mapping[str, Any]]
    defaults: Sequence[float | None]
    worst: float

    @property
    def fids(self) -> list[float]:
        """Of the trials that were drawn; a diverged one counts as the worst."""
        return [self.counted(trial["fid"]) for trial in self.drawn]

    def counted(self, fid: float | None) -> float:
        return self.worst if fid is None else fid


def charts(board: Leaderboard, dataset: str, results: Sequence[CellResult]) -> list[Chart]:
    """All charts of a dataset.

    Args:
        results: the dataset's cells.
    """
    trials = trials_of(results)
    names = dict.fromkeys(name for each in trials.values() for name in each.space)
    first = ranking(board, dataset)
    found = [] if first is None else [first]
    return [*found, best_of_k(board, dataset, trials), *(against(board, dataset, trials, n) for n in names)]


def trials_of(results: Sequence[CellResult]) -> dict[str, Trials]:
    """Variant → its trials, in the order of the cells; a diverged one counts as the worst of all of them."""
    every = [trial["fid"] for result in results for trial in result.details["trials"]]
    worst = max(fid for fid in every if fid is not None)
    found: dict[str, Trials] = {}
    for variant in dict.fromkeys(result.variant for result in results):
        own = [result.details for result in results if result.variant == variant]
        all_trials = [trial for details in own for trial in details["trials"]]
        found[variant] = Trials(
            own[0]["space"],
            [trial for trial in all_trials if trial["number"] != DEFAULT],
            [trial["fid"] for trial in all_trials if trial["number"] == DEFAULT],
            worst,
        )
    return found


def best_of_k(board: Leaderboard, dataset: str, trials: Mapping[str, Trials]) -> Chart:
    """The expected best FID of k trials against k, a line a variant."""
    entries = {entry.variant: entry for entry in board.entries[dataset]}
    colours, taken = family_colours(board), dict[str, int]()
    figure, axes = figure_of(WIDTH, 320)
    lines: list[tuple[Any, ...]] = []
    values, said = [], []
    for variant, of_variant in trials.items():
        family = entries[variant].family
        style = STYLES[taken.setdefault(family, 0) % len(STYLES)]
        taken[family] += 1
        expected = expected_minima(of_variant.fids)
        axes.plot(
            range(1, len(expected) + 1), expected, color=colours[family], linestyle=style, label=variant
        )
        default = of_variant.counted(of_variant.defaults[0])
        axes.plot(0, default, "D", color=colours[family], markersize=4)
        values += [*expected, default]
        said.append(f"{variant} {expected[0]:.3g} at one, {expected[-1]:.3g} at {len(expected)}")
        lines += [(variant, k, value) for k, value in enumerate(expected, 1)]
        lines += [(variant, "default", of_variant.counted(fid)) for fid in of_variant.defaults]
    logarithmic(axes, "y", values)
    axes.set_xlabel("trials")
    axes.set_ylabel("best FID on validation images, log scale")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, labelcolor=SOFT, fontsize=9, ncols=2, handlelength=3)
    name = chart_name(dataset, "best_of_k")
    return Chart(
        name,
        "The best of k trials",
        "What is to be expected of the best of k trials that are drawn at random, exact for those that were "
        "run. Diamonds at 0: the recipe without a search. A diverged trial counts as the worst of all.",
        f"Expected best FID of k trials on {dataset}: {'; '.join(said)}.",
        (Panel("", to_svg(figure, name)),),
        csv_of(("variant", "k", "fid"), lines),
    )


def against(board: Leaderboard, dataset: str, trials: Mapping[str, Trials], name: str) -> Chart:
    """FID of each trial against one hyper-parameter, one panel a variant that has it."""
    panels, lines, said = [], [], []
    for variant, of_variant in trials.items():
        if name not in of_variant.space:
            continue
        hyperparameter = of_variant.space[name]
        x = [trial["values"][name] for trial in of_variant.drawn]
        found = rank_correlation(_placed(hyperparameter, x), of_variant.fids, _seed(dataset, variant, name))
        words = "no correlation: one of the two does not vary"
        if found is not None:
            words = f"ρ {found[0]:.2f}, p {found[1]:.2g}".replace("-", "−")
        said.append(f"{variant} {words}")
        figure, axes = figure_of(PANEL, 150)
        _scatter(axes, hyperparameter, of_variant, x)
        axes.set_title(words, fontsize=9, color=SOFT, loc="left")
        panels.append(
            Panel(variant, to_svg(figure, f"{in_file_name(dataset)}-{name}-{in_file_name(variant)}"))
        )
        rho, p = ("", "") if found is None else found
        lines += [
            (variant, trial["number"], value, "" if trial["fid"] is None else trial["fid"], rho, p)
            for trial, value in zip(of_variant.drawn, x, strict=True)
        ]
    return Chart(
        chart_name(dataset, f"against_{name}"),
        f"FID against {name}",
        "One dot a trial, on validation images; crosses: diverged, at the worst. ρ: Spearman's rank "
        "correlation, of choices with their order; p: of a permutation test, not corrected for how many "
        "there are.",
        f"FID of trials against {name} on {dataset}: {'; '.join(said)}.",
        tuple(panels),
        csv_of(("variant", "trial", name, "fid", "rank_correlation", "p"), lines),
    )


def _seed(*of: str) -> int:
    return derive(SEED_OF_PERMUTATIONS, "/".join(of)) % 2**32


def _placed(hyperparameter: Mapping[str, Any], x: Sequence[Any]) -> list[float]:
    """Values as numbers: of choices their places."""
    choices = hyperparameter["choices"]
    return [float(value) if choices is None else float(choices.index(value)) for value in x]


def _scatter(axes: Axes, hyperparameter: Mapping[str, Any], trials: Trials, x: Sequence[Any]) -> None:
    places, choices = _placed(hyperparameter, x), hyperparameter["choices"]
    for sign, diverged in (("o", False), ("x", True)):
        shown = [i for i, trial in enumerate(trials.drawn) if (trial["fid"] is None) == diverged]
        axes.plot(
            [places[i] for i in shown],
            [trials.fids[i] for i in shown],
            sign,
            color=FLOOR_INK,
            markersize=3.5,
            alpha=0.7,
        )
    if choices is not None:
        axes.set_xticks(range(len(choices)), [str(choice) for choice in choices])
        axes.set_xlim(-0.5, len(choices) - 0.5)
    elif hyperparameter["log"]:
        logarithmic(axes, "x", places, narrow=True)
    logarithmic(axes, "y", trials.fids)
