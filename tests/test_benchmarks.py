"""What the scripts of benchmarks/ keep and what they measure, without running them for long."""

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import cluster_simulation, evaluation, gpu, ranks, recipe_trials
from gm_bench import io
from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.yaml_text import dump_yaml, load_yaml

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Images held back and rate of each trial that was run."""
    trials: list[tuple[int, float]] = []

    def outcome(board: str, dataset: str, entry: Any, trial: dict[str, Any], recipe: Any) -> dict[str, Any]:
        trials.append((trial["n_held_back"], recipe.optimisers["critic"].lr))
        return {"status": "diverged"}

    monkeypatch.setattr(recipe_trials, "outcome", outcome)
    return trials


def test_a_trial_is_run_again_where_anything_that_counts_differs(
    tmp_path: Path, params: Params, ran: list[tuple[int, float]]
) -> None:
    table, trial = tmp_path / "mnist_cpu.csv", {"variant": "wgan"}
    asked = {"board": "mnist_cpu", "n_images": 64000, "n_held_back": 5000}
    recipe = params.board("mnist_cpu").recipe
    slow, fast = (
        recipe_trials.with_overlay(params, "wgan", recipe, {"optimiser": {"lr": rate}})
        for rate in (5.0e-4, 1.0e-3)
    )
    for given, changes in (
        (slow, {}),
        (slow, {}),
        (slow, {"n_held_back": 500}),
        (fast, {}),
        (fast, {}),
        (fast, {"n_images": 128000}),
    ):
        recipe_trials.add_row(table, given, trial, asked | changes)
    assert ran == [(5000, 5.0e-4), (500, 5.0e-4), (5000, 1.0e-3), (5000, 1.0e-3)]
    rows = list(csv.DictReader(table.open()))
    assert [row["n_held_back"] for row in rows] == ["5000", "500", "5000", "5000"]
    hashes = [row["recipe_sha256"] for row in rows]
    assert len(set(hashes)) == 2
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]


def test_dummy_cells_last_what_those_did_that_showed_images(params: Params) -> None:
    cells = [Cell("digits", "digits", "vae", seed) for seed in range(60)]
    lengths = cluster_simulation.recorded(cells)
    rates = {
        (name, row["variant"]): row["cost"]["images_per_second"]
        for name in cluster_simulation.RECORDED
        for row in json.loads((ROOT / "reports" / name / "leaderboard.json").read_text())["rows"]
    }
    assert rates["mnist_cpu", "kde"] == 0
    expected = {params.board(name).n_images / rate for (name, _), rate in rates.items() if rate}
    assert set(lengths.values()) == expected


def test_the_order_of_the_players_is_part_of_a_recipe(params: Params) -> None:
    recipe = params.recipe("wgan", "grey_cpu")
    turned = recipe.model_copy(update={"updates": dict(reversed(recipe.updates.items()))})
    assert turned == recipe
    assert recipe_trials.sha256_of(turned) != recipe_trials.sha256_of(recipe)


def test_the_kept_table_of_trials_has_the_columns_that_are_written() -> None:
    rows = list(csv.DictReader((ROOT / "reports/trials/mnist_cpu.csv").open(newline="")))
    assert tuple(rows[0]) == recipe_trials.COLUMNS
    assert {row["n_held_back"] for row in rows[:27]} == {"5000"}


def test_an_extractor_is_measured_on_images_of_the_shape_that_the_card_says(tmp_path: Path) -> None:
    card = {"counts": {"train": 20, "test": 10}, "counts_per_class": {"train": {}}}
    for dataset, shape in (("celeba", [3, 64, 64]), ("own", [1, 16, 16])):
        io.write_json(tmp_path / dataset / "card.json", card | {"shape": shape})
    shapes = [gpu.shape_of(name, tmp_path) for name in ("celeba", "own", "kmnist", "digits", "svhn")]
    assert shapes == [(3, 64, 64), (1, 16, 16), (1, 28, 28), (1, 8, 8), (3, 32, 32)]


@pytest.mark.parametrize(
    ("dataset", "shape"), [("digits", (1, 8, 8)), ("mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))]
)
def test_an_evaluation_is_measured_on_noise_of_the_datasets_shape(
    params: Params, monkeypatch: pytest.MonkeyPatch, dataset: str, shape: tuple[int, int, int]
) -> None:
    seen: list[tuple[int, ...]] = []

    def extract(extractor: object, images: torch.Tensor, device: torch.device) -> None:
        seen.append(tuple(images.shape))
        raise InterruptedError

    monkeypatch.setattr(evaluation, "extract", extract)
    monkeypatch.setattr(evaluation, "random_inception", lambda shape: seen.append(shape))
    protocol = params.dataset(dataset).protocol.model_copy(update={"n_samples": 8})
    with pytest.raises(InterruptedError):
        evaluation.show(dataset, protocol, 1, 4)
    with_inception = [shape, (4, *shape)]
    assert seen == (with_inception if dataset == "cifar10" else [(8, *shape)])


def test_the_noise_that_ranks_are_tried_with_is_of_rows_with_several_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def row(variant: str, values: list[float], updates: dict[str, int]) -> dict[str, Any]:
        of_variant = {"dataset": "d", "variant": variant, "seeds": list(range(len(values)))}
        cost = {"budget": 1, "updates": updates}
        return of_variant | {"metrics": {"fid": {"values": values}}, "cost": cost}

    rows = [row("gan", [1.0, math.e**2], {"critic": 9}), row("vae", [3.0], {"model": 9})]
    rows.append(row("kde", [2.0, 2.0, 2.0], {}))
    monkeypatch.chdir(tmp_path)
    io.write_json(
        Path("reports/b/leaderboard.json"),
        {"schema": 1, "protocol": {"d": {}}, "floors": {"d": {}}, "rows": rows},
    )
    assert ranks.noise_of("b") == {"gan": (pytest.approx(math.sqrt(2)), "trained"), "kde": (0.0, "fitted")}


def test_a_bare_machine_makes_a_board_of_a_folder_of_images(tmp_path: Path) -> None:
    """Without DVC's folder, which remembers what a folder held."""
    generator = np.random.default_rng(0)
    for kind in ("a", "b"):
        folder = tmp_path / "images" / kind
        folder.mkdir(parents=True)
        for i in range(40):
            Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    work = tmp_path / "work"
    (work / "boards").mkdir(parents=True)
    params = load_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
    protocol = params["datasets"]["digits"]["protocol"]
    source = {
        "loader": "folder",
        "path": str(tmp_path / "images"),
        "n_test": 30,
        "split_seed": 0,
        "channels": 1,
    }
    params["datasets"]["digits"] |= {"source": source, "n_validation": 10}
    protocol |= {"n_samples": 20, "n_train": 20, "kid_subset_size": 10, "kid_subsets": 2, "bound_images": 5}
    params["boards"]["digits"] |= {"variants": ["kde"], "seeds": [0]}
    params["variants"]["kde"]["tiny"] = {"model": {"n_held_out": 5}}
    (work / "boards/params.yaml").write_text(dump_yaml(params), encoding="utf-8")
    script = ROOT / "benchmarks/gpu_day.py"
    done = subprocess.run(
        [sys.executable, str(script), str(work), str(tmp_path / "out"), "--jobs", "1", "digits"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "GM_BENCH_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout) == {"cells finished": {"digits": "1 of 1"}, "failed": {}}, done.stderr
    assert (tmp_path / "out/digits.zip").exists()
