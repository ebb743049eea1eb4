"""A track from outside of the package: 2-D points instead of images, one metric of its own, one chart."""

from collections.abc import Sequence

from gm_bench.metrics.catalogue import Catalogue, Metric
from gm_bench.report.charts import Chart, ranking
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.schema import CellResult
from gm_bench.tracks.track import Track

COVERED = Metric(
    "modes_covered", "Modes covered", "", "↑", "main", 0.05, False, False, "Share of modes found."
)
POINTS = Catalogue([COVERED], order_by="modes_covered")


def _protocol(board: Leaderboard, dataset: str) -> list[str]:
    return [f"Points: {board.protocols[dataset]['n_samples']:,} in the plane."]


def _charts(board: Leaderboard, dataset: str, results: Sequence[CellResult]) -> list[Chart]:
    chart = ranking(board, dataset)
    return [chart] if chart else []


TRACK = Track(name=__name__, catalogue=POINTS, protocol_in_words=_protocol, charts=_charts)
