"""CelebA: aligned photographs of faces in colour, 162,770 for training and 19,962 for test."""

from pathlib import Path
from typing import Annotated
from zipfile import ZipFile

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from gm_bench.data.dataset import UNLABELLED, Card, Dataset
from gm_bench.data.originals import Original, obtain, places
from gm_bench.data.pixels import crop_centre, decode, resize, to_array
from gm_bench.io import sha256_file

ARCHIVE, PARTITION = "img_align_celeba.zip", "list_eval_partition.txt"
CROP = 160  # of 178×218


def read(*, size: Annotated[int, Field(gt=0, le=CROP)]) -> Dataset:
    """CelebA in its official training and test parts, without labels.

    The images are read straight from the archive whose md5 torchvision pins; torchvision's own class would
    unpack 202,599 files and ask for four lists of attributes that are not needed here.

    Args:
        size: side of the images after the central 160×160 pixels were cut out, at most 160.
    """
    from torchvision.datasets import CelebA

    pinned = {name: (drive_id, md5) for drive_id, md5, name in CelebA.file_list}
    originals = [
        Original(
            "celeba", name, (f"https://drive.google.com/file/d/{pinned[name][0]}/view",), md5=pinned[name][1]
        )
        for name in (ARCHIVE, PARTITION)
    ]
    archive, partition = obtain(originals)
    train = _read_images(archive.path, _names(partition.path, "0"), size)
    test = _read_images(archive.path, _names(partition.path, "2"), size)
    return Dataset(
        train_images=train,
        train_labels=torch.full((len(train),), UNLABELLED),
        test_images=test,
        test_labels=torch.full((len(test),), UNLABELLED),
        card=Card(
            source="Large-scale CelebFaces Attributes (CelebA), aligned and cropped JPEGs",
            url="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
            licence="for non-commercial research only, as its authors say",
            citation="Z. Liu, P. Luo, X. Wang, X. Tang, Deep learning face attributes in the wild, ICCV 2015",
            origin="original files",
            classes=(),
            preprocessing=f"central {CROP}x{CROP} pixels of 178x218 as in compare_gan, then bicubic to "
            f"{size}x{size} with antialiasing (compare_gan: bilinear without)",
            notes=("official training and test parts; the validation part is not used", "no labels"),
            sha256={
                file.name: sha256_file(f.path)
                for file, f in zip(originals, (archive, partition), strict=True)
            },
        ),
        came_from=places((archive, partition)),
    )


def _names(partition: Path, part: str) -> list[str]:
    """File names of one part: 0 training, 1 validation, 2 test."""
    rows = (line.split() for line in partition.read_text(encoding="utf-8").splitlines())
    return [row[0] for row in rows if row[1:] == [part]]


def _read_images(archive: Path, names: list[str], size: int) -> Tensor:
    images = np.empty((len(names), 3, size, size), dtype=np.uint8)
    with ZipFile(archive) as file:
        for index, name in enumerate(names):
            image = decode(file.read(f"img_align_celeba/{name}"), f"{archive.name}/{name}", channels=3)
            images[index] = to_array(resize(crop_centre(image, CROP), size))
    return torch.from_numpy(images)
