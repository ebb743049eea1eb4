"""A track that is declared outside of the package gets its leaderboard, its pages, MLflow and the gate."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gm_bench import io
from gm_bench.cell import Cell
from gm_bench.results.baseline import of_board, read_board
from gm_bench.results.regression import check
from gm_bench.results.schema import Origin
from gm_bench.tracks.track import TrackError, find

BOARD, DATASET = "toys", "ring"
# By more than noise: hop covers the more modes, skip is behind.
COVERED = {"skip": (0.50, 0.52, 0.51), "hop": (0.90, 0.91, 0.92)}
PROTOCOL = {"n_samples": 500, "modes": 8}


@pytest.fixture
def track(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    return find("toys.rings")


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """What the stages of the track would leave: results of six cells, and a floor."""
    monkeypatch.chdir(tmp_path)
    io.write_json(Path("data", DATASET, "card.json"), {"dataset": DATASET})
    floor = {"schema": 2, "values": {"modes_covered": 1.0}, "sd": {}, "protocol": PROTOCOL}
    io.write_json(Path("reference", DATASET, "floor.json"), floor)
    made = [Cell(BOARD, DATASET, variant, seed) for variant in COVERED for seed in range(3)]
    for cell in made:
        _write(cell, COVERED[cell.variant][cell.seed])
    return made


def _write(cell: Cell, covered: float) -> None:
    metrics = {
        "schema": 2,
        "cell": cell.as_dict(),
        "status": "ok",
        "divergence": None,
        "protocol": PROTOCOL,
        "values": {"modes_covered": [covered]},
        "curves": {"modes_covered": [[100, covered / 2], [200, covered]]},
        "details": {"points": [[0.0, 1.0]]},
        "device": "cpu",
        "hashes": {"training_key": "cd", "samples": "ef"},
    }
    cost = {
        "images": 200,
        "budget": 200,
        "rounds": 20,
        "updates": {"model": 20},
        "seconds": 1.5,
        "images_per_second": 133.0,
        "flops": None,
        "parameters": {"model": 12},
        "peak_memory_bytes": None,
        "device": "cpu",
        "training_key": "cd",
        "versions": {"torch": "2.15.0"},
        "network": "mlp",
        "recipe": {"batch_size": 10, "updates": {"model": 1}, "optimisers": {"model": {"lr": 0.1}}},
    }
    history = [{"images": 100 * i, "round": 10 * i, "timestamp_ms": i, "model/loss": 1 / i} for i in (1, 2)]
    io.write_json(cell.folder / "metrics.json", metrics)
    io.write_json(cell.folder / "cost.json", cost)
    io.write_csv(cell.folder / "history.csv", history, list(history[0]))


def _origin(variant: str) -> Origin:
    return Origin("toys", f"nobody, {variant}")


def test_from_results_to_page_mlflow_and_gate(
    track, cells: list[Cell], tmp_path: Path, migrated: Path
) -> None:
    from gm_bench.tracking.store import Store
    from gm_bench.tracks.publishing import publish

    shutil.copy(migrated, "mlflow.db")
    store = Store(f"sqlite:///{tmp_path}/mlflow.db")
    published = publish(track, cells, _origin, store, {})
    assert (published.n_runs, published.n_written) == (8, 8)
    for left in ("figures/ring-earlier.svg", "cells/ring-gone-0.html"):
        Path("reports/toys", left).write_text("of an earlier report")
    assert publish(track, cells, _origin, store, {}).n_written == 0
    assert not list(Path("reports/toys").glob("*/*earlier*")) + list(Path("reports/toys").glob("*/*gone*"))

    told = json.loads(Path("reports/toys/leaderboard.json").read_text())
    assert [(row["variant"], row["rank"]) for row in told["rows"]] == [("hop", 1), ("skip", 2)]
    assert told["rows"][0]["metrics"]["modes_covered"]["values"] == [0.90, 0.91, 0.92]
    page = Path("reports/toys/leaderboard.html").read_text()
    assert "in order of Modes covered." in page
    assert "Points: 500 in the plane." in Path("reports/toys/leaderboard.md").read_text()
    assert "<h3>Samples</h3>" not in page, "points are no pictures"
    assert "FID" not in page
    figures = {path.name for path in Path("reports/toys/figures").iterdir()}
    assert figures == {"ring-modes-covered.csv", "ring-modes-covered.svg"}
    cell_page = Path("reports/toys/cells/ring-hop-1.html").read_text()
    assert "Modes covered ↑" in cell_page
    assert "nobody, hop" in cell_page
    means = json.loads(Path("reports/toys/metrics.json").read_text())
    assert means == {
        "ring": {
            "floor": {"modes_covered": 1.0},
            "hop": {"modes_covered": 0.91},
            "skip": {"modes_covered": 0.51},
        }
    }
    curves = list(csv.DictReader(Path("reports/toys/curves.csv").read_text().splitlines()))
    assert curves[1] == {
        "dataset": "ring",
        "variant": "skip",
        "seed": "0",
        "images": "200",
        "modes_covered": "0.5",
    }

    experiment = store._client.get_experiment_by_name("gm-bench/toys/ring")
    order = ["metrics.`eval/modes_covered` DESC"]
    runs = store._client.search_runs([experiment.experiment_id], "tags.kind = 'cell'", order_by=order)
    assert [run.info.run_name for run in runs][:2] == ["hop · 2", "hop · 1"]
    assert "[best by Modes covered]" in experiment.tags["mlflow.note.content"]
    view = json.loads(experiment.tags["mlflow.sharedViewState.gm-bench-table"])
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`eval/modes_covered`", False)

    board = read_board(told, "leaderboard.json", track.catalogue)
    worse = json.loads(Path("reports/toys/leaderboard.json").read_text())
    worse["rows"][0]["metrics"]["modes_covered"]["values"] = [0.3, 0.31, 0.32]
    verdict = check(of_board(board, "abc"), read_board(worse, "worse.json", track.catalogue))
    assert ("hop", "modes_covered") in [(c.variant, c.metric) for c in verdict.worse]


def test_a_track_without_charts_leaves_the_folder_that_dvc_expects(
    track, cells: list[Cell], tmp_path: Path, migrated: Path
) -> None:
    from gm_bench.tracking.store import Store
    from gm_bench.tracks.publishing import publish

    shutil.copy(migrated, "mlflow.db")
    without = replace(track, charts=lambda board, dataset, results: [])
    publish(without, cells, _origin, Store(f"sqlite:///{tmp_path}/mlflow.db"), {})
    assert list(Path("reports/toys/figures").iterdir()) == []


def test_what_is_no_track_is_named(track) -> None:
    assert find("generation").name == "generation"
    with pytest.raises(TrackError, match=r"no track 'nothing': no module gm_bench\.tracks\.nothing\.track"):
        find("nothing")
    with pytest.raises(TrackError, match=r"pathlib declares no TRACK|no track 'os.path'"):
        find("os.path")
