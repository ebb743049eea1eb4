"""What every file in gm_bench/variants/ must do. A new variant is tested here unasked."""

import inspect
import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gm_bench.config import Params, load_params
from gm_bench.nets import network as networks
from gm_bench.nets.mlp import MLP
from gm_bench.training import loop as training
from gm_bench.variants.base import contract as variants
from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Batch, Variant

CPU = torch.device("cpu")
PARAMS = load_params()
TRAINED = [name for name in variants.names() if variants.find(name).players]  # the others are fitted
CASES = [(name, recipe) for name in variants.names() for recipe in PARAMS.variants[name]]


def build(params: Params, name: str, recipe_name: str, shape: tuple[int, int, int] = (1, 8, 8)) -> Variant:
    recipe = params.variants[name][recipe_name]
    return variants.build(name, networks.build(recipe.network, shape, 10), recipe.model)


def batch(n: int = 4, shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0) -> Batch:
    images = torch.linspace(0, 255, n * shape[0] * shape[1] * shape[2]).to(torch.uint8).view(n, *shape)
    generator = torch.Generator().manual_seed(seed)
    return Batch(generator, 0.0, images, torch.arange(n) % 10, torch.arange(n))


def labels_for(model: Variant, n: int) -> Tensor | None:
    return torch.zeros(n, dtype=torch.int64) if model.conditional else None


@pytest.mark.parametrize("name", variants.names())
def test_it_says_what_it_is(name: str) -> None:
    cls = variants.find(name)
    assert cls.family in {"VAE", "GAN", "LSGAN", "WGAN", "baselines"}
    assert re.search(r"\b(19|20)\d\d\b", cls.source)
    assert cls.source.split(",")[0].split(" et al")[0].split(" &")[0] in (
        inspect.getmodule(cls).__doc__ or ""
    )
    assert not cls.__subclasses__()


@pytest.mark.parametrize(("name", "recipe"), CASES)
def test_samples_are_images_and_follow_the_seed(params: Params, name: str, recipe: str) -> None:
    model = build(params, name, recipe).eval()
    first, again, other = (
        model.sample(6, torch.Generator().manual_seed(seed), labels_for(model, 6)).detach()
        for seed in (1, 1, 2)
    )
    assert first.shape == (6, 1, 8, 8)
    assert first.abs().max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize(("name", "recipe"), CASES)
def test_each_player_has_a_loss_that_moves_all_its_weights(params: Params, name: str, recipe: str) -> None:
    """A weight whose gradient is missing or always zero is not trained."""
    model = build(params, name, recipe).train()
    for player in model.players:
        terms = model.loss(player, batch())
        assert terms["loss"].shape == ()
        assert all(term.isfinite() for term in terms.values())
        weights = dict(getattr(model, player).named_parameters())
        gradients = torch.autograd.grad(terms["loss"], list(weights.values()))
        still = [n for n, g in zip(weights, gradients, strict=True) if not n.endswith("bias") and not g.any()]
        assert still == []


@pytest.mark.parametrize("name", TRAINED)
def test_someone_looks_at_real_images(params: Params, name: str) -> None:
    model = build(params, name, "tiny").train()
    shown = []
    for player in model.players:
        seen = batch()
        model.loss(player, seen)
        shown.append(seen.n_images_shown)
    assert set(shown) <= {0, 4}
    assert any(shown)


@pytest.mark.parametrize("name", sorted({*variants.names()} - {"classifier_ascent"}))
def test_training_brings_samples_closer_to_the_data(params: Params, name: str, blobs: Tensor) -> None:
    """The mean image of the samples approaches that of the data: on blobs it starts ~1 away per pixel.

    At four times the recipe's rates: critics with batch norm start slowly, and 600 rounds suffice so.
    Not where a classifier is climbed from noise: that it does not is what this baseline shows.
    """
    recipe = params.variants[name]["tiny"]
    faster = {p: o.model_copy(update={"lr": 4 * o.lr}) for p, o in recipe.optimisers.items()}
    job = training.Job("blobs", name, 0, recipe.model_copy(update={"optimisers": faster}), 64 * 600)
    state = training.start(job, (1, 8, 8), 10, CPU)
    before = distance_of_means(state.model, blobs)
    train_quietly(state, job, blobs)
    assert state.divergence is None
    assert distance_of_means(state.model, blobs) < 0.5 * before


def train_quietly(state: training.State, job: training.Job, images: Tensor) -> None:
    training.train(
        state,
        job,
        images,
        torch.zeros(len(images), dtype=torch.int64),
        on_row=lambda progress: None,
        save=lambda state: None,
        save_every=1e9,
        stop_asked=lambda: False,
    )


@torch.no_grad()
def distance_of_means(model: Variant, data: Tensor) -> float:
    generator = torch.Generator().manual_seed(0)
    samples = model.eval().sample(256, generator, labels_for(model, 256)).mean(0)
    return (samples - (data.float() / 127.5 - 1).mean(0)).abs().mean().item()


@pytest.mark.parametrize("name", [n for n in variants.names() if issubclass(variants.find(n), Adversarial)])
def test_adversarial_players_do_not_touch_each_other(params: Params, name: str) -> None:
    """The critic's loss sends no gradient into the generator."""
    model = build(params, name, "tiny").train()
    loss = model.loss("critic", batch())["loss"]
    gradients = torch.autograd.grad(loss, list(model.generator.parameters()), allow_unused=True)
    assert all(g is None for g in gradients)


def test_fake_images_of_critic_and_generator_are_fresh(params: Params) -> None:
    model = build(params, "gan", "tiny")
    generator = torch.Generator().manual_seed(0)
    assert not torch.equal(model.latent(8, generator), model.latent(8, generator))


def test_priors(digits_network: MLP) -> None:
    """10,000 codes of 8 dimensions: the standard error of a mean of squares is below 0.6 %."""
    moments = {"uniform": 1 / 3, "normal": 1.0}
    for prior, second_moment in moments.items():
        options = {"z_dim": 8, "prior": prior}
        z = variants.build("gan", digits_network, options).latent(10_000, torch.Generator().manual_seed(0))
        assert z.square().mean().item() == pytest.approx(second_moment, rel=0.02)
        assert z.mean().item() == pytest.approx(0.0, abs=0.01)
        assert bool((z.abs().max() <= 1).item()) == (prior == "uniform")


def test_a_moving_average_follows_at_its_decay(params: Params, blobs: Tensor) -> None:
    """average ← d · average + (1 − d) · weight after every round, by hand; buffers are copied."""
    recipe = params.variants["ns_gan"]["tiny"]
    job = training.Job("blobs", "ns_gan", 0, recipe.model_copy(update={"ema": 0.75}), 64 * 3)
    state = training.start(job, (1, 8, 8), 10, CPU)
    expected = {name: value.clone() for name, value in state.model.state_dict().items()}
    weights = set(dict(state.model.named_parameters()))
    for rounds in (1, 2, 3):
        train_quietly(state, replace(job, n_images=64 * rounds), blobs)
        for name, value in state.model.state_dict().items():
            expected[name] = 0.75 * expected[name] + 0.25 * value if name in weights else value.clone()
    for name, value in state.reported.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-7)
    assert not torch.equal(state.reported.generator[0][0].weight, state.model.generator[0][0].weight)


def test_without_decay_the_final_model_is_reported(params: Params) -> None:
    job = training.Job("blobs", "gan", 0, params.variants["gan"]["tiny"], 64)
    state = training.start(job, (1, 8, 8), 10, CPU)
    assert state.average is None
    assert state.reported is state.model


def test_wrong_keywords_are_named(digits_network: MLP) -> None:
    with pytest.raises(ValueError, match=r"unknown variant 'vqgan'; gm_bench/variants/ holds: .*gan, .*vae"):
        variants.find("vqgan")
    with pytest.raises(
        ValueError, match=r"unknown key 'clib' in the model entry of variants\.wgan; allowed: z_dim"
    ):
        variants.build("wgan", digits_network, {"z_dim": 2, "prior": "normal", "clib": 1})
    with pytest.raises(ValueError, match=r"model entry of variants\.wgan lacks the key 'clip'"):
        variants.build("wgan", digits_network, {"z_dim": 2, "prior": "normal"})
    with pytest.raises(ValueError, match="prior is 'cauchy'; allowed: normal, uniform"):
        variants.build("gan", digits_network, {"z_dim": 2, "prior": "cauchy"})
