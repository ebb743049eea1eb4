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

from gm_bench.tracking.record import LEADERBOARD, SINGLE

TABLE, CHARTS, SAMPLES, PARALLEL = (f"gm-bench-{name}" for name in ("table", "charts", "samples", "parallel"))
SHOWN = f"tags.`gm_bench.status` = 'current' AND tags.kind != '{LEADERBOARD}'"
CELLS = "tags.`gm_bench.status` = 'current' AND tags.kind = 'cell'"
LIVE = "tags.`gm_bench.status` = 'live'"
ORDER_BY = "eval/fid"
MODEL_TRAINING = "&workflowType=machine_learning"  # else MLflow shows its pages on language models
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
        TABLE: _state(SHOWN) | {"selectedColumns": columns, "columnOrder": columns},
        CHARTS: _state(SHOWN) | _charts(COMPARISON, folded, columns=2) | {"groupBy": BY_VARIANT},
        SAMPLES: _state(f"{CELLS} AND params.seed = '{seed}'")
        | _charts(FILMS, folded, columns=1, height=480),
        PARALLEL: _state(CELLS) | _charts(COORDINATES, folded, columns=1, height=480),
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


def _charts(
    sections: Mapping[str, Sequence[Json]], folded: Sequence[str], columns: int, height: int = 320
) -> Json:
    """Charts in open sections, and folded ones for those that MLflow adds.

    Args:
        sections: name → charts.
        folded: names of the others.
        columns: of charts in a section; where there is one, the list of runs makes room for it.
        height: of a chart, pixels.
    """
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
            {
                "uuid": places[name],
                "name": name,
                "display": name in sections,
                "isReordered": True,
                "columns": columns,
                "cardHeight": height,
            }
            for name in names
        ],
        "runListHidden": columns == 1,
        "compareRunCharts": [{"uuid": f"chart-{i}"} | chart for i, chart in enumerate(charts)],
    }


def _bar(metric: str) -> Json:
    return {"type": "BAR", "metricKey": metric}


def _line(metric: str) -> Json:
    axes = {"xAxisKey": "step", "selectedXAxisMetricKey": "", "useGlobalXaxisKey": True, "range": {}}
    plain = {"xAxisScaleType": "linear", "scaleType": "linear", "lineSmoothness": 0}
    return {"type": "LINE", "metricKey": metric} | axes | plain


def _scatter(x: str, y: str) -> Json:
    return {"type": "SCATTER", "xaxis": {"key": x, "type": "METRIC"}, "yaxis": {"key": y, "type": "METRIC"}}


COMPARISON = {
    "quality": [
        _bar("eval/fid"),
        _bar("eval/one_nn"),
        _scatter("eval/precision", "eval/recall"),
        _scatter("cost/seconds", "eval/fid"),
    ],
    "curve": [_line("curve/fid"), _line("curve/one_nn")],
}
FILMS: dict[str, list[Json]] = {
    "samples": [{"type": "IMAGE", "imageKeys": ["samples"], "step": SINGLE, "showRunParams": False}]
}
COORDINATES: dict[str, list[Json]] = {
    "parallel coordinates": [
        {
            "type": "PARALLEL",
            "selectedParams": ["family"],
            "selectedMetrics": ["eval/precision", "eval/recall", "eval/one_nn", "cost/seconds", "eval/fid"],
            "showAllRuns": False,
        }
    ]
}


def best_by_fid(experiment: str) -> str:
    """Where the runs of an experiment are shown, the best first; an address below the server's."""
    return f"{_view(experiment, TABLE)}{MODEL_TRAINING}"


def _view(experiment: str, key: str) -> str:
    mode = "TABLE" if key == TABLE else "CHART"
    return f"#/experiments/{experiment}/runs?viewStateShareKey={key}&compareRunsMode={mode}"


def _description(dataset: str, experiment: str, runs: Sequence[Shown], seed: str) -> str:
    """What is here: links in the first line, which is all that MLflow shows until it is unfolded."""
    page = f"#/experiments/{experiment}/runs"
    ranked = sorted((run for run in runs if ORDER_BY in run.metrics), key=lambda run: run.metrics[ORDER_BY])
    best = [run.run_id for run in ranked if run.kind == "cell"][:N_SIDE_BY_SIDE]
    named = {"best by FID": TABLE, "variants": CHARTS, "samples": SAMPLES, "coordinates": PARALLEL}
    links = {name: _view(experiment, key) for name, key in named.items()}
    links[f"best {len(best)} side by side"] = (
        f"#/compare-runs?runs={_list(best)}&experiments={_list([experiment])}"
    )
    links |= {
        run.kind: f"{page}/{run.run_id}/artifacts/leaderboard.html?"
        for run in runs
        if run.kind == LEADERBOARD
    }
    links["in training"] = f"{page}?searchFilter={quote(LIVE)}"
    return (
        " · ".join(f"[{name}]({link}{MODEL_TRAINING})" for name, link in links.items())
        + f"\n\nThe cells of **{dataset}**, one run for each variant and seed. The charts of variants show "
        f"means over seeds. The samples are of seed {seed}: at step 0 from the model that was scored, "
        "further along the slider from the same codes after so many images shown to training. A run that a "
        "newer one replaced has the tag `gm_bench.status` = `superseded`."
    )


def _list(values: Sequence[str]) -> str:
    return quote(json.dumps(list(values), separators=(",", ":")))
