"""The one training loop: equal budgets, reproducible to the bit, resumable anywhere, its cost recorded."""

import copy
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gm_bench.config import Adam, Optimiser, Recipe
from gm_bench.nets import network as networks
from gm_bench.reproducibility import derive, describe
from gm_bench.training.cost import OperationCount, peak_memory
from gm_bench.training.sampling import draw
from gm_bench.variants.base import contract as variants
from gm_bench.variants.base.contract import Batch, Variant

N_HISTORY_ROWS = 100


@dataclass(frozen=True)
class Job:
    """What is trained: a cell of the grid with its recipe and its budget in real images shown.

    At each of `n_snapshots` moments, evenly spread over the budget, `n_snapshot_samples` images are drawn.
    """

    dataset: str
    variant: str
    seed: int
    recipe: Recipe
    n_images: int
    n_snapshots: int = 0
    n_snapshot_samples: int = 0


@dataclass
class State:
    """Everything that changes while a cell trains; what a checkpoint holds.

    `snapshots` has samples (n, C, H, W), uint8, from the same codes, by the number of images shown before;
    `candidates` the weights that drew them, on the CPU, where the recipe reports the best of them.
    """

    model: Variant
    optimisers: dict[str, torch.optim.Optimizer]
    average: Variant | None = None
    images: int = 0
    rounds: int = 0
    updates: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    flops: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    pending: dict[tuple[str, str], list[Tensor]] = field(default_factory=dict)
    snapshots: dict[int, Tensor] = field(default_factory=dict)
    candidates: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    divergence: dict[str, Any] | None = None

    @property
    def reported(self) -> Variant:
        """The model that is sampled from: the moving average where the recipe asks for one."""
        return self.average or self.model


@dataclass(frozen=True)
class Progress:
    """What is known at a logging interval."""

    images: int
    n_images: int
    images_per_second: float
    seconds_left: float
    row: dict[str, float]


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop; its state had been saved before this was raised."""


def build(job: Job, image_shape: tuple[int, int, int], n_classes: int, device: torch.device) -> Variant:
    """The untrained model of a cell, its weights drawn from (seed, "init")."""
    torch.manual_seed(derive(job.seed, "init"))
    network = networks.build(job.recipe.network, image_shape, n_classes)
    model = variants.build(job.variant, network, job.recipe.model)
    for name, entry in (("updates", job.recipe.updates), ("optimisers", job.recipe.optimisers)):
        if set(entry) != set(model.players):
            raise ValueError(
                f"params.yaml: {name} of variants.{job.variant} name {', '.join(entry) or 'nobody'}; "
                f"its players are {', '.join(model.players) or 'nobody'}"
            )
    return model.to(device)


def start(job: Job, image_shape: tuple[int, int, int], n_classes: int, device: torch.device) -> State:
    """A cell before its first update."""
    model = build(job, image_shape, n_classes, device)
    if job.recipe.checkpoint == "best" and not model.players:
        raise ValueError(
            f"params.yaml: variants.{job.variant} asks for checkpoint best, but it is fitted, not trained: "
            "there is only one model, set last"
        )
    optimisers = {p: _optimiser(job.recipe.optimisers[p], getattr(model, p)) for p in model.players}
    average = copy.deepcopy(model) if job.recipe.ema is not None else None
    return State(model, optimisers, average, updates=dict.fromkeys(model.players, 0))


def train(
    state: State,
    job: Job,
    images: Tensor,
    labels: Tensor,
    *,
    on_row: Callable[[Progress], None],
    save: Callable[[State], None],
    save_every: float,
    stop_asked: Callable[[], bool],
) -> None:
    """Train until the budget is spent or a loss is not finite; `state` is changed in place.

    Args:
        state: from `start`, or from a checkpoint.
        job: what is trained.
        images: the training set (N, C, H, W), uint8, on the device.
        labels: its classes (N,), int64, on the device.
        on_row: called at each of the 100 logging intervals.
        save: writes a checkpoint; called every `save_every` seconds and when asked to stop.
        save_every: seconds between checkpoints.
        stop_asked: true once the user wants to stop.

    Raises:
        ValueError: the training set is smaller than a batch, or no player looks at real images.
        Interrupted: `stop_asked` became true; the state was saved.
    """
    recipe, model = job.recipe, state.model
    if len(images) < recipe.batch_size:
        raise ValueError(f"{len(images)} training images cannot fill a batch of {recipe.batch_size}")
    device = images.device
    generator = _default_generator(device)
    order = _Order(job.seed, len(images), recipe.batch_size, device)
    parameters = {p: list(getattr(model, p).parameters()) for p in model.players}
    began, saved_at, seconds_before = time.monotonic(), time.monotonic(), state.seconds
    images_before = state.images
    model.train()
    if state.rounds == 0:
        model.begin(images)

    while model.players and state.images < job.n_images:
        shown_before = state.images
        _set_learning_rates(state.optimisers, recipe, state.images / job.n_images)
        # Operations are counted in the first round only: every round does the same work.
        counter = OperationCount() if state.rounds == 0 else nullcontext()
        with counter:
            for player in model.players:
                for _ in range(recipe.updates[player]):
                    generator.manual_seed(derive(job.seed, player, state.updates[player]))
                    rows = order[state.images // recipe.batch_size]
                    batch = Batch(generator, state.images / job.n_images, images, labels, rows)
                    terms = model.loss(player, batch)
                    gradients = torch.autograd.grad(terms["loss"], parameters[player])
                    for parameter, gradient in zip(parameters[player], gradients, strict=True):
                        parameter.grad = gradient
                    state.optimisers[player].step()
                    with torch.no_grad():
                        model.after_update(player)
                    state.updates[player] += 1
                    state.images += batch.n_images_shown
                    for term, value in terms.items():
                        state.pending.setdefault((player, term), []).append(value.detach())
        state.rounds += 1
        if state.average is not None and recipe.ema is not None:
            _follow(state.average, model, recipe.ema)
        if isinstance(counter, OperationCount):
            state.flops = counter.total
        if state.images == shown_before:
            raise ValueError(f"{job.variant}: no player looks at real images, so its budget never ends")

        # Losses are read back only where an interval of the history ends: one synchronisation for all.
        if _passed(state.images, shown_before, job.n_images, N_HISTORY_ROWS):
            row, state.divergence = _read_back(state, recipe)
            state.seconds = seconds_before + time.monotonic() - began
            if state.divergence:
                return
            state.history.append(row)
            rate = (state.images - images_before) / (state.seconds - seconds_before)
            on_row(Progress(state.images, job.n_images, rate, (job.n_images - state.images) / rate, row))
        if job.n_snapshots and _passed(state.images, shown_before, job.n_images, job.n_snapshots):
            state.divergence = _not_finite(state)
            if state.divergence:
                return
            state.reported.finish(images)  # what is fitted to the trained model belongs to its samples
            state.snapshots[state.images] = _snapshot(state.reported, job, labels)
            if recipe.checkpoint == "best":
                weights = state.reported.state_dict()
                state.candidates[state.images] = {name: w.to("cpu", copy=True) for name, w in weights.items()}
            model.train()
        if stop_asked() or time.monotonic() - saved_at > save_every:
            state.seconds = seconds_before + time.monotonic() - began
            save(state)
            saved_at = time.monotonic()
            if stop_asked():
                raise Interrupted

    state.reported.finish(images)
    state.divergence = _not_finite(state)
    state.seconds = seconds_before + time.monotonic() - began


def bill(state: State, device: torch.device) -> dict[str, Any]:
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


class _Order:
    """Batches of indices without replacement: a fresh permutation, from (seed, "epoch"), each time round."""

    def __init__(self, seed: int, n: int, batch_size: int, device: torch.device) -> None:
        self.seed, self.n, self.batch_size = seed, n, batch_size
        self.batches_per_epoch = n // batch_size
        self.generator = torch.Generator(device)
        self.epoch, self.permutation = -1, torch.empty(0)

    def __getitem__(self, step: int) -> Tensor:
        epoch, position = divmod(step, self.batches_per_epoch)
        if epoch != self.epoch:
            self.generator.manual_seed(derive(self.seed, "epoch", epoch))
            self.permutation = torch.randperm(self.n, generator=self.generator, device=self.generator.device)
            self.epoch = epoch
        return self.permutation[position * self.batch_size : (position + 1) * self.batch_size]


def _default_generator(device: torch.device) -> torch.Generator:
    """The device's own generator, so that layers that draw unasked (dropout) follow the same seed."""
    if device.type == "cuda":
        torch.cuda.init()
        return torch.cuda.default_generators[device.index or 0]
    return torch.default_generator


def _optimiser(choice: Optimiser, player: torch.nn.Module) -> torch.optim.Optimizer:
    if isinstance(choice, Adam):
        return torch.optim.Adam(player.parameters(), lr=choice.lr, betas=choice.betas, fused=True)
    return torch.optim.RMSprop(player.parameters(), lr=choice.lr, alpha=choice.alpha, foreach=True)


def _set_learning_rates(
    optimisers: dict[str, torch.optim.Optimizer], recipe: Recipe, progress: float
) -> None:
    for player, optimiser in optimisers.items():
        choice = recipe.optimisers[player]
        if choice.decay == "linear":
            optimiser.param_groups[0]["lr"] = choice.lr * (1 - progress)


@torch.no_grad()
def _follow(average: Variant, model: Variant, decay: float) -> None:
    """average ← decay · average + (1 − decay) · model for weights; statistics of layers are taken over."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
    for kept, new in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(new)


def _passed(images: int, images_before: int, n_images: int, n_intervals: int) -> bool:
    """Whether one of n evenly spread moments of the budget lies between two counts of images shown."""
    now, before = (min(i, n_images) * n_intervals // n_images for i in (images, images_before))
    return now > before


def _snapshot(model: Variant, job: Job, labels: Tensor) -> Tensor:
    """Samples of the model as it is, from the same codes each time, for the first images' classes."""
    n = job.n_snapshot_samples
    asked = labels[torch.arange(n, device=labels.device) % len(labels)] if model.conditional else None
    return draw(model.eval(), asked, n, derive(job.seed, "snapshot"), labels.device)


def _read_back(state: State, recipe: Recipe) -> tuple[dict[str, float], dict[str, Any] | None]:
    """Means of the losses since the last row, and where the first one that is not finite came up."""
    keys = list(state.pending)
    columns = [torch.stack(state.pending[key]).double().cpu() for key in keys]
    bad = []
    for (player, term), column in zip(keys, columns, strict=True):
        wrong = torch.nonzero(~column.isfinite())
        if len(wrong):
            back = math.ceil((len(column) - int(wrong[0])) / recipe.updates[player])
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


def _not_finite(state: State) -> dict[str, Any] | None:
    """The first weight of the trained model that is not finite."""
    for name, weight in state.reported.state_dict().items():
        if weight.is_floating_point() and not bool(weight.isfinite().all()):
            player, _, term = name.partition(".")
            return {"step": state.rounds, "player": player, "term": f"weight {term}", "value": "not finite"}
    return None
