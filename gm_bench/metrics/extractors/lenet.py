"""LeNet: a small classifier that is trained on the labels of a grey dataset, as an extractor.

The weights for the small public datasets are pinned: they lie in this package with the hash and record of
each, and belong to the training images that they were trained on. Other data gets weights of its own.
"""

from pathlib import Path
from typing import Any, Self

from torch import Tensor
from torch_fidelity.registry import register_feature_extractor

from gm_bench import io
from gm_bench.metrics.extractors.features import Extractor, WeightsError
from gm_bench.metrics.extractors.layers import ClassifierLayers
from gm_bench.nets.lenet import from_weights

REGISTERED = "gm-bench-lenet"
FOLDER = Path(__file__).parent / "weights"
RECORDS = "lenet.json"


class LeNetLayers(ClassifierLayers):
    """The LeNet as torch-fidelity builds it.

    Args:
        name: as registered.
        features_list: the layers wanted, in this order.
        weights: tensors by name.
        image_shape: (C, H, W).
        options: whatever else torch-fidelity hands to every extractor.
    """

    def __init__(
        self,
        name: str,
        features_list: list[str],
        weights: dict[str, Tensor],
        image_shape: tuple[int, int, int],
        **options: Any,
    ) -> None:
        super().__init__(name, features_list, from_weights(weights, image_shape))


register_feature_extractor(REGISTERED, LeNetLayers)


class LeNetExtractor(Extractor):
    name = "lenet"
    preprocessing = "uint8 at native size, x / 127.5 - 1"
    batch_size = 256
    own_classes = True

    @classmethod
    def of_weights(cls, weights: dict[str, Tensor], image_shape: tuple[int, int, int]) -> Self:
        """The LeNet with these weights by name.

        Raises:
            ValueError: they do not fit the images.
        """
        network = LeNetLayers(REGISTERED, ["features", "logits"], weights=weights, image_shape=image_shape)
        n_features, n_logits = widths(weights)
        return cls(network, image_shape, image_shape[0], n_features, n_logits)

    @classmethod
    def load(cls, folder: Path, record: dict[str, Any], image_shape: tuple[int, int, int]) -> Self:
        path = folder / record["weights"]
        if io.sha256_file(path) != record["sha256"]:
            raise WeightsError(
                f"{path} is not the file that extractor.json names: run the extractor stage again"
            )
        return cls.of_weights(io.read_tensors(path)[0], image_shape)

    @classmethod
    def of_package(cls, dataset: str, image_shape: tuple[int, int, int]) -> tuple[dict[str, Any], Self]:
        """The record (`describe`) and the network that are pinned for a dataset.

        Raises:
            KeyError: none are.
            ValueError: they do not fit the images.
        """
        record = io.read_json(FOLDER / RECORDS)[dataset]
        path = FOLDER / pinned_file(dataset)
        described = {"weights": path.name, "sha256": record["sha256"]}
        extractor = cls.load(FOLDER, described, image_shape)
        return (
            cls.describe(
                record["sha256"],
                extractor.n_features,
                extractor.n_logits,
                comparable="everywhere",
                test_accuracy=record["test_accuracy"],
                weights=path.name,
            ),
            extractor,
        )


def widths(weights: dict[str, Tensor]) -> tuple[int, int]:
    """Numbers of features and of logits that these weights give."""
    return len(weights["penultimate.weight"]), len(weights["classify.weight"])


def pinned_datasets() -> list[str]:
    """The datasets that weights are pinned for."""
    return list(io.read_json(FOLDER / RECORDS))


def pinned_file(dataset: str) -> str:
    return f"lenet-{dataset}.safetensors"


def pinned_record(dataset: str, train_sha256: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """The record of the weights pinned for these training images; None where there are none.

    Another split of the same data has none: weights trained on some of its test images would flatter them.

    Args:
        train_sha256: `io.sha256_tensor` of the training images.
    """
    path = folder / RECORDS
    record = io.read_json(path).get(dataset) if path.exists() else None
    return record if record and record["train_sha256"] == train_sha256 else None


def read_pinned(dataset: str, record: dict[str, Any], folder: Path = FOLDER) -> bytes:
    """The weight file, its hash checked.

    Raises:
        WeightsError: the file is missing or its content is not what was pinned.
    """
    path = folder / pinned_file(dataset)
    if not path.is_file() or io.sha256_file(path) != record["sha256"]:
        raise WeightsError(
            f"{path} is not the file that was pinned (its sha256 must be {record['sha256']}): "
            f"restore it with git checkout, or pin anew with python -m pipelines.extractor {dataset} --pin"
        )
    return path.read_bytes()


def pin(dataset: str, content: Path, record: dict[str, Any], folder: Path = FOLDER) -> None:
    """Keep a weight file and its record with the code."""
    path = folder / RECORDS
    records = io.read_json(path) if path.exists() else {}
    io.write_bytes(folder / pinned_file(dataset), content.read_bytes())
    io.write_json(path, dict(sorted({**records, dataset: record}.items())))
