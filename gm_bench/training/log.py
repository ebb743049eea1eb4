"""What is written down while a cell trains: rows of losses, and where one is no longer finite."""

import math
import time
from typing import Any

import torch

from gm_bench.training.state import State


def is_passed(images: int, images_before: int, n_images: int, n_intervals: int) -> bool:
    """Whether one of n evenly spread moments of the budget lies between two counts of images shown."""
    now, before = (min(i, n_images) * n_intervals // n_images for i in (images, images_before))
    return now > before


def read_losses(state: State, updates: dict[str, int]) -> tuple[dict[str, float], dict[str, Any] | None]:
    """Means of the losses since the last row, and where the first one that is not finite came up.

    The losses are read back from the device and forgotten there.

    Args:
        updates: of each player in a round.
    """
    keys = list(state.pending)
    columns = [torch.stack(state.pending[key]).double().cpu() for key in keys]
    bad = []
    for (player, term), column in zip(keys, columns, strict=True):
        wrong = torch.nonzero(~column.isfinite())
        if len(wrong):
            back = math.ceil((len(column) - int(wrong[0])) / updates[player])
            step = state.rounds - back + 1
            order = (step, state.model.players.index(player))
            bad.append(
                (order, {"step": step, "player": player, "term": term, "value": str(column[wrong[0]].item())})
            )
    row: dict[str, float] = {"images": state.images, "round": state.rounds}
    row["timestamp_ms"] = time.time_ns() // 1_000_000
    row.update({f"{p}/{t}": float(c.mean()) for (p, t), c in zip(keys, columns, strict=True)})
    state.pending.clear()
    return row, min(bad, key=lambda entry: entry[0])[1] if bad else None


def find_divergence(state: State) -> dict[str, Any] | None:
    """The first weight of the reported model that is not finite."""
    for name, weight in state.reported.state_dict().items():
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            player, _, term = name.partition(".")
            return {"step": state.rounds, "player": player, "term": f"weight {term}", "value": "not finite"}
    return None
