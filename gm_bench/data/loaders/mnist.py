"""MNIST: handwritten digits, 28×28 grey, 60,000 for training and 10,000 for test."""

from gm_bench.data.dataset import Card, Dataset
from gm_bench.data.idx import read_idx

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def read() -> Dataset:
    """MNIST in its official split."""
    from torchvision.datasets import MNIST

    card = Card(
        source="The MNIST database of handwritten digits, drawn from NIST Special Databases 1 and 3",
        url="http://yann.lecun.com/exdb/mnist/",
        licence="CC BY-SA 3.0",
        citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document "
        "recognition, Proceedings of the IEEE 86(11), 1998",
        origin="original files",
        classes=tuple("0123456789"),
        preprocessing="none",
        notes=("official split",),
    )
    return read_idx("mnist", MNIST, card, SHA256)
