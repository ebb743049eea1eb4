"""What a long experiment goes on from after it was stopped.

An experiment stays a function of seed and budget. One that takes hours names its parts: `kept` gives back a
part that an earlier attempt finished, `steps` goes on with training at the step where that was. Where no
checkpoint is open, as in a test, both do the work and nothing else; the outcome is the same to the last bit.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import torch

from gm_bench import io
from gm_bench.cell import in_file_name
from gm_bench.tracks.diagnostics.images import Trainer

Part = TypeVar("Part")
SECONDS, PARTS = "seconds.pt", "parts"  # how long all attempts took so far, and the folder of the rest
N_DIGEST = hashlib.sha256().digest_size


class Checkpoint:
    """The finished parts of one experiment, and the state of the one in hand.

    Args:
        folder: of the checkpoints of this experiment and of no other.
        key: of everything that determines the outcome; what lies under another is not read.
        save_every: seconds between two states of a part in hand.
        on_note: called with a sentence that is worth reading.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        save_every: float,
        on_note: Callable[[str], None],
    ) -> None:
        self._all, self._folder = folder, folder / key
        self._save_every, self._on_note = save_every, on_note
        self._asked: set[str] = set()
        self._saved = self._began = time.monotonic()
        self._earlier: float = self._read(self._folder / SECONDS) or 0.0

    @property
    def seconds(self) -> float:
        """What all attempts took, each as far as it was saved, and this one until now."""
        return self._earlier + time.monotonic() - self._began

    @contextmanager
    def opened(self) -> Iterator[None]:
        """`kept` and `steps` go by this checkpoint."""
        token = _OPEN.set(self)
        try:
            yield
        finally:
            _OPEN.reset(token)

    def discard(self) -> None:
        """Remove what is kept of this experiment: it is finished."""
        shutil.rmtree(self._all, ignore_errors=True)

    def kept(self, name: str, make: Callable[[], Part]) -> Part:
        path = self._path(name)
        found: Part | None = self._read(path)
        if found is None:
            found = make()
            self._write(path, found)
        return found

    def steps(self, name: str, trainer: Trainer, n: int, step: Callable[[int], None]) -> None:
        path = self._path(name)
        found = self._read(path)
        done = 0
        if found is not None:
            done = found["done"]
            _restore(trainer, found)
            if done < n:
                self._on_note(f"{name}: goes on from step {done:,} of {n:,}")
        for i in range(done, n):
            step(i)
            if i + 1 == n or time.monotonic() - self._saved > self._save_every:
                self._write(path, {"done": i + 1, **_state(trainer)})
                self._on_note(f"{name}: step {i + 1:,} of {n:,}")

    def _path(self, name: str) -> Path:
        if name in self._asked:
            raise ValueError(f"two parts of an experiment are called '{name}': give each its own name")
        self._asked.add(name)
        return self._folder / PARTS / f"{in_file_name(name)}.pt"

    def _write(self, path: Path, content: Any) -> None:
        _write(path, content)
        _write(self._folder / SECONDS, self.seconds)
        self._saved = time.monotonic()

    def _read(self, path: Path) -> Any:
        """What was written; None where nothing was, or where it is damaged."""
        if not path.exists():
            return None
        content = path.read_bytes()
        packed = content[N_DIGEST:]
        if hashlib.sha256(packed).digest() != content[:N_DIGEST]:
            path.unlink()
            self._on_note(f"checkpoint {path} was damaged and is deleted; this part begins anew")
            return None
        return torch.load(BytesIO(packed), weights_only=True)


_OPEN: ContextVar[Checkpoint | None] = ContextVar("checkpoint of the running experiment", default=None)


def kept(name: str, make: Callable[[], Part]) -> Part:
    """What `make` returns, from the open checkpoint where an earlier attempt has made it.

    Args:
        name: of this part alone, the same in every attempt.
        make: gives tensors, numbers, strings, or lists, tuples and dicts of them; not None.

    Raises:
        ValueError: a checkpoint is open and another part has that name.
    """
    checkpoint = _OPEN.get()
    return make() if checkpoint is None else checkpoint.kept(name, make)


def steps(name: str, trainer: Trainer, n: int, step: Callable[[int], None]) -> None:
    """step(0), …, step(n − 1), less those that an earlier attempt has done, whose state is put back.

    Args:
        name: of this part alone, the same in every attempt.
        step: changes the trainer's model, optimisers and generator, and nothing else that lasts.

    Raises:
        ValueError: a checkpoint is open and another part has that name.
    """
    checkpoint = _OPEN.get()
    if checkpoint is not None:
        checkpoint.steps(name, trainer, n, step)
        return
    for i in range(n):
        step(i)


def rounds(name: str, trainer: Trainer, n: int) -> None:
    """n rounds of training, as `steps`."""
    steps(name, trainer, n, lambda i: trainer.rounds(1))


def _state(trainer: Trainer) -> dict[str, Any]:
    return {
        "model": trainer.model.state_dict(),
        "optimisers": {player: each.state_dict() for player, each in trainer.optimisers.items()},
        "generator": trainer.generator.get_state(),
    }


def _restore(trainer: Trainer, state: dict[str, Any]) -> None:
    trainer.model.load_state_dict(state["model"])
    for player, optimiser in trainer.optimisers.items():
        optimiser.load_state_dict(state["optimisers"][player])
    trainer.generator.set_state(state["generator"])


def _write(path: Path, content: Any) -> None:
    stream = BytesIO()
    torch.save(content, stream)
    packed = stream.getvalue()
    io.write_bytes(path, hashlib.sha256(packed).digest() + packed)
