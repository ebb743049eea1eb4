"""What each stage depends on besides data, as small files that DVC compares: settings, one hash of code.

A new network, metric, comment or progress bar leaves these files as they are, so nothing runs again; a
changed loss changes those of the variants that import it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gm_bench.cell import RESOLVED, Cell, resolved_of_dataset
from gm_bench.config import Params
from gm_bench.running.code import code_hash
from gm_bench.tracks.audit import stages as of_audit
from gm_bench.tracks.modules import module_of
from gm_bench.tracks.needs import Needs
from gm_bench.tracks.settings import check_board, check_boards, is_known


def dataset(params: Params, name: str, track: str = "generation") -> None:
    """Write the files of a dataset's stages.

    Raises:
        ConfigError: there is no such dataset, or a board that has it cannot be run.
    """
    check_boards(params, name)
    stages = module_of(track, "stages").of_dataset(params, name)
    _write(RESOLVED / "datasets" / name, {resolved_of_dataset(name, s): n for s, n in stages.items()})


def board(params: Params, name: str, under: str | None = None) -> None:
    """Write the files of all cells of a board; those of cells that it no longer has go away.

    Of datasets whose numbers are open until they are fetched there are none before, unless all are such.

    Args:
        under: another name to write them under, for cells that are made like those of the board.

    Raises:
        ConfigError: the board cannot be run, or no dataset of it was fetched whose numbers are open.
    """
    check_board(params, name)
    grid = params.board(name)
    stages = module_of(grid.track, "stages")
    needs = {
        Cell(under or name, d, v, 0).resolved(stage): each
        for d in [d for d in grid.datasets if is_known(params, name, d)] or grid.datasets
        for v in grid.variants
        for stage, each in stages.of_cell(params, name, d, v).items()
    }
    _write(RESOLVED / "boards" / (under or name), needs)


def audit(params: Params) -> None:
    """Write the files of the audit's stages."""
    _write(
        RESOLVED / "audit",
        {
            RESOLVED / "audit" / dataset / f"{stage}.json": needs
            for dataset in of_audit.audit_settings(params).datasets
            for stage, needs in of_audit.of_dataset(params, dataset).items()
        },
    )


def read(path: Path) -> dict[str, Any]:
    """What stands in such a file.

    Raises:
        OSError: it is not there or damaged.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OSError(
            f"{path} is not there: the stage resolve writes it (dvc repro, or gm-bench run)"
        ) from None
    except ValueError as error:
        raise OSError(f"{path} is damaged ({error}): delete it and rerun its board") from None
    return content


def _write(folder: Path, needs: Mapping[Path, Needs]) -> None:
    """Write files into a folder that holds nothing else; unchanged ones are left untouched."""
    contents = {
        path: json.dumps({**each.settings, "code": code_hash(each.modules)}, indent=2) + "\n"
        for path, each in needs.items()
    }
    for path in list(folder.rglob("*.json")):
        if path not in contents:
            path.unlink()
    for path, text in contents.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # DVC may have linked it to its cache
            path.write_text(text, encoding="utf-8")
