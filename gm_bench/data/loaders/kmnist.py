"""KMNIST: cursive Japanese characters, 28×28 grey, 60,000 for training and 10,000 for test."""

from gm_bench.data.dataset import Card, Dataset
from gm_bench.data.idx import read_idx


def read() -> Dataset:
    """KMNIST in its official split."""
    from torchvision.datasets import KMNIST

    card = Card(
        source="KMNIST (Kuzushiji-MNIST), adapted from the Kuzushiji dataset of NIJL and others by CODH",
        url="http://codh.rois.ac.jp/kmnist/",
        licence="CC BY-SA 4.0",
        citation="T. Clanuwat, M. Bober-Irizar, A. Kitamoto, A. Lamb, K. Yamamoto, D. Ha, Deep learning for "
        "classical Japanese literature, arXiv:1812.01718, 2018",
        origin="original files",
        classes=tuple(KMNIST.classes),
        preprocessing="none",
        notes=("official split",),
    )
    return read_idx("kmnist", KMNIST, card)
