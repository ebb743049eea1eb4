"""The track: what test images say of the best recipe and of the one without a search; its trials."""

from gm_bench.metrics.catalogue import IMAGES, MAIN, Catalogue, Metric
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.tracks.generation.pages import protocol_in_words, summary
from gm_bench.tracks.search import pages
from gm_bench.tracks.search.charts import charts
from gm_bench.tracks.search.evaluating import DEFAULT_FID
from gm_bench.tracks.track import Track


def catalogue() -> Catalogue:
    """The metrics of images, and beside FID that of the recipe without a search."""
    default = Metric(
        DEFAULT_FID,
        "FID default",
        "",
        "↓",
        MAIN,
        None,
        True,
        "FID of the recipe without a search, trained with the same fresh seeds at the same budget.",
    )
    first, *rest = IMAGES
    return Catalogue([first, default, *rest], order_by=IMAGES.order_by)


def _protocol(board: Leaderboard, dataset: str) -> list[str]:
    """That of images after what is the search's own."""
    return [*pages.search_in_words(board, dataset), *protocol_in_words(board, dataset)]


TRACK = Track(
    name="search",
    catalogue=catalogue(),
    protocol_in_words=_protocol,
    charts=charts,
    summary=summary,
    notes=pages.notes,
    row_facts=pages.row_facts,
    row_details=("summary",),
    pages=pages.pages,
)
