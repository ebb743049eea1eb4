"""What a node is given of a cell: text files for a folder of its own, and what they are called in the end."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gm_bench.config import Params
from gm_bench.running import boards
from gm_bench.running.chains import Chain, Command, dataset_chain
from gm_bench.running.cluster.store import Place
from gm_bench.yaml_text import dump_yaml

DVC_LOCK = "dvc.lock"


@dataclass(frozen=True)
class Parcel:
    """One cell for a node.

    Args:
        name: of its chain.
        key: hex digest of all that its results depend on; its record is called so.
        stages: as DVC calls them in the node's folder, in order.
        data: stages whose files the node pulls.
        checkpoints: folder of its checkpoints, the same in the node's folder and on the store.
        files: path → text, of this cell alone.
        part: the command of one part of the cell's work, where that is all that is to be done.
    """

    name: str
    key: str
    stages: tuple[str, ...]
    data: tuple[str, ...]
    checkpoints: str
    files: dict[str, str]
    part: Command = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def common_files(place: Place) -> dict[str, str]:
    """What every cell's folder holds: settings, the scripts of the stages, DVC's own settings."""
    files = {path.as_posix(): path.read_text(encoding="utf-8") for path in Path("pipelines").rglob("*.py")}
    files["params.yaml"] = Path("params.yaml").read_text(encoding="utf-8")
    remote = "".join(f"    {key} = {text}\n" for key, text in place.remote.items())
    files[".dvc/config"] = (
        "[core]\n    no_scm = true\n    analytics = false\n    remote = shared\n"
        "    site_cache_dir = .dvc/tmp/site\n[cache]\n    type = reflink,hardlink,copy\n"
        f"['remote \"shared\"']\n{remote}"
    )
    return files


def parcels(
    params: Params, chains: Sequence[Chain], identity: Mapping[str, Any], device: str
) -> list[Parcel]:
    """A parcel for each chain of a cell.

    Args:
        identity: of the driver, from `identity.here`.
        device: what the cells will be computed on, cpu or cuda.
    """
    determines = {"packages": identity["packages"], "python": identity["python"], "device": device}
    reader = _Reader()
    return [_parcel(params, chain, reader, determines) for chain in chains]


def _parcel(params: Params, chain: Chain, reader: "_Reader", determines: Mapping[str, Any]) -> Parcel:
    cell = chain.cell
    assert cell is not None
    of_data = dataset_chain(params, cell.board, cell.dataset).stages
    axes = {"dataset": [cell.dataset], "variant": [cell.variant], "seed": [cell.seed]}
    stages: dict[str, Any] = {}
    lock: dict[str, Any] = {}
    for address in (*of_data, *chain.stages):
        file, name = _file_and_name(address)
        template = name.partition("@")[0]
        stage = dict(reader.stages(file)[template])
        stage.pop("wdir", None)
        stages[template] = {**stage, "matrix": {axis: axes[axis] for axis in stage["matrix"]}}
        if address in of_data:
            lock[name] = reader.lock(file).get(name)
    content = {"vars": [{"board": cell.board}], "stages": stages}
    files = {
        boards.MAIN.as_posix(): _yaml(content),
        DVC_LOCK: _yaml({"schema": "2.0", "stages": lock}),
    }
    for stage_name in boards.cell_stages(params, cell.board):
        path = cell.resolved(stage_name)
        files[path.as_posix()] = path.read_text(encoding="utf-8")
    digest = hashlib.sha256(json.dumps([files, str(cell), determines], sort_keys=True).encode())
    return Parcel(
        chain.name,
        digest.hexdigest(),
        tuple(_file_and_name(address)[1] for address in chain.stages),
        tuple(_file_and_name(address)[1] for address in of_data),
        cell.checkpoints.as_posix(),
        files,
    )


def _yaml(content: Mapping[str, Any]) -> str:
    return dump_yaml(content, allow_unicode=True, width=110)


def _file_and_name(address: str) -> tuple[Path, str]:
    file, _, name = address.rpartition(":")
    return Path(file) if file else boards.MAIN, name


class _Reader:
    """Stages and locks of dvc.yaml files, each read once."""

    def __init__(self) -> None:
        self.read: dict[Path, Mapping[str, Any]] = {}

    def stages(self, file: Path) -> dict[str, Any]:
        stages: dict[str, Any] = self._content(file)["stages"]
        return stages

    def lock(self, file: Path) -> dict[str, Any]:
        stages: dict[str, Any] = self._content(file.with_suffix(".lock"))["stages"]
        return stages

    def _content(self, file: Path) -> Mapping[str, Any]:
        if file not in self.read:
            # Imported late: DVC takes a second.
            from gm_bench.running import dvc

            self.read[file] = dvc.parse(file.read_text(encoding="utf-8"), str(file))
        return self.read[file]
