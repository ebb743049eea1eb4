"""Picture strips from a trained cell: samples of a class, walks between codes, reconstructions."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gm_bench.cell import DATA, Cell
from gm_bench.data.dataset import read_split
from gm_bench.data.scale import from_uint8, to_uint8
from gm_bench.report.figures import image_grid
from gm_bench.reproducibility import derive, make_deterministic, resolve
from gm_bench.tracks.generation.trained import TrainedCell
from gm_bench.tracks.generation.trained import load as load_trained
from gm_bench.training import sampling
from gm_bench.variants.base import latent
from gm_bench.variants.base.contract import Encoder

SIDE = 48  # pixels that an image is at least enlarged to
COLUMNS = 8


@dataclass(frozen=True)
class Search:
    """How a code is looked for where the variant has no encoder."""

    n_steps: int
    learning_rate: float


def load(cell: Cell, device: str) -> TrainedCell:
    """A cell from the weights in its folder, its pictures the same each time.

    Raises:
        ValueError: it was not trained yet, or diverged.
    """
    place = resolve(device)
    make_deterministic()
    return load_trained(cell, place)


def has_encoder(trained: TrainedCell) -> bool:
    """Whether codes of images are given, and none is searched for."""
    return isinstance(trained.model, Encoder)


def samples(trained: TrainedCell, n: int, label: int | None, seed: int) -> Tensor:
    """A grid of n samples, of one class or, for conditional variants without `label`, of all in turn.

    Returns:
        A picture (height, width, C), uint8; so do the other functions.

    Raises:
        ValueError: a class was asked for that there is not, or of a variant that knows no classes.
    """
    labels = _asked_labels(trained, n, label)
    return _grid(sampling.draw(trained.model, labels, n, derive(seed, "strip"), trained.device), COLUMNS)


@torch.no_grad()
def walks(trained: TrainedCell, n_rows: int, n_steps: int, label: int | None, seed: int) -> Tensor:
    """Rows of images whose codes lie at even steps between two codes drawn from the prior.

    Conditional variants keep one class in a row, `label` or the classes in turn.
    """
    labels = _asked_labels(trained, n_rows, label)
    decoder = latent.as_decoder(trained.model)
    ends = decoder.latent(2 * n_rows, trained.generator("interpolate", seed))
    rows = []
    for i in range(n_rows):
        codes = latent.interpolate(ends[2 * i], ends[2 * i + 1], n_steps)
        own = None if labels is None else labels[i].to(trained.device).expand(n_steps + 1)
        rows.append(to_uint8(decoder.decode(codes, own)).cpu())
    return _grid(torch.cat(rows), n_steps + 1)


def walk_between_images(
    trained: TrainedCell, first: int, last: int, n_steps: int, seed: int, search: Search
) -> Tensor:
    """Two test images at the ends, and between them the images of codes at even steps between theirs.

    Conditional variants walk twice: a row in the class of the first image, a row in that of the last.

    Args:
        first, last: places in the test split.
    """
    decoder = latent.as_decoder(trained.model)
    images, labels = _test_images(trained, [first, last])
    given = labels if trained.model.conditional else None
    z = latent.codes_of(
        trained.model,
        from_uint8(images),
        given,
        trained.generator("interpolate", seed),
        search.n_steps,
        search.learning_rate,
    )
    codes = latent.interpolate(z[0], z[1], n_steps)
    rows = []
    for own in [None] if given is None else given:
        expanded = None if own is None else own.expand(n_steps + 1)
        with torch.no_grad():
            between = to_uint8(decoder.decode(codes, expanded)).cpu()
        rows.append(torch.cat([images[:1].cpu(), between, images[1:].cpu()]))
    return _grid(torch.cat(rows), n_steps + 3)


def reconstructions(trained: TrainedCell, n: int, seed: int, search: Search) -> tuple[Tensor, float]:
    """The first n test images, row by row, each row above what the model makes of its codes.

    Returns:
        The picture, and the mean squared error per pixel on the scale of images in [-1, 1].
    """
    decoder = latent.as_decoder(trained.model)
    images, labels = _test_images(trained, list(range(n)))
    given = labels if trained.model.conditional else None
    x = from_uint8(images)
    generator = trained.generator("reconstruct", seed)
    z = latent.codes_of(trained.model, x, given, generator, search.n_steps, search.learning_rate)
    with torch.no_grad():
        made = decoder.decode(z, given)
    error = float((made - x).square().mean())
    rows = zip(images.cpu().split(COLUMNS), to_uint8(made).cpu().split(COLUMNS), strict=True)
    blank = torch.zeros(-n % COLUMNS if n > COLUMNS else 0, *images.shape[1:], dtype=torch.uint8)
    filled = [torch.cat([part, blank[: COLUMNS - len(part)]]) for pair in rows for part in pair]
    return _grid(torch.cat(filled), COLUMNS if n > COLUMNS else n), error


def _asked_labels(trained: TrainedCell, n: int, label: int | None) -> Tensor | None:
    """Labels (n,), int64, for `sample` and `decode`; None where the variant takes none."""
    if not trained.model.conditional:
        if label is not None:
            raise ValueError(
                f"{trained.cell.variant} knows no classes: leave --class out, or choose a conditional "
                "variant such as cvae"
            )
        return None
    if label is None:
        return torch.arange(n) % trained.n_classes
    if not 0 <= label < trained.n_classes:
        raise ValueError(
            f"class {label} is not there: {trained.cell.dataset} has the classes 0 to {trained.n_classes - 1}"
        )
    return torch.full((n,), label)


def _test_images(trained: TrainedCell, places: list[int]) -> tuple[Tensor, Tensor]:
    """Images uint8 and labels of the test split, on the cell's device."""
    images, labels = read_split(DATA / trained.cell.dataset, "test")
    for place in places:
        if not 0 <= place < len(images):
            raise ValueError(
                f"test image {place} is not there: {trained.cell.dataset} has 0 to {len(images) - 1}"
            )
    return images[places].to(trained.device), labels[places].to(trained.device)


def _grid(images: Tensor, columns: int) -> Tensor:
    return image_grid(images, columns, scale=max(1, SIDE // images.shape[-1]))
