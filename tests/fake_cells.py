"""Artefacts as the stages leave them, made up for tests of what comes after: no model is trained."""

import copy
import math
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from gm_bench import io
from gm_bench.cell import Cell
from gm_bench.report.figures import image_grid, png_bytes
from gm_bench.results.schema import CellResult, Origin, read_cell
from gm_bench.tracking.record import Record
from gm_bench.tracks.track import find as find_track
from gm_bench.variants.base.contract import find as find_variant
from gm_bench.yaml_text import dump_yaml, load_yaml

PARAMS = Path(__file__).parents[1] / "params.yaml"
PROTOCOL = {
    "dataset": "digits",
    "n_samples": 800,
    "draws": 3,
    "split": "test",
    "extractor": {"name": "lenet", "sha256": "ab" * 32, "features": 84, "comparable": "everywhere"},
    "preprocessing": "uint8, 8×8 enlarged to 28×28",
    "dtype": "float32",
    "tf32": False,
    "score_splits": 1,
    "kid_subsets": 100,
    "kid_subset_size": 400,
    "n_train": 807,
    "fid_subsets": 10,
    "neighbours": 3,
    "duplicate_quantile": 0.01,
    "bound_images": 800,
    "bound_codes": 64,
    "floor_splits": 10,
    "versions": {"torch": "2.15.0", "torch_fidelity": "0.4.0", "numpy": "2.3.0"},
}
METRICS = ("fid", "kid", "classifier_score", "precision", "recall", "one_nn", "one_nn_real", "one_nn_fake")
METRICS += ("one_nn_train",)
BEGAN_MS = 1_700_000_000_000


def protocol(dataset: str) -> dict:
    return copy.deepcopy(PROTOCOL) | {"dataset": dataset}


def noise(seed: int, *shape: int) -> torch.Tensor:
    """What compresses worst: random bytes."""
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def write_dataset(
    root: Path, dataset: str = "digits", fid_floor: float = 0.25, shape: tuple[int, int, int] = (1, 8, 8)
) -> None:
    """Data card, splits of sixteen images each, and the floor."""
    card = {
        "dataset": dataset,
        "n_train": 997,
        "n_test": 800,
        "licence": "CC BY 4.0",
        "sha256": {"train": "00"},
    }
    io.write_json(root / "data" / dataset / "card.json", card)
    for seed, split in enumerate(("train", "test")):
        tensors = {"images": noise(seed, 16, *shape), "labels": torch.zeros(16).long()}
        io.write_tensors(root / "data" / dataset / f"{split}.safetensors", tensors)
    values = dict.fromkeys(METRICS, 0.5) | {"fid": fid_floor, "classifier_score": 9.5}
    content = {
        "schema": 2,
        "dataset": dataset,
        "values": values,
        "sd": {"fid": 0.125},
        "protocol": protocol(dataset),
        "device": "cpu",
    }
    io.write_json(root / "reference" / dataset / "floor.json", content)


def write_cell(
    root: Path,
    variant: str,
    seed: int,
    fid: Iterable[float] = (10.0, 11.0, 12.0),
    *,
    dataset: str = "digits",
    board: str = "digits",
    diverged_at: int | None = None,
    changes: dict | None = None,
    training_key: str = "cd" * 32,
    history_rows: int = 20,
    images: torch.Tensor | None = None,
    shape: tuple[int, int, int] = (1, 8, 8),
    n_snapshots: int = 10,
) -> Path:
    """metrics.json, cost.json, history.csv, pictures and samples of a cell; `fid` has a value a draw."""
    cell = Cell(board, dataset, variant, seed)
    folder = root / cell.folder
    divergence = None
    if diverged_at is not None:
        divergence = {"step": diverged_at, "player": "critic", "term": "loss", "value": "nan"}
    status = "diverged" if divergence else "ok"
    draws = list(fid)
    times = [] if divergence else [64_000 * (i + 1) for i in range(n_snapshots)]
    curves = {
        "fid": [[images, 100.0 / (i + 1) + seed] for i, images in enumerate(times)],
        "one_nn": [[images, 1.0 - 0.01 * i] for i, images in enumerate(times)],
    }
    values = {
        metric: [0.9 + 0.01 * seed + 0.001 * i for i in range(len(draws))]
        for metric in METRICS
        if metric != "fid"
    }
    metrics = {
        "schema": 2,
        "cell": cell.as_dict(),
        "status": status,
        "divergence": divergence,
        "values": {} if divergence else {"fid": draws, **values},
        "details": {
            "density": "",
            "checkpoint": {"rule": "last"},
            "missing_classes": [] if divergence else [[] for _ in draws],
            "closest_pairs": []
            if divergence
            else [
                [{"sample": i, "train": 15 - i, "distance_ratio": 0.5 + i} for i in range(8)] for _ in draws
            ],
        },
        "curves": curves,
        "protocol": protocol(dataset) | (changes or {}),
        "hashes": {"training_key": training_key, "samples": "ef" * 32},
        "device": "cpu",
    }
    shown = 64 * diverged_at if diverged_at is not None else 640_000
    recipe = {
        "batch_size": 64,
        "updates": {"critic": 5, "generator": 1},
        "optimisers": {"critic": {"name": "adam", "lr": 1e-4}, "generator": {"name": "adam", "lr": 2e-4}},
        "network": {"width": 256},
        "model": {"z_dim": 64},
    }
    cost = {
        "schema": 1,
        "status": status,
        "divergence": divergence,
        "images": shown,
        "budget": 640_000,
        "rounds": shown // 64,
        "updates": {"critic": shown // 64, "generator": shown // 320},
        "seconds": 30.125 + seed,
        "images_per_second": 21_000.5,
        "flops": 12_345_678_901,
        "parameters": {"critic": 100_000, "generator": 120_000},
        "peak_memory_bytes": 400_000_000,
        "device": "cpu",
        "training_key": training_key,
        "versions": {"torch": "2.15.0"},
        "network": "mlp",
        "recipe": recipe,
    }
    history = [
        {
            "images": shown * (i + 1) // history_rows,
            "round": 10 * (i + 1),
            "timestamp_ms": BEGAN_MS + 1000 * i,
            "critic/loss": math.cos(i) + seed,
            "generator/loss": math.sin(i),
        }
        for i in range(history_rows)
    ]
    columns = ["images", "round", "timestamp_ms", "critic/loss", "generator/loss"]
    io.write_json(folder / "metrics.json", metrics)
    io.write_json(folder / "cost.json", cost)
    io.write_csv(folder / "history.csv", history, columns)
    if images is None:
        images = torch.full((4, 1, 8, 8), 40 * seed, dtype=torch.uint8)
    n_drawn, n_snapshots = (0, 0) if divergence else (1, len(times))
    io.write_tensors(folder / "samples.safetensors", {"images": noise(seed, n_drawn, 64, *shape)})
    io.write_tensors(
        folder / "snapshots.safetensors",
        {"images": noise(seed, n_snapshots, 64 if n_snapshots else 0, *shape)},
        {"images_shown": times},
    )
    io.write_bytes(folder / "grid.png", png_bytes(image_grid(images, columns=8, scale=4)))
    return folder


def read(variant: str, seed: int, dataset: str = "digits", board: str = "digits") -> CellResult:
    """The result of a cell that was written into the working folder."""
    model = find_variant(variant)
    return read_cell(Cell(board, dataset, variant, seed), Origin(model.family, model.source))


def record_of(variant: str, seed: int, dataset: str = "digits", board: str = "digits") -> Record:
    """The run that the leaderboard stage makes of such a cell."""
    from gm_bench.tracks.publishing import cell_record  # late: most tests do without MLflow

    return cell_record(read(variant, seed, dataset, board), find_track("generation"))


def write_params(root: Path, variants: Iterable[str]) -> None:
    """The repository's params.yaml with a grid of these variants under two seeds."""
    content = load_yaml(PARAMS.read_text(encoding="utf-8"))
    grid = {"datasets": ["digits"], "variants": list(variants), "seeds": [0, 1]}
    content["boards"]["digits"] |= grid
    (root / "params.yaml").write_text(dump_yaml(content), encoding="utf-8")


def publish(root: Path, migrated: Path) -> None:
    """Run the leaderboard stage in a folder, into a database of its own."""
    from pipelines.leaderboard import main  # late: most tests do without MLflow

    shutil.copy(migrated, root / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
        main("digits")
