"""A folder of images of one's own, with or without sub-folders that name their classes."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from gm_bench.config import PositiveInt, Seed
from gm_bench.data.dataset import UNLABELLED, Card, DataError, Dataset
from gm_bench.data.pixels import PREPROCESSING, crop_centre, decode, resize, to_array
from gm_bench.data.split import stratified_split

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Listing:
    """The images below a folder.

    Args:
        files: relative to `root`, in ascending order of their names.
        classes: first-level sub-folders in ascending order; empty where the images lie in `root` itself.
        n_ignored: other files.
    """

    root: Path
    files: list[Path]
    classes: tuple[str, ...]
    n_ignored: int


def read(
    *,
    path: str,
    test_path: str | None = None,
    n_test: PositiveInt | None = None,
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None,
    split_seed: Seed | None = None,
    size: PositiveInt | None = None,
    channels: Literal[1, 3] = 3,
) -> Dataset:
    """Images of one's own.

    Args:
        path: folder of images, or of one sub-folder of images per class.
        test_path: the same for the test split; without it the test split is drawn from `path`.
        n_test: images to draw for it, or
        test_fraction: the share of them.
        split_seed: of that draw, which keeps the share of every class.
        size: side to which the central square of every image is resized; without it all must have one size.
        channels: 3 (colour) or 1 (grey).
    """
    drawn = [n_test is not None, test_fraction is not None]
    if test_path is not None and any([*drawn, split_seed is not None]):
        raise DataError(
            "loader 'folder' takes either test_path or a drawn test split (n_test, test_fraction)"
        )
    if test_path is None and (sum(drawn) != 1 or split_seed is None):
        raise DataError(
            "loader 'folder' needs test_path, or else split_seed and one of n_test and test_fraction, "
            "to know which images are held out"
        )
    listing = list_images(Path(path).expanduser())
    images, digest = _read_images(listing, size, channels)
    labels = _labels(listing, listing.classes)
    if test_path is not None:
        test_listing = list_images(Path(test_path).expanduser())
        _refuse_overlap(listing.root, test_listing.root)
        test_images, test_digest = _read_images(test_listing, size, channels)
        splits = images, labels, test_images, _labels(test_listing, listing.classes)
        digests = {"train": digest, "test": test_digest}
        notes = ["split as given by two folders"]
        n_ignored = listing.n_ignored + test_listing.n_ignored
    else:
        assert split_seed is not None
        count = n_test if n_test is not None else round(len(labels) * (test_fraction or 0))
        train, test = stratified_split(labels, count, split_seed)
        splits = images[train], labels[train], images[test], labels[test]
        digests = {"all": digest}
        notes = [f"{'class-stratified ' if listing.classes else ''}random split, seed {split_seed}"]
        n_ignored = listing.n_ignored
    if n_ignored:
        notes.append(f"{n_ignored} files without an image's suffix were ignored")
    fitted = f"; central square resized to {size}x{size}, bicubic with antialiasing" if size else ""
    return Dataset(
        *splits,
        card=Card(
            source="images of one's own",
            url="",
            licence="that of their owner",
            citation="",
            origin="folder",
            classes=listing.classes,
            preprocessing=PREPROCESSING + fitted,
            notes=(*notes, "source_sha256 is that of a list of each file's sha256 and relative name"),
            sha256=digests,
        ),
        came_from=" and ".join(p for p in (path, test_path) if p),
    )


def list_images(root: Path) -> Listing:
    """Every image below a folder; hidden files and folders are passed over.

    Raises:
        DataError: no folder, no images in it, or images both beside sub-folders and in them.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder: give loader 'folder' the path of a folder of images")
    files, n_ignored = [], 0
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith("."):
                continue
            if Path(name).suffix.lower() in SUFFIXES:
                files.append(Path(place, name).relative_to(root))
            else:
                n_ignored += 1
    if not files:
        raise DataError(f"{root} holds no images; their suffixes may be {', '.join(SUFFIXES)}")
    files.sort(key=lambda file: file.as_posix())
    loose = [file for file in files if len(file.parts) == 1]
    if loose and len(loose) < len(files):
        raise DataError(
            f"{root / loose[0]} lies beside sub-folders of images: put every image into a sub-folder "
            "(its class) or none"
        )
    classes = () if loose else tuple(sorted({file.parts[0] for file in files}))
    return Listing(root, files, classes, n_ignored)


def _labels(listing: Listing, classes: tuple[str, ...]) -> Tensor:
    """Position of each file's class in `classes`, those of the training split."""
    if bool(classes) != bool(listing.classes):
        raise DataError(
            f"{listing.root} must have sub-folders for classes exactly if the training folder has them"
        )
    unknown = set(listing.classes) - set(classes)
    if unknown:
        raise DataError(f"{listing.root / min(unknown)} is a class without training images")
    return torch.tensor([classes.index(file.parts[0]) if classes else UNLABELLED for file in listing.files])


def _read_images(listing: Listing, size: int | None, channels: int) -> tuple[Tensor, str]:
    """All images as uint8 (N, C, H, H), and the digest of the files."""
    digest = hashlib.sha256()
    arrays: list[np.ndarray] = []
    first = ""
    for file in listing.files:
        path = listing.root / file
        content = path.read_bytes()
        digest.update(
            f"{hashlib.sha256(content).hexdigest()}  ".encode() + os.fsencode(file.as_posix()) + b"\n"
        )
        image = decode(content, str(path), channels)
        if size:
            image = resize(crop_centre(image, min(image.size)), size)
        extent = f"{image.width}×{image.height}"
        first = first or extent
        if image.width != image.height:
            raise DataError(
                f"{path} is {extent}: images must be square, or give 'size' to crop and resize them"
            )
        if extent != first:
            raise DataError(
                f"{path} is {extent} but {listing.root / listing.files[0]} is {first}: "
                "give 'size' to resize them"
            )
        arrays.append(to_array(image))
    return torch.from_numpy(np.stack(arrays)), digest.hexdigest()


def _refuse_overlap(train: Path, test: Path) -> None:
    inner, outer = train.resolve(), test.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise DataError(
            f"{test} and {train} contain one another: test images would be trained on; keep them apart"
        )
