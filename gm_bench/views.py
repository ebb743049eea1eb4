"""What MLflow's pages show first: its columns are hidden until chosen, so views are stored and linked to.

A view is an experiment tag that MLflow's own "share" button writes: the state of the page as JSON, opened by
its key. Links are relative to the page, so they hold whatever the server's address.
"""

import json
from collections.abc import Sequence
from urllib.parse import quote

TABLE, CHARTS = "gm-bench-table", "gm-bench-charts"
_LIVE = "tags.`gm_bench.status` = 'live'"
ORDER_BY = "metrics.`eval/fid`"


def tags(condition: str, scores: Sequence[str]) -> dict[str, str]:
    """Experiment tags that hold the views.

    Args:
        condition: which runs are shown, as a filter of `search_runs`.
        scores: names of the metrics that the table has columns for.
    """
    search = {
        "searchFilter": condition,
        "orderByKey": ORDER_BY,
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
    }
    columns = [f"metrics.`{name}`" for name in scores] + ["params.`family`", "tags.`status`"]
    by_variant = {
        "aggregateFunction": "average",
        "groupByKeys": [{"mode": "param", "groupByData": "variant"}],
    }
    states = {
        TABLE: search | {"selectedColumns": columns},
        CHARTS: search | {"groupBy": by_variant, "runsHiddenMode": "SHOW_ALL"},
    }
    return {f"mlflow.sharedViewState.{key}": json.dumps(state) for key, state in states.items()}


def description(dataset: str, experiment: str, runs: Sequence[str]) -> str:
    """The experiment's description, with links to the views and to the given runs side by side."""
    page = f"#/experiments/{experiment}/runs"
    side_by_side = f"#/compare-runs?runs={_list(runs)}&experiments={_list([experiment])}"
    return (
        f"The cells of **{dataset}**, one run for each variant and seed: "
        f"[best by FID]({page}?viewStateShareKey={TABLE}) · "
        f"[compare the variants]({page}?viewStateShareKey={CHARTS}&compareRunsMode=CHART) · "
        f"[all cells side by side]({side_by_side}) · "
        f"[in training]({page}?searchFilter={quote(_LIVE)})\n\n"
        "A run that a newer one replaced has the tag `gm_bench.status` = `superseded`."
    )


def _list(values: Sequence[str]) -> str:
    return quote(json.dumps(list(values), separators=(",", ":")))
