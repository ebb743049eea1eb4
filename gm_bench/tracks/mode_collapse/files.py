"""What the stages of the track leave for the leaderboard, of points and of stacked digits alike."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import REFERENCE, Cell

N_DRAWS_OF_FLOOR = 10


def write_floor(dataset: str, draws: Sequence[Mapping[str, float]], protocol: Mapping[str, object]) -> None:
    """Write floor.json: mean and standard deviation of each metric over draws of real data."""
    values = {key: torch.tensor([draw[key] for draw in draws], dtype=torch.float64) for key in draws[0]}
    floor = {
        "schema": 2,
        "dataset": dataset,
        "values": {key: float(drawn.mean()) for key, drawn in values.items()},
        "sd": {key: float(drawn.std()) for key, drawn in values.items()},
        "protocol": protocol,
    }
    io.write_json(REFERENCE / dataset / "floor.json", floor)


def write_metrics(
    cell: Cell,
    trained: Mapping[str, Any],
    protocol: Mapping[str, object],
    values: Mapping[str, float],
    details: Mapping[str, object],
    samples: Tensor,
    device: torch.device,
) -> None:
    """Write metrics.json of a cell.

    Args:
        trained: what model.safetensors says beside its weights.
        values: empty where training diverged.
        samples: that were judged; their hash is kept.
    """
    metrics = {
        "schema": 2,
        "cell": cell.as_dict(),
        "status": trained["status"],
        "divergence": trained["divergence"],
        "protocol": protocol,
        "values": {key: [value] for key, value in values.items()},
        "curves": {},
        "details": details,
        "device": device.type,
        "hashes": {"training_key": trained["training_key"], "samples": io.sha256_tensor(samples)},
    }
    io.write_json(cell.folder / "metrics.json", metrics)
