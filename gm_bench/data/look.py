"""A first look at a folder of images of one's own: what there is, and what of it is there twice."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gm_bench.data.dataset import DataError
from gm_bench.data.groups import group_of
from gm_bench.data.listing import Listing, list_images
from gm_bench.data.pixels import crop_centre, read_picture, resize, to_array

THUMBNAIL = 16
# Correlation of two thumbnails from which on they count as the same picture: cropped, recoloured, re-encoded.
ALIKE = 0.98
MOST_COMPARED = 20_000
BLOCK = 2048
# What may name a group: two levels of sub-folders; the name less the number of a frame; its first two words.
RULES: tuple[int | str, ...] = (2, r"^(.*)[_-]\d+\.[^.]*$", r"^(.*?[_-][^_.-]+)")


@dataclass(frozen=True)
class Look:
    """What a folder holds.

    Args:
        listing: its files.
        unreadable: sentences, one for each file that cannot be read.
        sizes: (width, height) → how many.
        n_colour: images with channels that differ.
        n_modes: grey and colour files → how many, by what the file says.
        exact: files with equal pixels, more than one each.
        near: pairs of files that look alike and are not equal, by `ALIKE`.
        n_compared: images that were compared for that.
        thumbnails: of the readable files, uint8 (n, 3, 16, 16).
        extremes: of the pixels of each, uint8 (n, 2).
        deep: for each whether it has 16 bits a channel.
        files: those files.
    """

    listing: Listing
    unreadable: list[str]
    sizes: Counter[tuple[int, int]]
    n_colour: int
    n_modes: Counter[str]
    exact: list[list[Path]]
    near: list[tuple[Path, Path]]
    n_compared: int
    thumbnails: Tensor
    extremes: Tensor
    deep: list[bool]
    files: list[Path]

    @property
    def class_counts(self) -> Counter[str]:
        """Class → images; empty without sub-folders."""
        return Counter(file.parts[0] for file in self.files) if self.listing.classes else Counter()

    @property
    def channels(self) -> int:
        return 3 if self.n_colour else 1

    @property
    def least_side(self) -> int:
        return min(min(size) for size in self.sizes)

    def groups(self) -> tuple[int | str, int, int] | None:
        """The rule by which at least half of the pairs that look alike belong together, if there is one.

        Returns:
            The rule (`groups.group_of`), how many groups it makes, and how many of the pairs lie in one.
        """
        pairs = [*self.near, *((each[0], other) for each in self.exact for other in each[1:])]
        best = None
        for rule in RULES:
            try:
                names = group_of(self.files, rule)
            except DataError:
                continue
            n_groups = len(set(names))
            if not 2 * max(1, len(self.listing.classes)) < n_groups < 0.95 * len(names):
                continue
            of_file = dict(zip(self.files, names, strict=True))
            n_together = sum(of_file[a] == of_file[b] for a, b in pairs)
            if n_together >= max(3, len(pairs) / 2) and (best is None or n_together > best[2]):
                best = rule, n_groups, n_together
        return best


def look(root: Path, on_file: Callable[[int, int], None] = lambda n, of: None) -> Look:
    """Read every image of a folder once.

    Args:
        on_file: told how many files of how many were read.

    Raises:
        DataError: no folder, no images in it, or a layout that is refused (`list_images`).
    """
    listing = list_images(root, "the path of images")
    unreadable, files, thumbnails, extremes, deep = [], [], [], [], []
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()
    same: dict[bytes, list[Path]] = {}
    n_colour = 0
    for i, file in enumerate(listing.files, 1):
        on_file(i, len(listing.files))
        try:
            picture = read_picture((root / file).read_bytes(), str(root / file))
        except (DataError, OSError) as error:
            unreadable.append(str(error))
            continue
        image = picture.converted(3)
        pixels = np.asarray(image)
        n_colour += bool((pixels != pixels[..., :1]).any())
        modes["colour" if picture.channels == 3 else "grey"] += 1
        sizes[image.size] += 1
        same.setdefault(
            hashlib.sha256(pixels.tobytes() + bytes(str(image.size), "ascii")).digest(), []
        ).append(file)
        thumbnails.append(_thumbnail(image))
        extremes.append((pixels.min(), pixels.max()))
        deep.append(picture.deep)
        files.append(file)
    if not files:
        raise DataError(f"no image of {root} can be read: {unreadable[0]}")
    small = torch.from_numpy(np.stack(thumbnails))
    distinct = {each[0] for each in same.values()}
    places = [i for i, file in enumerate(files) if file in distinct][:MOST_COMPARED]
    near = [(files[a], files[b]) for a, b in alike(small[places], places)]
    exact = [each for each in same.values() if len(each) > 1]
    spans = torch.from_numpy(np.array(extremes))
    return Look(
        listing, unreadable, sizes, n_colour, modes, exact, near, len(places), small, spans, deep, files
    )


def alike(thumbnails: Tensor, places: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of images that look alike: of each the most similar other one, if it is similar enough.

    The measure is the correlation of grey thumbnails, which neither brightness nor contrast changes; images
    of hardly any contrast have none.

    Args:
        thumbnails: uint8 (n, 3, h, w).
        places: what the pairs name them by.
    """
    rows = thumbnails.float().mean(dim=1).flatten(1)
    rows = rows - rows.mean(dim=1, keepdim=True)
    norms = rows.norm(dim=1, keepdim=True)
    rows = torch.where(norms > thumbnails.shape[-1], rows / norms, 0.0)
    pairs = set()
    for first in range(0, len(rows), BLOCK):
        similar = rows[first : first + BLOCK] @ rows.T
        own = torch.arange(len(similar))
        similar[own, first + own] = -1.0
        best, other = similar.max(dim=1)
        for i in (best >= ALIKE).nonzero().flatten().tolist():
            a, b = sorted((first + i, int(other[i])))
            pairs.add((places[a], places[b]))
    return sorted(pairs)


def _thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    return to_array(resize(crop_centre(image, min(image.size)), THUMBNAIL))
