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

from gm_bench.metrics.catalogue import Catalogue
from gm_bench.tracking.record import LEADERBOARD, SINGLE

TABLE, CHARTS, SAMPLES, PARALLEL = (f"gm-bench-{name}" for name in ("table", "charts", "samples", "parallel"))
CURRENT = f"tags.`gm_bench.status` = 'current' AND tags.kind != '{LEADERBOARD}'"
CELLS = "tags.`gm_bench.status` = 'current' AND tags.kind = 'cell'"
LIVE = "tags.`gm_bench.status` = 'live'"
MODEL_TRAINING = "&workflowType=machine_learning"  # else MLflow shows its pages on language models
N_SIDE_BY_SIDE = 10  # what a page holds; MLflow's image card stops there as well
BY_VARIANT = {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": "variant"}]}
Json = dict[str, Any]


@dataclass(frozen=True)
class CurrentRun:
    """A current run, as far as views need to know it."""

    run_id: str
    kind: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Columns:
    """What the pages show of a track's metrics.

    Args:
        catalogue: the track's.
        table: keys of the metrics that the table has columns for.
        pairs: metrics that are drawn against each other.
        has_samples: whether the runs of cells have pictures of samples.
    """

    catalogue: Catalogue
    table: Sequence[str]
    pairs: Sequence[tuple[str, str]] = ()
    has_samples: bool = True

    @property
    def order_by(self) -> str:
        return f"eval/{self.catalogue.order_by}"

    @property
    def ascending(self) -> bool:
        """Whether the best run has the least value of the ordering metric."""
        return self.catalogue.direction(self.catalogue.order_by) != "↑"

    @property
    def judged(self) -> list[str]:
        """Keys of the metrics that charts are drawn of."""
        order = self.catalogue.order_by
        return [order, *(key for key in self.catalogue.gated() if key != order)]


def tags(dataset: str, experiment: str, runs: Sequence[CurrentRun], columns: Columns) -> dict[str, str]:
    """Experiment tags that hold the views and the description with links to them.

    Args:
        dataset: whose experiment.
        experiment: its id.
        runs: all that are current, the leaderboard's among them.
        columns: what is shown of the metrics.
    """
    cells = [run for run in runs if run.kind == "cell"]
    seed = min((run.params["seed"] for run in cells), key=int, default="0")
    folded = sorted({name.rpartition("/")[0] for run in cells for name in run.metrics})
    names = [f"metrics.`eval/{name}`" for name in columns.table] + ["params.`family`", "tags.`status`"]
    curves = sorted({name for run in cells for name in run.metrics if name.startswith("curve/")})
    first = _state(CURRENT, columns), _state(CELLS, columns)
    of_seed = _state(f"{CELLS} AND params.seed = '{seed}'", columns)
    states = {
        TABLE: first[0] | {"selectedColumns": names, "columnOrder": names},
        CHARTS: first[0] | _charts(_comparison(columns, curves), folded, columns=2) | {"groupBy": BY_VARIANT},
        PARALLEL: first[1] | _charts(_coordinates(columns), folded, columns=1, height=480),
    }
    if columns.has_samples:
        states[SAMPLES] = of_seed | _charts(PICTURES, folded, columns=1, height=480)
    views = {f"mlflow.sharedViewState.{key}": json.dumps(state) for key, state in states.items()}
    return views | {"mlflow.note.content": _description(dataset, experiment, runs, seed, columns)}


def _state(condition: str, columns: Columns) -> Json:
    """A page that shows the runs of a condition, the best first."""
    return {
        "searchFilter": condition,
        "orderByKey": f"metrics.`{columns.order_by}`",
        "orderByAsc": columns.ascending,
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


PICTURES: dict[str, list[Json]] = {
    "samples": [{"type": "IMAGE", "imageKeys": ["samples"], "step": SINGLE, "showRunParams": False}]
}


def _comparison(columns: Columns, curves: Sequence[str]) -> dict[str, list[Json]]:
    """Bars of the judged metrics, scatter charts of pairs, and of the ordering metric against seconds."""
    paired = {key for pair in columns.pairs for key in pair}
    quality = [
        *(_bar(f"eval/{key}") for key in columns.judged if key not in paired),
        *(_scatter(f"eval/{x}", f"eval/{y}") for x, y in columns.pairs),
        _scatter("cost/seconds", columns.order_by),
    ]
    return {"quality": quality} | ({"curve": [_line(name) for name in curves]} if curves else {})


def _coordinates(columns: Columns) -> dict[str, list[Json]]:
    """The judged metrics and the seconds as parallel axes, the ordering metric last."""
    names = [f"eval/{key}" for key in columns.judged[1:]]
    chart = {
        "type": "PARALLEL",
        "selectedParams": ["family"],
        "selectedMetrics": [*names, "cost/seconds", columns.order_by],
        "showAllRuns": False,
    }
    return {"parallel coordinates": [chart]}


def best_first(experiment: str) -> str:
    """Where the runs of an experiment are shown, the best first; an address below the server's."""
    return f"{_view(experiment, TABLE)}{MODEL_TRAINING}"


def _view(experiment: str, key: str) -> str:
    mode = "TABLE" if key == TABLE else "CHART"
    return f"#/experiments/{experiment}/runs?viewStateShareKey={key}&compareRunsMode={mode}"


def _description(
    dataset: str, experiment: str, runs: Sequence[CurrentRun], seed: str, columns: Columns
) -> str:
    """What is here: links in the first line, which is all that MLflow shows until it is unfolded."""
    page = f"#/experiments/{experiment}/runs"
    order, catalogue = columns.order_by, columns.catalogue
    ranked = sorted(
        (run for run in runs if order in run.metrics),
        key=lambda run: catalogue.badness(catalogue.order_by, run.metrics[order]),
    )
    best = [run.run_id for run in ranked if run.kind == "cell"][:N_SIDE_BY_SIDE]
    named = {
        f"best by {catalogue.name(catalogue.order_by)}": TABLE,
        "variants": CHARTS,
        **({"samples": SAMPLES} if columns.has_samples else {}),
        "coordinates": PARALLEL,
    }
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
    samples = (
        f"The samples are of seed {seed}: at step 0 from the model that was scored, further along the slider "
        "from the same codes after so many images shown to training. "
        if columns.has_samples
        else ""
    )
    return (
        " · ".join(f"[{name}]({link}{MODEL_TRAINING})" for name, link in links.items())
        + f"\n\nThe cells of **{dataset}**, one run for each variant and seed. The charts of variants show "
        f"means over seeds. {samples}A run that a newer one replaced has the tag `gm_bench.status` = "
        "`superseded`."
    )


def _list(values: Sequence[str]) -> str:
    return quote(json.dumps(list(values), separators=(",", ":")))
