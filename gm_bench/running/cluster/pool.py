"""Ray as a scheduler: where cells go, and which were lost with their node."""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from gm_bench.running import gpus

LOCAL, AUTO, SCHEME = "ray", "ray://auto", "ray://"
ADDRESS = "RAY_ADDRESS"
INSTALL = "pip install 'gm-bench[cluster]'"
TOKEN = " (a Ray that asks for a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to what its head has)"
OBJECT_STORE = 80 * 2**20  # bytes; what a cell is given is a few kilobytes
# Before Ray is imported: it reports home unless told not to, and on Linux it listens on all addresses.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
NODE_LABEL = "ray.io/node-id"


@dataclass
class Pool:
    """A Ray that cells are given to.

    Args:
        share: of a GPU that each cell is granted; None for one where there are any.
        device: cpu where cells are to compute there; cuda where a GPU must be; None for what there is.
    """

    ray: Any
    share: float | None
    device: str | None
    is_client: bool
    common: Any = None
    board: Any = None
    excluded: set[str] = field(default_factory=set)
    waiting: dict[Any, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        most = max((node["Resources"].get("GPU", 0.0) for node in self._nodes()), default=0.0)
        if self.share is None:
            self.share = 1.0 if most and self.device != "cpu" else 0.0
        if self.share > most or (self.device == "cuda" and not self.share):
            raise ValueError(
                f"each cell is to have {self.share or 1:g} of a GPU, but no node of this Ray has more than "
                f"{most:g}: give --gpus-per-cell 0 to compute on the CPU, or start Ray with GPUs"
            )
        self.device = "cuda" if self.share and self.device != "cpu" else "cpu"

    def open(self, common: dict[str, str]) -> None:
        """Make ready for cells, which share these files."""
        from gm_bench.running.cluster.task import Board

        self.common = self.ray.put(common)
        options: dict[str, Any] = {"num_cpus": 0, "max_restarts": -1}
        if not self.is_client:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            here = self.ray.get_runtime_context().get_node_id()
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(here, soft=True)
        self.board = self.ray.remote(Board).options(**options).remote()

    def look_at_nodes(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        """Ask every node that has a core whether it is fit; what each said, or what kept it from it."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from gm_bench.running.cluster.task import run_cell

        looking = {**order, "parcel": None, **self._granted()}
        asked = []
        for node in self._nodes():
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = self.ray.remote(run_cell).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
            asked.append((node, task.remote(looking, {}, None)))
        return [
            {**self._result(reference), "node": node["NodeID"], "host": node["NodeManagerHostname"]}
            for node, reference in asked
        ]

    def submit(self, order: dict[str, Any]) -> None:
        """Give a cell to whatever node is free and not excluded."""
        from gm_bench.running.cluster.task import run_cell

        selector = {NODE_LABEL: f"!in({','.join(sorted(self.excluded))})"} if self.excluded else {}
        reference = (
            self.ray.remote(run_cell)
            .options(num_cpus=1, num_gpus=self.share, max_retries=0, label_selector=selector)
            .remote({**order, **self._granted()}, self.common, self.board)
        )
        self.waiting[reference] = order["parcel"]["name"]

    def wait(self, seconds: float) -> list[tuple[str, dict[str, Any]]]:
        """Cells that ended, by name, and what became of them; waits at most so long for the first."""
        if not self.waiting:
            return []
        references = list(self.waiting)
        self.ray.wait(references, num_returns=1, timeout=seconds)
        ready, _ = self.ray.wait(references, num_returns=len(references), timeout=0)
        return [(self.waiting.pop(reference), self._result(reference)) for reference in ready]

    def news(self) -> dict[str, dict[str, Any]]:
        """What cells have said since the last call; nothing where it was lost."""
        try:
            news: dict[str, dict[str, Any]] = self.ray.get(self.board.news.remote(), timeout=10)
        except self.ray.exceptions.RayError:
            return {}
        return news

    def exclude(self, node: str) -> None:
        """Give no further cell to a node.

        Raises:
            ValueError: that was the last one.
        """
        self.excluded.add(node)
        if not self._nodes():
            raise ValueError("no node of this Ray is fit to compute these cells; the reasons stand above")

    def _nodes(self) -> list[dict[str, Any]]:
        return [
            node
            for node in self.ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU") and node["NodeID"] not in self.excluded
        ]

    def _granted(self) -> dict[str, Any]:
        return {"device": self.device, "share": self.share}

    def _result(self, reference: Any) -> dict[str, Any]:
        errors = self.ray.exceptions
        try:
            result: dict[str, Any] = self.ray.get(reference)
        except errors.RayTaskError as error:
            return {"state": "failed", "output": str(error).splitlines()}
        except errors.RayError as error:
            return {"state": "lost", "why": " ".join(str(error).split()).partition(". ")[0]}
        return result


@contextlib.contextmanager
def connected(on: str, jobs: int, share: float | None, device: str | None) -> Iterator[Pool]:
    """The Ray that a user names, for as long as the block runs.

    Args:
        on: `ray` for that of RAY_ADDRESS, else one of this machine's own; `ray://auto` for the one that this
            machine is a node of; `ray://HOST:PORT` for a distant one.
        jobs: cells side by side, of a Ray of this machine's own.

    Raises:
        ValueError: Ray is not installed, not there, or of another version, or what runs on it broke off.
    """
    ray = _imported(on)
    folder = None
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        try:
            if is_own(on):
                folder = tempfile.mkdtemp(prefix="gm-bench-ray-")
                _start(ray, jobs, folder, device, common)
            else:
                address = {LOCAL: os.environ.get(ADDRESS), AUTO: "auto"}.get(on, on)
                ray.init(address=address, **common)
            pool = Pool(ray, share, device, on.startswith(SCHEME) and on != AUTO)
        except (ConnectionError, RuntimeError, ModuleNotFoundError) as error:
            hint = "" if is_own(on) else TOKEN
            raise ValueError(f"Ray cannot be used at {on}: {' '.join(str(error).split())}{hint}") from error
        logging.getLogger("ray").setLevel(logging.CRITICAL)  # it prints pages about every lost node
        yield pool
    except RuntimeError as error:
        said = " ".join(str(error).split())
        raise ValueError(
            f"the work at {on} broke off: {said}; the same command goes on where it was"
        ) from error
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def is_own(on: str) -> bool:
    """Whether a Ray is started for this run alone."""
    return on == LOCAL and not os.environ.get(ADDRESS)


def check(on: str) -> None:
    """Return where a Ray of that name can be asked for.

    Raises:
        ValueError: it is no name of a Ray, or Ray is not installed.
    """
    if on != LOCAL and (not on.startswith(SCHEME) or on == SCHEME):
        raise ValueError(f"--on {on} is no Ray: give {LOCAL}, {AUTO} or {SCHEME}HOST:PORT")
    if find_spec("ray") is None:
        raise ValueError(f"--on {on} needs Ray, which is not installed: {INSTALL}")


def _imported(on: str) -> Any:
    """Ray, told to keep to itself where it is this run's own."""
    if is_own(on):
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
    import ray
    import ray.exceptions

    return ray


def _start(ray: Any, jobs: int, folder: str, device: str | None, common: dict[str, Any]) -> None:
    """A Ray of this machine's own, which listens on the loopback address alone."""
    found = gpus.visible(os.environ) if device != "cpu" else []
    if found:
        os.environ[gpus.VISIBLE] = ",".join(found)  # by which Ray grants them
    try:
        ray.init(
            address="local",
            num_cpus=jobs,
            num_gpus=len(found),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
            **common,
        )
    except Exception as error:  # of no class of its own where the machine is too busy for Ray's 30 seconds
        raise RuntimeError(str(error)) from error
