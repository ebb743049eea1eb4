"""What is known exactly of two Gaussians on a line: densities, divergences, distances."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

N_QUADRATURE = 20_001  # points of the trapezoid rule, over ten standard deviations beyond both means
LOG_2 = math.log(2)


@dataclass(frozen=True)
class Gaussian:
    """N(mean, sd²) on the line."""

    mean: float
    sd: float

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, 1)."""
        return self.mean + self.sd * torch.randn(n, 1, generator=generator)

    def log_density(self, x: Tensor) -> Tensor:
        """In nats, of the shape of `x`."""
        return -0.5 * ((x - self.mean) / self.sd).square() - math.log(self.sd * math.sqrt(2 * math.pi))


def quadrature_points(p: Gaussian, q: Gaussian) -> Tensor:
    """Points (N,), float64, evenly over all the line on which either has mass."""
    reach = 10 * max(p.sd, q.sd)
    ends = min(p.mean, q.mean) - reach, max(p.mean, q.mean) + reach
    return torch.linspace(*ends, N_QUADRATURE, dtype=torch.float64)


def optimal_discriminator(p: Gaussian, q: Gaussian, x: Tensor) -> Tensor:
    """D*(x) = p / (p + q): Goodfellow et al. 2014, proposition 1."""
    return torch.sigmoid(p.log_density(x) - q.log_density(x))


def discriminator_value(p: Gaussian, q: Gaussian, x: Tensor, score: Tensor) -> float:
    """V(D) = E_p log D + E_q log(1 − D) with D = σ(score), by the trapezoid rule over points x (N,)."""
    log_d, log_not_d = torch.nn.functional.logsigmoid(score), torch.nn.functional.logsigmoid(-score)
    integrand = p.log_density(x).exp() * log_d + q.log_density(x).exp() * log_not_d
    return float(torch.trapezoid(integrand, x))


def jensen_shannon(p: Gaussian, q: Gaussian) -> float:
    """JS(p, q) = ½ KL(p ‖ m) + ½ KL(q ‖ m) with m = (p + q) / 2, in nats; log 2 where they do not overlap."""
    x = quadrature_points(p, q)
    log_p, log_q = p.log_density(x), q.log_density(x)
    log_m = torch.logaddexp(log_p, log_q) - LOG_2
    integrand = 0.5 * (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m))
    return float(torch.trapezoid(integrand, x))


def wasserstein(p: Gaussian, q: Gaussian) -> float:
    """W₁(p, q) = E |Δmean + Δsd Z|, Z ~ N(0, 1): quantiles are matched on the line (Villani 2003, §2.2)."""
    shift, stretch = abs(p.mean - q.mean), abs(p.sd - q.sd)
    if not stretch:
        return shift
    ratio = shift / stretch
    peak = stretch * math.sqrt(2 / math.pi) * math.exp(-0.5 * ratio**2)
    return peak + shift * math.erf(ratio / math.sqrt(2))
