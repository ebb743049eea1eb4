"""What params.yaml says of tracks, for which it is nothing but a mapping: their settings, their boards.

A track says what is right in its module `stages` (see `needs`): SETTINGS is the model of what may stand under
`tracks.NAME`, and `check(params, board)` raises where a board names what is not there. Where the numbers of a
cell and of a dataset stand, it may say by `explained_cell` and `explained_dataset`. Where a stage of a cell
has parts that may be done one by one before it, `parts` says by which commands.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import gm_bench
from gm_bench import tracks
from gm_bench.cell import Cell
from gm_bench.checking import ConfigError, Model, checked, look_up
from gm_bench.composition import merged
from gm_bench.config import NotFetchedError, Params
from gm_bench.data import loaders as data_loaders
from gm_bench.derived import Value
from gm_bench.metrics.catalogue import MetricError
from gm_bench.tracks.modules import TrackError, module_of

PINNED = Path(gm_bench.__file__).parent / "metrics" / "extractors" / "weights" / "lenet.json"


def settings(params: Params, track: str, model: type[Model]) -> Model:
    """What stands under `tracks.TRACK` of params.yaml.

    Args:
        model: what may stand there.

    Raises:
        ConfigError: a wrong key or value, or one that is missing.
    """
    return checked(model, params.tracks.get(track, {}), place=lambda key: f"tracks.{track}.{key}")


def require(params: Params, board: str, wanted: Mapping[str, str]) -> None:
    """Refuse a board that lacks what its track needs.

    Args:
        wanted: key of the board → what it is needed for, in words.

    Raises:
        ConfigError: with the first key that is missing.
    """
    for key, what in wanted.items():
        if getattr(params.board(board), key) is None:
            raise ConfigError(f"params.yaml: key 'boards.{board}.{key}' is missing: {what}")


def check_loader(params: Params, dataset: str) -> None:
    """Refuse a dataset that params.yaml does not have, or one whose loader is not there.

    Raises:
        ConfigError: the message lists those there are.
    """
    loaders = {module.name: module for module in iter_modules(data_loaders.__path__)}
    look_up(loaders, params.entry(dataset).source.loader, f"datasets.{dataset}.source.loader")


def pinned_weights() -> dict[str, str]:
    """Dataset → sha256 of the LeNet that lies in the package for it.

    Read as a file, since what reads it elsewhere takes long to import.
    """
    records = json.loads(PINNED.read_text(encoding="utf-8"))
    return {dataset: record["sha256"] for dataset, record in records.items()}


def check_board(params: Params, board: str) -> None:
    """Refuse a board that cannot be run, and wrong settings, before anything is started.

    Those of a track outside of this package are read for its own boards only.

    Raises:
        ConfigError: a board or a track that is not there, wrong settings, or what the board's track refuses.
    """
    own = params.board(board).track
    try:
        stages = module_of(own, "stages")
        if "." in own:  # what its tables need is said before its cells are made
            from gm_bench.tracks.track import find

            find(own)
            if not hasattr(stages, "of_cell"):
                raise TrackError(f"{stages.__name__} has no function 'of_cell' (docs/adding.md)")
    except (TrackError, MetricError) as error:
        raise ConfigError(f"params.yaml: boards.{board}.track: {error}") from None
    for track in params.tracks:
        if track == own or "." not in track:
            _check_settings(params, track)
    if hasattr(stages, "check"):
        stages.check(params, board)


def refuse_board(params: Params, board: str) -> None:
    """Raise where the board's track says that something does not fit the fetched data."""
    stages = module_of(params.board(board).track, "stages")
    if hasattr(stages, "refuse"):
        stages.refuse(params, board)


def is_known(params: Params, board: str, dataset: str) -> bool:
    """Whether every number of a dataset and of its training is given, or can be derived by now."""
    grid = params.board(board)
    try:
        module_of(grid.track, "stages").of_cell(params, board, dataset, grid.variants[0])
    except NotFetchedError:
        return False
    return True


def explained_cell(params: Params, cell: Cell) -> tuple[dict[str, Any], dict[str, str]]:
    """What a cell is made with, as its track says it: settings, and where each stands by dotted key."""
    stages = module_of(params.board(cell.board).track, "stages")
    if hasattr(stages, "explained_cell"):
        values, origins = stages.explained_cell(params, cell)
        return dict(values), dict(origins)
    together: dict[str, Any] = {}
    for needs in stages.of_cell(params, cell.board, cell.dataset, cell.variant).values():
        together = merged(together, dict(needs.settings))
    return together, {}


def explained_dataset(params: Params, board: str, dataset: str) -> dict[str, Value]:
    """Every number of a dataset on a board, and where it comes from; empty where a track says nothing."""
    stages = module_of(params.board(board).track, "stages")
    explain = getattr(stages, "explained_dataset", None)
    return {} if explain is None else dict(explain(params, board, dataset))


def cell_parts(params: Params, cell: Cell) -> dict[str, list[tuple[str, ...]]]:
    """Commands of `python -m` that do the work of a cell's stages part by part; empty for most tracks."""
    stages = module_of(params.board(cell.board).track, "stages")
    return dict(stages.parts(params, cell)) if hasattr(stages, "parts") else {}


def check_boards(params: Params, dataset: str | None = None) -> None:
    """`check_board` for every board of a track of this package, or for those of them with a dataset."""
    for name, board in params.boards.items():
        if "." not in board.track and (dataset is None or dataset in board.datasets):
            check_board(params, name)


def _check_settings(params: Params, track: str) -> None:
    model = _model_of(track) if "." in track or track in _names() else None
    if model is None and "." in track:
        raise ConfigError(f"params.yaml: key 'tracks.{track}': {track}.stages declares no SETTINGS")
    if model is None:
        allowed = ", ".join(name for name in _names() if _model_of(name) is not None)
        raise ConfigError(f"params.yaml: unknown key 'tracks.{track}'; allowed here: {allowed}")
    settings(params, track, model)


def _names() -> list[str]:
    """The tracks of this package."""
    return sorted(module.name for module in iter_modules(tracks.__path__) if module.ispkg)


def _model_of(track: str) -> type | None:
    """The model of a track's settings; None where it has none."""
    return getattr(module_of(track, "stages"), "SETTINGS", None)
