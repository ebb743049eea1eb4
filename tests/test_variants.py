"""What every file in gm_bench/variants/ must do. A new variant is tested here unasked."""

import ast
import copy
import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import torch
from pydantic import Field
from torch import Tensor

from gm_bench.cell import Cell
from gm_bench.config import Params, load_params
from gm_bench.nets import network as networks
from gm_bench.nets.mlp import MLP
from gm_bench.options import PositiveInt, Share, check_keywords
from gm_bench.training.job import Job
from gm_bench.training.loop import train
from gm_bench.training.state import Interrupted, Progress, State, start
from gm_bench.variants.base import contract as variants
from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Batch, Decoder, Density, Encoder, Variant

CPU = torch.device("cpu")
PARAMS = load_params()
TRAINED = [name for name in variants.names() if variants.find(name).players]  # the others are fitted
CASES = [(name, recipe) for name in variants.names() for recipe in PARAMS.recipes_of(name)]


def build(params: Params, name: str, recipe_name: str, shape: tuple[int, int, int] = (1, 8, 8)) -> Variant:
    recipe = params.recipe(name, recipe_name)
    return variants.build(
        name, networks.build(recipe.network.name, recipe.network.options, shape, 10), recipe.model
    )


def batch(n: int = 4, shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0) -> Batch:
    images = torch.linspace(0, 255, n * shape[0] * shape[1] * shape[2]).to(torch.uint8).view(n, *shape)
    generator = torch.Generator().manual_seed(seed)
    return Batch(generator, {"images": images, "labels": torch.arange(n) % 10}, torch.arange(n))


def labels_for(model: Variant, n: int) -> Tensor | None:
    """Four classes in turn: on blobs the place of the spot."""
    return torch.arange(n) % 4 if model.conditional else None


@pytest.mark.parametrize("name", variants.names())
def test_it_says_what_it_is(name: str) -> None:
    cls = variants.find(name)
    assert cls.family in {"VAE", "GAN", "LSGAN", "WGAN", "baselines"}
    assert re.search(r"\b(19|20)\d\d\b", cls.source)
    assert cls.source.split(",")[0].split(" et al")[0].split(" &")[0] in (
        inspect.getmodule(cls).__doc__ or ""
    )
    assert cls.__module__ == f"gm_bench.variants.{name}"
    assert not inspect.isabstract(cls)


PACKAGE = Path(variants.__file__).parents[2]


def imported(folder: str) -> dict[str, set[str]]:
    """The modules that each file of a folder imports, by the file's name."""
    found = {}
    for path in sorted((PACKAGE / folder).glob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module}
        found[path.stem] = names | {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    return found


@pytest.mark.parametrize("folder", ["variants", "variants/base", "nets", "training"])
def test_what_trains_a_model_does_not_depend_on_params_yaml_or_on_who_runs_it(folder: str) -> None:
    """The hash of its code follows imports: a new board or progress bar must not train anything again."""
    allowed = ("cell", "data", "io", "nets", "options", "reproducibility", "training", "variants")
    for file, names in imported(folder).items():
        own = {name.partition(".")[2].partition(".")[0] for name in names if name.startswith("gm_bench.")}
        assert own <= set(allowed), file


def test_variants_import_each_other_in_one_direction() -> None:
    """What two share stands in the file of the older one; the base imports none."""
    prefix = "gm_bench.variants."
    edges = {
        file: {n.removeprefix(prefix) for n in names if n.startswith(prefix) and ".base." not in n}
        for file, names in imported("variants").items()
    }
    assert edges["lsgan_pearson"] == {"lsgan"}
    assert edges["acgan"] == {"gan", "ns_gan"}
    assert list(TopologicalSorter(edges).static_order())  # a cycle raises
    assert not [
        n for names in imported("variants/base").values() for n in names if re.match(prefix + "(?!base)", n)
    ]


# Of the variants that there are; a new one is held to the properties below, whatever it is.
CAN = {
    Encoder: {"autoencoder", "pca", "bigan", "vq_vae"},
    Decoder: {"autoencoder", "pca", "vq_vae"},
    Density: {"kde"},
}
VAES = {"vae", "vae_bernoulli", "vae_gaussian", "beta_vae", "cvae"}


@pytest.mark.parametrize("capability", [Encoder, Decoder, Density])
def test_what_can_be_asked_of_a_variant_is_its_class(capability: type) -> None:
    known = {*VAES, *set().union(*CAN.values()), "classifier_ascent", "gan"}
    able = {name for name in known if issubclass(variants.find(name), capability)}
    adversarial = {"gan", "bigan"} if capability is Decoder else set()
    assert able == CAN[capability] | VAES | adversarial


@pytest.mark.parametrize("name", [n for n in variants.names() if issubclass(variants.find(n), Decoder)])
def test_a_sample_is_the_image_of_a_drawn_code(params: Params, name: str) -> None:
    model = build(params, name, "tiny").eval()
    labels = labels_for(model, 5)
    sampled = model.sample(5, torch.Generator().manual_seed(3), labels)
    decoded = model.decode(model.latent(5, torch.Generator().manual_seed(3)), labels)
    assert torch.equal(sampled, decoded)
    far = model.decode(1000 * model.latent(5, torch.Generator().manual_seed(3)), labels)
    assert far.abs().max() <= 1, "an image, whatever the code"
    if isinstance(model, Encoder):
        given = batch(5)
        codes = model.encode(given.images, given.labels if model.conditional else None)
        assert codes.shape == model.latent(5, torch.Generator()).shape


@pytest.mark.parametrize("name", [n for n in variants.names() if issubclass(variants.find(n), Density)])
def test_a_density_says_of_what_it_is(name: str) -> None:
    cls = variants.find(name)
    assert ("given the class" in cls.density) == cls.conditional
    assert len(cls.density) > 10


# A batch


def field_batch() -> Batch:
    data = {
        "images": torch.tensor([[0, 255], [51, 204]], dtype=torch.uint8),
        "target": torch.tensor([[255, 0], [0, 0]], dtype=torch.uint8),
        "points": torch.tensor([[0.5, -7.0], [2.0, 3.0]]),
        "labels": torch.tensor([8, 9]),
    }
    return Batch(torch.Generator(), data, torch.tensor([1, 0, 1]))


def test_a_batch_has_the_fields_of_the_training_set() -> None:
    """Images (uint8) come in [-1, 1]: 51 / 127.5 − 1 = −0.6; all others as they are."""
    seen = field_batch()
    torch.testing.assert_close(seen.images, torch.tensor([[-0.6, 0.6], [-1.0, 1.0], [-0.6, 0.6]]))
    assert seen.target.tolist() == [[-1.0, -1.0], [1.0, -1.0], [-1.0, -1.0]]
    assert seen.points.tolist() == [[2.0, 3.0], [0.5, -7.0], [2.0, 3.0]]
    assert seen.labels.tolist() == [9, 8, 9]
    assert seen.images is seen.images, "fetched once"
    with pytest.raises(ValueError, match="no depth; it has: images, target, points, labels"):
        _ = seen.depth
    assert not hasattr(seen, "depth")


@pytest.mark.parametrize(
    ("asked", "shown"), [((), 0), (("labels",), 0), (("labels", "images", "images"), 3), (("points",), 3)]
)
def test_the_first_look_at_real_data_is_counted_once(asked: tuple[str, ...], shown: int) -> None:
    """A label is a condition, no data: the generator of a conditional GAN reads labels alone."""
    seen = field_batch()
    assert seen.n_images_shown == 0
    for field in asked:
        getattr(seen, field)
    assert seen.n_images_shown == shown


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


@pytest.fixture
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("name", sorted({*TRAINED} - {"vq_vae"}))
def test_a_gradient_is_the_slope_of_its_loss(params: Params, name: str) -> None:
    """Along a random direction of all weights of a player: a term that is detached has its value, no slope.

    Not that of vq_vae, which is no slope by intent: test_vae_terms.py has it by hand.
    """
    model = build(params, name, "tiny").double().eval()  # eval: the vectors of spectral norm rest
    if name == "began":
        model.k.fill_(0.3)  # it starts at 0, where the fake images do not count
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)  # a steep critic: the sixth power of its slope counts in wgan_div
    before = copy.deepcopy(model.state_dict())
    images = torch.arange(4 * 64).mul(0.3).sin().view(4, 1, 8, 8)

    def loss_of(player: str) -> Tensor:
        data = {"images": images, "labels": torch.arange(4)}
        return model.loss(player, Batch(torch.Generator().manual_seed(0), data, torch.arange(4)))["loss"]

    for player in model.players:
        weights = list(getattr(model, player).parameters())
        direction = [torch.randn_like(weight) for weight in weights]
        gradients = torch.autograd.grad(loss_of(player), weights)
        losses = []
        for step in (-1e-7, 1e-7):  # so short that hardly a rectifier turns over
            model.load_state_dict(before)
            with torch.no_grad():
                for weight, along in zip(weights, direction, strict=True):
                    weight.add_(along, alpha=step)
            losses.append(loss_of(player).item())
        model.load_state_dict(before)
        slope = sum((g * along).sum().item() for g, along in zip(gradients, direction, strict=True))
        assert slope == pytest.approx((losses[1] - losses[0]) / 2e-7, rel=1e-4)


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

    At four times the recipe's rates: critics with batch norm start slowly, and 600 rounds suffice so; most
    need a part of them.
    Not where a classifier is climbed from noise: that it does not is what this baseline shows.
    """
    recipe = params.recipe(name, "tiny")
    faster = {p: o.model_copy(update={"lr": 4 * o.lr}) for p, o in recipe.optimisers.items()}
    job = Job(Cell("", "blobs", name, 0), recipe.model_copy(update={"optimisers": faster}), 64 * 600)
    state = start(job, (1, 8, 8), 10, CPU)
    before = distance_of_means(state.model, blobs)
    rows: list[bool] = []  # of every tenth row of the history: is it close already?

    def look(progress: Progress) -> None:
        rows.append(len(rows) % 10 == 9 and is_closer(state.model, before, blobs))
        state.model.train()

    with suppress(Interrupted):
        train_quietly(state, job, blobs, on_row=look, stop_asked=lambda: any(rows))
    assert state.divergence is None
    assert is_closer(state.model, before, blobs)


def is_closer(model: Variant, before: float, blobs: Tensor) -> bool:
    """Half as far from the data as `before`, and each class nearest to its own."""
    if distance_of_means(model, blobs) >= 0.5 * before:
        return False
    drawn, real = (images.view(64, 4, 64).mean(0) for images in (samples_of(model), scaled(blobs)))
    return not model.conditional or torch.cdist(drawn, real).argmin(dim=1).tolist() == [0, 1, 2, 3]


def train_quietly(state: State, job: Job, images: Tensor, **hooks: Any) -> None:
    quiet = {
        "on_row": lambda progress: None,
        "save": lambda state: None,
        "save_every": 1e9,
        "stop_asked": lambda: False,
    }
    train(state, job, {"images": images, "labels": torch.arange(len(images)) % 4}, **(quiet | hooks))


def distance_of_means(model: Variant, data: Tensor) -> float:
    return (samples_of(model) - scaled(data)).mean(0).abs().mean().item()


@torch.no_grad()
def samples_of(model: Variant) -> Tensor:
    """As many as there are blobs."""
    return model.eval().sample(256, torch.Generator().manual_seed(0), labels_for(model, 256))


def scaled(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


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
    recipe = params.recipe("ns_gan", "tiny")
    job = Job(Cell("", "blobs", "ns_gan", 0), recipe.model_copy(update={"ema": 0.75}), 64 * 3)
    state = start(job, (1, 8, 8), 10, CPU)
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
    job = Job(Cell("", "blobs", "gan", 0), params.recipe("gan", "tiny"), 64)
    state = start(job, (1, 8, 8), 10, CPU)
    assert state.average is None
    assert state.reported is state.model


def keywords(entry: Mapping[str, object]) -> list[str]:
    return [key for key, value in entry.items() if isinstance(value, int | float)]


@pytest.mark.parametrize(("name", "recipe"), CASES)
def test_a_text_in_place_of_a_number_is_refused_by_name(params: Params, name: str, recipe: str) -> None:
    """Every number of params.yaml that a constructor takes, written as YAML reads a text."""
    entry = params.recipe(name, recipe)
    network = networks.build(entry.network.name, entry.network.options, (1, 8, 8), 10)
    for key in keywords(entry.model):
        with pytest.raises(
            ValueError, match=rf"^params\.yaml: in the model entry of variants\.{name}, "
        ) as said:
            variants.build(name, network, entry.model | {key: "many"})
        assert f" {key} is 'many'; allowed: a" in str(said.value)
    for key in keywords(entry.network.options):
        with pytest.raises(
            ValueError, match=rf"network entry for {entry.network.name}, {key} is 'many'; allow"
        ):
            networks.build(entry.network.name, entry.network.options | {key: "many"}, (1, 8, 8), 10)


@pytest.mark.parametrize(("name", "recipe"), CASES)
def test_a_number_below_zero_is_refused_by_name(params: Params, name: str, recipe: str) -> None:
    """Every number of params.yaml that a constructor takes, but for the targets of lsgan."""
    entry = params.recipe(name, recipe)
    network = networks.build(entry.network.name, entry.network.options, (1, 8, 8), 10)
    for key in set(keywords(entry.model)) - {"a", "b", "c"}:
        with pytest.raises(ValueError, match=rf"variants\.{name}, {key} is -1; allowed: a .*number "):
            variants.build(name, network, entry.model | {key: -1})
    for key in keywords(entry.network.options):
        with pytest.raises(ValueError, match=rf"{key} is -1; allowed: a whole number above 0$"):
            networks.build(entry.network.name, entry.network.options | {key: -1}, (1, 8, 8), 10)


@pytest.mark.parametrize("key", ["width", "critic_width", "pieces"])
def test_networks_of_points_have_units(key: str) -> None:
    options = {"width": 4, "critic_width": 4, "pieces": 2, "critic_norm": "none"}
    networks.build("points", options, (2, 1, 1), 0)
    with pytest.raises(ValueError, match=rf"{key} is 0; allowed: a whole number above 0$"):
        networks.build("points", options | {key: 0}, (2, 1, 1), 0)


@pytest.mark.parametrize(
    ("name", "key", "value", "allowed"),
    [
        ("wgan", "clip", 0, "a number above 0"),
        ("vae", "sigma", 0.0, "a number above 0"),
        ("vae", "z_dim", 0, "a whole number above 0"),
        ("pca", "z_dim", 0, "a whole number above 0"),
        ("kde", "n_held_out", 0, "a whole number above 0"),
        ("gan_noisy_labels", "flip", 3.0, "a number of at least 0 and at most 1"),
        ("gan_noisy_labels", "real_label", 1.7, "a number above 0 and at most 1"),
        ("began", "diversity", 0, "a number above 0 and at most 1"),
    ],
)
def test_a_number_beyond_what_a_variant_allows_is_refused(
    params: Params, digits_network: MLP, name: str, key: str, value: float, allowed: str
) -> None:
    with pytest.raises(ValueError, match=rf"variants\.{name}, {key} is {value!r}; allowed: {allowed}$"):
        variants.build(name, digits_network, params.recipe(name, "tiny").model | {key: value})


class Constructed:
    def __init__(
        self,
        network: int,
        rate: float,
        n: int,
        on: bool,
        kind: Literal["a", "b"],
        name: str,
        n_codes: PositiveInt,
        share: Share,
        size: Annotated[PositiveInt, Field(lt=9)],
    ) -> None:
        pass


SOUND = {"rate": 0.5, "n": 3, "on": True, "kind": "a", "name": "x", "n_codes": 1, "share": 0.5, "size": 8}


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("rate", "1e-2", "rate is '1e-2'; allowed: a number (YAML reads 1e-2 as text: write 0.01)"),
        ("rate", "fast", "rate is 'fast'; allowed: a number"),
        ("rate", True, "rate is True; allowed: a number"),
        ("rate", None, "rate is None; allowed: a number"),
        ("rate", float("inf"), "rate is inf; allowed: a number"),
        ("n", "1e3", "n is '1e3'; allowed: a whole number (YAML reads 1e3 as text: write 1000)"),
        ("n", "2.5", "n is '2.5'; allowed: a whole number"),
        ("n", 3.0, "n is 3.0; allowed: a whole number"),
        ("n", True, "n is True; allowed: a whole number"),
        ("on", 1, "on is 1; allowed: true or false"),
        ("kind", "c", "kind is 'c'; allowed: a, b"),
        ("name", 3, "name is 3; allowed: a text"),
        ("n_codes", 0, "n_codes is 0; allowed: a whole number above 0"),
        ("n_codes", 2.0, "n_codes is 2.0; allowed: a whole number above 0"),
        ("n_codes", True, "n_codes is True; allowed: a whole number above 0"),
        (
            "n_codes",
            "1e3",
            "n_codes is '1e3'; allowed: a whole number above 0 (YAML reads 1e3 as text: write 1000)",
        ),
        ("share", -0.1, "share is -0.1; allowed: a number of at least 0 and at most 1"),
        ("share", 1.5, "share is 1.5; allowed: a number of at least 0 and at most 1"),
        ("share", float("nan"), "share is nan; allowed: a number of at least 0 and at most 1"),
        ("size", 9, "size is 9; allowed: a whole number above 0 and below 9"),
        ("size", 0, "size is 0; allowed: a whole number above 0 and below 9"),
        ("share", True, "share is True; allowed: a number of at least 0 and at most 1"),
    ],
)
def test_a_value_of_another_type_or_out_of_bounds_is_refused(key: str, value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^params\.yaml: in here, ") as said:
        check_keywords(Constructed, SOUND | {key: value}, "here", given=("network",))
    assert str(said.value) == f"params.yaml: in here, {sentence}"


@pytest.mark.parametrize(("key", "value"), [("rate", 1), ("rate", -2), ("share", 0), ("share", 1)])
def test_a_whole_number_is_a_number(key: str, value: int) -> None:
    check_keywords(Constructed, SOUND | {key: value}, "here", given=("network",))


def test_a_rule_that_is_no_bound_is_not_passed_over() -> None:
    class Even:
        def __init__(self, n: Annotated[int, Field(multiple_of=2)]) -> None:
            pass

    with pytest.raises(TypeError, match=r"multiple_of=2.*only the bounds gt, ge, lt, le are judged"):
        check_keywords(Even, {"n": 3}, "here", given=())


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
