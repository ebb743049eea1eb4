"""Training that leaves nothing behind: for measurements, trials and tests."""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress

from torch import Tensor

from gm_bench.training.job import Job
from gm_bench.training.loop import train
from gm_bench.training.state import Interrupted, Progress, State


def train_in_memory(
    state: State,
    job: Job,
    data: Mapping[str, Tensor],
    *,
    stop_asked: Callable[[], bool] = lambda: False,
    on_row: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Train until the budget is spent or `stop_asked`, which ends it quietly; nothing is written.

    Args:
        state, job, data, on_row: as for `loop.train`, which says what is raised.
    """
    with suppress(Interrupted):
        train(
            state,
            job,
            data,
            on_row=on_row,
            save=lambda state: None,
            save_every=math.inf,
            stop_asked=stop_asked,
        )
