"""Where a cell in training is kept, so that it can be killed anywhere and go on as if it had not been.

Checkpoints lie outside DVC's outputs, under a key of everything that determines the result: dataset, variant,
seed and recipe, the data, the code, torch's version and the kind of device. A changed key starts anew.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.training.job import Job
from gm_bench.training.state import Progress, State, laid_out_as


def training_key(job: Job, data_sha256: str, device: torch.device) -> str:
    """Hex digest of everything that determines the trained weights."""
    content = {
        "job": job.determines(),
        "data": data_sha256,
        "torch": torch.__version__,
        "device": device.type,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Checkpoint:
    """The checkpoint of one cell under one training key.

    Args:
        folder: of the checkpoints of this cell and of no other.
        key: from `training_key`.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.path = self.folder / f"{key[:16]}.safetensors"
        self.key = key
        self.progress = self.folder / "progress.json"

    def save(self, state: State) -> None:
        """Write the state whole or not at all."""
        tensors, values = _pack(state)
        digest = _digest(tensors, values)
        io.write_tensors(self.path, tensors, {"key": self.key, "digest": digest, "values": values})

    def restore(self, state: State) -> str | None:
        """Put the saved state, if there is one, into a state fresh from `start`.

        Returns:
            A sentence on a damaged checkpoint, which is deleted; None otherwise.
        """
        if not self.path.exists():
            return None
        try:
            tensors, metadata = io.read_tensors(self.path)
            damaged = metadata["digest"] != _digest(tensors, metadata["values"])
        except (io.FileError, KeyError):
            damaged = True
        if damaged:
            self.path.unlink()
            return f"checkpoint {self.path} was damaged and is deleted; training starts anew"
        _unpack(state, tensors, metadata["values"])
        return None

    def report(self, progress: Progress, history: list[dict[str, float]]) -> None:
        """Tell whoever watches how far training is, and its curves so far."""
        io.write_json(self.progress, {"key": self.key, **asdict(progress), "history": history})

    def discard(self) -> None:
        """Remove the checkpoints of this cell: it is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _digest(tensors: dict[str, Tensor], values: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(values).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {io.sha256_tensor(tensors[name])}".encode())
    return digest.hexdigest()


def _pack(state: State) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors = {f"model.{name}": value for name, value in state.model.state_dict().items()}
    if state.average is not None:
        tensors |= {f"average.{name}": value for name, value in state.average.state_dict().items()}
    for player, index, name, value in _optimiser_tensors(state):
        tensors[f"optimiser.{player}.{index}.{name}"] = value
    for (player, term), values in state.pending.items():
        tensors[f"pending.{player}.{term}"] = torch.stack(values)
    tensors |= {f"snapshots.{images}": samples for images, samples in state.snapshots.items()}
    for images, weights in state.candidates.items():
        tensors |= {f"candidates.{images}.{name}": value for name, value in weights.items()}
    plain = {k: getattr(state, k) for k in ("images", "rounds", "updates", "seconds", "flops", "history")}
    return tensors, plain


def _unpack(state: State, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
    kinds: dict[str, dict[str, Tensor]] = {
        "model": {},
        "average": {},
        "optimiser": {},
        "pending": {},
        "snapshots": {},
        "candidates": {},
    }
    for key, tensor in tensors.items():
        kind, _, name = key.partition(".")
        kinds[kind][name] = tensor
    state.model.load_state_dict(kinds["model"])
    if state.average is not None:
        state.average.load_state_dict(kinds["average"])
    device = next(iter(state.model.state_dict().values())).device
    for player, optimiser in state.optimisers.items():
        entries: dict[int, dict[str, Tensor]] = {}
        for key, tensor in kinds["optimiser"].items():
            owner, index, name = key.split(".")
            if owner == player:
                entries.setdefault(int(index), {})[name] = tensor
        for place, parameter in enumerate(optimiser.param_groups[0]["params"]):
            entry = entries.get(place, {})
            entry.update({name: laid_out_as(parameter, value) for name, value in entry.items()})
        optimiser.load_state_dict({"state": entries, "param_groups": optimiser.state_dict()["param_groups"]})
    for key, tensor in kinds["pending"].items():
        player, _, term = key.partition(".")
        state.pending[player, term] = list(tensor.to(device).unbind())
    state.snapshots = {
        int(images): kinds["snapshots"][images] for images in sorted(kinds["snapshots"], key=int)
    }
    for key, tensor in kinds["candidates"].items():
        images, _, name = key.partition(".")
        state.candidates.setdefault(int(images), {})[name] = tensor
    for key, value in plain.items():
        setattr(state, key, value)


def _optimiser_tensors(state: State) -> Iterator[tuple[str, int, str, Tensor]]:
    for player, optimiser in state.optimisers.items():
        for index, entry in optimiser.state_dict()["state"].items():
            for name, value in entry.items():
                yield player, index, name, value
