"""The loop: equal budgets, the same weights to the bit, resumption, divergence, cost."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import Cell
from gm_bench.config import Params, load_params
from gm_bench.data.split import hold_out
from gm_bench.reproducibility import derive, make_deterministic
from gm_bench.running import resolve
from gm_bench.training import cost, sampling
from gm_bench.training.checkpoint import Checkpoint, training_key
from gm_bench.training.cost import cost_of
from gm_bench.training.fit import fit
from gm_bench.training.job import Job
from gm_bench.training.log import read_losses
from gm_bench.training.loop import train
from gm_bench.training.recipe import Recipe
from gm_bench.training.state import Interrupted, Progress, State, build, start
from gm_bench.variants.base import contract as variants
from gm_bench.variants.base.contract import Batch, Variant
from gm_bench.variants.ns_gan import NSGAN
from gm_bench.yaml_text import load_yaml

CPU = torch.device("cpu")


def cell_of(variant: str, seed: int = 0) -> Cell:
    return Cell("board", "blobs", variant, seed)


def job_of(params: Params, variant: str, n_images: int = 64 * 50, **changes: object) -> Job:
    recipe = Recipe.model_validate(params.recipe(variant, "tiny").model_dump() | changes)
    return Job(cell_of(variant), recipe, n_images, n_snapshots=4, n_validation=6)


def run(job: Job, images: Tensor, state: State | None = None, **hooks) -> tuple[State, list[Progress]]:
    state = state or start(job, (1, 8, 8), 10, CPU)
    rows: list[Progress] = []
    defaults = {"save": lambda s: None, "save_every": 1e9, "stop_asked": lambda: False, "on_row": rows.append}
    data = {"images": images, "labels": torch.arange(len(images)) % 10}
    train(state, job, data, **(defaults | hooks))
    return state, rows


def weights(state: State) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in state.model.state_dict().items()}


def assert_same(a: dict[Any, Tensor], b: dict[Any, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [k for k in a if not torch.equal(a[k], b[k])] == []


TRAINED = [name for name in variants.names() if variants.find(name).players]


@pytest.mark.parametrize("variant", TRAINED)
def test_the_budget_is_counted_in_real_images(params: Params, blobs: Tensor, variant: str) -> None:
    """Every variant is shown 3,200 images in batches of its recipe: one an update of the critic or the only
    player, and of the generator too where it learns an encoder (bigan)."""
    job = job_of(params, variant)
    state, rows = run(job, blobs)
    lookers = 2 if variant == "bigan" else 1
    per_round = lookers * job.recipe.updates["critic" if "critic" in state.updates else "model"]
    assert state.images == 3200
    assert state.rounds == 3200 / job.recipe.batch_size / per_round
    assert state.updates == {player: n * state.rounds for player, n in job.recipe.updates.items()}
    assert rows[-1].images == 3200
    assert [r.images for r in rows] == sorted({r.images for r in rows})


def test_what_is_fitted_in_closed_form_is_shown_nothing_by_the_loop(params: Params, blobs: Tensor) -> None:
    for variant in sorted(set(variants.names()) - set(TRAINED)):
        state, rows = run(job_of(params, variant), blobs)
        assert (state.images, state.rounds, rows, state.divergence) == (0, 0, [], None)


def test_what_is_fitted_is_what_is_reported_with_an_average_too(params: Params, blobs: Tensor) -> None:
    state, _ = run(job_of(params, "pca", ema=0.9), blobs)
    fitted, _ = run(job_of(params, "pca"), blobs)
    assert fitted.model.mean.abs().max() > 0.01
    assert_same(fitted.model.state_dict(), state.reported.state_dict())


def test_what_is_fitted_needs_no_full_batch(params: Params, blobs: Tensor) -> None:
    assert run(job_of(params, "pca", model={"z_dim": 3}), blobs[:20])[0].divergence is None


def test_divergence_in_the_last_round_is_recorded_before_codes_are_fitted(
    params: Params, blobs: Tensor
) -> None:
    """Adam's first step is as long as the rate: the weights overflow."""
    adam = {"name": "adam", "lr": 1e38, "betas": [0.9, 0.999], "decay": "none"}
    job = job_of(params, "autoencoder", 64, optimisers={"model": adam})
    state, _ = run(replace(job, n_snapshots=0), blobs)
    assert state.divergence is not None
    assert state.divergence["step"] == 1


@pytest.mark.parametrize("variant", sorted({*variants.names()} - {*TRAINED}))
def test_two_fits_are_equal_to_the_bit(params: Params, blobs: Tensor, variant: str) -> None:
    """Of what is not trained; a trained variant's two runs are those of the stopped one below."""
    make_deterministic()
    first, second = (run(job_of(params, variant), blobs)[0] for _ in range(2))
    assert_same(weights(first), weights(second))
    assert_same(first.snapshots, second.snapshots)
    assert strip(first.history) == strip(second.history)


def strip(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "timestamp_ms"} for row in history]


def test_snapshots_come_from_one_set_of_codes_at_even_moments(params: Params, blobs: Tensor) -> None:
    """3,200 images in 50 rounds: a quarter is 800 images, which round 13 (832) is the first to pass."""
    job = job_of(params, "gan")
    state, _ = run(job, blobs)
    assert list(state.snapshots) == [832, 1600, 2432, 3200]
    seed = derive(job.seed, "snapshot")
    assert torch.equal(state.snapshots[3200], sampling.draw(state.model.eval(), None, 6, seed, CPU))
    assert not torch.equal(state.snapshots[832], state.snapshots[3200])


def test_snapshots_do_not_change_what_is_learnt(params: Params, blobs: Tensor) -> None:
    make_deterministic()
    job = job_of(params, "ns_gan")
    with_, without = (run(replace(job, n_snapshots=n), blobs)[0] for n in (4, 0))
    assert_same(weights(with_), weights(without))
    assert without.snapshots == {}


def test_the_seed_changes_everything(params: Params, blobs: Tensor) -> None:
    job = job_of(params, "gan", 64)
    first, second = (
        start(replace(job, cell=cell_of("gan", seed)), (1, 8, 8), 10, CPU).model for seed in (0, 1)
    )
    assert not torch.equal(next(first.generator.parameters()), next(second.generator.parameters()))


@pytest.mark.parametrize(("variant", "stop_after"), [(v, 3) for v in TRAINED] + [("vae", 0), ("gan", 8)])
def test_a_stopped_run_goes_on_to_the_same_weights(
    params: Params,
    blobs: Tensor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
    stop_after: int,
) -> None:
    """Stopped between two rows of the history, too: losses not yet averaged are part of the state."""
    make_deterministic()
    monkeypatch.setattr("gm_bench.training.loop.N_HISTORY_ROWS", 20)
    job = job_of(params, variant, 64 * 30)
    whole, _ = run(job, blobs)
    checkpoint = Checkpoint(tmp_path, "key")
    rounds = iter(range(10_000))
    with pytest.raises(Interrupted):
        run(job, blobs, save=checkpoint.save, stop_asked=lambda: next(rounds) >= stop_after)
    resumed = start(job, (1, 8, 8), 10, CPU)
    assert checkpoint.restore(resumed) is None
    assert 0 < resumed.images < job.n_images
    run(job, blobs, resumed)
    assert_same(weights(whole), weights(resumed))
    assert_same(whole.snapshots, resumed.snapshots)
    assert strip(whole.history) == strip(resumed.history)
    assert (whole.flops, whole.updates, whole.rounds) == (resumed.flops, resumed.updates, resumed.rounds)


def test_candidates_are_the_weights_that_drew_the_snapshots_and_survive_a_stop(
    params: Params, blobs: Tensor, tmp_path: Path
) -> None:
    make_deterministic()
    job = job_of(params, "wgan", 64 * 250, checkpoint="best", ema=0.9)
    whole, _ = run(job, blobs)
    assert list(whole.candidates) == list(whole.snapshots) == [4160, 8000, 12160, 16000]
    probe = build(job, (1, 8, 8), 10, CPU).eval()
    for images, weights_then in whole.candidates.items():
        probe.load_state_dict(weights_then)
        drawn = sampling.draw(probe, None, 6, derive(job.seed, "snapshot"), CPU)
        assert torch.equal(drawn, whole.snapshots[images])
    assert_same(whole.candidates[16000], whole.reported.state_dict())

    checkpoint = Checkpoint(tmp_path, "key")
    rounds = iter(range(10_000))
    with pytest.raises(Interrupted):
        run(job, blobs, save=checkpoint.save, stop_asked=lambda: next(rounds) >= 40)
    resumed = start(job, (1, 8, 8), 10, CPU)
    assert checkpoint.restore(resumed) is None
    assert sorted(resumed.candidates) == list(resumed.snapshots) == [4160, 8000, 12160]
    run(job, blobs, resumed)
    for images in whole.candidates:
        assert_same(whole.candidates[images], resumed.candidates[images])

    last, _ = run(job_of(params, "wgan", 64 * 250, ema=0.9), blobs)
    assert last.candidates == {}
    assert_same(last.snapshots, whole.snapshots)


def test_what_is_fitted_has_no_best_checkpoint(params: Params) -> None:
    with pytest.raises(ValueError, match=r"variants\.kde asks for checkpoint best, but it is fitted"):
        start(job_of(params, "kde", checkpoint="best"), (1, 8, 8), 10, CPU)


def test_a_damaged_checkpoint_is_dropped_with_a_word(params: Params, blobs: Tensor, tmp_path: Path) -> None:
    job = job_of(params, "vae")
    checkpoint = Checkpoint(tmp_path, "key")
    for damage in (lambda b: b[: len(b) // 2], lambda b: b[:-40] + bytes([b[-40] ^ 1]) + b[-39:]):
        state, _ = run(job, blobs)
        checkpoint.save(state)
        checkpoint.path.write_bytes(damage(checkpoint.path.read_bytes()))
        fresh = start(job, (1, 8, 8), 10, CPU)
        assert "was damaged and is deleted; training starts anew" in (checkpoint.restore(fresh) or "")
        assert fresh.rounds == 0
        assert not checkpoint.path.exists()


@pytest.mark.parametrize("changed", ["values", "first tensor", "last tensor", "digest"])
def test_a_checkpoint_whose_content_is_another_is_dropped(
    params: Params, tmp_path: Path, changed: str
) -> None:
    job, checkpoint = job_of(params, "vae"), Checkpoint(tmp_path, "key")
    state = start(job, (1, 8, 8), 10, CPU)
    state.seconds = 12.5
    checkpoint.save(state)
    fresh = start(job, (1, 8, 8), 10, CPU)
    assert checkpoint.restore(fresh) is None
    assert fresh.seconds == 12.5
    tensors, metadata = io.read_tensors(checkpoint.path)
    if changed == "values":
        metadata["values"]["seconds"] = 1.0
    elif changed == "digest":
        del metadata["digest"]
    else:
        name = sorted(tensors)[0 if changed == "first tensor" else -1]
        tensors[name] = tensors[name] + 1
    io.write_tensors(checkpoint.path, tensors, metadata)
    assert "was damaged and is deleted" in (checkpoint.restore(fresh) or "")


def test_the_key_names_everything_that_matters(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(params, "wgan")
    clipped = job_of(params, "wgan", model=job.recipe.model | {"clip": 0.5})
    keys = [
        training_key(job, "data", CPU),
        training_key(replace(job, cell=cell_of("wgan", 1)), "data", CPU),
        training_key(replace(job, cell=Cell("board", "other", "wgan", 0)), "data", CPU),
        training_key(replace(job, code="changed"), "data", CPU),
        training_key(replace(job, n_images=1), "data", CPU),
        training_key(clipped, "data", CPU),
        training_key(job, "other data", CPU),
        training_key(job, "data", torch.device("cuda")),
    ]
    assert len(set(keys)) == len(keys)
    assert training_key(job_of(params, "wgan"), "data", CPU) == keys[0]
    elsewhere = replace(job, cell=Cell("another board", "blobs", "wgan", 0))
    assert training_key(elsewhere, "data", CPU) == keys[0]
    monkeypatch.setattr(torch, "__version__", "0.1")
    assert training_key(job, "data", CPU) not in keys


class Recorder(Variant):
    """Fits the mean of the data in closed form around a loop that only watches."""

    family, source, players = "baselines", "none", ("model",)

    def __init__(self, explode_at: int = 10**9) -> None:
        torch.nn.Module.__init__(self)
        self.model = torch.nn.Linear(1, 1)
        self.register_buffer("mean", torch.zeros(()))
        self.explode_at, self.calls, self.seen = explode_at, 0, []
        self.noise: list[float] = []

    def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
        self.calls += 1
        self.seen += batch.images[:, 0, 0, 0].add(1).mul(127.5).round().int().tolist()
        self.noise.append(torch.rand((), generator=batch.generator).item())
        value = self.model(torch.ones(1, 1)).sum()
        return {"loss": value * (math.inf if self.calls == self.explode_at else 1), "other": value}

    def sample(self, n: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        return torch.zeros(n, 1, 8, 8)

    def begin(self, data: Mapping[str, Tensor]) -> None:
        self.began_with = len(data["images"])

    def finish(self, data: Mapping[str, Tensor]) -> None:
        self.mean = data["images"].float().mean()


def recording(model: Recorder) -> State:
    return State(
        model, {"model": torch.optim.SGD(model.parameters(), lr=0.1)}, updates=dict.fromkeys(model.players, 0)
    )


def record(params: Params, images: Tensor, n_images: int, updates: int = 1, explode_at: int = 10**9) -> State:
    job = job_of(params, "vae", n_images, batch_size=4, updates={"model": updates})
    return run(job, images, recording(Recorder(explode_at)))[0]


def test_each_weight_takes_the_step_of_its_own_gradient(params: Params, blobs: Tensor) -> None:
    """Fused Adam walks memory as it lies: one of another layout moves other weights (vq_vae's prior)."""
    job = job_of(params, "vq_vae", n_images=128)
    state = start(job, (1, 8, 8), 10, torch.device("cpu"))
    for parameter in state.model.parameters():
        parameter.data = parameter.data.contiguous()
    before = {name: value.clone() for name, value in state.model.named_parameters()}
    run(job, blobs, state)
    for name, parameter in state.model.named_parameters():
        assert parameter.grad is not None
        clear = parameter.grad.abs() > 1e-4  # Adam's first step is the rate, against the gradient's sign
        moved = (parameter.detach() - before[name]).sign()
        assert torch.equal(moved[clear], -parameter.grad.sign()[clear]), name


@pytest.mark.parametrize("updates", [1, 3])
def test_an_epoch_shows_every_image_once_in_a_new_order(params: Params, updates: int) -> None:
    images = torch.arange(16, dtype=torch.uint8).view(16, 1, 1, 1).expand(16, 1, 8, 8).contiguous()
    seen = record(params, images, 48, updates).model.seen
    epochs = [seen[i : i + 16] for i in (0, 16, 32)]
    assert all(sorted(epoch) == list(range(16)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("updates", [1, 5])
def test_every_update_draws_its_own_noise(params: Params, blobs: Tensor, updates: int) -> None:
    noise = record(params, blobs, 80, updates).model.noise
    seeds = [derive(0, "model", update) for update in range(20)]
    assert noise == [torch.rand((), generator=torch.Generator().manual_seed(seed)).item() for seed in seeds]


def test_the_history_has_a_hundred_rows_of_means_since_the_last(params: Params, blobs: Tensor) -> None:
    """Of 1,000 images in batches of 4 a hundredth is passed by rounds 3, 5, 8 …; a step lowers the loss by
    .2, two gradients of 1 times the rate of .1."""
    constant = {"name": "adam", "lr": 0.1, "betas": [0.9, 0.999], "decay": "none"}
    job = job_of(params, "vae", 1000, batch_size=4, optimisers={"model": constant})
    history = run(job, blobs, recording(Recorder()))[0].history
    assert len(history) == 100
    assert [(row["round"], row["images"]) for row in history[:3]] == [(3, 12), (5, 20), (8, 32)]
    first, second, third = (row["model/loss"] for row in history[:3])
    assert second - first == pytest.approx(0.2 * (2 - 4.5), rel=1e-5)
    assert third - first == pytest.approx(0.2 * (2 - 7), rel=1e-5)


def test_the_clock_says_how_fast_training_is_and_when_to_save(
    params: Params, blobs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update takes two seconds, so that after three of them more than five have passed."""
    now = [1000.0]
    monkeypatch.setattr("gm_bench.training.loop.time", SimpleNamespace(monotonic=lambda: now[0]))

    class Slow(Recorder):
        def loss(self, player: str, batch: Batch) -> dict[str, Tensor]:
            now[0] += 2.0
            return super().loss(player, batch)

    job, state, saved = job_of(params, "vae", 40, batch_size=4), recording(Slow()), []
    _, rows = run(job, blobs, state, save=lambda s: saved.append(s.rounds), save_every=5.0)
    assert saved == [3, 6, 9]
    assert [row.images_per_second for row in rows] == [2.0] * 10
    assert [row.seconds_left for row in rows] == [2.0 * left for left in range(9, -1, -1)]
    _, rows = run(replace(job, n_images=80), blobs, state)
    assert [row.images_per_second for row in rows] == [2.0] * 10, "of what was shown since it went on"


def test_the_average_follows_the_weights_and_takes_the_statistics_of_layers(
    params: Params, blobs: Tensor
) -> None:
    """average ← .9 average + .1 model after every round, beginning with the untrained weights."""
    job = replace(job_of(params, "vae", 64 * 4, ema=0.9), n_snapshots=0)
    state = start(job, (1, 8, 8), 10, CPU)
    expected = [weight.detach().double() for weight in state.model.parameters()]

    def follow(progress: Progress) -> None:
        for average, weight in zip(expected, state.model.parameters(), strict=True):
            average.mul_(0.9).add_(weight.detach().double(), alpha=0.1)

    run(job, blobs, state, on_row=follow)
    assert state.rounds == 4
    assert state.reported is state.average
    for average, weight in zip(expected, state.reported.parameters(), strict=True):
        torch.testing.assert_close(weight.detach().double(), average, rtol=1e-5, atol=1e-7)
    model, average = (dict(each.named_buffers()) for each in (state.model, state.average))
    assert model, "batch norm has some"
    assert_same(model, average)


@pytest.mark.parametrize(
    ("critic_at", "generator_at", "first"),
    [
        (4, 1, (10, "critic")),
        (5, 0, (10, "generator")),
        (5, 1, (11, "critic")),
        (14, 3, (12, "critic")),
        (15, 2, (12, "generator")),
    ],
)
def test_the_first_loss_that_is_not_finite_is_named_by_round_and_player(
    critic_at: int, generator_at: int, first: tuple[int, str]
) -> None:
    """Of rounds 10 to 12 with five updates of the critic, which come first, and one of the generator."""
    losses = {"generator": torch.zeros(3), "critic": torch.zeros(15)}
    losses["generator"][generator_at:] = math.nan
    losses["critic"][critic_at:] = math.nan
    model = SimpleNamespace(players=("critic", "generator"))
    state = State(model, {}, rounds=12, pending={(p, "loss"): list(each) for p, each in losses.items()})
    _, found = read_losses(state, {"critic": 5, "generator": 1})
    assert found is not None
    assert (found["step"], found["player"]) == first
    assert state.pending == {}


def test_closed_form_fits_are_called_around_the_loop(params: Params, blobs: Tensor) -> None:
    model = record(params, blobs, 8).model
    assert model.began_with == len(blobs)
    assert model.mean.item() == pytest.approx(blobs.float().mean().item())


@pytest.mark.parametrize("call", [1, 5, 33, 40])
def test_divergence_is_recorded_with_step_player_and_term(params: Params, blobs: Tensor, call: int) -> None:
    state = record(params, blobs, 4 * 40, explode_at=call)
    assert state.divergence == {"step": call, "player": "model", "term": "loss", "value": "inf"}
    assert all(math.isfinite(v) for row in state.history for v in row.values())


def test_divergence_of_several_updates_per_round_names_the_round(params: Params, blobs: Tensor) -> None:
    """A learning rate of 1e30 breaks the critic at once; round 1 has five critic updates."""
    critic = {"name": "rmsprop", "lr": 1e30, "alpha": 0.99, "decay": "none"}
    model = params.recipe("wgan", "tiny").model | {"clip": 1e38}
    job = job_of(params, "wgan", optimisers={"critic": critic, "generator": critic}, model=model)
    state, _ = run(job, blobs)
    assert state.divergence is not None
    assert (state.divergence["step"], state.divergence["player"]) == (1, "critic")


def test_each_player_has_the_optimiser_of_its_entry(params: Params) -> None:
    """Numbers that are none of torch's defaults."""
    adam = {"name": "adam", "lr": 3e-4, "betas": (0.25, 0.75), "decay": "none"}
    rmsprop = {"name": "rmsprop", "lr": 5e-3, "alpha": 0.625, "decay": "none"}
    job = job_of(params, "ns_gan", optimisers={"critic": adam, "generator": rmsprop})
    state = start(job, (1, 8, 8), 10, CPU)
    critic, generator = state.optimisers["critic"], state.optimisers["generator"]
    assert (type(critic), type(generator)) == (torch.optim.Adam, torch.optim.RMSprop)
    (first,), (second,) = critic.param_groups, generator.param_groups
    assert (first["lr"], first["betas"]) == (3e-4, (0.25, 0.75))
    assert (second["lr"], second["alpha"]) == (5e-3, 0.625)
    for group, player in ((first, "critic"), (second, "generator")):
        own = list(getattr(state.model, player).parameters())
        assert [id(weight) for weight in group["params"]] == [id(weight) for weight in own]


@pytest.mark.parametrize(
    ("variant", "updates", "decays"),
    [
        ("vae", {"model": 1}, {"model": "linear"}),
        ("vae", {"model": 3}, {"model": "linear"}),
        ("wgan", {"critic": 1, "generator": 1}, {"critic": "linear", "generator": "linear"}),
        ("wgan", {"critic": 5, "generator": 1}, {"critic": "linear", "generator": "linear"}),
        ("wgan", {"critic": 3, "generator": 2}, {"critic": "linear", "generator": "linear"}),
        ("wgan", {"critic": 3, "generator": 2}, {"critic": "none", "generator": "linear"}),
        ("wgan", {"critic": 3, "generator": 2}, {"critic": "linear", "generator": "none"}),
        ("bigan", {"critic": 2, "generator": 3}, {"critic": "linear", "generator": "linear"}),
    ],
)
def test_every_update_of_a_round_has_its_players_rate_for_the_images_shown_before(
    params: Params, blobs: Tensor, variant: str, updates: dict[str, int], decays: dict[str, str]
) -> None:
    """In order, with each player's own rate less the share of the budget that was shown before the round.

    Four rounds and a budget that ends within the last: 10 images less than they show.
    """
    lookers = set(updates) - (set() if variant == "bigan" else {"generator"})
    per_round = 64 * sum(updates[player] for player in lookers)
    n_images = 4 * per_round - 10
    rates = dict(zip(updates, (4e-3, 3e-4), strict=False))
    optimisers = {
        player: {"name": "rmsprop", "lr": rates[player], "alpha": 0.9, "decay": decays[player]}
        for player in updates
    }
    job = job_of(params, variant, n_images, updates=updates, optimisers=optimisers)
    state = start(job, (1, 8, 8), 10, CPU)
    used: list[tuple[str, float]] = []
    for player, optimiser in state.optimisers.items():
        optimiser.register_step_pre_hook(
            lambda o, args, kwargs, player=player: used.append((player, o.param_groups[0]["lr"]))
        )
    run(job, blobs, state)
    expected = [
        (player, rates[player] * (1 - shown / n_images if decays[player] == "linear" else 1))
        for shown in (0, per_round, 2 * per_round, 3 * per_round)
        for player, n in updates.items()
        for _ in range(n)
    ]
    assert [player for player, _ in used] == [player for player, _ in expected]
    assert [rate for _, rate in used] == pytest.approx([rate for _, rate in expected], rel=1e-12)


def test_cost_counts_what_was_done(params: Params, blobs: Tensor) -> None:
    """Operations of a VAE's step by hand: 2 a multiply-add, forward, and backward twice but for the input."""
    recipe = params.recipe("vae", "tiny")
    width, z = recipe.network.options["width"], recipe.model["z_dim"]
    state, _ = run(job_of(params, "vae"), blobs)
    encoder = [(64, width), (width, width), (width, 2 * z)]
    decoder = [(z, width), (width, width), (width, 64)]
    forward = sum(a * b for a, b in encoder + decoder)
    backward = 2 * forward - 64 * width
    cost = cost_of(state, CPU)
    assert cost["flops"] == 2 * 64 * (forward + backward) * 50
    assert cost["updates"] == {"model": 50}
    assert cost["images"] == 3200
    assert cost["device"] == "cpu"
    assert 50e6 < cost["peak_memory_bytes"] < 5e9
    norms = 2 * 2 * width + 2 * width
    biases = width + width + 2 * z + 64
    assert cost["parameters"] == {"model": forward + norms + biases}


def test_seconds_on_a_cpu_are_the_processors_and_go_on_after_a_stop(
    params: Params, blobs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What other work takes of the machine meanwhile is not the variant's."""
    now = [1000.0]
    monkeypatch.setattr(cost.time, "process_time", lambda: now[0])

    def spend(progress: Progress) -> None:
        now[0] += 2.0

    job, saved = job_of(params, "vae"), []
    with pytest.raises(Interrupted):
        run(
            job,
            blobs,
            on_row=spend,
            save=lambda s: saved.append(s.seconds),
            stop_asked=lambda: now[0] == 1060,
        )
    assert saved == [60.0]
    state, _ = run(job, blobs, on_row=spend)
    assert (len(state.history), state.seconds) == (50, 100.0)
    assert cost_of(state, CPU)["images_per_second"] == job.n_images / 100
    state.seconds = 40.0
    assert run(replace(job, n_images=job.n_images * 2), blobs, state, on_row=spend)[0].seconds == 140.0
    assert cost.clock_of(torch.device("cuda")) is cost.time.monotonic


def test_players_and_data_must_fit_the_recipe(params: Params, blobs: Tensor) -> None:
    with pytest.raises(
        ValueError, match=r"updates of variants\.gan name critic; its players are critic, generator"
    ):
        start(job_of(params, "gan", updates={"critic": 1}), (1, 8, 8), 10, CPU)
    with pytest.raises(ValueError, match="3 training images cannot fill a batch of 64"):
        run(job_of(params, "gan"), blobs[:3])


# One cell from files to files


@pytest.fixture
def data(tmp_path: Path, blobs: Tensor) -> Path:
    """A dataset of blobs: 6 of its 256 images are held back from training."""
    labels = torch.arange(len(blobs)) % 4
    io.write_tensors(tmp_path / "data/train.safetensors", {"images": blobs, "labels": labels})
    return tmp_path / "data"


def fit_in(folder: Path, job: Job, data: Path, **options: Any) -> State:
    return fit(
        job, data, folder / "out", folder / "checkpoints", device=CPU, **({"save_every": 1e9} | options)
    )


def test_fit_writes_what_the_loop_makes_of_all_but_the_validation_images(
    params: Params, blobs: Tensor, data: Path, tmp_path: Path
) -> None:
    make_deterministic()
    job = replace(job_of(params, "ns_gan", checkpoint="best", ema=0.9), code="c0de")
    seen: list[Progress] = []
    fit_in(tmp_path, job, data, on_progress=seen.append)

    labels = torch.arange(256) % 4
    rows, _ = hold_out(labels, 6)
    expected = start(job, (1, 8, 8), 4, CPU)
    quiet = {"on_row": lambda p: None, "save": lambda s: None, "stop_asked": lambda: False}
    train(expected, job, {"images": blobs[rows], "labels": labels[rows]}, save_every=1e9, **quiet)

    weights, metadata = io.read_tensors(tmp_path / "out/model.safetensors")
    assert_same(weights, expected.reported.state_dict())
    key = training_key(job, io.sha256_file(data / "train.safetensors"), CPU)
    assert metadata == {
        "cell": {"board": "board", "dataset": "blobs", "variant": "ns_gan", "seed": 0},
        "status": "ok",
        "divergence": None,
        "image_shape": [1, 8, 8],
        "class_counts": labels[rows].bincount().tolist(),
        "recipe": json.loads(job.recipe.model_dump_json()),
        "training_key": key,
    }
    kept, moments = io.read_tensors(tmp_path / "out/snapshots.safetensors")
    assert moments == {"images_shown": [832, 1600, 2432, 3200], "training_key": key}
    assert torch.equal(kept.pop("images"), torch.stack(list(expected.snapshots.values())))
    assert_same(kept, {f"{i}.{k}": w for i, c in expected.candidates.items() for k, w in c.items()})
    header, *history = (tmp_path / "out/history.csv").read_text().splitlines()
    assert header.startswith("images,round,timestamp_ms,critic/fake_score,critic/loss")
    assert (len(history), len(seen)) == (50, 50)
    cost = io.read_json(tmp_path / "out/cost.json")
    assert (cost["images"], cost["budget"], cost["training_key"]) == (3200, 3200, key)
    assert not (tmp_path / "checkpoints").exists()


def test_fit_goes_on_from_where_it_was_stopped_and_says_so(
    params: Params, data: Path, tmp_path: Path
) -> None:
    make_deterministic()
    job, said, rounds = job_of(params, "vae", 64 * 250), [], iter(range(10_000))
    whole = fit_in(tmp_path / "whole", job, data)
    with pytest.raises(
        Interrupted, match=r"stopped at round 101, 6,464 of 16,000 images; the state is saved"
    ):
        fit_in(tmp_path, job, data, stop_asked=lambda: next(rounds) >= 100)
    assert not (tmp_path / "out").exists()
    resumed = fit_in(tmp_path, job, data, on_note=said.append)
    assert said == ["goes on from round 101, 6,464 of 16,000 images"]
    assert_same(weights(whole), weights(resumed))
    assert_same(io.read_tensors(tmp_path / "out/model.safetensors")[0], whole.model.state_dict())


def test_other_code_starts_anew(params: Params, data: Path, tmp_path: Path) -> None:
    job, said, rounds = job_of(params, "vae", 64 * 250), [], iter(range(10_000))
    with pytest.raises(Interrupted):
        fit_in(tmp_path, replace(job, code="a"), data, stop_asked=lambda: next(rounds) >= 3)
    fit_in(tmp_path, replace(job, code="b"), data, on_note=said.append)
    assert said == []


def test_fit_writes_a_cell_that_diverged(params: Params, data: Path, tmp_path: Path) -> None:
    wild = {"name": "adam", "lr": 1e30, "betas": [0.9, 0.999], "decay": "none"}
    job = job_of(params, "vae", optimisers={"model": wild})
    state = fit_in(tmp_path, job, data)
    _, metadata = io.read_tensors(tmp_path / "out/model.safetensors")
    assert state.divergence is not None
    assert (metadata["status"], metadata["divergence"]) == ("diverged", state.divergence)
    assert io.read_json(tmp_path / "out/cost.json")["divergence"] == state.divergence


def test_points_are_trained_on_like_images(params: Params, tmp_path: Path) -> None:
    """A GAN of dense layers on points about (½, −½), without labels; samples start about (0, 0)."""
    points = torch.tensor([0.5, -0.5]) + 0.1 * torch.randn(500, 2)
    io.write_tensors(tmp_path / "data/train.safetensors", {"points": points})
    recipe = params.recipe("ns_gan", "tiny")
    job = Job(Cell("board", "points", "pointed", 0), recipe, 64 * 200, n_snapshots=2, n_validation=100)
    model = type("Pointed", (NSGAN,), {"loss": points_loss})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variants, "find", lambda name: model)
        state = fit_in(tmp_path, job, tmp_path / "data")
    drawn = io.read_tensors(tmp_path / "out/snapshots.safetensors")[0]["images"]
    assert (drawn.shape, drawn.dtype) == ((2, 100, 2), torch.float32)
    assert (state.images, state.divergence) == (64 * 200, None)
    assert (drawn[-1].mean(dim=0) - torch.tensor([0.5, -0.5])).abs().max() < 0.25


def points_loss(self: NSGAN, player: str, batch: Batch) -> dict[str, Tensor]:
    fake = self.decode(self.latent(batch.n, batch.generator))
    if player == "generator":
        return {"loss": self.generator_loss(self.critic(fake), batch)}
    return {"loss": self.critic_loss(self.critic(batch.points), self.critic(fake.detach()), batch)}


def test_a_training_set_without_data_is_refused(params: Params, tmp_path: Path) -> None:
    io.write_tensors(tmp_path / "train.safetensors", {"labels": torch.arange(9)})
    with pytest.raises(
        ValueError, match=r"train\.safetensors holds nothing to train on: delete it and run the fe"
    ):
        fit_in(tmp_path, job_of(params, "vae"), tmp_path)


# Really killing the stage: the parent sees only files and exit codes.


@pytest.fixture
def workspace(tmp_path: Path, blobs: Tensor) -> Path:
    """A folder in which `pipelines.train` runs on blobs for a few seconds."""
    params = json.loads(json.dumps(load_raw()))
    grid = {"datasets": ["digits"], "variants": ["wgan_gp"], "seeds": [0], "n_images": 64 * 300}
    params["boards"] = {"board": params["boards"]["digits"] | grid}
    io.write_json(tmp_path / "params.yaml", params)  # JSON is YAML
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        resolve.board(load_params(), "board")
    labels = torch.arange(len(blobs)) % 10
    io.write_tensors(tmp_path / "data/digits/train.safetensors", {"images": blobs, "labels": labels})
    return tmp_path


def load_raw() -> dict:

    return load_yaml(Path("params.yaml").read_text(encoding="utf-8"))


def train_command(workspace: Path) -> subprocess.Popen:
    environ = os.environ | {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1", "GM_BENCH_DEVICE": "cpu"}
    arguments = [
        sys.executable,
        "-m",
        "pipelines.train",
        "board",
        "digits",
        "wgan_gp",
        "0",
        "--save-every",
        "0.2",
    ]
    return subprocess.Popen(arguments, cwd=workspace, env=environ, stderr=subprocess.PIPE, text=True)


def wait_for_checkpoint(workspace: Path, process: subprocess.Popen) -> None:
    """Until the process has written a checkpoint of its own."""
    began, deadline = time.time(), time.monotonic() + 120
    while not any(
        p.stat().st_mtime > began for p in workspace.glob(".checkpoints/board/*/[!.]*.safetensors")
    ):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def model_bytes(workspace: Path) -> bytes:
    return (workspace / "runs/board/digits/wgan_gp/0/model.safetensors").read_bytes()


def test_kill_minus_nine_and_ctrl_c_end_at_the_same_weights(workspace: Path) -> None:
    process = train_command(workspace)
    process.communicate()
    assert process.returncode == 0
    expected = model_bytes(workspace)
    for path in (workspace / "runs/board/digits/wgan_gp/0").iterdir():
        path.unlink()

    killed = train_command(workspace)
    wait_for_checkpoint(workspace, killed)
    killed.kill()
    assert killed.communicate()[0] is None
    assert not list(workspace.glob("runs/board/digits/wgan_gp/0/model.safetensors"))

    interrupted = train_command(workspace)
    wait_for_checkpoint(workspace, interrupted)
    interrupted.send_signal(signal.SIGINT)
    _, words = interrupted.communicate()
    assert interrupted.returncode == 130
    assert "goes on from round" in words
    assert "the state is saved, the same command goes on from there" in words

    final = train_command(workspace)
    _, words = final.communicate()
    assert final.returncode == 0, words
    assert "goes on from round" in words
    assert model_bytes(workspace) == expected
    assert not list(workspace.glob(".checkpoints/board/*"))
