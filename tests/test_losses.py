"""Losses against numbers worked by hand, and against the property that defines each of them.

Scores are chosen so that every term of a formula contributes; tolerances are those of single precision.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from gm_bench.variants import gan, lsgan, ns_gan, wgan, wgan_gp
from gm_bench.variants.base import contract as variants

REAL = torch.tensor([[0.0], [2.0]])
FAKE = torch.tensor([[1.0], [-1.0], [0.0], [math.log(3)]])


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def exactly(value: float) -> object:
    return pytest.approx(value, rel=1e-6)


def exactly_each(values: list[float]) -> object:
    return pytest.approx(values, rel=1e-6)


# −log σ(s) for 0, 2: log 2, 0.126928; −log(1 − σ(s)) for 1, −1, 0, log 3: 1.313262, 0.313262, log 2, log 4
HAND_WORKED_CRITIC = (math.log(2) + 0.12692801) / 2 + (
    1.31326169 + 0.31326169 + math.log(2) + math.log(4)
) / 4


def test_gan_critic_is_cross_entropy() -> None:
    assert gan.cross_entropy_critic_loss(REAL, FAKE).item() == exactly(HAND_WORKED_CRITIC)


def test_minimax_generator_is_log_of_one_minus_d() -> None:
    expected = sum(math.log(1 - sigmoid(score)) for score in FAKE.flatten().tolist()) / 4
    assert gan.saturating_loss(FAKE).item() == exactly(expected)


def test_non_saturating_generator_is_minus_log_d() -> None:
    expected = -sum(math.log(sigmoid(score)) for score in FAKE.flatten().tolist()) / 4
    assert ns_gan.non_saturating_loss(FAKE).item() == exactly(expected)


def test_minimax_saturates_where_the_other_does_not() -> None:
    """At score s the gradient is −σ(s) for minimax and −(1 − σ(s)) else: 4.5e-5 against 1 at s = −10."""
    score = torch.tensor([[-10.0]], requires_grad=True)
    (saturating,) = torch.autograd.grad(gan.saturating_loss(score), score)
    (steep,) = torch.autograd.grad(ns_gan.non_saturating_loss(score), score)
    assert saturating.item() == exactly(-sigmoid(-10.0))
    assert steep.item() == exactly(-sigmoid(10.0))


def test_value_at_the_optimal_critic_is_jensen_shannon() -> None:
    """With D* = p/(p+q) on two outcomes, −loss = 2 JSD(p, q) − 2 log 2, and −log 4 where p = q."""
    p, q = [0.8, 0.2], [0.3, 0.7]
    scores = [math.log(a / b) for a, b in zip(p, q, strict=True)]  # logit of p/(p+q)
    real = torch.tensor([scores[0]] * 8 + [scores[1]] * 2)[:, None]
    fake = torch.tensor([scores[0]] * 3 + [scores[1]] * 7)[:, None]
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    jsd = sum(a / 2 * math.log(a / m) + b / 2 * math.log(b / m) for a, b, m in zip(p, q, middle, strict=True))
    assert -gan.cross_entropy_critic_loss(real, fake).item() == exactly(2 * jsd - 2 * math.log(2))
    assert -gan.cross_entropy_critic_loss(torch.zeros(3, 1), torch.zeros(3, 1)).item() == exactly(
        -math.log(4)
    )


def test_lsgan_regresses_to_its_targets() -> None:
    """½ mean((0−1)², (2−1)²) + ½ mean(1, 1, 0, log²3) with a=0, b=1; c=1 for the generator."""
    critic = 0.5 * 1.0 + 0.5 * (1 + 1 + 0 + math.log(3) ** 2) / 4
    assert lsgan.least_squares_critic_loss(REAL, FAKE, a=0.0, b=1.0).item() == exactly(critic)
    generator = 0.5 * (0 + 4 + 1 + (math.log(3) - 1) ** 2) / 4
    assert lsgan.least_squares_generator_loss(FAKE, c=1.0).item() == exactly(generator)


def test_lsgan_targets_are_not_interchangeable() -> None:
    """a pulls fake scores, b real ones: at the targets the loss is 0, swapped it is ½(b−a)² twice."""
    at_b, at_a = torch.full((2, 1), 3.0), torch.full((2, 1), -1.0)
    assert lsgan.least_squares_critic_loss(at_b, at_a, a=-1.0, b=3.0).item() == 0.0
    assert lsgan.least_squares_critic_loss(at_a, at_b, a=-1.0, b=3.0).item() == exactly(16.0)


def test_wasserstein_losses_are_differences_of_means() -> None:
    mean_fake = math.log(3) / 4
    assert wgan.wasserstein_critic_loss(REAL, FAKE).item() == exactly(mean_fake - 1.0)
    assert wgan.wasserstein_generator_loss(FAKE).item() == exactly(-mean_fake)


def test_clipping_bounds_every_weight_of_the_critic_alone(digits_network) -> None:
    model = wgan.WGAN(digits_network, z_dim=4, prior="normal", clip=0.01)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.linspace(-0.03, 0.05, weight.numel()).view_as(weight))
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    model.after_update("generator")
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())
    with torch.no_grad():
        model.after_update("critic")
    for name, weight in model.named_parameters():
        kept = before[name].flatten().tolist()
        bound = 0.01 if name.startswith("critic") else 1.0
        assert weight.flatten().tolist() == exactly_each([min(max(w, -bound), bound) for w in kept])


class Linear(nn.Module):
    """f(x) = Σ weight · x over all pixels of an image: its gradient is the weight, everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, images: Tensor) -> Tensor:
        return (images * self.weight).flatten(1).sum(1, keepdim=True)


def test_gradient_penalty_norm_is_per_image() -> None:
    """Weight 3 on each of 4 pixels: norm 6 per image, penalty 25; a norm per pixel would give 4."""
    critic = Linear(torch.full((1, 2, 2), 3.0))
    images = torch.randn(5, 1, 2, 2)
    penalty = wgan_gp.gradient_penalty(critic, images, -images, torch.rand(5, 1, 1, 1))
    assert penalty.item() == exactly(25.0)


def test_gradient_penalty_is_taken_between_real_and_fake() -> None:
    """f(x) = ‖x‖²/2 has slope ‖x‖; at ε=¼ between real 4 and fake 0 (one pixel) x̂ = 1, ε=½ gives 2."""

    class Square(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.square().flatten(1).sum(1) / 2

    real, fake = torch.full((2, 1, 1, 1), 4.0), torch.zeros(2, 1, 1, 1)
    epsilon = torch.tensor([0.25, 0.5]).view(2, 1, 1, 1)
    expected = ((1 - 1) ** 2 + (2 - 1) ** 2) / 2
    assert wgan_gp.gradient_penalty(Square(), real, fake, epsilon).item() == exactly(expected)


def test_gradient_penalty_reaches_the_weights() -> None:
    """d/dw (|w| − 1)² = 2 (w − 1) for one pixel and w > 0: the penalty must be differentiable twice."""
    weight = torch.tensor([[[3.0]]], requires_grad=True)
    images = torch.ones(2, 1, 1, 1)
    penalty = wgan_gp.gradient_penalty(Linear(weight), images, images, torch.rand(2, 1, 1, 1))
    (gradient,) = torch.autograd.grad(penalty, weight)
    assert gradient.item() == exactly(4.0)


def test_wgan_gp_refuses_batch_norm_in_the_critic(digits_network_with_norm) -> None:
    with pytest.raises(
        ValueError, match="wgan_gp does not work with critic_norm batch; set none or spectral"
    ):
        variants.build("wgan_gp", digits_network_with_norm, {"z_dim": 4, "prior": "normal", "penalty": 10.0})
