"""Pictures of points in the plane, small enough to be kept for several times of every training."""

import torch
from torch import Tensor

from gm_bench.tracks.mode_collapse.mixtures import Mixture

SIDE = 160  # pixels of a picture
REACH = 1.3  # of the centre that is farthest out: where a picture ends
BLANK, CENTRE, POINT = 255, 190, 20  # grey levels


def plane(points: Tensor, of: Mixture) -> Tensor:
    """Points (n, 2) before the centres of a mixture, (1, H, W), uint8; what lies outside is not seen."""
    reach = REACH * float(of.centres.abs().max())
    picture = torch.full((SIDE, SIDE), BLANK, dtype=torch.uint8)
    for places, radius, level in ((of.centres, 3, CENTRE), (points, 1, POINT)):
        inside = places[(places.abs() < reach).all(dim=1)]
        column, row = ((1 + inside * torch.tensor([1.0, -1.0]) / reach) / 2 * SIDE).long().unbind(dim=1)
        for down in range(-radius, radius + 1):
            for right in range(-radius, radius + 1):
                picture[(row + down).clamp(0, SIDE - 1), (column + right).clamp(0, SIDE - 1)] = level
    return picture[None]
