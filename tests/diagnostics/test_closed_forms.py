"""What the claims are held against, held itself against other ways to compute it."""

import math

import pytest
import torch

from gm_bench.tracks.diagnostics.claims.dual_value import assignment_distance
from gm_bench.tracks.diagnostics.claims.elbo_and_bounds import LinearModel, bound
from gm_bench.tracks.diagnostics.claims.kde_in_high_dimension import estimate
from gm_bench.tracks.diagnostics.closed_forms import (
    LOG_2,
    Gaussian,
    discriminator_value,
    jensen_shannon,
    optimal_discriminator,
    quadrature_points,
    wasserstein,
)
from gm_bench.tracks.diagnostics.critics import Training, penalised_loss, slopes_on_line, train

P, Q = Gaussian(-1.0, 1.0), Gaussian(1.0, 0.7)


def test_jensen_shannon_at_its_ends_and_by_samples() -> None:
    assert jensen_shannon(P, P) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(Gaussian(0, 1), Gaussian(50, 1)) == pytest.approx(LOG_2, abs=1e-9)
    assert jensen_shannon(P, Q) == pytest.approx(jensen_shannon(Q, P), abs=1e-12)
    generator = torch.Generator().manual_seed(0)
    drawn = []
    for own, other in ((P, Q), (Q, P)):
        x = own.sample(400_000, generator).double()
        ratio = own.log_density(x) - torch.logaddexp(own.log_density(x), other.log_density(x)) + LOG_2
        drawn.append(float(ratio.mean()))
    assert jensen_shannon(P, Q) == pytest.approx(sum(drawn) / 2, abs=0.002)  # sd of the mean: 0.0005


def test_the_optimal_discriminator_has_the_value_of_the_theorem_and_no_other_has_more() -> None:
    x = quadrature_points(P, Q)
    best = torch.logit(optimal_discriminator(P, Q, x))
    value = discriminator_value(P, Q, x, P.log_density(x) - Q.log_density(x))
    assert value == pytest.approx(2 * jensen_shannon(P, Q) - 2 * LOG_2, abs=1e-9)
    assert torch.allclose(best[8000:12000], (P.log_density(x) - Q.log_density(x))[8000:12000], atol=1e-6)
    assert discriminator_value(P, Q, x, torch.zeros_like(x)) == pytest.approx(-2 * LOG_2, abs=1e-9)
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert discriminator_value(P, Q, x, factor * (P.log_density(x) - Q.log_density(x))) < value - 1e-4


@pytest.mark.parametrize("pair", [(P, Q), (Gaussian(0, 1), Gaussian(0.3, 0.6)), (P, Gaussian(2.0, 1.0))])
def test_wasserstein_by_quantiles(pair: tuple[Gaussian, Gaussian]) -> None:
    p, q = pair
    level = (torch.arange(1_000_000, dtype=torch.float64) + 0.5) / 1_000_000
    quantile = torch.special.ndtri(level)
    by_quantiles = ((p.mean + p.sd * quantile) - (q.mean + q.sd * quantile)).abs().mean()
    assert wasserstein(p, q) == pytest.approx(float(by_quantiles), abs=1e-5)


def test_the_cheapest_assignment_beats_every_other() -> None:
    from itertools import permutations

    generator = torch.Generator().manual_seed(1)
    a, b = torch.randn(5, 2, generator=generator), torch.randn(5, 2, generator=generator) + 1
    cheapest = min(
        sum(float((a[i] - b[j]).norm()) for i, j in enumerate(order)) / 5 for order in permutations(range(5))
    )
    assert assignment_distance(a, b) == pytest.approx(cheapest, rel=1e-6)


@pytest.mark.parametrize(("start", "end"), [(0.1, 1.5), (-0.9, -0.5)])
def test_the_penalised_optima(start: float, end: float) -> None:
    """A critic f = s x between points at 0 and 2 with λ = 2: 1 + W / (2 λ) = 1.5, and on the other side of 0,
    where the penalty of slope 0 keeps it, −1 + W / (2 λ) = −0.5."""
    critic = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(critic.weight, start)
    training = Training(n_updates=400, batch_size=4, lr=0.05)
    train(
        critic,
        penalised_loss(2.0),
        lambda n, generator: torch.full((n, 1), 2.0),
        lambda n, generator: torch.zeros(n, 1),
        training,
        torch.Generator().manual_seed(0),
    )
    assert float(slopes_on_line(critic, torch.tensor([0.3]))) == pytest.approx(end, abs=0.01)


def test_clipped_weights_stay_within_their_bound() -> None:
    critic = torch.nn.Linear(1, 1)
    loss = lambda c, real, fake, generator: c(fake).mean() - c(real).mean()  # noqa: E731
    training = Training(n_updates=50, batch_size=4, lr=0.05, decay=False, clip=0.3)
    ones, zeros = (lambda n, g: torch.ones(n, 1)), (lambda n, g: torch.zeros(n, 1))
    train(critic, loss, ones, zeros, training, torch.Generator())
    assert critic.weight.item() == pytest.approx(0.3)


def test_a_linear_model_by_hand() -> None:
    """One row that both codes share: posterior precision [[1 + a, a], [a, 1 + a]] with a = 1 / σ² = 4."""
    weights = torch.zeros(6, 2, dtype=torch.float64)
    weights[0] = 1.0
    model = LinearModel(weights)
    assert model.precision.tolist() == [[5.0, 4.0], [4.0, 5.0]]
    assert model.gap() == pytest.approx(0.5 * math.log(25 / 9))
    x = torch.zeros(1, 6, dtype=torch.float64)
    variances = [2 + 0.25, *[0.25] * 5]
    by_hand = -0.5 * sum(math.log(2 * math.pi * variance) for variance in variances)
    assert float(model.log_density(x)) == pytest.approx(by_hand)


def test_a_bound_is_over_blocks_of_codes() -> None:
    log_w = torch.tensor([[0.0], [math.log(3)], [math.log(5)], [math.log(7)]]).double()
    assert bound(log_w, 1) == pytest.approx(math.log(3 * 5 * 7) / 4)
    assert bound(log_w, 2) == pytest.approx((math.log(2) + math.log(6)) / 2)
    assert bound(log_w, 4) == pytest.approx(math.log(4))


def test_a_kernel_estimate_of_equally_far_points() -> None:
    """The limit of high dimension: d = 20,000, two points and a fresh one are all about √(2 d) apart."""
    generator = torch.Generator().manual_seed(0)
    points, held_out, fresh = (
        torch.randn(n, 20_000, generator=generator, dtype=torch.float64) for n in (2, 20, 20)
    )
    error, variance = estimate(points, held_out, fresh)
    assert error == pytest.approx(0.5 * LOG_2, abs=0.005)
    assert variance == pytest.approx(3.0, abs=0.35)  # h² = 2, up to a step of the grid of bandwidths
