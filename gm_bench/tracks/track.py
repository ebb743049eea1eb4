"""What declares a track, and how it is found by its name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from gm_bench.config import Params
from gm_bench.report.display import Display
from gm_bench.results.leaderboard import Leaderboard
from gm_bench.results.schema import CellResult, Origin
from gm_bench.tracks.modules import TrackError, module_of


@dataclass(frozen=True, kw_only=True)
class Track(Display):
    """A track: its metrics, what it ranks by, and how its results are shown (see `Display`).

    Args:
        name: as boards name it.
        row_details: keys of the cells' `details` that a row of the leaderboard needs.
        origin: variant → what it says it is; None where variants are those of gm_bench.variants.
        metric_pairs: metrics that say something against each other, for MLflow's scatter charts.
        changes: (params, board, its accepted leaderboard) → what the gate runs anew, one after another, each
            with a sentence for whatever is not as accepted; None where the gate compares leaderboards.
        packed: (cell) → what pages show of files too large to travel, by file name; None where all travel.
    """

    name: str
    origin: Callable[[str], Origin] | None = None
    row_details: tuple[str, ...] = ()
    metric_pairs: tuple[tuple[str, str], ...] = ()
    changes: Callable[[Params, str, Leaderboard], Iterator[tuple[str, list[str]]]] | None = None
    packed: Callable[[CellResult], dict[str, bytes]] | None = None


def with_notes(track: Track, said: Mapping[str, str]) -> Track:
    """The track, whose tables say so of datasets too.

    Args:
        said: dataset → a sentence; empty where there is none.
    """

    def notes(board: Leaderboard, dataset: str) -> list[str]:
        return [*filter(None, [said.get(dataset)]), *track.notes(board, dataset)]

    return replace(track, notes=notes)


def find(name: str) -> Track:
    """The track called `name`: the attribute TRACK of `gm_bench.tracks.NAME.track`.

    A name with a dot is that of a package outside of this one, with a module `track` too.

    Raises:
        TrackError: there is no such module, or it declares no track.
    """
    module = module_of(name, "track")
    track = getattr(module, "TRACK", None)
    if track is None:
        raise TrackError(f"there is no track '{name}': {module.__name__} declares no TRACK")
    if not isinstance(track, Track):
        raise TrackError(f"{module.__name__}.TRACK is no track but {type(track).__name__}")
    return track
