"""The WGAN family: numbers worked by hand, and the property that each variant's paper claims.

Tolerances are those of single precision unless a test says otherwise.
"""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from gm_bench.nets.mlp import MLP
from gm_bench.variants import gan, sngan, sngan_projection, wgan, wgan_div, wgan_gp
from gm_bench.variants.base import contract as variants
from gm_bench.variants.base.contract import Batch

OPTIONS = {"z_dim": 4, "prior": "normal"}


def exactly(value: float) -> object:
    return pytest.approx(value, rel=1e-6)


def spectral_network() -> MLP:
    return MLP((1, 8, 8), n_classes=10, width=16, critic_norm="spectral")


def batch_of(n: int) -> Batch:
    images = torch.arange(n * 64).remainder(256).to(torch.uint8).view(n, 1, 8, 8)
    data = {"images": images, "labels": torch.arange(n) % 10}
    return Batch(torch.Generator().manual_seed(0), data, torch.arange(n))


class Sum(nn.Module):
    """f(x) = factor · Σ x: slope factor · √pixels everywhere."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, images: Tensor) -> Tensor:
        return self.factor * images.flatten(1).sum(1, keepdim=True)


# --- slopes


def test_slopes_are_per_image() -> None:
    """f(x) = ‖x‖²/2 has slope ‖x‖: 5 for (3, 4), 13 for (5, 12)."""

    class Square(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.square().flatten(1).sum(1, keepdim=True) / 2

    images = torch.tensor([[3.0, 4.0], [5.0, 12.0]]).view(2, 1, 1, 2)
    assert wgan_gp.slopes(Square(), images).tolist() == [exactly(5.0), exactly(13.0)]


# --- WGAN-div


def test_wgan_div_penalty_by_hand(digits_network: MLP) -> None:
    """Slope ¼ · √64 = 2 everywhere: k 2^p = 2 · 64 = 128 for k = 2, p = 6; and 3 · 8 for k = 3, p = 3."""
    real, fake = torch.randn(3, 1, 8, 8), torch.randn(3, 1, 8, 8)
    for k, p, expected in ((2.0, 6.0, 128.0), (3.0, 3.0, 24.0)):
        model = variants.build("wgan_div", digits_network, OPTIONS | {"k": k, "p": p})
        model.critic = Sum(0.25)
        assert model.critic_penalty(real, fake, batch_of(3)).item() == pytest.approx(expected, rel=1e-5)


def test_wgan_div_penalty_is_taken_between_real_and_fake() -> None:
    """One pixel, f(x) = x²/2 of slope |x|: at ε = ¼ between real 4 and fake 0 x̂ = 1, ε = ½ gives 2."""

    class Square(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.square().flatten(1).sum(1) / 2

    real, fake = torch.full((2, 1, 1, 1), 4.0), torch.zeros(2, 1, 1, 1)
    epsilon = torch.tensor([0.25, 0.5]).view(2, 1, 1, 1)
    assert wgan_div.slope_power(Square(), real, fake, epsilon, p=6.0).item() == exactly((1 + 64) / 2)


# --- SNGAN


def test_hinge_by_hand() -> None:
    """Real 0.5, 2 → (.5 + 0)/2; fake −3, 0.5, −1 → (0 + 1.5 + 0)/3; generator −mean."""
    real, fake = torch.tensor([[0.5], [2.0]]), torch.tensor([[-3.0], [0.5], [-1.0]])
    assert sngan.hinge_critic_loss(real, fake).item() == exactly(0.25 + 0.5)
    model = variants.build("sngan", spectral_network(), OPTIONS)
    assert model.critic_loss(real, fake, batch_of(2)).item() == exactly(0.75)
    assert model.generator_loss(fake, batch_of(2)).item() == exactly(3.5 / 3)


def test_the_spectrally_normalised_critic_is_1_lipschitz() -> None:
    """|f(x) − f(y)| ≤ ‖x − y‖: each layer's largest singular value is 1, leaky rectifiers shrink."""
    critic = variants.build("sngan", spectral_network(), OPTIONS).critic.train()
    for _ in range(100):
        critic(torch.randn(2, 1, 8, 8))
    critic.eval()
    layers = [layer.weight for layer in critic.modules() if isinstance(layer, nn.Linear)]
    assert len(layers) == 3
    for weight in layers:
        assert torch.linalg.matrix_norm(weight, ord=2).item() == pytest.approx(1.0, abs=1e-3)
    x, y = torch.randn(2, 500, 1, 8, 8)
    ratio = (critic(x) - critic(y)).abs().flatten() / (x - y).flatten(1).norm(dim=1)
    assert ratio.max().item() <= 1.001


@pytest.mark.parametrize("name", ["sngan", "sngan_projection"])
def test_sngan_wants_spectral_norm(name: str, digits_network: MLP) -> None:
    with pytest.raises(ValueError, match=f"{name} does not work with critic_norm none; set spectral"):
        variants.build(name, digits_network, OPTIONS)


@pytest.mark.parametrize("name", ["wgan_gp", "wgan_div"])
def test_penalties_refuse_batch_norm_in_the_critic(name: str, digits_network_with_norm: MLP) -> None:
    with pytest.raises(ValueError, match=f"{name} does not work with critic_norm batch"):
        variants.build(name, digits_network_with_norm, OPTIONS)


def test_projection_score_by_hand() -> None:
    """φ = (1, 2) and (0, 3); v = (4, −1) and (5, 2); ψ = .5 and −1: 4 − 2 + .5 and 0 + 6 − 1."""
    features, vectors = torch.tensor([[1.0, 2.0], [0.0, 3.0]]), torch.tensor([[4.0, -1.0], [5.0, 2.0]])
    score = sngan_projection.projection_score(features, vectors, torch.tensor([[0.5], [-1.0]]))
    assert score.tolist() == [[exactly(2.5)], [exactly(5.0)]]


def test_projection_critic_uses_the_vector_of_the_class() -> None:
    """f(x, y) − f(x, y') = (v_y − v_y') · φ(x), with the normalised vectors."""
    critic = variants.build("sngan_projection", spectral_network(), OPTIONS).critic.eval()
    images, labels, others = torch.randn(3, 1, 8, 8), torch.tensor([1, 4, 9]), torch.tensor([0, 4, 2])
    vectors = critic.class_vector.weight
    expected = ((vectors[labels] - vectors[others]) * critic.body(images)).sum(1)
    torch.testing.assert_close((critic(images, labels) - critic(images, others)).flatten(), expected)
    assert expected[1] == 0


def test_projection_vectors_are_spectrally_normalised() -> None:
    critic = variants.build("sngan_projection", spectral_network(), OPTIONS).critic.train()
    for _ in range(100):
        critic(torch.randn(10, 1, 8, 8), torch.arange(10))
    critic.eval()
    largest = torch.linalg.matrix_norm(critic.class_vector.weight, ord=2).item()
    assert largest == pytest.approx(1.0, abs=1e-3)
    assert torch.linalg.matrix_norm(critic.unconditional.weight, ord=2).item() == pytest.approx(1.0, abs=1e-3)


# --- Two Gaussians on a line: the critic that the WGAN was made for, and the one that fails there


PENALTY = 100.0


def line_critic() -> nn.Module:
    layers = [layer for a, b in pairwise((1, 32, 32, 1)) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
    return nn.Sequential(nn.Flatten(), *layers[:-1])


def gaussian(n: int, mean: float, deviation: float) -> Tensor:
    return mean + deviation * torch.randn(n, 1, 1, 1)


def train_wasserstein(critic: nn.Module, mean: float, deviation: float) -> None:
    """On a line slope −1 is a second minimum of the penalty, which a critic cannot leave: it starts later."""
    n_steps, n_free, rate = 400, 20, 5e-3
    optimiser = torch.optim.Adam(critic.parameters(), lr=rate, betas=(0.5, 0.9))
    for step in range(n_steps):
        optimiser.param_groups[0]["lr"] = rate * (1 - step / n_steps)
        real, fake = gaussian(128, mean, deviation), gaussian(128, 0.0, deviation)
        loss = wgan.wasserstein_critic_loss(critic(real), critic(fake))
        if step >= n_free:
            loss = loss + PENALTY * wgan_gp.gradient_penalty(critic, real, fake, torch.rand(128, 1, 1, 1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def test_the_soft_penalty_overshoots_by_a_known_amount() -> None:
    """For f(x) = s x, −s W + λ (s − 1)² is least at s = 1 + W / 2λ: 1.2 for W = 4, λ = 10."""
    slope = torch.tensor([[[1.2]]], requires_grad=True)

    class Line(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return (images * slope).flatten(1)

    real, fake = torch.full((5, 1, 1, 1), 4.0), torch.zeros(5, 1, 1, 1)
    loss = wgan.wasserstein_critic_loss(Line()(real), Line()(fake))
    loss = loss + 10 * wgan_gp.gradient_penalty(Line(), real, fake, torch.rand(5, 1, 1, 1))
    (gradient,) = torch.autograd.grad(loss, slope)
    assert gradient.item() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("mean", [0.5, 4.0])
def test_wgan_gp_critic_finds_the_distance_between_two_gaussians(mean: float) -> None:
    """W₁ of N(μ₁, σ²) and N(μ₂, σ²) is |μ₁ − μ₂|.

    The soft penalty adds W / 2λ, 2 % at most; 20,000 samples have a standard error of .01; 5 % covers both.
    """
    critic = line_critic()
    train_wasserstein(critic, mean, 1.0)
    with torch.no_grad():
        real, fake = gaussian(20_000, mean, 1.0), gaussian(20_000, 0.0, 1.0)
        distance = -wgan.wasserstein_critic_loss(critic(real), critic(fake)).item()
    assert distance == pytest.approx(mean, rel=0.05)


def slope_at_fakes(loss: object, critic: nn.Module, deviation: float) -> float:
    """Mean |∂ loss / ∂ x| per fake sample: what a generator would learn from."""
    fake = gaussian(1000, 0.0, deviation).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(critic(fake)), fake)
    return 1000 * gradient.abs().mean().item()


def test_far_apart_the_gan_saturates_where_the_wgan_keeps_its_slope() -> None:
    """Arjovsky & Bottou 2017, theorem 2.1: a discriminator that is sure has no gradient left to give.

    At 8 standard deviations the generator's gradient per sample is D · |f'| for minimax, D = σ(f) towards
    0; for the WGAN it is the critic's slope, near 1.
    """
    mean, deviation = 4.0, 0.5
    discriminator = line_critic()
    optimiser = torch.optim.Adam(discriminator.parameters(), lr=2e-3)
    for _ in range(300):
        real, fake = gaussian(128, mean, deviation), gaussian(128, 0.0, deviation)
        loss = gan.cross_entropy_critic_loss(discriminator(real), discriminator(fake))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    critic = line_critic()
    train_wasserstein(critic, mean, deviation)
    with torch.no_grad():
        assert discriminator(gaussian(1000, mean, deviation)).sigmoid().mean() > 0.99
        assert discriminator(gaussian(1000, 0.0, deviation)).sigmoid().mean() < 0.01
    assert slope_at_fakes(gan.saturating_loss, discriminator, deviation) < 0.02
    steady = slope_at_fakes(wgan.wasserstein_generator_loss, critic, deviation)
    assert steady == pytest.approx(1.0, rel=0.05)
