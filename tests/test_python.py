"""From Python: the examples of docs/python.md as they stand there, and the same numbers as the command's."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

import gm_bench
from gm_bench import cli, io
from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.data.dataset import read_split
from gm_bench.metrics.extractors import efficientnet_lite0, inception
from gm_bench.metrics.extractors.efficientnet_lite0 import EfficientNetLite0Extractor
from gm_bench.metrics.extractors.lenet import FOLDER, LeNetExtractor, pinned_file
from gm_bench.tracks.generation.scoring.api import STANDARD
from gm_bench.tracks.generation.scoring.choice import choose, kept_extractors
from gm_bench.training.job import Job
from gm_bench.training.state import build

CPU = torch.device("cpu")
EXAMPLES = re.findall(r"```python\n(.*?)```", Path("docs/python.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, digits_with_reference: Path, params: Params) -> Path:
    """Digits with their reference, and two cells that were trained for no image at all."""
    path = tmp_path_factory.mktemp("repository")
    shutil.copytree(digits_with_reference, path, dirs_exist_ok=True)
    for board, variant in (("digits", "vae"), ("all", "cgan")):
        cell = Cell(board, "digits", variant, 0)
        recipe = params.recipe(variant, "tiny")
        model = build(Job(cell, recipe, 64), (1, 8, 8), 10, CPU)
        metadata = {
            "cell": cell.as_dict(),
            "status": "ok",
            "image_shape": (1, 8, 8),
            "class_counts": [80] * 10,
            "recipe": recipe.model_dump(mode="json"),
        }
        io.write_tensors(path / cell.folder / "model.safetensors", model.state_dict(), metadata)
    return path


def run(example: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(example, "docs/python.md", "exec"), names)
    return names


def test_a_trained_cell_is_sampled_from(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    found = run(EXAMPLES[0])
    for images in (found["images"], found["more"]):
        assert (images.shape, images.dtype) == ((16, 1, 8, 8), torch.uint8)
    assert torch.equal(found["images"], found["cell"].sample(16, seed=1))
    assert found["codes"].shape[0] == 4
    for n in (0, 2.0, "2"):
        with pytest.raises(ValueError, match=rf"^{n!r} samples cannot be drawn: ask for a whole number"):
            found["cell"].sample(n, seed=1)
    with pytest.raises(ValueError, match=r"^seed is None: give a whole number"):
        found["cell"].sample(2, seed=None)
    monkeypatch.chdir("/")
    elsewhere = gm_bench.load_cell("digits/vae/0", repository=repository)
    assert torch.equal(found["images"], elsewhere.sample(16, seed=1))
    monkeypatch.setenv("HOME", str(repository.parent))
    at_home = gm_bench.load_cell("digits/vae/0", repository=f"~/{repository.name}")
    assert torch.equal(found["images"], at_home.sample(16, seed=1))
    with pytest.raises(ValueError, match=r"'digits/vae' is no cell: give DATASET/VARIANT/SEED"):
        gm_bench.load_cell("digits/vae")
    with pytest.raises(ValueError, match=r"digits/vae/0 is not trained yet"):
        gm_bench.load_cell("digits/vae/0")


def test_images_in_memory_are_judged_outside_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run(EXAMPLES[1])
    row, real = found["row"], found["real"]
    assert (row["images"], row["reference"], row["n_images"]) == ("fake", "real", 800)
    # 128 features of variance about 1: shuffled pixels are far away, real digits as near as can be
    assert row["values"]["fid"][0] > 50
    assert 0 < row["floor"]["fid"] < 2.56
    assert row["comparable_with_leaderboard"] is False
    assert list(tmp_path.iterdir()) == []
    # a tensor, another order of axes, and a file are the same images
    tensor = gm_bench.evaluate(torch.from_numpy(found["fake"])[:, None], real[..., None], extractor="digits")
    assert tensor == row
    np.savez(tmp_path / "fake.npz", found["fake"])
    filed = gm_bench.evaluate(tmp_path / "fake.npz", real, extractor="digits")
    assert filed | {"images": "fake"} == row


def test_images_are_judged_under_the_protocol_of_a_dataset(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    found = run(EXAMPLES[2])
    row = found["row"]
    assert row["floor"] == io.read_json(Path("reference/digits/floor.json"))["values"]
    assert {len(values) for values in row["values"].values()} == {3}
    assert row["difference"] == (
        "there is no reports/digits/leaderboard.json yet: gm-bench run --board digits writes it"
    )
    np.savez("samples.npz", found["samples"].numpy())
    arguments = ["evaluate", "samples.npz", "--reference", "digits", "--json", "row.json", "--device", "cpu"]
    assert CliRunner().invoke(cli.app, arguments).exit_code == 0
    assert io.read_json(Path("row.json")) | {"images": "fake"} == row
    with pytest.raises(ValueError, match="extractor and labels are for real images; digits has its own"):
        gm_bench.evaluate(found["samples"], "digits", extractor="lenet")


@pytest.fixture
def real(digits_with_reference: Path) -> tuple[Tensor, Tensor]:
    return read_split(digits_with_reference / "data/digits", "train")


def test_ones_own_real_images_give_the_numbers_of_the_command(
    repository: Path, monkeypatch: pytest.MonkeyPatch, real: tuple[Tensor, Tensor], params: Params
) -> None:
    monkeypatch.chdir(repository)
    constants = (
        "score_splits",
        "kid_subsets",
        "kid_subset_size",
        "fid_subsets",
        "neighbours",
        "duplicate_quantile",
    )
    of_digits = params.dataset("digits").protocol
    assert [getattr(STANDARD, name) for name in constants] == [getattr(of_digits, name) for name in constants]
    np.savez("real.npz", images=real[0].numpy())
    np.savez("fake.npz", real[0][:100].flip(3).numpy())
    arguments = [
        "evaluate",
        "fake.npz",
        "--reference",
        "real.npz",
        "--extractor",
        "digits",
        "--json",
        "row.json",
    ]
    assert CliRunner().invoke(cli.app, [*arguments, "--device", "cpu"]).exit_code == 0
    row = gm_bench.evaluate("fake.npz", "real.npz", extractor="digits", device="cpu")
    assert row == io.read_json(Path("row.json"))


@pytest.mark.parametrize(("n_channels", "labelled"), [(3, True), (3, False), (1, False)])
def test_what_has_no_lenet_is_seen_by_the_installed_network(
    n_channels: int,
    labelled: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    real: tuple[Tensor, Tensor],
) -> None:
    """Colour images, and images without labels: no file is downloaded, nothing trained or kept."""
    monkeypatch.delenv(inception.WEIGHTS.variable, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    images = real[0][:80].repeat(1, n_channels, 1, 1)
    labels = real[1][:80] if labelled else None
    found = gm_bench.evaluate(images[:40].flip(3), images, labels=labels)
    assert found["protocol"]["extractor"] == {
        "name": "efficientnet_lite0",
        "sha256": efficientnet_lite0.SHA256,
        "features": 1280,
        "comparable": "everywhere",
    }
    assert found["protocol"]["preprocessing"] == EfficientNetLite0Extractor.preprocessing
    assert (found["protocol"]["n_samples"], found["protocol"]["n_train"]) == (40, 40)
    assert "classifier_score" in found["values"]  # of ImageNet's classes: no Inception Score, no coverage
    assert not {"inception_score", "class_kl"} & set(found["values"])
    assert list(tmp_path.iterdir()) == []


def test_inception_is_taken_where_its_weights_are_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.delenv(inception.WEIGHTS.variable, raising=False)
    said: list[str] = []
    for side in (8, 64):
        assert choose("auto", (1, side, side), True, said.append) == "lenet"
    assert said == []
    assert choose("auto", (1, 96, 96), True, said.append) == "efficientnet_lite0"
    assert choose("auto", (3, 8, 8), True, said.append) == "efficientnet_lite0"
    assert "Inception's weights are not at hand" in said[-1]
    assert inception.WEIGHTS.variable in said[-1]
    for choice in ("inception", "lenet", "digits"):
        assert choose(choice, (3, 8, 8), True, said.append) == choice
    assert len(said) == 2
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / inception.WEIGHTS.name).touch()
    assert choose("auto", (3, 8, 8), False, said.append) == "inception"
    assert "--extractor efficientnet_lite0" in said[-1]
    (tmp_path / "checkpoints" / inception.WEIGHTS.name).unlink()
    monkeypatch.setenv(inception.WEIGHTS.variable, str(tmp_path / "weights.pth"))
    assert choose("auto", (3, 8, 8), False, said.append) == "inception"


def test_a_classifier_trained_on_labels_is_kept_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: tuple[Tensor, Tensor]
) -> None:
    monkeypatch.setattr("gm_bench.metrics.extractors.classifier.LEAST_UPDATES", 20)
    monkeypatch.setattr("gm_bench.metrics.extractors.classifier.EPOCHS", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    images, labels = real
    first = gm_bench.evaluate(images[:100].flip(3), images, labels=labels)
    (kept,) = (tmp_path / "cache/gm-bench/extractors").iterdir()
    assert io.read_json(kept / "extractor.json")["sha256"] == first["protocol"]["extractor"]["sha256"]
    assert "class_kl" in first["values"]
    assert gm_bench.evaluate(images[:100].flip(3), images, labels=labels.numpy()) == first
    assert list((tmp_path / "work").iterdir()) == []
    # what another version of the code has trained is not taken for what this one would train
    monkeypatch.setattr("gm_bench.tracks.generation.scoring.choice.code_hash", lambda modules: "changed")
    gm_bench.evaluate(images[:100].flip(3), images, labels=labels)
    assert len(list((tmp_path / "cache/gm-bench/extractors").iterdir())) == 2


def test_nothing_is_trained_that_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: tuple[Tensor, Tensor], params: Params
) -> None:
    """Where a repository cannot be written the cache is taken; where that cannot be either, it is said."""
    shutil.copy("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert kept_extractors() == Path("extractors")
    monkeypatch.setattr("os.access", lambda path, mode: path not in (Path(), Path("extractors")))
    assert kept_extractors() == tmp_path / "cache/gm-bench/extractors"
    (tmp_path / "cache").touch()
    monkeypatch.setattr(
        "gm_bench.metrics.extractors.classifier.train_classifier", lambda *_: pytest.fail("trained")
    )
    with pytest.raises(ValueError, match=r"cannot be kept in .*/own-\w+ \(Not a directory\): set XDG_CACHE"):
        gm_bench.evaluate(real[0][:100], real[0], labels=real[1])


def test_refusals_name_arguments_of_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: tuple[Tensor, Tensor]
) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels = real
    for fake, given, sentence in (
        (images.float() / 255, images, r"'images' of fake is float32, not uint8: for values in 0 to 1"),
        (images.repeat(1, 3, 1, 1), images, "fake holds colour .* give channels grey to convert"),
        (
            images.repeat(1, 1, 2, 2),
            images,
            "fake holds images of 16×16 pixels but real of 8×8: give resize 8",
        ),
        (images // 8, images, "the images of fake use only the values 0 to 31 .* give allow_low_range if"),
        (images, images // 8, "the images of real use only the values 0 to 31"),
    ):
        with pytest.raises(ValueError, match=sentence):
            gm_bench.evaluate(fake, given, extractor="digits")
    with pytest.raises(ValueError, match="channels is 'gray'; allowed: grey, rgb"):
        gm_bench.evaluate(images, images, channels="gray")
    with pytest.raises(ValueError, match="a folder has one sub-folder for each class"):
        gm_bench.evaluate(images, "somewhere", labels=labels)
    with pytest.raises(ValueError, match=r"somewhere is neither|somewhere does not exist"):
        gm_bench.evaluate(images, "somewhere")
    with pytest.raises(
        ValueError,
        match=r"choose auto, clip, dinov2, .*, vgg16, one that is in extractors .* pinned",
    ):
        gm_bench.evaluate(images, images, extractor="emoji")
    for counts in ({"n": 0}, {"n": 1}, {"n": -3}, {"n": 100.5}, {"n": True}, {"n": "9"}):
        with pytest.raises(
            ValueError, match=rf"^n is {counts['n']!r}: give a whole number from 2 up, or leave"
        ):
            gm_bench.evaluate(images, images, extractor="digits", **counts)
    for resize in (0, "8", (8, 8)):
        with pytest.raises(ValueError, match=r"^resize is .*: give a whole number from 1 up, or leave it"):
            gm_bench.evaluate(images, images, extractor="digits", resize=resize)
    broken = images.float() / 255
    broken[3, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="fake holds values that are not finite: mend or leave out"):
        gm_bench.evaluate(broken, images, extractor="digits", range="0,1")
    for given, shown in ((5, "5"), ((0, None), "(0, None)"), (("0", "1"), "('0', '1')"), ((0, 255), "0,255")):
        with pytest.raises(ValueError, match=re.escape(f"range is '{shown}'; allowed: 0,1 and -1,1")):
            gm_bench.evaluate(images, images, extractor="digits", range=given)
    for path in ("run--best/x.npz", "run --nothing/x.npz"):
        with pytest.raises(ValueError, match=f"^{re.escape(path)} does not exist: give a"):
            gm_bench.evaluate(images, Path(path))
    with pytest.raises(ValueError, match=r"^board is for a dataset or an exported reference"):
        gm_bench.evaluate(images, images, extractor="digits", board="digits")
    for draws in (0, -2, 1.5, False):
        with pytest.raises(
            ValueError, match=rf"^draws is {draws}: give a whole number from 1 up, or leave it"
        ):
            gm_bench.evaluate(images, images, extractor="digits", draws=draws)
    for given in (images.tolist(), None, 5):
        kind = type(given).__name__
        for pair, name in (((given, images), "fake"), ((images, given), "real")):
            with pytest.raises(ValueError, match=f"^{name} is a {kind}: give an array, a tensor or a path$"):
                gm_bench.evaluate(*pair, extractor="digits")


def test_ranges_and_devices_may_be_pythons(real: tuple[Tensor, Tensor]) -> None:
    images = real[0][:200]
    said = gm_bench.evaluate(images.float() / 255, real[0], extractor="digits", range="0,1")
    assert gm_bench.evaluate(images.float() / 255, real[0], extractor="digits", range=(0.0, 1)) == said
    here = gm_bench.evaluate(images, real[0], extractor="digits", device=torch.device("cpu"))
    assert here["values"] == said["values"]


def test_counts_may_be_numpys(real: tuple[Tensor, Tensor]) -> None:
    row = gm_bench.evaluate(real[0][:200], real[0], extractor="digits", n=np.int64(50), draws=np.int32(3))
    assert (row["protocol"]["n_samples"], row["protocol"]["draws"]) == (50, 3)


def test_real_images_are_taken_as_the_command_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: tuple[Tensor, Tensor]
) -> None:
    """Those of hardly any contrast where that is meant, and what was not read of them is told."""
    monkeypatch.chdir(tmp_path)
    images = real[0].numpy() // 8
    np.savez("fake.npz", images[:100, ..., ::-1])
    np.savez("real.npz", images=images, ages=np.arange(len(images)))
    row = gm_bench.evaluate("fake.npz", "real.npz", extractor="digits", allow_low_range=True, device="cpu")
    told = f"reference: real.npz: not read: ages ({len(images)},); labels are read from an array named labels"
    assert told in row["warnings"]
    arguments = ["fake.npz", "--reference", "real.npz", "--extractor", "digits", "--allow-low-range"]
    arguments = ["evaluate", *arguments, "--json", "row.json", "--device", "cpu"]
    assert CliRunner().invoke(cli.app, arguments).exit_code == 0
    assert io.read_json(Path("row.json")) == row


def test_pinned_weights_are_those_of_the_package() -> None:
    record, extractor = LeNetExtractor.of_package("digits", (1, 8, 8))
    weights, _ = io.read_tensors(FOLDER / pinned_file("digits"))
    assert record["sha256"] == io.sha256_file(FOLDER / pinned_file("digits"))
    found = extractor.network.network.state_dict()
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert (record["features"], record["logits"], record["comparable"]) == (128, 10, "everywhere")


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import gm_bench, sys; print(sorted({'torch', 'numpy', 'pydantic', 'mlflow'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
