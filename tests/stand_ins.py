"""Random weights in the place of the published ones: files that the extractors take for theirs.

They are small where the network allows it: VGG-16's own would be of 553 MB.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch_fidelity.feature_extractor_clip import VisionTransformer

from gm_bench import io
from gm_bench.metrics.extractors import clip, dinov2, vgg16
from gm_bench.nets.dinov2 import DinoV2

MODULES = {"clip": clip, "dinov2": dinov2, "vgg16": vgg16}
CLIP_SIZE = 16


class SmallVGG(nn.Module):
    """Reads images of 224 pixels and ends as VGG-16 does, with less between."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(5))
        self.classifier = nn.Sequential(
            *(nn.Linear(100, 32), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(32, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 10)),
        )

    def forward(self, images: Tensor) -> Tensor:
        seen: Tensor = self.classifier(self.features(images).flatten(1))
        return seen


class SmallCLIP(nn.Module):
    """As much of CLIP as torch-fidelity reads, for images of 16 pixels: 64 wide, 2 blocks, patches of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = VisionTransformer(CLIP_SIZE, 8, width=64, layers=2, heads=1, output_dim=512)
        self.text_projection = nn.Parameter(torch.zeros(3, 512))

    def forward(self, images: Tensor) -> Tensor:
        return self.visual(images) + self.text_projection.sum()


def random_dinov2(width: int, depth: int, grid: int) -> DinoV2:
    """No weight of it is 0 or 1, where it would be seen neither to be missing nor to be misplaced."""
    network = DinoV2(width, depth, grid).eval().requires_grad_(False)
    for name, weight in network.named_parameters():
        spread = weight[0].numel() ** -0.5 if weight.ndim > 1 and "embed." not in name else 0.3
        weight.copy_(torch.randn_like(weight) * spread)
        if name.endswith("gamma") or ("norm" in name and name.endswith("weight")):
            weight.add_(1)
    return network


def write_vgg16(path: Path) -> None:
    torch.save(SmallVGG().state_dict(), path)


def write_clip(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is fixed by tracing, and that newer formats are preferred
        archive = torch.jit.trace(SmallCLIP().eval(), torch.zeros(1, 3, CLIP_SIZE, CLIP_SIZE))
        torch.jit.save(archive, path)


def write_dinov2(path: Path) -> None:
    """As wide as the published one, with a block in the place of twelve."""
    torch.save(random_dinov2(768, 1, 37).state_dict() | {"mask_token": torch.zeros(1, 768)}, path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "clip": write_clip,
    "dinov2": write_dinov2,
    "vgg16": write_vgg16,
}


def take(path: Path, module: ModuleType, patch: pytest.MonkeyPatch) -> None:
    """Have a file taken for the published one of an extractor."""
    patch.setattr(module, "WEIGHTS", replace(module.WEIGHTS, sha256=io.sha256_file(path)))
    patch.setenv(module.WEIGHTS.variable, str(path))


def stand_in(name: str, folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Weights of one of `MODULES`, written into a folder and taken for the published ones."""
    path = folder / MODULES[name].WEIGHTS.name
    WRITERS[name](path)
    take(path, MODULES[name], patch)
    patch.setattr(torchvision.models, "vgg16", SmallVGG)
    return path
