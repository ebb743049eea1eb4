"""SVHN: cropped house numbers from street photographs, 32×32 colour, 73,257 for training, 26,032 for test."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from gm_bench.data.dataset import SPLITS, Card, Dataset
from gm_bench.data.originals import Original, obtain, places
from gm_bench.io import sha256_file


def read() -> Dataset:
    """SVHN, cropped digits, in its official split."""
    from torchvision.datasets import SVHN

    originals = [
        Original("svhn", name, (url,), md5=md5)
        for url, name, md5 in (SVHN.split_list[split] for split in SPLITS)
    ]
    found = obtain(originals)
    with TemporaryDirectory() as root:
        for original, file in zip(originals, found, strict=True):
            Path(root, original.name).symlink_to(file.path.resolve())
        train, test = (SVHN(root, split=split, download=False) for split in SPLITS)
    return Dataset(
        train_images=torch.from_numpy(train.data).contiguous(),
        train_labels=torch.from_numpy(train.labels),
        test_images=torch.from_numpy(test.data).contiguous(),
        test_labels=torch.from_numpy(test.labels),
        card=Card(
            source="The Street View House Numbers dataset, format 2 (cropped digits)",
            url="http://ufldl.stanford.edu/housenumbers/",
            licence="for non-commercial use only, as its authors say",
            citation="Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu, A. Y. Ng, Reading digits in natural "
            "images with unsupervised feature learning, NIPS workshop on deep learning, 2011",
            origin="original files",
            classes=tuple("0123456789"),
            preprocessing="none",
            notes=("official train and test split; the part called extra is not used",),
            sha256={
                original.name: sha256_file(file.path) for original, file in zip(originals, found, strict=True)
            },
        ),
        came_from=places(found),
    )
