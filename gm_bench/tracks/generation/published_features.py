"""FID in Inception's features of a board's samples: the distance that papers publish."""

from functools import cache
from statistics import fmean

import torch
from torch import Tensor

from gm_bench import io
from gm_bench.cell import DATA, Cell
from gm_bench.data.dataset import read_split
from gm_bench.metrics.extractors.features import extract
from gm_bench.metrics.extractors.inception import WEIGHTS, InceptionExtractor
from gm_bench.metrics.frechet import Moments, fid, moments
from gm_bench.nets.lenet import shape_of
from gm_bench.reproducibility import make_deterministic


def inception_fid(cells: list[Cell], device: torch.device) -> dict[str, list[float]]:
    """Variant → FID of each of its cells, the mean over draws, against the first N images of the test split.

    Source: Heusel et al. 2017; where N is 10,000 the protocol of Lucic et al. 2018.

    Args:
        cells: of one dataset; those that were not drawn from yet, or diverged, are passed over.
        device: computes.

    Raises:
        WeightsError: Inception's weights cannot be had.
        FileError: the dataset was not fetched, or a file is damaged.
    """
    make_deterministic()
    weights = WEIGHTS.find()
    test, _ = read_split(DATA / cells[0].dataset, "test")
    extractor = InceptionExtractor.of_weights(weights, shape_of(test))
    real = extract(extractor, test, device).features

    @cache
    def first(n: int) -> Moments:
        return moments(real[:n].to(device))

    found: dict[str, list[float]] = {}
    for cell in cells:
        draws = _draws(cell)
        if len(draws):
            against = first(draws.shape[1])
            seen = (extract(extractor, draw, device).features for draw in draws)
            found.setdefault(cell.variant, []).append(fmean(fid(each.to(device), against) for each in seen))
    return found


def _draws(cell: Cell) -> Tensor:
    """Images (draws, N, C, H, W); none where there is no file."""
    file = cell.folder / "samples.safetensors"
    return io.read_tensors(file)[0]["images"] if file.exists() else torch.empty(0)
