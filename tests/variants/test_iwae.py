"""IWAE's loss against loops, and its bound against the exact log p of a linear Gaussian model."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, MultivariateNormal, Normal

from gm_bench.nets.mlp import MLP
from gm_bench.variants.base.contract import Batch
from gm_bench.variants.iwae import IWAE, importance_log_weights
from gm_bench.variants.vae import VAE, evidence_bounds

N, K, Z, D, SIGMA = 6, 4, 3, 5, 0.5


def batch() -> Batch:
    images = torch.arange(N * 64).mul(7).remainder(256).to(torch.uint8).view(N, 1, 8, 8)
    return Batch(torch.Generator().manual_seed(4), {"images": images}, torch.arange(N))


def test_the_loss_is_that_of_equation_8_code_by_code(digits_network: MLP) -> None:
    model = IWAE(digits_network, z_dim=Z, n_codes=K).eval()
    given = batch()
    mu, log_variance = model.posterior(given.images, None)
    sigma = (log_variance / 2).exp()
    epsilon = torch.randn(K * N, Z, generator=torch.Generator().manual_seed(4)).view(K, N, Z)
    total, mean = 0.0, 0.0
    for image in range(N):
        logs = []
        for code in range(K):
            z = mu[image] + sigma[image] * epsilon[code, image]
            logits = model.model["decoder"](z[None])
            pixels = Bernoulli(logits=logits, validate_args=False)
            log_w = pixels.log_prob((given.images[image] + 1) / 2).sum()
            log_w = log_w + Normal(0.0, 1.0).log_prob(z).sum()
            log_w = log_w - Normal(mu[image], sigma[image]).log_prob(z).sum()
            logs.append(log_w.item())
        top = max(logs)
        total -= top + math.log(sum(math.exp(each - top) for each in logs) / K)
        mean -= sum(logs) / K
    terms = model.loss("model", batch())
    assert terms["loss"].item() == pytest.approx(total / N, rel=1e-5)
    assert terms["negative_elbo"].item() == pytest.approx(mean / N, rel=1e-5)
    assert terms["loss"] < terms["negative_elbo"]


def test_batch_norm_of_the_decoder_sees_all_codes_at_once(digits_network: MLP) -> None:
    """Its first mean: a tenth of the way from 0 to that of the first layer's outputs for all K · N codes."""
    model = IWAE(digits_network, z_dim=Z, n_codes=K).train()
    decoder = model.model["decoder"]
    layer, norm = (
        next(m for m in decoder.modules() if isinstance(m, t)) for t in (nn.Linear, nn.BatchNorm1d)
    )
    seen: list[Tensor] = []
    layer.register_forward_hook(lambda layer, inputs, output: seen.append(output.detach()))
    model.loss("model", batch())
    assert torch.cat(seen).shape == (K * N, layer.out_features)
    torch.testing.assert_close(norm.running_mean, 0.1 * torch.cat(seen).mean(0))


class Linear(VAE):
    """x | z ~ N(W z, σ² I) over points (n, D), with the best diagonal q."""

    def __init__(self, weights: Tensor) -> None:
        nn.Module.__init__(self)
        self.sigma, self.conditional = SIGMA, False
        self.precision = torch.eye(weights.shape[1]).double() + weights.T @ weights / SIGMA**2
        decoder = nn.Linear(*weights.T.shape, bias=False).double()
        decoder.weight.data = weights
        self.model = nn.ModuleDict({"decoder": decoder})

    def posterior(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        weights = self.model["decoder"].weight
        mu = torch.linalg.solve(self.precision, weights.T @ images.T / SIGMA**2).T
        return mu, (-self.precision.diagonal().log()).expand_as(mu)


def test_the_bound_tends_to_the_exact_log_density() -> None:
    """log p(x) = log N(x; 0, W Wᵀ + σ² I); the ELBO lies below it by ½ (Σ log Λᵢᵢ − log det Λ)."""
    generator = torch.Generator().manual_seed(0)
    first, other = 0.5 * torch.randn(2, D, generator=generator, dtype=torch.float64)
    weights = torch.stack([first, 0.5 * first + 0.7 * other], dim=1)
    model = Linear(weights)
    covariance = weights @ weights.T + SIGMA**2 * torch.eye(D).double()
    x = torch.randn(20, D, generator=generator, dtype=torch.float64)
    exact = MultivariateNormal(torch.zeros(D).double(), covariance).log_prob(x)
    gap = 0.5 * float(model.precision.diagonal().log().sum() - model.precision.logdet())
    assert gap > 0.05
    log_w = importance_log_weights(model, x, 20_000, torch.Generator().manual_seed(1)).detach()
    elbo, bound = evidence_bounds(log_w)
    assert float((exact - elbo).mean()) == pytest.approx(gap, rel=0.05)
    assert float((exact - bound).abs().max()) < 0.02
    few = evidence_bounds(log_w[:5])[1]
    assert elbo.mean() < few.mean() < exact.mean()
