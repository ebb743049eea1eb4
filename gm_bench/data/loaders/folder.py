"""A folder of images of one's own, with or without sub-folders that name their classes."""

import hashlib
import os
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from gm_bench.data.dataset import UNLABELLED, Card, DataError, Dataset
from gm_bench.data.fingerprint import VARIABLE, place_of
from gm_bench.data.groups import group_of, grouped_split
from gm_bench.data.listing import Listing, list_images
from gm_bench.data.pixels import PREPROCESSING, check_range, crop_centre, read_picture, resize, to_array
from gm_bench.data.split import keep_every_class, stratified_split
from gm_bench.data.survey import Survey
from gm_bench.options import PositiveInt, Seed

LOW_RANGE_OPTION = "the option allow_low_range: true"
SMALLER_SPLIT = "draw fewer test images (n_test or test_fraction), or name them yourself (test_path)"


def read(
    *,
    path: str,
    test_path: str | None = None,
    n_test: PositiveInt | None = None,
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None,
    split_seed: Seed | None = None,
    groups: int | str | None = None,
    size: PositiveInt | None = None,
    channels: Literal[1, 3] = 3,
    allow_low_range: bool = False,
) -> Dataset:
    """Images of one's own.

    Args:
        path: folder of images, or of one sub-folder of images per class. Where it begins with `$NAME`, that
            stands for the value of an environment variable.
        test_path: the same for the test split; without it the test split is drawn from `path`.
        n_test: images to draw for it, or
        test_fraction: the share of them.
        split_seed: of that draw, which keeps the share of every class.
        groups: what belongs together and stays on one side of that draw: how many levels of sub-folders name
            a group, or a regular expression on the relative name (`groups.group_of`).
        size: side to which the central square of every image is resized; without it all must have one size.
        channels: 3 (colour) or 1 (grey).
        allow_low_range: take images that use less than a quarter of 0 to 255 for what they are.
    """
    drawn = [n_test is not None, test_fraction is not None]
    if test_path is not None and any([*drawn, split_seed is not None, groups is not None]):
        raise DataError(
            "loader 'folder' takes either test_path or a drawn test split (n_test, test_fraction, groups)"
        )
    if test_path is None and (sum(drawn) != 1 or split_seed is None):
        raise DataError(
            "loader 'folder' needs test_path, or else split_seed and one of n_test and test_fraction, "
            "to know which images are held out"
        )
    listing = list_images(_place(path), "option 'path' of loader 'folder'")
    test_listing = None
    if test_path is not None:
        test_listing = list_images(_place(test_path), "option 'test_path' of loader 'folder'")
        _refuse_overlap(listing, test_listing)
    images, digest, seen = _read_images(listing, size, channels, allow_low_range)
    labels = _labels(listing, listing.classes)
    if test_listing is not None:
        test_labels = _labels(test_listing, listing.classes)
        test_images, test_digest, test_seen = _read_images(test_listing, size, channels, allow_low_range)
        splits = images, labels, test_images, test_labels
        digests = {"train": digest, "test": test_digest}
        notes = ["split as given by two folders"]
        warnings = [f"path: {note}" for note in seen] + [f"test_path: {note}" for note in test_seen]
    else:
        assert split_seed is not None
        count = n_test if n_test is not None else round(len(labels) * (test_fraction or 0))
        of_groups: tuple[str, ...] = ()
        if groups is None:
            train, test = stratified_split(labels, count, split_seed)
        else:
            names = group_of(listing.files, groups)
            train, test, of_groups = grouped_split(labels, names, count, split_seed)
        keep_every_class(labels, train, listing.classes, "the test split", SMALLER_SPLIT)
        splits = images[train], labels[train], images[test], labels[test]
        digests = {"all": digest}
        notes = [
            f"{'class-stratified ' if listing.classes else ''}random split, seed {split_seed}",
            *(f"groups '{groups}': {note}" for note in of_groups),
        ]
        warnings = [f"path: {note}" for note in seen]
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
            notes=(
                *notes,
                *warnings,
                "source_sha256 is that of a list of each file's sha256 and relative name",
            ),
            sha256=digests,
        ),
        came_from=" and ".join(str(each.root) for each in (listing, test_listing) if each),
        warnings=tuple(warnings),
    )


def _place(path: str) -> Path:
    """The folder that an option names.

    Raises:
        DataError: it begins with an environment variable that is not set.
    """
    variable = VARIABLE.match(path)
    if variable and not os.environ.get(variable[1]):
        raise DataError(
            f"loader 'folder' is to read {path}: set the environment variable {variable[1]} to the folder "
            "that it stands for"
        )
    return place_of(path)


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


def _read_images(
    listing: Listing, size: int | None, channels: int, allow_low_range: bool
) -> tuple[Tensor, str, list[str]]:
    """All images as uint8 (N, C, H, H), the digest of the files, and what the user must know of them."""
    digest = hashlib.sha256()
    arrays: list[np.ndarray] = []
    survey = Survey()
    first = ""
    for file in listing.files:
        path = listing.root / file
        content = path.read_bytes()
        digest.update(
            f"{hashlib.sha256(content).hexdigest()}  ".encode() + os.fsencode(file.as_posix()) + b"\n"
        )
        picture = read_picture(content, str(path))
        survey.add(picture, file)
        image = picture.converted(channels)
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
    images = torch.from_numpy(np.stack(arrays))
    if not allow_low_range:
        check_range(images, survey.deep, str(listing.root), LOW_RANGE_OPTION)
    return images, digest.hexdigest(), [*listing.notes, *survey.notes()]


def _refuse_overlap(train: Listing, test: Listing) -> None:
    inner, outer = train.root.resolve(), test.root.resolve()
    both = set(train.real) & set(test.real)
    if inner.is_relative_to(outer) or outer.is_relative_to(inner) or both:
        shared = f" ({min(both)} is in both)" if both else ""
        raise DataError(
            f"{test.root} and {train.root} contain one another: test images would be trained on{shared}; "
            "keep them apart"
        )
