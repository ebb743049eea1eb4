"""Fashion-MNIST: articles of clothing, 28×28 grey, 60,000 for training and 10,000 for test."""

from gm_bench.data.dataset import Card, Dataset
from gm_bench.data.idx import read_idx

SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def read() -> Dataset:
    """Fashion-MNIST in its official split."""
    from torchvision.datasets import FashionMNIST

    card = Card(
        source="Fashion-MNIST, Zalando's article images",
        url="https://github.com/zalandoresearch/fashion-mnist",
        licence="MIT",
        citation="H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking "
        "machine learning algorithms, arXiv:1708.07747, 2017",
        origin="original files",
        classes=tuple(FashionMNIST.classes),
        preprocessing="none",
        notes=("official split",),
    )
    return read_idx("fashion_mnist", FashionMNIST, card, SHA256)
