"""Small things that many tests need."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from torch import Tensor

from gm_bench.config import Params, load_params
from gm_bench.nets.mlp import MLP


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def params() -> Params:
    """The repository's own params.yaml."""
    return load_params()


@pytest.fixture
def digits_network() -> MLP:
    return MLP((1, 8, 8), n_classes=10, width=16, critic_norm="none")


@pytest.fixture
def digits_network_with_norm() -> MLP:
    return MLP((1, 8, 8), n_classes=10, width=16, critic_norm="batch")


@pytest.fixture(scope="session")
def blobs() -> Tensor:
    """256 images (1, 8, 8), uint8: a bright spot in one of four places on a dark ground."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 30, (256, 1, 8, 8), generator=generator)
    for i in range(256):
        row, column = divmod(i % 4, 2)
        images[i, 0, 1 + 3 * row : 4 + 3 * row, 1 + 3 * column : 4 + 3 * column] += 200
    return images.to(torch.uint8)


@pytest.fixture(scope="session")
def digits_with_reference(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """A repository whose digits were fetched and went through the stages extractor and reference: to copy."""
    from gm_bench.data.dataset import load, save
    from gm_bench.running import resolve
    from pipelines import extractor, reference

    path = tmp_path_factory.mktemp("digits")
    source = params.dataset("digits").source
    (path / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        resolve.dataset(params, "digits")
        save(load(source.loader, **source.options), Path("data", "digits"))
        extractor.main("digits", device="cpu")
        reference.main("digits", device="cpu")
    return path


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty migrated database: to copy it is 100 times faster than to migrate one for each test."""
    from gm_bench.tracking.store import Store  # late: most tests do without MLflow

    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    Store(f"sqlite:///{database}")
    return database
