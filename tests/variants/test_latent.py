"""Codes and strips: interpolation by its formula, inversion against generators whose inverse is known."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from gm_bench import cli, io
from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.data.scale import from_uint8, to_uint8
from gm_bench.nets.mlp import MLP
from gm_bench.tracks.generation import strips
from gm_bench.tracks.generation.strips import Search
from gm_bench.training import sampling
from gm_bench.training.job import Job
from gm_bench.training.state import build
from gm_bench.variants import cgan, gan, vae
from gm_bench.variants.base import latent
from gm_bench.variants.base.latent import interpolate, invert

CPU = torch.device("cpu")


def cell_of(variant: str, seed: int = 0) -> Cell:
    return Cell("digits", "blobs", variant, seed)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_interpolation_by_hand() -> None:
    """(0, 8) to (4, 0) in four steps."""
    codes = interpolate(torch.tensor([0.0, 8.0]), torch.tensor([4.0, 0.0]), 4)
    assert codes.tolist() == [[0, 8], [1, 6], [2, 4], [3, 2], [4, 0]]


def linear(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda z: (z @ matrix).view(-1, 1, 2, 2)


def test_inversion_of_a_linear_generator_is_least_squares() -> None:
    """G(z) = z A with orthogonal rows: the nearest code of any image is the projection x Aᵀ (A Aᵀ)⁻¹."""
    matrix = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]])
    images = torch.randn(5, 1, 2, 2)
    codes, errors = invert(linear(matrix), images, torch.zeros(5, 2), n_steps=500, learning_rate=0.05)
    flat = images.flatten(1)
    expected = torch.stack([(flat[:, 0] + flat[:, 1]) / 2, flat[:, 2] / 2], dim=1)
    torch.testing.assert_close(codes, expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(errors, (expected @ matrix - flat).square().sum(1), rtol=1e-3, atol=1e-4)


def test_inversion_keeps_the_best_code_on_the_way() -> None:
    """Steps far too long overshoot the answer; where the start is the answer, it is what comes back."""
    images = torch.zeros(1, 1, 2, 2)
    codes, errors = invert(linear(torch.eye(4)), images, torch.zeros(1, 4), n_steps=3, learning_rate=10.0)
    assert not codes.any()
    assert errors.item() == 0.0
    images = torch.full((1, 1, 2, 2), 0.1)
    codes, errors = invert(linear(torch.eye(4)), images, torch.zeros(1, 4), n_steps=1, learning_rate=50.0)
    assert not codes.any(), "one step of 50 is farther off than the start"
    assert errors.item() == pytest.approx(0.04)


def test_the_last_step_of_a_descent_counts() -> None:
    """Adam's first step is the rate long, whatever the gradient: from 0 to 0.3 for images of 1."""
    images = torch.ones(1, 1, 2, 2)
    codes, errors = invert(linear(torch.eye(4)), images, torch.zeros(1, 4), n_steps=1, learning_rate=0.3)
    torch.testing.assert_close(codes, torch.full((1, 4), 0.3))
    assert errors.item() == pytest.approx(4 * 0.7**2, rel=1e-5)


def test_search_tries_several_starts_for_each_image(
    monkeypatch: pytest.MonkeyPatch, digits_network: MLP
) -> None:
    """G has a flat valley left of 0: of 8 starts the code right of 0 is kept, for each image its own."""
    model = gan.GAN(digits_network, z_dim=1, prior="normal")
    monkeypatch.setattr(model, "decode", lambda z, labels: z.clamp_min(0).view(-1, 1, 1, 1))
    images = torch.tensor([0.5, 1.5, 1.0]).view(3, 1, 1, 1)
    codes = latent.codes_of(model, images, None, seeded(), n_steps=300, learning_rate=0.05)
    assert codes.flatten().tolist() == pytest.approx([0.5, 1.5, 1.0], abs=1e-2)


def test_a_search_is_told_the_class_of_each_image(
    monkeypatch: pytest.MonkeyPatch, digits_network: MLP
) -> None:
    """G(z, y) = z + y / 10: the code of an image is what its own class leaves."""
    model = cgan.CGAN(digits_network, z_dim=1, prior="normal")
    monkeypatch.setattr(model, "decode", lambda z, labels: (z + labels[:, None] / 10).view(-1, 1, 1, 1))
    images, labels = torch.tensor([0.5, 1.5, 1.0]).view(3, 1, 1, 1), torch.tensor([0, 9, 4])
    codes = latent.codes_of(model, images, labels, seeded(), n_steps=300, learning_rate=0.05)
    assert codes.flatten().tolist() == pytest.approx([0.5, 0.6, 0.6], abs=1e-2)


def test_codes_come_from_the_encoder_where_there_is_one(digits_network: MLP) -> None:
    model = vae.VAE(digits_network, z_dim=2, sigma=0.5).eval()
    images = torch.rand(3, 1, 8, 8)
    codes = latent.codes_of(model, images, None, seeded(), n_steps=1, learning_rate=1.0)
    assert torch.equal(codes, model.encode(images).detach())


def test_a_generator_is_inverted_better_than_by_chance(params: Params, blobs: Tensor) -> None:
    """What the search finds is several times nearer to a sample of its own than the best of 100 others."""
    recipe = params.recipe("ns_gan", "tiny")
    job = Job(cell_of("ns_gan"), recipe, 64)
    model = build(job, (1, 8, 8), 0, CPU).eval()
    with torch.no_grad():
        images = model.sample(4, torch.Generator().manual_seed(1))
        others = model.sample(100, torch.Generator().manual_seed(2))
    z = latent.codes_of(model, images, None, seeded(), n_steps=300, learning_rate=0.05)
    with torch.no_grad():
        made = model.decode(z)
    error = (made - images).flatten(1).norm(dim=1)
    chance = torch.cdist(images.flatten(1), others.flatten(1)).min(dim=1).values
    assert bool((error < 0.25 * chance).all())


# Strips


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blobs: Tensor, params: Params) -> Path:
    """A place with test images and untrained cells: vae, cvae, gan, kde."""
    monkeypatch.chdir(tmp_path)
    labels = torch.arange(256) % 10
    io.write_tensors(Path("data/blobs/test.safetensors"), {"images": blobs, "labels": labels})
    for name in ("vae", "cvae", "gan", "kde"):
        recipe = params.recipe(name, "tiny")
        job = Job(cell_of(name), recipe, 64)
        metadata = {
            "cell": job.cell.as_dict(),
            "status": "ok",
            "image_shape": (1, 8, 8),
            "class_counts": [25] * 10,
            "recipe": recipe.model_dump(mode="json"),
        }
        weights = build(job, (1, 8, 8), 10, CPU).state_dict()
        io.write_tensors(Path(f"runs/digits/blobs/{name}/0/model.safetensors"), weights, metadata)
    return tmp_path


def tiles(picture: Tensor) -> Tensor:
    """The images (rows, columns, 8, 8) of a picture made at 6 × 6 pixels a pixel with gaps of 2."""
    height, width = picture.shape[0] + 2, picture.shape[1] + 2
    assert height % 50 == width % 50 == 0
    whole = torch.zeros(height, width, dtype=torch.uint8)
    whole[:-2, :-2] = picture[:, :, 0]
    rows = whole.view(height // 50, 50, width // 50, 50).transpose(1, 2)
    return rows[:, :, :48:6, :48:6]


def test_samples_of_one_class_and_of_all(folder: Path) -> None:
    cell = strips.load(cell_of("cvae"), "cpu")
    assert tiles(strips.samples(cell, 16, None, 0)).shape == (2, 8, 8, 8)
    with torch.no_grad():
        expected = sampling.draw(cell.model, torch.full((16,), 3), 16, strips.derive(0, "strip"), CPU)
    assert torch.equal(tiles(strips.samples(cell, 16, 3, 0)).reshape(16, 1, 8, 8), expected)
    with pytest.raises(ValueError, match="class 10 is not there: blobs has the classes 0 to 9"):
        strips.samples(cell, 16, 10, 0)
    with pytest.raises(ValueError, match="vae knows no classes: leave --class out"):
        strips.samples(strips.load(cell_of("vae"), "cpu"), 16, 3, 0)


def test_a_walk_starts_and_ends_at_drawn_codes(folder: Path) -> None:
    cell = strips.load(cell_of("vae"), "cpu")
    with torch.no_grad():
        z = cell.model.latent(4, cell.generator("interpolate", 5))
        ends = to_uint8(cell.model.decode(z))
        middle = to_uint8(cell.model.decode((z[2:3] + z[3:4]) / 2))
    rows = tiles(strips.walks(cell, 2, 4, None, 5))
    assert rows.shape == (2, 5, 8, 8)
    assert torch.equal(torch.stack([rows[0, 0], rows[0, 4], rows[1, 0], rows[1, 4]]), ends[:, 0])
    assert (rows[1, 2].int() - middle[0, 0].int()).abs().max() <= 1


def test_a_walk_between_images_keeps_them_at_the_ends(folder: Path, blobs: Tensor) -> None:
    search = Search(1, 0.05)
    cell = strips.load(cell_of("vae"), "cpu")
    rows = tiles(strips.walk_between_images(cell, 7, 2, 3, 0, search))
    assert rows.shape == (1, 6, 8, 8)
    assert torch.equal(rows[0, 0], blobs[7, 0])
    assert torch.equal(rows[0, 5], blobs[2, 0])
    with torch.no_grad():
        x = from_uint8(blobs[[7, 2]])
        ends = to_uint8(cell.model.decode(cell.model.encode(x)))
    assert torch.equal(rows[0, [1, 4]], ends[:, 0])


def test_a_conditional_walk_has_a_row_for_the_class_of_either_image(folder: Path, blobs: Tensor) -> None:
    cell = strips.load(cell_of("cvae"), "cpu")
    rows = tiles(strips.walk_between_images(cell, 7, 2, 3, 0, Search(1, 0.05)))
    assert rows.shape == (2, 6, 8, 8)
    labels = torch.tensor([7, 2])
    with torch.no_grad():
        z = cell.model.encode(from_uint8(blobs[[7, 2]]), labels)
        expected = [to_uint8(cell.model.decode(z, labels[[i, i]])) for i in (0, 1)]
    assert torch.equal(rows[:, [1, 4]], torch.stack(expected)[:, :, 0])


def test_reconstructions_stand_below_their_images(folder: Path, blobs: Tensor) -> None:
    """Eleven images: two pairs of rows, the last padded with black; the error by hand."""
    cell = strips.load(cell_of("vae"), "cpu")
    picture, error = strips.reconstructions(cell, 11, 0, Search(1, 0.05))
    rows = tiles(picture)
    assert rows.shape == (4, 8, 8, 8)
    assert torch.equal(rows[0], blobs[:8, 0])
    assert torch.equal(rows[2, :3], blobs[8:11, 0])
    assert not rows[2:, 3:].any()
    x = from_uint8(blobs[:11])
    with torch.no_grad():
        made = cell.model.decode(cell.model.encode(x))
    assert torch.equal(rows[3, :3], to_uint8(made)[8:, 0])
    assert error == pytest.approx((made - x).square().mean().item())
    few, _ = strips.reconstructions(cell, 3, 0, Search(1, 0.05))
    assert tiles(few).shape == (2, 3, 8, 8)


def test_what_cannot_be_drawn_is_said_in_a_sentence(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"blobs/vae/1 is not trained yet .*: gm-bench run --board digits does it, if"
    ):
        strips.load(cell_of("vae", 1), "cpu")
    weights, metadata = io.read_tensors(Path("runs/digits/blobs/vae/0/model.safetensors"))
    io.write_tensors(
        Path("runs/digits/blobs/vae/2/model.safetensors"), weights, metadata | {"status": "diverged"}
    )
    with pytest.raises(ValueError, match="blobs/vae/2 diverged in training"):
        strips.load(cell_of("vae", 2), "cpu")
    with pytest.raises(ValueError, match="KDE has no latent code"):
        strips.reconstructions(strips.load(cell_of("kde"), "cpu"), 2, 0, Search(1, 0.05))
    with pytest.raises(ValueError, match="test image 256 is not there: blobs has 0 to 255"):
        strips.reconstructions(strips.load(cell_of("vae"), "cpu"), 257, 0, Search(1, 0.05))


def test_the_commands_write_pictures(folder: Path) -> None:
    for words in (
        ["sample", "blobs/cvae/0", "--class", "3", "-n", "4"],
        ["interpolate", "blobs/gan/0"],
        ["interpolate", "blobs/gan/0", "--images", "0", "1", "--search-steps", "2"],
        ["reconstruct", "blobs", "gan", "0", "-n", "2", "--search-steps", "2"],
    ):
        Path("out.png").unlink(missing_ok=True)
        result = CliRunner().invoke(cli.app, [*words, "--out", "out.png"])
        assert result.exit_code == 0, result.output
        assert Path("out.png").read_bytes().startswith(b"\x89PNG")
    assert "mean squared error per pixel" in result.output


@pytest.mark.parametrize("command", ["sample", "interpolate", "reconstruct"])
def test_a_picture_is_a_png_before_anything_is_done(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even before the cell is looked for, which is not there."""
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(cli.app, [command, "blobs/gan/0", "--out", "out.jpg"])
    assert refused.exit_code == 1
    assert refused.stderr == "error: out.jpg is no name for a PNG file: let it end with .png\n"


@pytest.mark.parametrize("option", ["--search-steps", "--search-rate", "--seed"])
@pytest.mark.parametrize("words", ["reconstruct blobs/vae/0 -n 2", "interpolate blobs/cvae/0 --images 0 1"])
def test_an_encoder_has_no_use_for_options_of_a_search(folder: Path, words: str, option: str) -> None:
    refused = CliRunner().invoke(cli.app, [*words.split(), option, "2", "--out", "out.png"])
    assert refused.exit_code == 2
    variant = words.split("/")[1]
    said = f"error: {option} is of the search for codes, and {variant} has an encoder: leave it out\n"
    assert refused.stderr == said
    assert not Path("out.png").exists()
    assert CliRunner().invoke(cli.app, [*words.split(), "--out", "out.png"]).exit_code == 0
    drawn = ["interpolate", "blobs/vae/0", "--seed", "2", "--out", "out.png"]
    assert CliRunner().invoke(cli.app, drawn).exit_code == 0, "whose codes are drawn"
