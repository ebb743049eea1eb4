"""Samples of one's own: in any folder, against a reference that travels, all of them, floats as they are said
to be, and called what they are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from typer.testing import CliRunner

import gm_bench
from gm_bench import cli, io
from gm_bench.data.dataset import read_split


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, digits_with_reference: Path) -> Path:
    path = tmp_path_factory.mktemp("elsewhere") / "digits.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(digits_with_reference)
        said = run("reference", "export", "digits", "--out", str(path))
    assert "N = 800, features of lenet" in said
    return path


@pytest.fixture(autouse=True)
def _outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def train(digits_with_reference: Path) -> np.ndarray:
    return read_split(digits_with_reference / "data/digits", "train")[0].numpy()


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli.app, [*arguments])
    assert result.exit_code == code, result.output
    return result.output


def evaluated(*arguments: str) -> tuple[str, dict[str, Any]]:
    said = run("evaluate", *arguments, "--device", "cpu", "--json", "row.json")
    return said, io.read_json(Path("row.json"))


def test_a_reference_goes_over_an_earlier_one_and_nothing_else(
    exported: Path, train: np.ndarray, digits_with_reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("reference", "export", "digits", "--out")
    images = Path("images.safetensors").resolve()
    save_file({"images": train}, images)
    before = images.read_bytes()
    monkeypatch.chdir(digits_with_reference)
    assert "images.safetensors, which is no reference and would be lost" in run(*words, str(images), code=1)
    assert images.read_bytes() == before
    assert "params.yaml is no name for a reference" in run(*words, "params.yaml", code=1)
    assert "wrote" in run(*words, str(exported))


def test_twenty_images_repeated_are_called_what_they_are(exported: Path, train: np.ndarray) -> None:
    np.savez("few.npz", np.tile(train[:20], (100, 1, 1, 1)))
    said, row = evaluated("few.npz", "--reference", str(exported))
    assert "Repeats: 20 distinct images among 800" in said
    assert [finding["kind"] for finding in row["verdict"]][:3] == ["repeats", "collapse", "copies"]
    assert row["values"]["distinct"] == [0.025, 0.025]


def test_a_reference_that_travelled_gives_the_numbers_of_the_repository(
    exported: Path, train: np.ndarray, digits_with_reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez("fake.npz", train[:800, ..., ::-1])
    fake = Path("fake.npz").resolve()
    _, there = evaluated(str(fake), "--reference", str(exported))
    python = gm_bench.evaluate(str(fake), str(exported), device="cpu")
    monkeypatch.chdir(digits_with_reference)
    _, here = evaluated(str(fake), "--reference", "digits")
    Path("row.json").unlink()
    for other in (there, python):
        assert other["values"] == here["values"]
        assert (other["floor"], other["protocol"]) == (here["floor"], here["protocol"])
        assert other["verdict"] == here["verdict"]


def test_a_reference_in_ones_home_is_found(
    exported: Path, train: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(exported.parent))
    row = gm_bench.evaluate(train[:800], f"~/{exported.name}", device="cpu")
    assert row["values"] == gm_bench.evaluate(train[:800], exported, device="cpu")["values"]
    assert row["reference"] == "digits"
    with pytest.raises(ValueError, match=r"are for real images; ~/digits\.safetensors has its own"):
        gm_bench.evaluate(train[:800], f"~/{exported.name}", extractor="lenet")


def test_what_is_no_reference_is_refused(exported: Path, train: np.ndarray) -> None:
    np.savez("fake.npz", train[:800])
    said = run("evaluate", "fake.npz", "--reference", str(exported), "--n", "10", code=1)
    assert "--extractor, --reference-key and --n are for a path of real images" in said
    said = run("evaluate", "fake.npz", "--reference", "digits", code=1)
    assert "there is no such path here; datasets have names only in the top folder of a clone" in said
    tensors, described = io.read_tensors(exported)
    io.write_tensors(Path("old.safetensors"), tensors, {**described, "version": 0})
    said = run("evaluate", "fake.npz", "--reference", "old.safetensors", code=1)
    assert "has version 0, this program reads 1: export it again" in said
    save_file({"x": np.zeros(1)}, "cut.safetensors", {"gm_bench": '{"kind": "gm-bench reference'})
    said = run("evaluate", "fake.npz", "--reference", "cut.safetensors", code=1)
    assert said == "error: cut.safetensors is damaged: export it again\n"
    tensors.pop("test_features")
    io.write_tensors(Path("half.safetensors"), tensors, described)
    assert "holds no 'test_features'" in run(
        "evaluate", "fake.npz", "--reference", "half.safetensors", code=1
    )


def test_all_images_count(train: np.ndarray) -> None:
    """900 against 400 real ones, of which 200 are held out: four draws of 200, and 100 are left over."""
    np.savez("real.npz", train[:400])
    np.savez("fake.npz", np.concatenate([train[400:], train[:303, ..., ::-1]]))
    arguments = ("fake.npz", "--reference", "real.npz", "--extractor", "digits")
    _, row = evaluated(*arguments)
    assert (row["protocol"]["n_samples"], row["protocol"]["draws"], row["n_images"]) == (200, 4, 900)
    assert len(row["values"]["fid"]) == 4
    assert any("800 of 900 images were used" in warning for warning in row["warnings"])
    _, row = evaluated(*arguments, "--n", "100", "--draws", "2")
    assert (row["protocol"]["n_samples"], row["protocol"]["draws"]) == (100, 2)
    said = run("evaluate", *arguments, "--n", "300", code=1)
    assert "--n is 300 but 900 images stand against 200 held-out ones of real.npz: at most 200" in said


@pytest.mark.parametrize(("name", "low", "high"), [("0,1", 0.0, 1.0), ("-1,1", -1.0, 1.0)])
def test_floats_of_a_named_range_are_the_images_that_they_stand_for(
    exported: Path, train: np.ndarray, name: str, low: float, high: float
) -> None:
    images = train[:800, ..., ::-1]
    floats = (images.astype(np.float32) / 255 * (high - low) + low).astype(np.float32)
    np.savez("whole.npz", images)
    np.savez("floats.npz", floats)
    _, whole = evaluated("whole.npz", "--reference", str(exported))
    _, row = evaluated("floats.npz", "--reference", str(exported), "--range", name)
    assert row["values"] == whole["values"]
    assert row["conversions"] == [f"floats from {low:g} to {high:g} rounded to 0 ... 255"]


def test_ranges_are_never_guessed(exported: Path, train: np.ndarray) -> None:
    np.savez("floats.npz", train[:800].astype(np.float32) / 127.5 - 1)
    arguments = ("evaluate", "floats.npz", "--reference", str(exported))
    assert "or give --range -1,1" in run(*arguments, code=1)
    said = run(*arguments, "--range", "0,1", code=1)
    assert "runs from -1 to 1, but --range says 0 to 1: clip it, or give its true range" in said
    assert "--range is '0,255'; allowed: 0,1 and -1,1" in run(*arguments, "--range", "0,255", code=1)
    np.savez("whole.npz", train[:800])
    said = run("evaluate", "whole.npz", "--reference", str(exported), "--range", "0,1", code=1)
    assert "--range is for floats, and there are none in whole.npz: leave it away" in said
    np.savez("integers.npz", train[:800].astype(np.int64) // 255)
    said = run("evaluate", "integers.npz", "--reference", str(exported), "--range", "0,1", code=1)
    assert "is int64, and --range is for floats: leave it away" in said


def test_a_range_is_of_the_set_that_is_floats(train: np.ndarray) -> None:
    """Fakes of a network against real images of files, and the other way round."""
    fake, real = train[:100, ..., ::-1], train[100:500]
    options: dict[str, Any] = {"extractor": "digits", "device": "cpu"}
    whole = gm_bench.evaluate(fake, real, **options)
    low, high = fake.astype(np.float32) / 127.5 - 1, real.astype(np.float32) / 127.5 - 1
    for one, other in ((low, real), (fake, high), (low, high)):
        assert gm_bench.evaluate(one, other, range="-1,1", **options)["values"] == whole["values"]
    for place, image in enumerate(fake):
        Path("images").mkdir(exist_ok=True)
        Image.fromarray(image[0]).save(f"images/{place:03}.png")
    np.savez("real.npz", high)
    _, row = evaluated("images", "--reference", "real.npz", "--extractor", "digits", "--range", "-1,1")
    assert row["values"] == whole["values"]
    np.savez("real.npz", real)
    nowhere = "^range is for floats, and there are none in {}: leave it away$"
    with pytest.raises(ValueError, match=nowhere.format("fake or real")):
        gm_bench.evaluate(fake, real, range="-1,1", **options)
    arguments = ("images", "--reference", "real.npz", "--extractor", "digits", "--range", "-1,1")
    assert "and there are none in images or real.npz: leave it away" in run("evaluate", *arguments, code=1)
