"""CIFAR-10: small photographs of ten classes, 32×32 colour, 50,000 for training and 10,000 for test."""

import tarfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gm_bench.data.dataset import Card, DataError, Dataset
from gm_bench.data.originals import Original, obtain, places
from gm_bench.io import sha256_file

ARCHIVE = "cifar-10-binary.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
SHAPE = (3, 32, 32)


def read() -> Dataset:
    """CIFAR-10 in its official split.

    From the publisher's archive of plain bytes. torchvision reads the other one, whose files are pickles, and
    opening those can run code.
    """
    [archive] = obtain([Original("cifar10", ARCHIVE, (URL,), md5=MD5)])
    with tarfile.open(archive.path) as tar:
        train_images, train_labels = _batches(tar, TRAIN)
        test_images, test_labels = _batches(tar, ("test_batch.bin",))
        classes = tuple(_member(tar, "batches.meta.txt").decode().split())
    return Dataset(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        card=Card(
            source="CIFAR-10, labelled subset of 80 Million Tiny Images",
            url="https://www.cs.toronto.edu/~kriz/cifar.html",
            licence="none stated by its authors",
            citation="A. Krizhevsky, Learning multiple layers of features from tiny images, University of "
            "Toronto, 2009",
            origin="original files",
            classes=classes,
            preprocessing="none",
            notes=("official split",),
            sha256={ARCHIVE: sha256_file(archive.path)},
        ),
        came_from=places([archive]),
    )


def _batches(tar: tarfile.TarFile, names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Images (N, 3, 32, 32), uint8, and labels (N,), int64: records of label, red, green and blue."""
    content = b"".join(_member(tar, name) for name in names)
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, 1 + np.prod(SHAPE, dtype=int))
    images = torch.from_numpy(records[:, 1:].reshape(-1, *SHAPE).copy())
    return images, torch.from_numpy(records[:, 0].astype(np.int64))


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    """Content of a file in the archive, read where it lies: nothing is unpacked."""
    try:
        file = tar.extractfile(str(Path(FOLDER, name)))
    except KeyError:
        file = None
    if file is None:
        raise DataError(f"{ARCHIVE} holds no {FOLDER}/{name}: it is not the archive from {URL}")
    return file.read()
