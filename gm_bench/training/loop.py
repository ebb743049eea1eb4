"""The one training loop: equal budgets, reproducible to the bit, resumable anywhere, its cost recorded."""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext

import torch
from torch import Tensor

from gm_bench.reproducibility import derive
from gm_bench.training.capture import Capture
from gm_bench.training.cost import OperationCount, clock_of
from gm_bench.training.job import Job
from gm_bench.training.log import find_divergence, is_passed, read_losses
from gm_bench.training.order import Order
from gm_bench.training.recipe import Recipe
from gm_bench.training.sampling import draw_snapshot
from gm_bench.training.state import Interrupted, Progress, State, laid_out_as
from gm_bench.variants.base.contract import Batch, Variant

N_HISTORY_ROWS = 100


def train(
    state: State,
    job: Job,
    data: Mapping[str, Tensor],
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
        data: the training set by field, (N, …) each, on the device: images uint8, labels int64 and so on.
        on_row: called at each of the 100 logging intervals.
        save: writes a checkpoint; called every `save_every` seconds and when asked to stop.
        save_every: seconds between checkpoints.
        stop_asked: true once the user wants to stop.

    Raises:
        ValueError: the training set is smaller than a batch of what is trained, or no player looks at real
            images.
        Interrupted: `stop_asked` became true; the state was saved.
    """
    recipe, model = job.recipe, state.model
    some = next(iter(data.values()))
    n, device = len(some), some.device
    if model.players and n < recipe.batch_size:
        raise ValueError(f"{n} training images cannot fill a batch of {recipe.batch_size}")
    generator = _default_generator(device)
    order = Order(job.seed, n, recipe.batch_size, device)
    parameters = {p: list(getattr(model, p).parameters()) for p in model.players}

    def update(player: str, batch: Batch) -> dict[str, Tensor]:
        """One update of a player; its terms, without a graph."""
        terms = model.loss(player, batch)
        gradients = torch.autograd.grad(terms["loss"], parameters[player])
        for parameter, gradient in zip(parameters[player], gradients, strict=True):
            parameter.grad = laid_out_as(parameter, gradient)
        state.optimisers[player].step()
        with torch.no_grad():
            model.after_update(player)
        return {term: value.detach() for term, value in terms.items()}

    capture = Capture(update, data, generator) if recipe.capture and device.type == "cuda" else None
    clock, began, saved_at = clock_of(device), time.monotonic(), time.monotonic()
    spent_before, images_before = state.seconds - clock(), state.images
    model.train()
    if state.rounds == 0:
        model.begin(data)

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
                    if capture is not None and state.rounds:
                        terms, n_shown = capture(player, rows, state)
                    else:
                        batch = Batch(generator, data, rows)
                        terms = update(player, batch)
                        n_shown = batch.n_images_shown
                    state.updates[player] += 1
                    state.images += n_shown
                    for term, value in terms.items():
                        state.pending.setdefault((player, term), []).append(value)
        state.rounds += 1
        if state.average is not None and recipe.ema is not None:
            _follow(state.average, model, recipe.ema)
        if isinstance(counter, OperationCount):
            state.flops = counter.total
        if state.images == shown_before:
            raise ValueError(f"{job.variant}: no player looks at real images, so its budget never ends")

        # Losses are read back only where an interval of the history ends: one synchronisation for all.
        if is_passed(state.images, shown_before, job.n_images, N_HISTORY_ROWS):
            row, state.divergence = read_losses(state, recipe.updates)
            state.seconds = spent_before + clock()
            if state.divergence:
                return
            state.history.append(row)
            rate = (state.images - images_before) / (time.monotonic() - began)
            on_row(Progress(state.images, job.n_images, rate, (job.n_images - state.images) / rate, row))
        if job.n_snapshots and is_passed(state.images, shown_before, job.n_images, job.n_snapshots):
            state.divergence = find_divergence(state)
            if state.divergence:
                return
            state.reported.finish(data)  # what is fitted to the trained model belongs to its samples
            state.divergence = find_divergence(state)
            if state.divergence:
                return
            state.snapshots[state.images] = draw_snapshot(state.reported, job, data)
            if recipe.checkpoint == "best":
                weights = state.reported.state_dict()
                state.candidates[state.images] = {name: w.to("cpu", copy=True) for name, w in weights.items()}
            model.train()
        if stop_asked() or time.monotonic() - saved_at > save_every:
            state.seconds = spent_before + clock()
            save(state)
            saved_at = time.monotonic()
            if stop_asked():
                raise Interrupted(
                    f"stopped at round {state.rounds}, {state.images:,} of {job.n_images:,} images; "
                    "the state is saved, the same command goes on from there"
                )

    state.divergence = find_divergence(state)
    if state.divergence is None:
        state.reported.finish(data)
        state.divergence = find_divergence(state)
    state.seconds = spent_before + clock()


def _default_generator(device: torch.device) -> torch.Generator:
    """The device's own generator, so that layers that draw unasked (dropout) follow the same seed."""
    if device.type == "cuda":
        torch.cuda.init()
        return torch.cuda.default_generators[device.index or 0]
    return torch.default_generator


def _set_learning_rates(
    optimisers: dict[str, torch.optim.Optimizer], recipe: Recipe, progress: float
) -> None:
    for player, optimiser in optimisers.items():
        choice = recipe.optimisers[player]
        if choice.decay == "linear":
            group, lr = optimiser.param_groups[0], choice.lr * (1 - progress)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr


@torch.no_grad()
def _follow(average: Variant, model: Variant, decay: float) -> None:
    """average ← decay · average + (1 − decay) · model for weights; statistics of layers are taken over."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
    for kept, new in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(new)
