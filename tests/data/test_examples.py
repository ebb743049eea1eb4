"""The examples of docs/datasets.md and docs/adding.md: each is fetched, and nothing of it is refused."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gm_bench.checking import ConfigError
from gm_bench.config import parse_params
from gm_bench.data import loaders
from gm_bench.data.dataset import load, save
from gm_bench.derived import Facts
from gm_bench.io import read_json
from gm_bench.tracks.generation.refusals import faults
from gm_bench.tracks.settings import check_loader
from gm_bench.yaml_text import dump_yaml, load_yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/datasets.md").read_text(encoding="utf-8")
EXAMPLES = {
    next(iter(each["datasets"])): each
    for each in map(load_yaml, re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
}


def images(folder: str, names: list[str], size: tuple[int, int], channels: int) -> None:
    for i, name in enumerate(names):
        pixels = np.random.default_rng([i, len(folder)]).integers(0, 256, (*size, 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        path = Path("pictures", folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        (image if channels == 3 else image.convert("L")).save(path)


def make(name: str) -> None:
    if name == "signs":
        for label in ("stop", "yield"):
            images(f"signs/{label}", [f"{i}.png" for i in range(60)], (32, 32), 3)
    elif name == "faces":
        images("faces", [f"film{i // 4}_{i % 4}.jpg" for i in range(120)], (70, 90), 3)
    else:
        images("scans/train", [f"{i}.png" for i in range(120)], (28, 28), 1)
        images("scans/test", [f"{i}.png" for i in range(40)], (28, 28), 1)


def test_there_are_three() -> None:
    assert list(EXAMPLES) == ["signs", "faces", "scans"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_fetched_and_nothing_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(name)
    example: dict[str, Any] = EXAMPLES[name]
    source = dict(example["datasets"][name]["source"])
    save(load(source.pop("loader"), **source), Path("data", name))
    facts = Facts.of_card(read_json(Path("data", name, "card.json")))
    raw = load_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
    raw["boards"] |= example["boards"]
    raw["datasets"] |= example["datasets"]
    params = parse_params(dump_yaml(raw), {name: facts})
    assert faults(params, name) == []
    shape, n_test, n_classes = {
        "signs": ((3, 32, 32), 30, 2), "faces": ((3, 64, 64), 24, 0), "scans": ((1, 28, 28), 40, 0),
    }[name]  # fmt: skip
    assert (facts.shape, facts.n_test, facts.n_classes) == (shape, n_test, n_classes)
    assert params.dataset(name).protocol.n_samples == n_test
    assert params.dataset(name).protocol.extractor == "efficientnet_lite0"


def test_the_loader_of_the_page_loads_its_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/adding.md").read_text(encoding="utf-8")
    (code,) = (c for c in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def read(" in c)
    (example,) = (
        e for e in map(load_yaml, re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)) if "datasets" in e
    )
    monkeypatch.chdir(tmp_path)
    Path("own").mkdir()
    Path("own/arrays.py").write_text(code)
    monkeypatch.setattr(loaders, "__path__", [*loaders.__path__, str(tmp_path / "own")])
    monkeypatch.setattr("gm_bench.data.dataset._modules", lambda: ["arrays"])
    monkeypatch.delitem(sys.modules, "gm_bench.data.loaders.arrays", raising=False)
    Path("data/arrays").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (300, 1, 12, 12), dtype=np.uint8)
    np.save("data/arrays/images.npy", pixels)
    np.save("data/arrays/labels.npy", np.arange(300) % 3)
    source = dict(example["datasets"]["arrays"]["source"])
    loaded = load(source.pop("loader"), **source)
    assert loaded.test_labels.bincount().tolist() == [34, 33, 33]
    places = [int((pixels == image).all((1, 2, 3)).argmax()) for image in loaded.test_images.numpy()]
    assert [place % 3 for place in places] == loaded.test_labels.tolist()
    save(loaded, Path("data/arrays"))
    facts = Facts.of_card(read_json(Path("data/arrays/card.json")))
    raw = load_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
    raw["boards"] |= example["boards"]
    raw["datasets"] |= example["datasets"]
    params = parse_params(dump_yaml(raw), {"arrays": facts})
    check_loader(params, "arrays")
    assert faults(params, "try_arrays") == []
    raw["datasets"]["arrays"]["source"]["loader"] = "array"
    with pytest.raises(
        ConfigError, match=r"arrays\.source\.loader has no entry 'array'; known: .*folder.*arrays"
    ):
        check_loader(parse_params(dump_yaml(raw), {"arrays": facts}), "arrays")
