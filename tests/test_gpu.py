"""What only a GPU can show (pytest -m gpu): every variant steps there, captured as eager, twice alike."""

import math

import pytest
import torch
from torch import Tensor

from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.metrics.extractors.features import Features
from gm_bench.reproducibility import make_deterministic, set_precision
from gm_bench.results.protocol import Protocol
from gm_bench.tracks.generation.evaluation import all_metrics, make_reference
from gm_bench.training import sampling
from gm_bench.training.in_memory import train_in_memory
from gm_bench.training.job import Job
from gm_bench.training.recipe import Recipe
from gm_bench.training.state import State, start
from gm_bench.variants.base import contract as variants

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
N_ROUNDS = 8  # more than a capture warms up
N_IMAGES = 1280  # more than kde holds out
TRAINED = [name for name in variants.names() if variants.find(name).players]  # others have nothing to capture


def job_of(params: Params, variant: str, recipe: str, **changes: object) -> Job:
    """A few rounds at rates that are powers of two.

    On the device a rate is a float32, and RMSprop divides by it: other rates are rounded otherwise than in
    eager training, and a bias before a batch norm, whose gradient is rounding alone, makes much of that.
    """
    made = params.recipe(variant, recipe).model_dump() | changes
    for optimiser in made["optimisers"].values():
        optimiser["lr"] = 2.0 ** round(math.log2(optimiser["lr"]))
    changed = Recipe.model_validate(made)
    looks = 2 if variant == "bigan" else changed.updates.get("critic", 1)
    n_images = changed.batch_size * N_ROUNDS * looks
    return Job(Cell("board", "blobs", variant, 0), changed, n_images, n_snapshots=1, n_validation=8)


def trained(job: Job, side: int, device: str = "cuda") -> State:
    """A few rounds on noise that is brighter for some classes than for others."""
    make_deterministic()
    set_precision(job.recipe.tf32)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(N_IMAGES) % 10
    noise = torch.randint(0, 120, (N_IMAGES, 1, side, side), generator=generator)
    data = {"images": (noise + 10 * labels[:, None, None, None]).byte(), "labels": labels}
    place = torch.device(device)
    state = start(job, (1, side, side), 10, place)
    train_in_memory(state, job, {name: values.to(place) for name, values in data.items()})
    return state


def weights(state: State) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in state.model.state_dict().items()}


def drawn_from(state: State) -> Tensor:
    labels = torch.arange(8) if state.model.conditional else None
    return sampling.draw(state.reported.eval(), labels, 8, 7, torch.device("cuda"))


@pytest.mark.parametrize("variant", variants.names())
@pytest.mark.parametrize(("recipe", "side"), [("tiny", 8), ("grey", 28)])
def test_a_variant_trains_and_draws_alike_twice(params: Params, variant: str, recipe: str, side: int) -> None:
    job = job_of(params, variant, recipe)
    first, second = (trained(job, side) for _ in range(2))
    assert first.divergence is None
    for name, value in weights(first).items():
        assert torch.equal(value, weights(second)[name]), name
    drawn, again = drawn_from(first), drawn_from(second)
    assert torch.equal(drawn, again)
    assert drawn.float().std() > 0


@pytest.mark.parametrize("variant", TRAINED)
@pytest.mark.parametrize(("recipe", "side"), [("tiny", 8), ("grey", 28)])
def test_captured_training_is_eager_training(params: Params, variant: str, recipe: str, side: int) -> None:
    eager = trained(job_of(params, variant, recipe), side)
    captured = trained(job_of(params, variant, recipe, capture=True), side)
    assert captured.rounds == eager.rounds == N_ROUNDS
    assert captured.updates == eager.updates
    assert captured.images == eager.images
    for name, value in weights(eager).items():
        said = f"{name}: {{}}".format  # with the difference
        torch.testing.assert_close(weights(captured)[name], value, rtol=1e-5, atol=1e-6, msg=said)
    for ours, theirs in zip(captured.history, eager.history, strict=True):
        for term in set(theirs) - {"timestamp_ms"}:
            assert ours[term] == pytest.approx(theirs[term], rel=1e-4, abs=1e-5), term


def test_a_captured_rate_decays(params: Params) -> None:
    """A graph that kept the rate of its capture would end elsewhere than eager training."""
    decays = params.recipe("vae", "tiny")
    assert decays.optimisers["model"].decay == "linear"
    eager, captured = (trained(job_of(params, "vae", "tiny", capture=c), 8) for c in (False, True))
    rate = captured.optimisers["model"].param_groups[0]["lr"]
    assert float(rate) == pytest.approx(eager.optimisers["model"].param_groups[0]["lr"], rel=1e-6)
    assert float(rate) < decays.optimisers["model"].lr / 2  # at 7/8 of the budget


@pytest.mark.parametrize("variant", ["ns_gan", "vae"])
def test_the_first_step_is_that_of_the_cpu(params: Params, variant: str) -> None:
    """Draws differ between devices, so the same codes are given to models with the same weights."""
    job = job_of(params, variant, "grey")
    place = torch.device("cuda")
    make_deterministic()
    set_precision(False)
    here, there = start(job, (1, 28, 28), 10, torch.device("cpu")), start(job, (1, 28, 28), 10, place)
    codes = torch.randn(16, 64, generator=torch.Generator().manual_seed(0))
    for model in (here.model.eval(), there.model.eval()):
        assert isinstance(model, variants.Decoder)
    with torch.no_grad():
        mine = here.model.decode(codes)
        other = there.model.decode(codes.to(place)).cpu()
    torch.testing.assert_close(other, mine, rtol=1e-4, atol=1e-5)


def test_metrics_on_the_device_are_those_of_the_cpu(params: Params) -> None:
    make_deterministic()
    set_precision(False)
    protocol: Protocol = params.dataset("digits").protocol.model_copy(
        update={"n_samples": 300, "n_train": 400, "kid_subset_size": 100}
    )
    generator = torch.Generator().manual_seed(0)

    def seen(n: int, shift: float) -> Features:
        return Features(
            torch.randn(n, 64, generator=generator) + shift, torch.randn(n, 10, generator=generator) * 3
        )

    images = torch.randint(0, 256, (300, 1, 8, 8), generator=generator).byte()
    held_out, train_, fake = seen(300, 0.0), seen(400, 0.0), seen(300, 0.2)
    labels = torch.arange(400) % 10
    values = []
    for name in ("cpu", "cuda"):
        device = torch.device(name)
        reference = make_reference(images, held_out, train_, protocol, device, labels)
        values.append(all_metrics(fake, images, reference, protocol, device))
    assert values[0].keys() == values[1].keys()
    for metric, value in values[0].items():
        assert values[1][metric] == pytest.approx(value, rel=1e-6, abs=1e-9), metric


def test_samples_do_not_depend_on_what_was_drawn_before(params: Params) -> None:
    state = trained(job_of(params, "ns_gan", "tiny"), 8)
    model, place = state.model.eval(), torch.device("cuda")
    first = sampling.draw(model, None, 100, 7, place)
    sampling.draw(model, None, 33, 8, place)
    assert torch.equal(sampling.draw(model, None, 100, 7, place), first)
    assert not torch.equal(sampling.draw(model, None, 100, 9, place), first)
