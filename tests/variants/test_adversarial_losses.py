"""The losses of every adversarial variant, by hand, from scores and images that are given.

They go through `loss`, so that a variant which hands its scores on in the wrong order, with the wrong sign or
without its own targets is seen, not only a wrong formula. A new variant is tested unasked: it needs a line in
`CRITIC` and in `GENERATOR`. BiGAN judges pairs and has its test in test_gan.py.
"""

import copy
import math
from collections.abc import Callable, Sequence

import pytest
import torch
from formulas import Formulas
from torch import Tensor, nn

from gm_bench.config import Params
from gm_bench.nets import network as networks
from gm_bench.variants.base import contract as variants
from gm_bench.variants.base.adversarial import Adversarial
from gm_bench.variants.base.contract import Batch

NAMES = [n for n in variants.names() if issubclass(variants.find(n), Adversarial) and n != "bigan"]
# Unequal means, scores on either side of 0, and for the hinge on either side of 1 and −1.
REAL, FAKE = (0.5, -1.0, 2.0, 0.25), (1.5, -0.75, 0.0, -3.0)
LABELS = (3, 1, 2, 3)
K = 0.3  # BEGAN's, which starts at 0
OPTIONS: dict[str, dict[str, float]] = {
    "gan_noisy_labels": {"flip": 0.0, "real_label": 0.8},
    "lsgan": {"a": -0.5, "b": 1.5, "c": 0.75},
    "acgan": {"class_weight": 0.7},
    "dragan": {"penalty": 3.0, "noise": 0.7},
    "pac_gan": {"pack": 1},  # packs of two have their test in mode_collapse
    "wgan_gp": {"penalty": 3.0},
    "wgan_div": {"k": 1.5, "p": 3.0},
}
Scores = Sequence[float]


def mean(values: Scores) -> float:
    return sum(values) / len(values)


def log_sigmoid(score: float) -> float:
    return -math.log1p(math.exp(-score))


def cross_entropy(real: Scores, fake: Scores) -> float:
    return -mean([log_sigmoid(s) for s in real]) - mean([log_sigmoid(-s) for s in fake])


def smoothed(real: Scores, fake: Scores) -> float:
    of_real = [0.8 * log_sigmoid(s) + 0.2 * log_sigmoid(-s) for s in real]
    return -mean(of_real) - mean([log_sigmoid(-s) for s in fake])


def squares(a: float, b: float) -> Callable[[Scores, Scores], float]:
    return lambda real, fake: mean([(s - b) ** 2 for s in real]) / 2 + mean([(s - a) ** 2 for s in fake]) / 2


def wasserstein(real: Scores, fake: Scores) -> float:
    return mean(fake) - mean(real)


def hinge(real: Scores, fake: Scores) -> float:
    return mean([max(0, 1 - s) for s in real]) + mean([max(0, 1 + s) for s in fake])


def class_terms(logits: Tensor) -> float:
    """−log p of the classes asked for, mean over images."""
    rows = logits.double().tolist()
    return mean(
        [math.log(sum(map(math.exp, row))) - row[label] for row, label in zip(rows, LABELS, strict=True)]
    )


# Logits (4, 10) of real and of fake images: every row another, none sure of its own class.
REAL_LOGITS, FAKE_LOGITS = torch.linspace(-3, 3, 80).mul(5).sin().view(2, 4, 10)

CRITIC: Formulas[Callable[[Scores, Scores], float]] = Formulas(
    "CRITIC of tests/variants/test_adversarial_losses.py",
    {
        "gan": cross_entropy,
        "ns_gan": cross_entropy,
        "dragan": cross_entropy,
        "pac_gan": cross_entropy,
        "cgan": cross_entropy,
        "gan_replay": cross_entropy,
        "acgan": lambda real, fake: (
            cross_entropy(real, fake) + 0.7 * (class_terms(REAL_LOGITS) + class_terms(FAKE_LOGITS))
        ),
        "gan_noisy_labels": smoothed,
        "began": lambda real, fake: mean(real) - K * mean(fake),
        "lsgan": squares(-0.5, 1.5),
        "lsgan_pearson": squares(-1.0, 1.0),
        "wgan": wasserstein,
        "wgan_gp": wasserstein,
        "wgan_div": wasserstein,
        "sngan": hinge,
        "sngan_projection": hinge,
    },
)


def non_saturating(fake: Scores) -> float:
    return -mean([log_sigmoid(s) for s in fake])


def minus_mean(fake: Scores) -> float:
    return -mean(fake)


GENERATOR: Formulas[Callable[[Scores], float]] = Formulas(
    "GENERATOR of tests/variants/test_adversarial_losses.py",
    {
        "gan": lambda fake: mean([log_sigmoid(-s) for s in fake]),
        "ns_gan": non_saturating,
        "dragan": non_saturating,
        "pac_gan": non_saturating,
        "cgan": non_saturating,
        "gan_replay": non_saturating,
        "acgan": lambda fake: non_saturating(fake) + 0.7 * class_terms(FAKE_LOGITS),
        "gan_noisy_labels": non_saturating,
        "began": mean,
        "lsgan": lambda fake: mean([(s - 0.75) ** 2 for s in fake]) / 2,
        "lsgan_pearson": lambda fake: mean([s**2 for s in fake]) / 2,
        "wgan": minus_mean,
        "wgan_gp": minus_mean,
        "wgan_div": minus_mean,
        "sngan": minus_mean,
        "sngan_projection": minus_mean,
    },
)


IMAGES = torch.arange(4 * 64).mul(11).remainder(251).to(torch.uint8).view(4, 1, 8, 8)


def batch() -> Batch:
    data = {"images": IMAGES, "labels": torch.tensor(LABELS)}
    return Batch(torch.Generator().manual_seed(6), data, torch.arange(4))


FAKES = torch.linspace(-2, 2, 4 * 64).mul(3).cos().view(4, 1, 8, 8)


class Square(nn.Module):
    """f(x) = ‖x‖²/2, whose slope is ‖x‖."""

    def forward(self, images: Tensor) -> Tensor:
        return images.square().flatten(1).sum(1, keepdim=True) / 2


def model_of(params: Params, name: str, seen: Batch) -> Adversarial:
    """The variant, whose generator gives FAKES; its scores are those above, its critic has slope ‖x‖."""
    recipe = params.recipe(name, "tiny")
    network = networks.build(recipe.network.name, recipe.network.options, (1, 8, 8), 10)
    model = variants.build(name, network, recipe.model | OPTIONS.get(name, {})).train()
    assert isinstance(model, Adversarial)

    def score(images: Tensor, labels: Tensor | None) -> Tensor:
        of_real = images is seen.images
        column = torch.tensor(REAL if of_real else FAKE)[:, None]
        if name != "acgan":
            return column
        return torch.cat([column, REAL_LOGITS if of_real else FAKE_LOGITS], dim=1)

    model.score = score  # type: ignore[method-assign]
    model.decode = lambda z, labels=None: FAKES  # type: ignore[method-assign]
    model.critic = Square()
    if name == "began":
        model.k.fill_(K)
    return model


def penalty_by_hand(name: str, model: Adversarial) -> float | None:
    """From the draws of the update: the codes first, then what the penalty draws, image by image."""
    given = batch()
    real, generator = given.images.double(), given.generator
    model.latent(4, generator)
    share = torch.rand(4, 1, 1, 1, generator=generator).double()
    if name == "dragan":
        spread = math.sqrt(float((real - real.mean()).square().mean()))
        uniform = torch.rand(real.shape, generator=generator).double()
        points = [real[i] + share[i] * 0.7 * spread * uniform[i] for i in range(4)]
        return 3.0 * mean([(float(x.norm()) - 1) ** 2 for x in points])
    points = [share[i] * real[i] + (1 - share[i]) * FAKES.double()[i] for i in range(4)]
    slopes = [float(x.norm()) for x in points]
    if name == "wgan_gp":
        return 3.0 * mean([(slope - 1) ** 2 for slope in slopes])
    return 1.5 * mean([slope**3 for slope in slopes]) if name == "wgan_div" else None


@pytest.mark.parametrize("name", NAMES)
def test_the_critics_loss_is_its_formula_of_its_scores(params: Params, name: str) -> None:
    seen = batch()
    model = model_of(params, name, seen)
    terms = model.loss("critic", seen)
    penalty = penalty_by_hand(name, model)
    assert terms["loss"].item() == pytest.approx(CRITIC[name](REAL, FAKE) + (penalty or 0.0), rel=1e-5)
    assert terms["real_score"].item() == pytest.approx(mean(REAL), rel=1e-6)
    assert terms["fake_score"].item() == pytest.approx(mean(FAKE), rel=1e-6)
    assert ("penalty" in terms) == (penalty is not None)
    if penalty is not None:
        assert terms["penalty"].item() == pytest.approx(penalty, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_generators_loss_is_its_formula_of_the_scores_of_its_images(params: Params, name: str) -> None:
    seen = batch()
    terms = model_of(params, name, seen).loss("generator", seen)
    assert terms["loss"].item() == pytest.approx(GENERATOR[name](FAKE), rel=1e-5)


@pytest.mark.parametrize("name", [*NAMES, "bigan"])
def test_codes_come_from_the_prior_that_is_asked_for(params: Params, name: str) -> None:
    recipe = params.recipe(name, "tiny")
    network = networks.build(recipe.network.name, recipe.network.options, (1, 8, 8), 10)
    draws = {"uniform": lambda g: torch.rand(5, 7, generator=g) * 2 - 1}
    draws["normal"] = lambda g: torch.randn(5, 7, generator=g)
    for prior, draw in draws.items():
        model = variants.build(name, network, recipe.model | {"prior": prior, "z_dim": 7})
        assert isinstance(model, Adversarial)
        assert torch.equal(model.latent(5, batch().generator), draw(batch().generator)), prior


@pytest.mark.parametrize("name", [n for n in NAMES if not variants.find(n).conditional])
def test_what_knows_no_classes_needs_no_labels(params: Params, name: str) -> None:
    unlabelled = Batch(batch().generator, {"images": IMAGES}, torch.arange(4))
    model = model_of(params, name, unlabelled)
    for player in model.players:
        assert model.loss(player, unlabelled)["loss"].isfinite()


@pytest.mark.parametrize("name", [*NAMES, "bigan"])
def test_every_draw_of_an_update_comes_from_its_generator(params: Params, name: str) -> None:
    """Whatever torch's own generator has drawn before: labels flipped, points of penalties, codes."""
    recipe = params.recipe(name, "tiny")
    network = networks.build(recipe.network.name, recipe.network.options, (1, 8, 8), 10)
    options = recipe.model | ({"flip": 0.5} if "flip" in recipe.model else {})
    model = variants.build(name, network, options)
    start = copy.deepcopy(model.state_dict())
    seen = []
    for seed in (0, 1):
        model.load_state_dict(start)
        torch.manual_seed(seed)
        seen.append([model.loss(player, batch())["loss"].item() for player in model.players])
    assert seen[0] == seen[1]
