"""Mixtures of Gaussians in the plane, and what samples show of them.

Source: Lin et al. 2018, "PacGAN"; the mixtures are those of Metz et al. 2017 and Srivastava et
al. 2017, "VEEGAN".
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gm_bench.tracks.mode_collapse.settings import MixtureSettings

N_SD = 3  # how many standard deviations from its mode a sample may lie to be of high quality


@dataclass(frozen=True)
class Mixture:
    """Equal Gaussians of standard deviation `sd` around `centres` (K, 2)."""

    centres: Tensor
    sd: float

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Points (n, 2), float32."""
        mode = torch.randint(len(self.centres), (n,), generator=generator)
        return self.centres[mode] + self.sd * torch.randn(n, 2, generator=generator)


def mixture(settings: MixtureSettings) -> Mixture:
    """The mixture that params.yaml describes.

    Raises:
        ValueError: a grid whose number of modes is no square.
    """
    if settings.layout == "ring":
        angle = 2 * math.pi * torch.arange(settings.n_modes) / settings.n_modes
        centres = settings.size * torch.stack([angle.cos(), angle.sin()], dim=1)
    else:
        side = math.isqrt(settings.n_modes)
        if side**2 != settings.n_modes:
            raise ValueError(f"params.yaml: a grid has a square number of modes, not {settings.n_modes}")
        line = torch.linspace(-settings.size, settings.size, side)
        centres = torch.cartesian_prod(line, line)
    return Mixture(centres, settings.sd)


def counts(points: Tensor, of: Mixture) -> Tensor:
    """How many points (n, 2) lie within three standard deviations of each of K modes: (K,), whole numbers.

    Raises:
        ValueError: no point, or one that is not finite.
    """
    if not len(points) or not points.isfinite().all():
        raise ValueError(f"{len(points)} points cannot be judged: give at least one, all finite")
    distance, nearest = torch.cdist(points, of.centres).min(dim=1)
    return nearest[distance <= N_SD * of.sd].bincount(minlength=len(of.centres))


def judge(counted: Tensor, n_points: int) -> dict[str, float]:
    """What `n_points` points show of a mixture of K modes, from their `counts` (K,).

    Source: Lin et al. 2018, §4.1, reverse KL by the authors' code (github.com/fjxmlzn/PacGAN): log K less the
    entropy of the counts.

    Returns:
        modes: modes with a point within three standard deviations, best K.
        high_quality: share of points within three standard deviations of a mode, best about 0.989.
        reverse_kl: KL(modes of these points ‖ uniform) in nats; best 0, log K where all are at one, and where
            there are none.
    """
    good, n_modes = int(counted.sum()), len(counted)
    share = counted.double() / good if good else torch.eye(n_modes, dtype=torch.float64)[0]
    return {
        "modes": float(counted.count_nonzero()),
        "high_quality": good / n_points,
        "reverse_kl": float(torch.special.xlogy(share, share * n_modes).sum()),
    }
