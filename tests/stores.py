"""What stands in a tracking store, and children that are killed while they write to it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from gm_bench.tracking import store as tracking
from gm_bench.tracking.store import Store

CALLS = ("create_run", "log_batch", "log_inputs", "log_image", "set_terminated", "set_tag", "delete_run")


def runs_of(store: Store) -> list:
    return store._client.search_runs([store._experiment("digits/digits")])


def content(store: Store) -> dict:
    """Everything in the finished runs, by cell and key."""
    told = {}
    for run in runs_of(store):
        if run.info.status != "FINISHED":
            continue
        name = run.data.tags[tracking.NAME], run.data.tags[tracking.KEY]
        assert name not in told, f"{name} is there twice"
        series = {
            metric: [
                (m.step, m.timestamp, m.value)
                for m in store._client.get_metric_history(run.info.run_id, metric)
            ]
            for metric in run.data.metrics
        }
        told[name] = (dict(run.data.params), dict(run.data.tags), series, steps_of_pictures(store, run))
    return told


def steps_of_pictures(store: Store, run) -> list[int]:
    """The step of each picture, which has its thumbnail beside it; MLflow keeps it in the file name."""
    names = [Path(file.path).name for file in store._client.list_artifacts(run.info.run_id, "images")]
    pictures = [name for name in names if name.endswith(".png")]
    assert len(names) == 2 * len(pictures)
    return sorted(int(name.split("+step+")[1].split("+")[0]) for name in pictures)


def kill_at_call(store: Store, n: int) -> None:
    """Let this process be killed when it is about to make the n-th call that writes."""
    left = n

    def counted(real: Callable) -> Callable:
        def call(*args, **options):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        return call

    for name in CALLS:
        setattr(store._client, name, counted(getattr(store._client, name)))


def start_child(work) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def result_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_child(work) -> int:
    return result_of(start_child(work))
