"""The sample grids of a cell: which picture stands at which step, and what is in it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fake_cells import write_cell

from gm_bench import io
from gm_bench.report.figures import CAPTION, MARGIN
from gm_bench.tracking.record import Pictures
from gm_bench.tracking.snapshots import grids_by_step, grids_of_snapshots


def pictures_of(folder: Path, budget: int = 640_000, finished: bool = True) -> Pictures:
    return Pictures(folder / "grid.png" if finished else None, folder / "snapshots.safetensors", budget)


def first_pixel(picture) -> int:
    """A pixel of the first tile of the grid, below the caption."""
    return int(np.array(picture)[CAPTION + 1, MARGIN + 1, 0])


def test_the_finished_model_is_seen_first_and_the_moments_after_it(tmp_path):
    folder = write_cell(tmp_path, "gan", 3, images=torch.full((4, 1, 8, 8), 120, dtype=torch.uint8))
    pictures = grids_by_step(pictures_of(folder))
    assert sorted(pictures) == [0, *range(64_000, 640_001, 64_000)]
    assert first_pixel(pictures[0]) == 120
    snapshots = io.read_tensors(folder / "snapshots.safetensors")[0]["images"]
    for i in range(10):
        picture = pictures[64_000 * (i + 1)]
        assert first_pixel(picture) == snapshots[i, 0, 0, 0, 0], "what training left, not the finished model"


def test_moments_are_at_whole_percents_so_that_runs_of_other_batches_meet():
    images = torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1, 1).expand(3, 5, 1, 8, 8)
    pictures = grids_of_snapshots(images, [100_032, 200_160, 1_000_320], budget=1_000_000)
    assert list(pictures) == [100_000, 200_000, 1_000_000]
    assert [first_pixel(picture) for picture in pictures.values()] == [0, 1, 2]


def test_a_cell_that_diverged_shows_how_far_it_came(tmp_path):
    folder = write_cell(tmp_path, "gan", 0)
    assert list(grids_by_step(pictures_of(folder, finished=False))) == list(range(64_000, 640_001, 64_000))
    folder = write_cell(tmp_path, "gan", 1, diverged_at=77)
    assert grids_by_step(pictures_of(folder, finished=False)) == {}


def test_a_model_that_is_not_trained_in_rounds_stands_at_both_ends(tmp_path):
    folder = write_cell(tmp_path, "kde", 0)
    io.write_tensors(
        folder / "snapshots.safetensors", {"images": torch.empty(0, 0, 1, 8, 8).byte()}, {"images_shown": []}
    )
    pictures = grids_by_step(pictures_of(folder))
    assert sorted(pictures) == [0, 640_000]


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour(tmp_path, channels):
    images = torch.full((4, channels, 32, 32), 50, dtype=torch.uint8)
    folder = write_cell(tmp_path, "gan", 0, images=images, shape=(channels, 32, 32))
    assert {first_pixel(grids_by_step(pictures_of(folder))[0])} == {50}


def test_a_missing_file_and_a_damaged_one_say_what_to_do(tmp_path):
    folder = write_cell(tmp_path, "gan", 0)
    (folder / "grid.png").write_bytes(b"no picture")
    with pytest.raises(io.FileError, match=r"grid\.png is damaged .*delete it and rerun its board"):
        grids_by_step(pictures_of(folder))
    (folder / "snapshots.safetensors").unlink()
    with pytest.raises(io.FileError, match=r"snapshots\.safetensors not found"):
        grids_by_step(pictures_of(folder))
