"""The stages of the track: points of a mixture to files, and what samples of a trained cell show of it."""

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import DATA, Cell
from gm_bench.report.figures import image_grid, png_bytes
from gm_bench.reproducibility import derive, make_deterministic
from gm_bench.results.schema import OK
from gm_bench.tracks.mode_collapse.files import N_DRAWS_OF_FLOOR, write_floor, write_metrics
from gm_bench.tracks.mode_collapse.mixtures import counts, judge, mixture
from gm_bench.tracks.mode_collapse.plane import plane
from gm_bench.tracks.mode_collapse.settings import MixtureSettings
from gm_bench.training.sampling import load
from gm_bench.variants.base.contract import Variant

SEED_OF_POINTS = 0  # the same training set for every cell
N_SHOWN = 500  # samples that are kept for pictures


def fetch(dataset: str, settings: MixtureSettings, n_samples: int) -> None:
    """Write training points, each as an image (2, 1, 1), the card, and the floor, that of fresh points."""
    of = mixture(settings)
    generator = torch.Generator().manual_seed(derive(SEED_OF_POINTS, dataset))
    points = of.sample(settings.n_points, generator)
    io.write_tensors(DATA / dataset / "train.safetensors", {"images": points[:, :, None, None]})
    io.write_json(DATA / dataset / "card.json", {"dataset": dataset, **settings.model_dump()})
    draws = [counts(of.sample(n_samples, generator), of) for _ in range(N_DRAWS_OF_FLOOR)]
    write_floor(dataset, [judge(drawn, n_samples) for drawn in draws], protocol(settings, n_samples))


def protocol(settings: MixtureSettings, n_samples: int) -> dict[str, object]:
    """What the numbers depend on besides the samples."""
    return {"n_samples": n_samples, "mixture": settings.model_dump()}


def evaluate(cell: Cell, settings: MixtureSettings, n_samples: int, device: torch.device) -> dict[str, float]:
    """Write metrics.json and grid.png of a trained cell; a diverged one gets no values and no points."""
    make_deterministic()
    tensors, metadata = io.read_tensors(cell.folder / "model.safetensors")
    values: dict[str, float] = {}
    details: dict[str, object] = {"points": []}
    points, of = torch.empty(0, 2), mixture(settings)
    if metadata["status"] == OK:
        points = draw(load(tensors, metadata, device), n_samples, cell.seed, device)
        counted = counts(points, of)
        values = judge(counted, n_samples)
        details = {"points": points[:N_SHOWN].tolist(), "counts": counted.tolist()}
    write_metrics(cell, metadata, protocol(settings, n_samples), values, details, points, device)
    picture = image_grid(plane(points[:N_SHOWN], of)[None], 1, scale=1)
    io.write_bytes(cell.folder / "grid.png", png_bytes(picture))
    return values


@torch.no_grad()
def draw(model: Variant, n: int, seed: int, device: torch.device) -> Tensor:
    """Samples (n, 2) of a model in eval mode, on the CPU."""
    generator = torch.Generator(device).manual_seed(derive(seed, "sample"))
    return model.sample(n, generator).flatten(1).cpu()
