"""The track: one metric of its own, one chart, ranked by it."""

from collections.abc import Sequence

from gm_bench.metrics.catalogue import Catalogue, Metric
from gm_bench.report.charts import Chart, ranking
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.schema import CellResult, Origin
from gm_bench.tracks.track import Track

COVERED = Metric(
    key="modes_covered",
    title="Modes covered",
    unit="",
    direction="↑",
    group="main",
    gate_margin=0.05,
    relative=False,
    sentence="Share of modes found.",
)
POINTS = Catalogue([COVERED], order_by="modes_covered")


def _protocol(board: Leaderboard, dataset: str) -> list[str]:
    return [f"Points: {board.protocols[dataset]['n_samples']:,} in the plane."]


def _charts(board: Leaderboard, dataset: str, results: Sequence[CellResult]) -> list[Chart]:
    chart = ranking(board, dataset)
    return [chart] if chart else []


def _origin(variant: str) -> Origin:
    return Origin("toys", f"nobody, {variant}")


TRACK = Track(
    name="toys.rings", catalogue=POINTS, protocol_in_words=_protocol, charts=_charts, origin=_origin
)
