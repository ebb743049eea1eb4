"""Stacked digits: their modes by hand, the way from a dataset to its pages, what params.yaml may say."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from refused import refused_on_board
from torch import Tensor

from gm_bench import io
from gm_bench.cell import DATA, REFERENCE, Cell
from gm_bench.config import load_params
from gm_bench.data.dataset import DataError, load
from gm_bench.metrics.extractors.features import extract
from gm_bench.metrics.extractors.lenet import LeNetExtractor
from gm_bench.results.schema import Origin
from gm_bench.tracks.mode_collapse import published
from gm_bench.tracks.mode_collapse.stacked import measuring
from gm_bench.tracks.mode_collapse.stacked.modes import SURE, judge, numbered, seen, stacked
from gm_bench.tracks.mode_collapse.stacked.settings import N_SHOWN, Stacks
from gm_bench.tracks.mode_collapse.stages import (
    explained_cell,
    explained_dataset,
    of_cell,
    of_dataset,
    recipe_of,
)
from gm_bench.training.sampling import load as load_model
from gm_bench.yaml_text import load_yaml

ROOT = Path(__file__).parents[2]
RAW = load_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
PARAMS = load_params(ROOT / "params.yaml")
CPU = torch.device("cpu")
DIGITS = {"loader": "digits", "n_test": 800, "split_seed": 0}  # 8×8, with a LeNet pinned for this split
STACKS = Stacks(of="digits", n_images=12_000, n_samples=2000)


def test_a_mode_is_a_number_of_three_digits() -> None:
    classes = torch.tensor([[0, 0, 0], [1, 2, 3], [9, 9, 9], [3, 0, 7]])
    assert numbered(classes, 10).tolist() == [0, 123, 999, 307]
    assert numbered(torch.tensor([[2, 1, 3]]), 4).tolist() == [2 * 16 + 4 + 3]


def test_stacks_are_three_images_drawn_apart() -> None:
    """Each image is a constant, its label a tenth of it: a channel says which image it is of."""
    images = (10 * torch.arange(10)).byte()[:, None, None, None].expand(10, 1, 2, 2)
    made, classes = stacked(images, torch.arange(10), 6000, torch.Generator().manual_seed(0))
    assert made.shape == (6000, 3, 2, 2)
    assert made.dtype == torch.uint8
    assert torch.equal(made, (10 * classes).byte()[:, :, None, None].expand(6000, 3, 2, 2))
    counts = numbered(classes, 10).bincount(minlength=1000)
    assert int((counts > 0).sum()) > 990  # 1,000 · (1 − exp(−6)) = 997.5 of independent channels
    assert classes.double().mean(dim=0).tolist() == pytest.approx([4.5] * 3, abs=0.2)


def certain(modes: Tensor) -> tuple[Tensor, Tensor]:
    """Digits of modes (n,), all of them sure."""
    digits = torch.stack([modes // 100, modes // 10 % 10, modes % 10], dim=1)
    return digits, torch.ones(len(modes), 3)


def test_modes_by_hand() -> None:
    """Of modes of 10, 20, 30 and 40 real images the samples have the first twice and the last six times."""
    real = torch.tensor([10, 20, 30, 40])
    told = judge(*certain(torch.tensor([0, 3, 3, 3, 0, 3, 3, 3])), real, 10)
    assert told["modes"] == 2
    assert told["reverse_kl"] == pytest.approx(0.25 * math.log(0.25 / 0.1) + 0.75 * math.log(0.75 / 0.4))


def test_modes_at_the_ends() -> None:
    equal = torch.full((1000,), 7)
    everything = judge(*certain(torch.arange(1000).repeat(3)), equal, 10)
    assert everything == {"modes": 1000, "high_quality": 1, "reverse_kl": pytest.approx(0, abs=1e-12)}
    one = judge(*certain(torch.full((50,), 812)), equal, 10)
    assert one == {"modes": 1, "high_quality": 1, "reverse_kl": pytest.approx(math.log(1000))}
    with pytest.raises(ValueError, match="0 samples cannot be judged"):
        judge(*certain(torch.empty(0).long()), equal, 10)
    with pytest.raises(ValueError, match="set n_images of the stacked digits higher"):
        judge(*certain(torch.tensor([1])), torch.tensor([5, 0]), 10)


def test_one_digit_that_the_classifier_is_not_sure_of_is_enough() -> None:
    classes, _ = certain(torch.tensor([5, 17, 812, 999]))
    probability = torch.tensor([[0.9, 1.0, 0.95], [1.0, 0.89, 1.0], [1.0, 1.0, 0.5], [1.0, 1.0, 1.0]])
    assert judge(classes, probability, torch.ones(1000), 10)["high_quality"] == 0.5


def test_the_classifier_says_the_modes_of_real_stacks() -> None:
    """Channel by channel and image by image, in the order of the labels."""
    digits = load("digits", n_test=800, split_seed=0)
    _, extractor = LeNetExtractor.of_package("digits", (1, 8, 8))
    images, labels = stacked(digits.test_images, digits.test_labels, 400, torch.Generator().manual_seed(1))
    classes, probability = seen(images, extractor, CPU)
    assert classes.shape == probability.shape == (400, 3)
    right = (classes == labels).double().mean(dim=0)
    assert (right > 0.95).all(), right
    assert torch.equal(seen(images[:, :1], extractor, CPU)[0][:, 0], classes[:, 0])
    logits = extract(extractor, images[:, 1:2], CPU).logits.double()
    chosen = logits.exp().amax(dim=1) / logits.exp().sum(dim=1)
    torch.testing.assert_close(probability[:, 1].double(), chosen, rtol=0, atol=1e-6)
    assert float((probability >= SURE).all(dim=1).double().mean()) > 0.8, "real digits"


def test_a_tiny_run_from_digits_to_pages(
    tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two variants, a few updates each: files, values against the model's samples, published ones beside."""
    from gm_bench.tracking.store import Store
    from gm_bench.tracks.publishing import publish
    from gm_bench.tracks.track import find as find_track
    from gm_bench.training.fit import fit
    from gm_bench.training.job import Job

    monkeypatch.chdir(tmp_path)
    measuring.fetch("stacked_digits", STACKS, DIGITS)
    train, _ = io.read_tensors(DATA / "stacked_digits/train.safetensors")
    assert train["images"].shape == (12_000 + N_SHOWN, 3, 8, 8)
    real, _ = io.read_tensors(REFERENCE / "stacked_digits/real.safetensors")
    assert real["counts"].shape == (1000,)
    assert int(real["counts"].sum()) == 12_000 + N_SHOWN
    floor = io.read_json(REFERENCE / "stacked_digits/floor.json")
    assert floor["values"]["high_quality"] > 0.8
    assert floor["values"]["modes"] == pytest.approx(1000 * (1 - math.exp(-2)), abs=30)
    assert 0.2 < floor["values"]["reverse_kl"] < 1  # chance of 2,000 samples in 1,000 modes, and few mistakes
    _, extractor = LeNetExtractor.of_package("digits", (1, 8, 8))
    cells = [Cell("stacked_mnist", "stacked_digits", variant, 0) for variant in ("ns_gan", "pac_gan")]
    for cell in cells:
        recipe = recipe_of(PARAMS, "stacked_mnist", cell.variant)
        job = Job(cell, recipe, n_images=640, n_snapshots=2, n_validation=N_SHOWN)
        state = fit(job, DATA / cell.dataset, cell.folder, cell.checkpoints, device=CPU, save_every=1000)
        assert state.images == 640
        values = measuring.evaluate(cell, STACKS, CPU)
        model = load_model(*io.read_tensors(cell.folder / "model.safetensors"), CPU)
        images = measuring.draw(model, 2000, 0, CPU)
        assert images.shape == (2000, 3, 8, 8)
        assert values == judge(*seen(images, extractor, CPU), real["counts"], 10)
        assert 1 <= values["modes"] <= 1000
    shutil.copy(migrated, "mlflow.db")
    store = Store(f"sqlite:///{tmp_path}/mlflow.db")
    track = find_track("mode_collapse")
    publish(track, cells, lambda variant: Origin("GAN", f"somebody 2000, {variant}"), store, {})
    told = json.loads(Path("reports/stacked_mnist/leaderboard.json").read_text())
    assert {row["variant"] for row in told["rows"]} == {"ns_gan", "pac_gan"}
    markdown = Path("reports/stacked_mnist/leaderboard.md").read_text()
    assert "640 real images shown" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| DCGAN |")]
    assert [line.split(" | ")[4] for line in rows] == ["99.0", "78.9 ± 6.5"]
    assert [line.split(" | ")[8] for line in rows] == ["3.40", "4.50"]
    assert all(line.endswith(" | 640 | 6,400,000 |") for line in rows)
    assert (
        "| VEEGAN | Srivastava et al. 2017 | – | – | 150.0 | – | – | – | 2.95 | – | 6,400,000 |" in markdown
    )
    page = Path("reports/stacked_mnist/leaderboard.html").read_text()
    assert 'data-times="[320, 640]"' in page, "a slider over the training"
    assert "every image has one of 1,000 modes" in page


def test_the_floor_and_the_real_stacks_are_of_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    looked_at: list[Tensor] = []

    def watched(images: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
        looked_at.append(images)
        return seen(images, *others)

    monkeypatch.setattr(measuring, "seen", watched)
    measuring.fetch("stacked_digits", STACKS, DIGITS)
    digits = load("digits", n_test=800, split_seed=0)
    (judged,) = looked_at
    assert torch.equal(judged, digits.test_images)
    real, _ = io.read_tensors(REFERENCE / "stacked_digits/real.safetensors")
    train, _ = io.read_tensors(DATA / "stacked_digits/train.safetensors")
    for stacks, of in ((real["images"], digits.test_images), (train["images"], digits.train_images)):
        drawn, whole = ({each.numpy().tobytes() for each in every} for every in (stacks.flatten(0, 1), of))
        assert drawn <= whole


def test_a_classifier_of_another_split_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="the LeNet pinned for digits was trained on other images"):
        measuring.fetch("stacked_digits", STACKS, {**DIGITS, "split_seed": 1})
    assert not any(tmp_path.iterdir())


def test_the_board_is_the_published_protocol_at_a_shorter_budget() -> None:
    fetch = of_dataset(PARAMS, "stacked_mnist")["fetch"]
    assert fetch.settings["stacks"] == {"of": "mnist", "n_images": 128_000, "n_samples": 26_000}
    assert fetch.settings["source"] == {"loader": "mnist"}
    norms = {}
    for variant in PARAMS.board("stacked_mnist").variants:
        recipe = recipe_of(PARAMS, "stacked_mnist", variant)
        assert (recipe.batch_size, recipe.model["z_dim"]) == (64, 100)
        assert {(o.lr, o.betas) for o in recipe.optimisers.values()} == {(2e-4, (0.5, 0.999))}
        norms[variant] = recipe.network.options["critic_norm"]
        needs = of_cell(PARAMS, "stacked_mnist", "stacked_mnist", variant)
        assert needs["train"].settings["n_images"] * 10 == 50 * 128_000
        assert "gm_bench.tracks.mode_collapse.course" not in needs["train"].modules
        assert needs["evaluate"].settings["weights"].startswith("02eeb333")
        assert "recipe" not in needs["evaluate"].settings["stacks"]
    assert (norms["ns_gan"], norms["wgan_gp"], norms["sngan"]) == ("batch", "none", "spectral")


def test_what_a_cell_is_made_with_is_said() -> None:
    values, places = explained_cell(PARAMS, Cell("stacked_mnist", "stacked_mnist", "pac_gan", 0))
    assert values["model"]["pack"] == 2
    assert places["model.pack"] == "tracks.mode_collapse.stacked.stacked_mnist.variants.pac_gan.model.pack"
    assert places["batch_size"] == "tracks.mode_collapse.stacked.stacked_mnist.recipe.batch_size"
    said = explained_dataset(PARAMS, "stacked_mnist", "stacked_mnist")
    found = said["n_stacks"]
    assert (found.value, found.origin) == (128_000, "tracks.mode_collapse.stacked.stacked_mnist.n_images")
    assert said["n_images"].value == 640_000


def test_published_rows_stand_beside_variants_of_theirs_alone() -> None:
    board = SimpleNamespace(entries={"ring": [SimpleNamespace(variant="gan")]})
    assert published.beside(board, "ring", published.POINTS["ring"]) is None


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a dataset without a classifier": (
        lambda p: _stacks(p).update(of="kmnist"),
        "tracks.mode_collapse.stacked.stacked_mnist.of is kmnist, which no LeNet is pinned for; "
        "there is one for: digits",
    ),
    "no such dataset": (
        lambda p: _stacks(p).update(of="emnist"),
        "datasets has no entry 'emnist'; known: digits",
    ),
    "a variant without an entry": (
        lambda p: p["boards"]["stacked_mnist"].update(variants=["dragan"]),
        "tracks.mode_collapse.stacked.stacked_mnist.variants has no entry 'dragan'; known: ns_gan, pac_gan",
    ),
    "a wrong number": (
        lambda p: _stacks(p).update(n_samples=0),
        "'tracks.mode_collapse.stacked.stacked_mnist.n_samples' is 0: input should be greater than 0",
    ),
    "no times": (
        lambda p: p["boards"]["stacked_mnist"].pop("n_snapshots"),
        "key 'boards.stacked_mnist.n_snapshots' is missing: how many times",
    ),
}


def _stacks(raw: dict[str, Any]) -> dict[str, Any]:
    stacks: dict[str, Any] = raw["tracks"]["mode_collapse"]["stacked"]["stacked_mnist"]
    return stacks


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_run_is_one_sentence(case: str) -> None:
    change, sentence = WRONG[case]
    refused_on_board(RAW, change, "stacked_mnist", sentence)
