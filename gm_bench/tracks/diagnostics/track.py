"""The track of claims: its metrics are the quantities that claims are about."""

from gm_bench.metrics.catalogue import MAIN, MORE, Catalogue, Metric
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.schema import Origin
from gm_bench.tracks.diagnostics import pages
from gm_bench.tracks.diagnostics.claim import find, names
from gm_bench.tracks.diagnostics.gate import changes
from gm_bench.tracks.diagnostics.measuring import WITHIN
from gm_bench.tracks.diagnostics.pictures import charts
from gm_bench.tracks.track import Track

GATE_MARGIN = 0.05  # of the share within; a claim of twenty quantities would move by that with one of them


def catalogue() -> Catalogue:
    """The share of quantities within expectation, and the quantities of all claims."""
    share = Metric(
        WITHIN,
        "Within expectation",
        "",
        "↑",
        MAIN,
        GATE_MARGIN,
        False,
        "Share of the quantities of a claim whose value lies where the claim expects it.",
    )
    quantities = [
        Metric(each.key, each.title, "", _direction(each.low, each.high), MORE, None, False, each.why)
        for name in names()
        for each in find(name).expected
    ]
    return Catalogue([share, *quantities], order_by=WITHIN)


def _direction(low: float, high: float) -> str:
    """Lower or higher is better where the region has one end, else the nearer to its middle."""
    if low == float("-inf"):
        return "↓"
    return "↑" if high == float("inf") else f"→{(low + high) / 2:g}"


def _protocol(board: Leaderboard, dataset: str) -> list[str]:
    return [f"Claims: {pages.HOW_TO_READ}"]


def _origin(claim: str) -> Origin:
    return Origin("claims", find(claim).source)


TRACK = Track(
    name="diagnostics",
    catalogue=catalogue(),
    protocol_in_words=_protocol,
    charts=charts,
    notes=pages.notes,
    row_facts=pages.row_facts,
    pages=pages.pages,
    origin=_origin,
    changes=changes,
)
