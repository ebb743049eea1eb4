"""CIFAR-10: small photographs of ten classes, 32×32 colour, 50,000 for training and 10,000 for test."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from gm_bench.data.dataset import Card, Dataset
from gm_bench.data.originals import Original, obtain, places
from gm_bench.io import sha256_file


def read() -> Dataset:
    """CIFAR-10 in its official split.

    The archive holds pickles: torchvision opens them only once the archive and each file in it have the md5
    that it pins.
    """
    from torchvision.datasets import CIFAR10

    original = Original("cifar10", CIFAR10.filename, (CIFAR10.url,), md5=CIFAR10.tgz_md5)
    [archive] = obtain([original])
    with TemporaryDirectory() as root:
        Path(root, original.name).symlink_to(archive.path.resolve())
        # "download" finds the checked archive in place: it only unpacks
        train, test = (CIFAR10(root, train=is_train, download=True) for is_train in (True, False))
    return Dataset(
        train_images=torch.from_numpy(train.data).permute(0, 3, 1, 2).contiguous(),
        train_labels=torch.tensor(train.targets),
        test_images=torch.from_numpy(test.data).permute(0, 3, 1, 2).contiguous(),
        test_labels=torch.tensor(test.targets),
        card=Card(
            source="CIFAR-10, labelled subset of 80 Million Tiny Images",
            url="https://www.cs.toronto.edu/~kriz/cifar.html",
            licence="none stated by its authors",
            citation="A. Krizhevsky, Learning multiple layers of features from tiny images, University of "
            "Toronto, 2009",
            origin="original files",
            classes=tuple(train.classes),
            preprocessing="none",
            notes=("official split",),
            sha256={original.name: sha256_file(archive.path)},
        ),
        came_from=places([archive]),
    )
