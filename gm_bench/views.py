"""What MLflow's pages show first: its columns are hidden until chosen, so views are stored and linked to.

A view is an experiment tag that MLflow's own "share" button writes: the state of the page as JSON, opened by
its key. Links are relative to the page, so they hold whatever the server's address. Charts that a view does
not name MLflow adds to it: they stand in sections that are folded.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gm_bench.record import LEADERBOARD, SINGLE

TABLE, CHARTS, SAMPLES, PARALLEL = (f"gm-bench-{name}" for name in ("table", "charts", "samples", "parallel"))
SHOWN = f"tags.`gm_bench.status` = 'current' AND tags.kind != '{LEADERBOARD}'"
CELLS = "tags.`gm_bench.status` = 'current' AND tags.kind = 'cell'"
LIVE = "tags.`gm_bench.status` = 'live'"
ORDER_BY = "eval/fid"
N_SIDE_BY_SIDE = 10  # what a page holds; MLflow's image card stops there as well
BY_VARIANT = {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": "variant"}]}
Json = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """A current run, as far as views need to know it."""

    run_id: str
    kind: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]


def tags(dataset: str, experiment: str, runs: Sequence[Shown], scores: Sequence[str]) -> dict[str, str]:
    """Experiment tags that hold the views and the description with links to them.

    Args:
        dataset: whose experiment.
        experiment: its id.
        runs: all that are current, the leaderboard's among them.
        scores: names of the metrics that the table has columns for.
    """
    cells = [run for run in runs if run.kind == "cell"]
    seed = min((run.params["seed"] for run in cells), key=int, default="0")
    folded = sorted({name.rpartition("/")[0] for run in cells for name in run.metrics})
    columns = [f"metrics.`eval/{name}`" for name in scores] + ["params.`family`", "tags.`status`"]
    states = {
        TABLE: _state(SHOWN) | {"selectedColumns": columns},
        CHARTS: _state(SHOWN) | _charts(_comparison(), folded) | {"groupBy": BY_VARIANT},
        SAMPLES: _state(f"{CELLS} AND params.seed = '{seed}'") | _charts(_samples(), folded),
        PARALLEL: _state(CELLS) | _charts(_parallel(), folded),
    }
    views = {f"mlflow.sharedViewState.{key}": json.dumps(state) for key, state in states.items()}
    return views | {"mlflow.note.content": _description(dataset, experiment, runs, seed)}


def _state(condition: str) -> Json:
    """A page that shows the runs of a condition, the best first."""
    return {
        "searchFilter": condition,
        "orderByKey": f"metrics.`{ORDER_BY}`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "runsHiddenMode": "SHOW_ALL",
    }


def _charts(sections: Mapping[str, Sequence[Json]], folded: Sequence[str]) -> Json:
    """Charts in open sections, and folded ones for those that MLflow adds."""
    names = [*sections, *(name for name in folded if name not in sections)]
    places = {name: f"section-{i}" for i, name in enumerate(names)}
    charts = [
        chart | {"metricSectionId": places[name], "deleted": False, "isGenerated": True}
        for name, cards in sections.items()
        for chart in cards
    ]
    return {
        "isAccordionReordered": True,
        "compareRunSections": [
            {"uuid": places[name], "name": name, "display": name in sections, "isReordered": True}
            for name in names
        ],
        "compareRunCharts": [{"uuid": f"chart-{i}"} | chart for i, chart in enumerate(charts)],
    }


def _comparison() -> dict[str, list[Json]]:
    return {
        "quality": [
            _bar("eval/fid", "FID"),
            _bar("eval/one_nn", "1-NN"),
            _scatter("eval/precision", "eval/recall"),
            _scatter("cost/seconds", "eval/fid"),
        ],
        "curve": [_line("curve/fid", "FID"), _line("curve/one_nn", "1-NN")],
    }


def _samples() -> dict[str, list[Json]]:
    return {"": [{"type": "IMAGE", "imageKeys": ["samples"], "step": SINGLE, "showRunParams": False}]}


def _parallel() -> dict[str, list[Json]]:
    names = ("eval/precision", "eval/recall", "eval/one_nn", "cost/seconds", "eval/fid")
    chosen = {"selectedParams": ["family"], "selectedMetrics": list(names), "showAllRuns": False}
    return {"": [{"type": "PARALLEL", **chosen}]}


def _bar(metric: str, title: str) -> Json:
    return {"type": "BAR", "metricKey": metric, "displayName": title}


def _line(metric: str, title: str) -> Json:
    axes = {"xAxisKey": "step", "selectedXAxisMetricKey": "", "useGlobalXaxisKey": True, "range": {}}
    plain = {"xAxisScaleType": "linear", "scaleType": "linear", "lineSmoothness": 0}
    return {"type": "LINE", "metricKey": metric, "displayName": title} | axes | plain


def _scatter(x: str, y: str) -> Json:
    return {"type": "SCATTER", "xaxis": {"key": x, "type": "METRIC"}, "yaxis": {"key": y, "type": "METRIC"}}


def _description(dataset: str, experiment: str, runs: Sequence[Shown], seed: str) -> str:
    """What is here, with links."""
    page = f"#/experiments/{experiment}/runs"
    ranked = sorted((run for run in runs if ORDER_BY in run.metrics), key=lambda run: run.metrics[ORDER_BY])
    best = [run.run_id for run in ranked if run.kind == "cell"][:N_SIDE_BY_SIDE]
    links = [
        f"[best by FID]({page}?viewStateShareKey={TABLE})",
        f"[compare the variants]({page}?viewStateShareKey={CHARTS}&compareRunsMode=CHART): means over seeds",
        f"[samples over training]({page}?viewStateShareKey={SAMPLES}&compareRunsMode=CHART): seed {seed}, "
        "first the finished models, then along the slider by images shown",
        f"[parallel coordinates]({page}?viewStateShareKey={PARALLEL}&compareRunsMode=CHART)",
        f"[the {len(best)} best cells side by side]"
        f"(#/compare-runs?runs={_list(best)}&experiments={_list([experiment])})",
        *(f"[leaderboard]({page}/{run.run_id}/artifacts)" for run in runs if run.kind == LEADERBOARD),
        f"[in training]({page}?searchFilter={quote(LIVE)})",
    ]
    return (
        f"The cells of **{dataset}**, one run for each variant and seed:\n\n"
        + "\n".join(f"- {link}" for link in links)
        + "\n\nA run that a newer one replaced has the tag `gm_bench.status` = `superseded`."
    )


def _list(values: Sequence[str]) -> str:
    return quote(json.dumps(list(values), separators=(",", ":")))
