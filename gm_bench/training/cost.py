"""What training takes: counted, not estimated."""

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gm_bench.reproducibility import describe
from gm_bench.training.state import State


class OperationCount(TorchDispatchMode):
    """Floating-point operations of what runs inside, by torch's own formulas.

    torch's FlopCounterMode hooks into modules, and its hooks refuse the inner gradient of a gradient penalty.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def clock_of(device: torch.device) -> Callable[[], float]:
    """What counts the seconds of training.

    On a CPU it is the time of the processor: one thread trains a cell, and what else the machine does
    meanwhile is not the variant's. On a GPU the processor only asks, so it is the clock on the wall.
    """
    return time.process_time if device.type == "cpu" else time.monotonic


def cost_of(state: State, device: torch.device) -> dict[str, Any]:
    """What training took: images, updates, seconds, operations, parameters, peak memory in bytes."""
    model = state.model
    return {
        "images": state.images,
        "rounds": state.rounds,
        "updates": state.updates,
        "seconds": round(state.seconds, 3),
        "images_per_second": round(state.images / state.seconds, 1) if state.seconds else None,
        "flops": state.flops * state.rounds,
        "parameters": {p: sum(w.numel() for w in getattr(model, p).parameters()) for p in model.players},
        "peak_memory_bytes": peak_memory(device),
        "device": describe(device),
    }


def peak_memory(device: torch.device) -> int:
    """Bytes: of the device's memory on a GPU, of this process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
