import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gm_bench.data.dataset import read_split
from gm_bench.yaml_text import dump_yaml, load_yaml

ROOT = Path(__file__).parents[2]
PARAMS = (ROOT / "params.yaml").read_text(encoding="utf-8")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder whose params.yaml calls the digits by another name."""
    text = PARAMS.replace("  digits:\n", "  small_digits:\n", 1).replace("[digits]", "[small_digits]")
    text = text.replace("    digits: {n_samples", "    small_digits: {n_samples")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def fetch(dataset: str, repository: Path) -> subprocess.CompletedProcess[str]:
    """Resolve, then run the stage where a proxy that nobody serves stands for a machine without network."""
    resolved = run_stage(repository, "resolve", "dataset", dataset)
    return resolved if resolved.returncode else run_stage(repository, "fetch", dataset)


def run_stage(repository: Path, stage: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    return subprocess.run(
        [sys.executable, "-m", f"pipelines.{stage}", *arguments],
        cwd=repository,
        env=os.environ | nowhere | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_entry_of_any_name_becomes_both_splits_and_a_card(repository: Path) -> None:
    done = fetch("small_digits", repository)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "small_digits: 997 training and 800 test images (1×8×8) from scikit-learn\n"
    folder = repository / "data" / "small_digits"
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.json",
        "test.safetensors",
        "train.safetensors",
    ]
    assert read_split(folder, "test")[0].shape == (800, 1, 8, 8)
    assert json.loads((folder / "card.json").read_text())["name"] == "small_digits"


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("svhn", "error: cannot fetch svhn/train_32x32.mat: "),
        ("imagenet", "error: params.yaml: datasets has no entry 'imagenet'; known: small_digits, mnist, "),
    ],
)
def test_what_cannot_be_fetched_is_one_line_and_leaves_nothing(
    dataset: str, message: str, repository: Path
) -> None:
    failed = fetch(dataset, repository)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith(message)
    assert failed.stderr.count("\n") == 1
    assert not (repository / "data").exists()


def test_files_that_are_not_read_are_printed(repository: Path) -> None:
    params = load_yaml((repository / "params.yaml").read_text(encoding="utf-8"))
    source = {"loader": "folder", "path": "data/pets", "n_test": 2, "split_seed": 0}
    params["datasets"]["pets"] = params["datasets"]["small_digits"] | {"source": source}
    (repository / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")
    (repository / ".dvc").mkdir()
    (repository / "data/pets").mkdir(parents=True)
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(repository / f"data/pets/{i}.png")
    (repository / "data/pets/4.heic").touch()
    done = fetch("pets", repository)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "pets: path: 1 not read: 1 of .heic (4.heic)\n"
    assert json.loads((repository / "data/pets/card.json").read_text())["notes"][1] == (
        "path: 1 not read: 1 of .heic (4.heic)"
    )
