"""A first look at a folder: sizes, colour, classes, what cannot be read, and what is there twice."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gm_bench.data.look import Look, alike, look


def picture(seed: int, side: int = 32) -> np.ndarray:
    """A smooth colour image, another one for each seed."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes; one file twice, one again but darker, one grey, one larger, one damaged, one no image."""
    root = tmp_path_factory.mktemp("look")
    for i in range(20):
        save(root / f"{'ab'[i % 2]}/{i:02}.png", picture(i))
    save(root / "a/again.png", picture(0))
    save(root / "b/darker.png", (picture(1) * 0.6).astype(np.uint8))
    save(root / "b/grey.png", picture(50).mean(axis=2).astype(np.uint8))
    save(root / "b/large.png", picture(51, 48))
    (root / "a/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (root / "a/notes.txt").write_text("none")
    return root


@pytest.fixture(scope="module")
def found(folder: Path) -> Look:
    return look(folder)


def test_counts_sizes_colour_and_classes(found: Look) -> None:
    assert len(found.files) == 24
    assert found.sizes == {(32, 32): 23, (48, 48): 1}
    assert (found.n_colour, found.channels, found.least_side) == (23, 3, 32)
    assert found.n_modes == {"colour": 23, "grey": 1}
    assert found.class_counts == {"a": 11, "b": 13}


def test_what_cannot_be_read_is_named(found: Look) -> None:
    (sentence,) = found.unreadable
    assert "a/broken.png" in sentence
    assert found.listing.notes == ("1 not read: 1 of .txt (a/notes.txt)",)


def test_equal_pixels_are_exact_and_the_darker_one_looks_alike(found: Look) -> None:
    assert found.exact == [[Path("a/00.png"), Path("a/again.png")]]
    assert found.near == [(Path("b/01.png"), Path("b/darker.png"))]
    assert found.n_compared == 23


def test_pictures_look_alike_from_a_correlation_of_98_per_cent_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two patterns that are orthogonal a share c of the first, √(1 − c²) of the other: correlation c. Of a
    contrast of one grey level there is none."""
    sign = 1 - 2 * (torch.arange(16) // 8)
    first, other = sign.expand(16, 16), sign[:, None].expand(16, 16)
    mixed = [c * first + (1 - c**2) ** 0.5 * other for c in (1.0, 0.985)]
    apart = [c * other - (1 - c**2) ** 0.5 * first for c in (1.0, 0.975)]
    rows = torch.stack([*mixed, *apart, first / 90])
    thumbnails = (128 + 90 * rows).round().to(torch.uint8)[:, None].expand(-1, 3, -1, -1)
    for block in (2048, 2):
        monkeypatch.setattr("gm_bench.data.look.BLOCK", block)
        assert alike(thumbnails, [10, 20, 30, 40, 50]) == [(10, 20)]


def test_frames_of_tracks_are_found_to_be_groups(tmp_path: Path) -> None:
    for track in range(12):
        for frame in range(3):
            save(tmp_path / f"{track:05}_{frame:05}.png", np.roll(picture(track), frame % 2, axis=0))
    rule, n_groups, n_together = look(tmp_path).groups() or (None, 0, 0)
    assert rule == r"^(.*)[_-]\d+\.[^.]*$"
    assert (n_groups, n_together) == (12, 12)


def test_images_that_do_not_resemble_one_another_have_no_groups(tmp_path: Path) -> None:
    for i in range(24):
        save(tmp_path / f"{i // 2:05}_{i % 2:05}.png", picture(i))
    found = look(tmp_path)
    assert (found.near, found.groups()) == ([], None)
