"""A claim with one seed → metrics.json, cost.json, history.csv; and the card of a group of claims."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from gm_bench import io
from gm_bench.cell import DATA, REFERENCE, Cell
from gm_bench.reproducibility import make_deterministic
from gm_bench.tracks.diagnostics.checkpoint import Checkpoint
from gm_bench.tracks.diagnostics.claim import Outcome, find, run, share_within

WITHIN = "within"  # the metric that all claims have


def write_group(group: str) -> None:
    """The card of a group of claims, and a floor without a value: claims are held against theory."""
    io.write_json(DATA / group / "card.json", {"dataset": group, "what": "claims, without a data set"})
    floor = {"schema": 2, "dataset": group, "values": {}, "sd": {}, "protocol": {}}
    io.write_json(REFERENCE / group / "floor.json", floor)


def measure(
    cell: Cell,
    budget: Mapping[str, Any],
    code: str,
    *,
    save_every: float = 30.0,
    on_note: Callable[[str], None] = lambda sentence: None,
) -> Outcome:
    """Run the claim of a cell and write what it gave into the cell's folder.

    An experiment that was stopped goes on from its checkpoint, if it keeps one.

    Args:
        cell: its dataset is the claim's group, its variant the claim.
        budget: fields of the claim's budget by name.
        code: hash of the code that it runs.
        save_every: seconds between checkpoints.
        on_note: called with a sentence that is worth reading.

    Raises:
        ValueError: the budget does not fit the claim, or the experiment broke down.
    """
    make_deterministic()
    key = hashlib.sha256(json.dumps([str(cell), dict(budget), code]).encode()).hexdigest()
    checkpoint = Checkpoint(
        cell.checkpoints,
        f"{key[:16]}-torch-{torch.__version__}",
        save_every,
        lambda text: on_note(f"{cell}: {text}"),
    )
    with checkpoint.opened():
        outcome = run(cell.variant, cell.seed, budget)
    seconds = checkpoint.seconds
    within = share_within(find(cell.variant), outcome.values)
    values = {WITHIN: [within], **{name: [value] for name, value in outcome.values.items()}}
    metrics = {
        "schema": 2,
        "cell": cell.as_dict(),
        "status": "ok",
        "divergence": None,
        "protocol": {},
        "values": values,
        "curves": {},
        "details": {"curves": outcome.curves, "budget": dict(budget)},
        "device": "cpu",
        "hashes": {"training_key": key},
    }
    io.write_json(cell.folder / "metrics.json", metrics)
    io.write_json(cell.folder / "cost.json", _cost(seconds, key))
    row = {"images": 0, "round": 0, "timestamp_ms": int(time.time() * 1000), "seconds": seconds}
    io.write_csv(cell.folder / "history.csv", [row], list(row))
    checkpoint.discard()
    return outcome


def _cost(seconds: float, key: str) -> dict[str, Any]:
    """What a cell of any track says of its cost; an experiment is not counted in images."""
    return {
        "schema": 1,
        "images": 0,
        "budget": 0,
        "rounds": 0,
        "updates": {},
        "seconds": seconds,
        "images_per_second": 0.0,
        "flops": None,
        "parameters": {},
        "peak_memory_bytes": None,
        "device": "cpu",
        "training_key": key,
        "versions": {"torch": torch.__version__},
        "network": "none",
        "recipe": {"batch_size": 0, "updates": {}, "optimisers": {}},
    }
