"""Its data and its measure: points on a ring, and the share of the ring's modes that samples lie at."""

import math
import sys

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import DATA, REFERENCE, Cell
from gm_bench.reproducibility import derive
from gm_bench.running import resolve

N_MODES, RADIUS, SPREAD = 8, 0.8, 0.02


def centres() -> Tensor:
    """(8, 2)."""
    angle = 2 * math.pi * torch.arange(N_MODES) / N_MODES
    return RADIUS * torch.stack([angle.cos(), angle.sin()], dim=1)


def modes_covered(points: Tensor) -> float:
    """Share of modes with a point (n, 2) within three standard deviations; best 1."""
    near = torch.cdist(points, centres()) < 3 * SPREAD
    return float(near.any(dim=0).double().mean())


def fetch(dataset: str) -> None:
    generator = torch.Generator().manual_seed(0)
    mode = torch.randint(0, N_MODES, (2000,), generator=generator)
    points = centres()[mode] + SPREAD * torch.randn(2000, 2, generator=generator)
    io.write_tensors(DATA / dataset / "train.safetensors", {"points": points})
    io.write_json(DATA / dataset / "card.json", {"dataset": dataset})
    floor = {
        "schema": 2,
        "values": {"modes_covered": modes_covered(points)},
        "sd": {},
        "protocol": protocol(500),
    }
    io.write_json(REFERENCE / dataset / "floor.json", floor)


def protocol(n_samples: int) -> dict[str, int]:
    return {"n_samples": n_samples, "modes": N_MODES}


def train(cell: Cell) -> None:
    """Two generators: real points, and one of them again and again."""
    points = io.read_tensors(DATA / cell.dataset / "train.safetensors")[0]["points"]
    if cell.variant == "collapsed":
        points = points[:1].expand_as(points)
    io.write_tensors(cell.folder / "model.safetensors", {"points": points})
    cost = {
        "images": 2000,
        "budget": 2000,
        "rounds": 1,
        "updates": {},
        "seconds": 0.1,
        "images_per_second": 20000.0,
        "flops": None,
        "parameters": {},
        "peak_memory_bytes": None,
        "device": "cpu",
        "training_key": str(cell),
        "versions": {},
        "network": "none",
        "recipe": {"batch_size": 1, "updates": {}, "optimisers": {}},
    }
    io.write_json(cell.folder / "cost.json", cost)
    io.write_csv(cell.folder / "history.csv", [], ["images", "round", "timestamp_ms"])


def evaluate(cell: Cell) -> None:
    n = resolve.read(cell.resolved("evaluate"))["n_samples"]
    known = io.read_tensors(cell.folder / "model.safetensors")[0]["points"]
    generator = torch.Generator().manual_seed(derive(cell.seed, "sample"))
    points = known[torch.randint(0, len(known), (n,), generator=generator)]
    metrics = {
        "schema": 2,
        "cell": cell.as_dict(),
        "status": "ok",
        "divergence": None,
        "protocol": protocol(n),
        "values": {"modes_covered": [modes_covered(points)]},
        "curves": {},
        "details": {},
        "device": "cpu",
        "hashes": {"training_key": str(cell), "samples": io.sha256_tensor(points)},
    }
    io.write_json(cell.folder / "metrics.json", metrics)


if __name__ == "__main__":
    stage, *arguments = sys.argv[1:]
    if stage == "fetch":
        fetch(*arguments)
    else:
        board, dataset, variant, seed = arguments
        {"train": train, "evaluate": evaluate}[stage](Cell(board, dataset, variant, int(seed)))
