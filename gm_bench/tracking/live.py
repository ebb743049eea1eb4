"""Curves of cells in training, shown in MLflow while they train.

Training itself knows nothing of MLflow: it leaves its progress in a file, and whoever drives the cells reads
it. One writer serves all cells, and a store that cannot be reached costs the curves, never the training.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gm_bench.running.background import Background
from gm_bench.running.chains import Chain
from gm_bench.running.runner import progress_of

if TYPE_CHECKING:
    from gm_bench.tracking.store import Store

SECONDS_BETWEEN_LOOKS = 2.0


class LiveCurves(Background):
    """Follows chains of stages into live runs until it is left.

    Args:
        chains: of cells.
        complain: is told that the store is waited for, or that it failed; nothing is followed after that.
    """

    def __init__(self, chains: Sequence[Chain], complain: Callable[[str], None]) -> None:
        super().__init__()
        self.chains = chains
        self.complain = complain

    def _follow(self) -> None:
        while not any(chain.state == "train" for chain in self.chains):
            if self.over.wait(SECONDS_BETWEEN_LOOKS):
                return
        from gm_bench.tracking.store import Store, TrackingError  # late: MLflow takes seconds to import

        try:
            watch = Watch(Store(say=self.complain))
            while not self.over.wait(SECONDS_BETWEEN_LOOKS):
                for chain in self.chains:
                    if chain.state == "train":
                        watch.look(chain)
        except (TrackingError, OSError) as error:
            self.complain(f"curves are not shown live: {error}")


class Watch:
    """What has been told to the store of each cell so far."""

    def __init__(self, store: "Store") -> None:
        self.store = store
        self.told: dict[str, Told] = {}

    def look(self, chain: Chain) -> None:
        """Log the rows of a cell's history that are new since the last look.

        Another training, or one that went back to a checkpoint, begins anew.
        """
        from gm_bench.tracking.record import curves

        progress = progress_of(chain)
        if progress is None or chain.cell is None:
            return
        key, history = progress["key"], progress["history"]
        told = self.told.get(chain.name)
        if told is None or told.key != key or told.n_rows > len(history):
            run = self.store.begin_live(chain.cell, key, curves(history))
        else:
            run = told.run
            self.store.log_live(run, curves(history[told.n_rows :]))
        self.told[chain.name] = Told(key, run, len(history))


@dataclass(frozen=True)
class Told:
    """How much of which training stands in which run."""

    key: str
    run: str
    n_rows: int
