import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gm_bench.data.dataset import read_split

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
    """Run the stage where a proxy that nobody serves stands for a machine without network."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    return subprocess.run(
        [sys.executable, "-m", "pipelines.fetch", dataset],
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
