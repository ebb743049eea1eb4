"""The MNIST family: four idx files, read through torchvision."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gm_bench.data.dataset import Card, Dataset
from gm_bench.data.originals import Original, gunzip, obtain, places
from gm_bench.io import sha256_file


def read_idx(
    dataset: str, reader: Any, card: Card, unpacked_sha256: Mapping[str, str] | None = None
) -> Dataset:
    """Read the official training and test files.

    Args:
        dataset: name of the files' folder in a mirror.
        reader: `torchvision.datasets.MNIST` or one of its subclasses.
        card: all but the digests.
        unpacked_sha256: digest of each unpacked file by its name; without it the md5 that torchvision pins
            for the .gz files is asked for.
    """
    originals = [
        Original(
            dataset=dataset,
            name=name,
            urls=tuple(f"{base.rstrip('/')}/{name}" for base in reader.mirrors),
            **({"unpacked_sha256": unpacked_sha256[Path(name).stem]} if unpacked_sha256 else {"md5": md5}),
        )
        for name, md5 in reader.resources
    ]
    found = obtain(originals)
    with TemporaryDirectory() as root:
        raw = Path(root, reader.__name__, "raw")
        raw.mkdir(parents=True)
        unpacked = [raw / Path(original.name).stem for original in originals]
        for file, target in zip(found, unpacked, strict=True):
            gunzip(file.path, target)
        train, test = (reader(root, train=is_train, download=False) for is_train in (True, False))
        digests = {target.name: sha256_file(target) for target in unpacked}
    return Dataset(
        train_images=train.data[:, None],
        train_labels=train.targets,
        test_images=test.data[:, None],
        test_labels=test.targets,
        card=replace(card, sha256=digests),
        came_from=places(found),
    )
