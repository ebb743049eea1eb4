"""The dvc.yaml of every board: written after dvc.yaml, which is the first board's own.

Each board has a lock of its own beside its stages. Datasets that the first board does not have get a file of
their own too, which boards share: DVC lets an output belong to one stage only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gm_bench.cell import Cell
from gm_bench.config import ConfigError, Params
from gm_bench.running.code import find
from gm_bench.tracks.audit.stages import audit_settings
from gm_bench.yaml_text import dump_yaml, load_yaml

MAIN = Path("dvc.yaml")
FOLDER = Path("boards")
RESOLVE_DATA = "resolve_data"
DATASET_STAGES = (RESOLVE_DATA, "fetch", "extractor", "reference")
SHARED = ("resolve", "leaderboard")  # stages that a track without its own takes from dvc.yaml
RESERVED = ("datasets", "audit")
MORE = ".more"  # no board of params.yaml can have this in its name
HEAD = f"# Written by gm-bench run --board: edit params.yaml and {MAIN} instead.\n"


def file_of(params: Params, board: str) -> Path:
    """The dvc.yaml that holds the stages of a board's cells."""
    return MAIN if board == params.default_board else FOLDER / board / MAIN.name


def file_of_dataset(params: Params, dataset: str) -> Path:
    """The dvc.yaml that holds the stages of a dataset."""
    main = params.board(params.default_board)
    return MAIN if dataset in main.datasets else FOLDER / "datasets" / dataset / MAIN.name


def cell_stages(params: Params, board: str) -> tuple[str, ...]:
    """Names of the stages that each cell of a board goes through, in order."""
    stages = _template(params, board)["stages"]
    return tuple(name for name, stage in stages.items() if "seed" in stage.get("matrix", {}))


@dataclass(frozen=True)
class Step:
    """A stage of one cell or dataset: its name, the command that it runs, and what that leaves."""

    name: str
    command: str
    outs: tuple[Path, ...]


def steps_of(params: Params, cell: Cell) -> list[Step]:
    """The stages of a cell, in order."""
    stages = _template(params, cell.board)["stages"]
    return [_step(name, stages[name], values_of(cell)) for name in cell_stages(params, cell.board)]


def steps_of_dataset(params: Params, board: str, dataset: str) -> list[Step]:
    """The stages that a dataset of a board goes through, in order."""
    own = _own_dataset_stages(params, board)
    stages = (_template(params, board) if own else _read(MAIN))["stages"]
    values = {"board": board, "item.dataset": dataset}
    return [_step(name, stages[name], values) for name in own or DATASET_STAGES]


def outs_of(params: Params, cell: Cell) -> list[Path]:
    """The files that the stages of a cell leave, in order."""
    return [out for step in steps_of(params, cell) for out in step.outs]


def _step(name: str, stage: Mapping[str, Any], values: Mapping[str, str]) -> Step:
    outs = (next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"])
    return Step(name, filled(stage["cmd"], values), tuple(Path(filled(out, values)) for out in outs))


def values_of(cell: Cell) -> dict[str, str]:
    """What stands for the names in a template's stages of a cell."""
    return {"board": cell.board} | {f"item.{key}": str(value) for key, value in cell.as_dict().items()}


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text of a template with values in their places."""
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    return text


def dataset_stages(params: Params, board: str, dataset: str) -> list[str]:
    """The stages that a dataset of a board goes through, as DVC addresses them, in order.

    A track that has a stage fetch of its own has them beside those of its cells; else boards share them.
    """
    own = _own_dataset_stages(params, board)
    file = file_of(params, board) if own else file_of_dataset(params, dataset)
    return [address(file, f"{stage}@{dataset}") for stage in own or DATASET_STAGES]


def _own_dataset_stages(params: Params, board: str) -> list[str]:
    if _is_main(params, board):
        return []
    stages = _template(params, board)["stages"]
    return [name for name, stage in stages.items() if list(stage.get("matrix", {})) == ["dataset"]]


def _template(params: Params, board: str) -> dict[str, Any]:
    """What the dvc.yaml of a board is written after."""
    track = params.board(board).track
    file = MAIN if _is_main(params, board) else template_of(track)
    try:
        return _read(file)
    except FileNotFoundError:
        if file == MAIN:
            raise
        raise ConfigError(
            f"boards.{board}.track is {track}, but there is no {file}: a track has one"
        ) from None


def _is_main(params: Params, board: str) -> bool:
    """Whether a board is of the first board's track, whose stages dvc.yaml holds."""
    return params.board(board).track == params.board(params.default_board).track


def _read(file: Path) -> dict[str, Any]:
    """The content of a YAML file, not to be changed; parsed once for each state of the file."""
    return _parsed(file.resolve(), file.stat().st_mtime_ns)


@cache
def _parsed(file: Path, mtime_ns: int) -> dict[str, Any]:
    content: dict[str, Any] = load_yaml(file.read_text(encoding="utf-8"))
    return content


def address(file: Path, stage: str) -> str:
    """How DVC calls a stage, from the top of the repository."""
    return stage if file == MAIN else f"{file.as_posix()}:{stage}"


def write(params: Params, board: str) -> None:
    """Write the dvc.yaml of a board and those of its datasets, but for what the first board has.

    Raises:
        ConfigError: a board has a name that means something else, or dvc.yaml is not the first board's.
    """
    if board in RESERVED:
        raise ConfigError(f"params.yaml: a board cannot be called {board}: choose another name in boards")
    main = _read(MAIN)
    first, home = params.default_board, _home(main)
    if first != home:
        raise ConfigError(
            f"params.yaml: {first} stands first in boards, but {MAIN} holds the stages of {home}: "
            f"move {home} to the front"
        )
    template, brings_data = _template(params, board), bool(_own_dataset_stages(params, board))
    for dataset in params.board(board).datasets if brings_data else ():
        if dataset in params.datasets:
            raise ConfigError(
                f"params.yaml: boards.{board}.datasets has {dataset}, an entry of datasets, but its track "
                f"has a stage fetch of its own, which would write over data/{dataset}: give it another name"
            )
    if board != params.default_board:
        stages = {
            **{name: main["stages"][name] for name in SHARED},
            **{n: s for n, s in template["stages"].items() if brings_data or n not in DATASET_STAGES},
        }
        moved = _moved(_moved(stages, _home(template), board), _home(main), board)
        _write(file_of(params, board), moved, [{"board": board}])
    if not brings_data:
        for dataset in params.board(board).datasets:
            _write_dataset(params, main, dataset)


def write_audit(params: Params) -> Path:
    """Write the dvc.yaml of the audit and those of its datasets; which file it is."""
    main = _read(MAIN)
    for dataset in audit_settings(params).datasets:
        _write_dataset(params, main, dataset)
    file = FOLDER / "audit" / MAIN.name
    _write(file, _read(template_of("audit"))["stages"], [])
    return file


def more_of(board: str) -> str:
    """What a board is called as far as it has more seeds than params.yaml says."""
    return board + MORE


def write_more(params: Params, board: str, dataset: str, variant: str, seeds: Sequence[int]) -> Path:
    """Write the dvc.yaml of seeds that a board does not have, of one variant; which file it is.

    They depend on what the board's own cells depend on, written under the name of `more_of`.
    """
    template = _template(params, board)
    axes = {"dataset": [dataset], "variant": [variant], "seed": list(seeds)}
    stages = {
        name: {**stage, "matrix": {axis: axes[axis] for axis in stage["matrix"]}}
        for name, stage in template["stages"].items()
        if "seed" in stage.get("matrix", {})
    }
    file = FOLDER / more_of(board) / dataset / variant / MAIN.name
    _write(file, stages, [{"board": more_of(board)}])
    return file


def template_of(track: str) -> Path:
    """The file that the stages of another track's boards are written after."""
    if "." not in track:
        return Path("pipelines", track, "stages.yaml")
    package = find(track)
    if package is None:
        raise ConfigError(f"there is no package {track}, which a board names as its track")
    return package.parent / "stages.yaml"


def _home(template: Mapping[str, Any]) -> str:
    """The board that a template is written for."""
    home: str = next(each["board"] for each in template["vars"] if "board" in each)
    return home


def _write_dataset(params: Params, main: Mapping[str, Any], dataset: str) -> None:
    file = file_of_dataset(params, dataset)
    if file != MAIN:
        stages = {name: main["stages"][name] for name in DATASET_STAGES}
        one = {name: {**stage, "matrix": {"dataset": [dataset]}} for name, stage in stages.items()}
        _write(file, one, [])


def _moved(stages: Mapping[str, Any], home: str, board: str) -> dict[str, Any]:
    """The same stages with the axes of another board."""
    text = json.dumps(stages).replace(f"${{boards.{home}.", f"${{boards.{board}.")
    moved: dict[str, Any] = json.loads(text)
    return moved


def _write(file: Path, stages: Mapping[str, Any], variables: list[dict[str, str]]) -> None:
    up = "/".join([".."] * (len(file.parts) - 1))
    content = {
        "vars": [f"{up}/params.yaml", *variables],
        "stages": {name: {"wdir": up, **stage} for name, stage in stages.items()},
    }
    text = HEAD + dump_yaml(content, width=110)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
