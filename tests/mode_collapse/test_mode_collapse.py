"""Mode collapse: what points show of a mixture, PacGAN's packs, the way from a mixture to its pages."""

import copy
import json
import math
import shutil
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from refused import refused_on_board
from scipy import stats

from gm_bench.cell import DATA, Cell
from gm_bench.config import Params, load_params
from gm_bench.nets import network as networks
from gm_bench.nets.points import Maxout
from gm_bench.results.schema import Origin
from gm_bench.tracks.mode_collapse import course, files, measuring
from gm_bench.tracks.mode_collapse.mixtures import Mixture, counts, judge, mixture
from gm_bench.tracks.mode_collapse.plane import BLANK, CENTRE, POINT, SIDE, plane
from gm_bench.tracks.mode_collapse.settings import MixtureSettings
from gm_bench.tracks.mode_collapse.stages import mixture_of, of_cell, recipe_of
from gm_bench.tracks.mode_collapse.track import CATALOGUE
from gm_bench.variants.pac_gan import PacGAN, packed
from gm_bench.yaml_text import load_yaml

ROOT = Path(__file__).parents[2]
RAW = load_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
PARAMS = load_params(ROOT / "params.yaml")
CPU = torch.device("cpu")
LINE = Mixture(torch.tensor([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0], [30.0, 0.0]]), 1.0)


def test_the_mixtures_are_those_of_the_paper() -> None:
    ring, grid = mixture(mixture_of(PARAMS, "ring")), mixture(mixture_of(PARAMS, "grid"))
    assert ring.centres.norm(dim=1).tolist() == pytest.approx([1.0] * 8)
    assert float(torch.pdist(ring.centres).min()) == pytest.approx(2 * math.sin(math.pi / 8), abs=1e-6)
    assert ring.sd == 0.01
    assert sorted(set(grid.centres.flatten().tolist())) == [-4.0, -2.0, 0.0, 2.0, 4.0]
    assert len(grid.centres.unique(dim=0)) == 25
    assert grid.sd == 0.05
    with pytest.raises(ValueError, match="a square number of modes, not 24"):
        mixture(MixtureSettings(layout="grid", n_modes=24, size=4.0, sd=0.05, n_points=10))


def test_points_by_hand() -> None:
    """Two at the first mode, one at the second, one nearest to the third but four deviations away."""
    points = torch.tensor([[0.0, 0.5], [3.0, 0.0], [10.0, 0.0], [20.0, 4.0]])
    assert counts(points, LINE).tolist() == [2, 1, 0, 0]
    assert counts(points / 2, Mixture(LINE.centres / 2, 0.5)).tolist() == [2, 1, 0, 0]
    told = judge(counts(points, LINE), 4)
    assert told["modes"] == 2
    assert told["high_quality"] == 0.75
    # log K less the entropy of the points that lie on a mode, as PacGAN's code has it.
    assert told["reverse_kl"] == pytest.approx(math.log(4) - stats.entropy([2, 1]))


def test_points_at_the_ends() -> None:
    even = judge(counts(LINE.centres, LINE), 4)
    assert even == {"modes": 4, "high_quality": 1, "reverse_kl": pytest.approx(0)}
    collapsed = judge(counts(torch.zeros(9, 2), LINE), 9)
    assert (collapsed["modes"], collapsed["reverse_kl"]) == (1, pytest.approx(math.log(4)))
    astray = judge(counts(torch.full((9, 2), 5.0), LINE), 9)
    assert astray == {"modes": 0, "high_quality": 0, "reverse_kl": pytest.approx(math.log(4))}
    real = counts(LINE.sample(40_000, torch.Generator().manual_seed(0)), LINE)
    assert judge(real, 40_000)["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.002)
    with pytest.raises(ValueError, match="all finite"):
        counts(torch.tensor([[math.nan, 0.0]]), LINE)
    with pytest.raises(ValueError, match="0 points cannot be judged"):
        counts(torch.empty(0, 2), LINE)


def test_a_floor_is_the_mean_of_its_draws_and_the_spread_of_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1, 2 and 6: mean 3, sd √7."""
    monkeypatch.chdir(tmp_path)
    files.write_floor("ring", [{"modes": 1.0}, {"modes": 2.0}, {"modes": 6.0}], {"n_samples": 5})
    floor = json.loads(Path("reference/ring/floor.json").read_text())
    assert floor["values"] == {"modes": 3.0}
    assert floor["sd"] == {"modes": pytest.approx(math.sqrt(7))}


def test_intervals_end_where_there_are_no_values() -> None:
    """Two seeds that lie far apart have intervals beyond them: of ns_gan's high quality −.23 to 1.62."""
    assert CATALOGUE.within("high_quality", (-0.23, 1.62)) == (0, 1)
    assert CATALOGUE.within("reverse_kl", (-0.16, 1.27)) == (0, 1.27)
    assert CATALOGUE.within("modes", (-2.7, 11.3)) == (0, 11.3)


def test_a_pack_holds_images_that_follow_one_another() -> None:
    images = torch.arange(5 * 2 * 3 * 3).view(5, 2, 3, 3)
    packs = packed(images, 2)
    assert packs.shape == (2, 4, 3, 3)
    assert torch.equal(packs[1, :2], images[2])
    assert torch.equal(packs[1, 2:], images[3])
    assert torch.equal(packed(images, 1), images)
    with pytest.raises(ValueError, match="packs 6 images, but a batch has 5"):
        packed(images, 6)


def test_maxout_is_the_largest_of_its_pieces() -> None:
    layer = Maxout(1, 2, 3)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1.0], [0.0], [2.0], [0.5], [-1.0], [-3.0]]))
        layer.linear.bias.zero_()
    assert layer(torch.tensor([[1.0], [-1.0]])).tolist() == [[2.0, 0.5], [1.0, 3.0]]


@pytest.mark.parametrize("variant", PARAMS.board("mode_collapse").variants)
def test_every_variant_of_the_board_is_built_by_the_protocol(variant: str) -> None:
    from gm_bench.variants.base import contract

    recipe = recipe_of(PARAMS, "ring", variant)
    assert recipe.batch_size == 100
    assert {(o.lr, o.betas) for o in recipe.optimisers.values()} == {(1e-4, (0.8, 0.999))}
    network = networks.build(recipe.network.name, recipe.network.options, (2, 1, 1), 0)
    model = contract.build(variant, network, recipe.model)
    widths = [layer.out_features for layer in model.generator.modules() if isinstance(layer, torch.nn.Linear)]
    assert widths == [400, 400, 400, 400, 2]
    pieces = [layer.linear.out_features for layer in model.critic.modules() if isinstance(layer, Maxout)]
    assert pieces == [1000, 1000, 1000]
    linear = [layer for layer in model.critic.modules() if isinstance(layer, torch.nn.Linear)]
    n_inputs = linear[0].in_features
    assert n_inputs == (4 if isinstance(model, PacGAN) else 2)
    *_, inner, _ = [layer for layer in model.generator.modules() if isinstance(layer, torch.nn.Linear)]
    assert float(inner.weight.detach().std()) == pytest.approx(0.02, rel=0.02)  # of 160,000 weights
    assert float(linear[-1].bias.detach().abs().max()) == 0
    needs = of_cell(PARAMS, "mode_collapse", "ring", variant)
    assert needs["train"].settings["n_images"] == 40_000_000


def test_a_tiny_run_from_mixture_to_pages(
    tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two variants on the ring, a few updates each: files, metrics against the model's own samples, pages."""
    from gm_bench import io
    from gm_bench.tracking.store import Store
    from gm_bench.tracks.publishing import publish
    from gm_bench.tracks.track import find as find_track
    from gm_bench.training.job import Job
    from gm_bench.training.sampling import load

    monkeypatch.chdir(tmp_path)
    ring = mixture_of(PARAMS, "ring").model_copy(update={"n_points": 1000})
    measuring.fetch("ring", ring, 500)
    floor = io.read_json(Path("reference/ring/floor.json"))
    assert floor["values"]["modes"] == 8
    assert floor["values"]["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.005)
    cells = [Cell("mode_collapse", "ring", variant, 0) for variant in ("ns_gan", "pac_gan")]
    for cell in cells:
        job = Job(cell, recipe_of(PARAMS, "ring", cell.variant), n_images=2000)
        course.train(
            mixture(ring), job, DATA / "ring", cell.folder, cell.checkpoints, device=CPU, save_every=1000
        )
        values = measuring.evaluate(cell, ring, 500, CPU)
        points = measuring.draw(load(*io.read_tensors(cell.folder / "model.safetensors"), CPU), 500, 0, CPU)
        assert points.shape == (500, 2)
        assert values == judge(counts(points, mixture(ring)), 500)
        details = io.read_json(cell.folder / "metrics.json")["details"]
        assert details["counts"] == counts(points, mixture(ring)).tolist()
    track = find_track("mode_collapse")
    shutil.copy(migrated, "mlflow.db")
    store = Store(f"sqlite:///{tmp_path}/mlflow.db")
    publish(track, cells, lambda variant: Origin("GAN", f"somebody 2000, {variant}"), store, {})
    told = json.loads(Path("reports/mode_collapse/leaderboard.json").read_text())
    assert {row["variant"] for row in told["rows"]} == {"ns_gan", "pac_gan"}
    markdown = Path("reports/mode_collapse/leaderboard.md").read_text()
    ours = {row["variant"]: row["metrics"] for row in told["rows"]}["ns_gan"]
    method, source, variant, *pairs = row_of(markdown, "GAN")
    assert (method, source, variant) == ("GAN", "Lin et al. 2018", "ns_gan")
    for here, name in zip(pairs[::2], ("modes", "high_quality", "reverse_kl"), strict=False):
        assert float(here) == pytest.approx(ours[name]["mean"], rel=0.01)
    assert pairs[1::2] == ["6.3 ± 0.5", "0.982 ± 0.002", "0.45 ± 0.09", "40,000,000"]
    assert pairs[6] == "2,000"
    assert row_of(markdown, "PacGAN2")[2:5:2] == ["pac_gan", "7.9 ± 0.1"]
    assert row_of(markdown, "PacGAN4")[2:5] == ["–", "–", "7.8 ± 0.1"]
    page = Path("reports/mode_collapse/leaderboard.html").read_text()
    assert "500 samples of the first seed of each variant, unselected; circles: three standard" in page
    assert 'data-times="[100, 200, 300, 400, 600,' in page, "a slider over the training"
    assert page.count('class="frames"') == 2
    assert page.count('<th scope="row">PacGAN2</th><td class="words">Lin et al. 2018</td>') == 1
    of_cell = Path("reports/mode_collapse/cells/ring-ns_gan-0.html").read_text()
    assert "| floor | real points |" in markdown
    assert "<small>real points</small>" in page
    assert 'data-examples="points"' in page
    for text in (markdown, of_cell):
        assert "2,000 real points" in text
        assert "images" not in text
    assert "of 500 generated points" in of_cell


def test_a_cell_that_diverged_has_neither_values_nor_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Adam's first step, which is as long as the rate."""
    from gm_bench import io
    from gm_bench.training.job import Job

    monkeypatch.chdir(tmp_path)
    ring = mixture_of(PARAMS, "ring").model_copy(update={"n_points": 1000})
    measuring.fetch("ring", ring, 500)
    raw = copy.deepcopy(RAW)
    raw["tracks"]["mode_collapse"]["recipe"]["network"].update(width=8, critic_width=8)
    for optimiser in raw["tracks"]["mode_collapse"]["recipe"]["optimisers"].values():
        optimiser["lr"] = 1e38
    cell = Cell("mode_collapse", "ring", "ns_gan", 0)
    job = Job(cell, recipe_of(Params.model_validate(raw), "ring", "ns_gan"), n_images=2000)
    of = mixture(ring)
    state = course.train(of, job, DATA / "ring", cell.folder, cell.checkpoints, device=CPU, save_every=1000)
    assert state.divergence is not None
    tensors, metadata = io.read_tensors(cell.folder / "snapshots.safetensors")
    assert tensors["images"].shape == (len(metadata["images_shown"]), 1, 1, SIDE, SIDE)
    assert state.images not in metadata["images_shown"], "there is no finished model to look at"
    assert measuring.evaluate(cell, ring, 500, CPU) == {}
    metrics = io.read_json(cell.folder / "metrics.json")
    assert (metrics["status"], metrics["values"], metrics["details"]) == ("diverged", {}, {"points": []})


def test_looks_change_no_weight_and_outlive_a_stop(tmp_path: Path) -> None:
    """A cell that is looked at, and one that is stopped by its user on the way too, end as one left alone."""
    from gm_bench import io
    from gm_bench.training.fit import fit
    from gm_bench.training.job import Job
    from gm_bench.training.state import Interrupted

    ring = mixture_of(PARAMS, "ring").model_copy(update={"n_points": 1000})
    of = mixture(ring)
    points = of.sample(1000, torch.Generator().manual_seed(0))
    io.write_tensors(tmp_path / "train.safetensors", {"images": points[:, :, None, None]})
    raw = copy.deepcopy(RAW)
    raw["tracks"]["mode_collapse"]["recipe"]["network"].update(width=8, critic_width=8)
    recipe = recipe_of(Params.model_validate(raw), "ring", "ns_gan")
    job = Job(Cell("mode_collapse", "ring", "ns_gan", 0), recipe, n_images=20_000)
    plain = fit(job, tmp_path, tmp_path / "a", tmp_path / "ca", device=CPU, save_every=1000)

    said: list[str] = []

    def run(name: str, stop_asked=lambda: False):
        options = {"device": CPU, "save_every": 1000, "stop_asked": stop_asked, "on_note": said.append}
        return course.train(of, job, tmp_path, tmp_path / name, tmp_path / f"c{name}", **options)

    asked = chain([False] * 100, repeat(True))  # of 200 rounds
    with pytest.raises(Interrupted):
        run("b", lambda: next(asked))
    assert not (tmp_path / "b").exists()
    assert said == []
    for name, notes in (("b", ["goes on from"]), ("c", [])):
        said.clear()
        state = run(name)
        assert [note.partition(" round ")[0] for note in said] == notes, "looks go on unsaid"
        for got, wanted in zip(state.model.parameters(), plain.model.parameters(), strict=True):
            assert torch.equal(got, wanted)
        assert [row["images"] for row in state.history] == [row["images"] for row in plain.history]
        assert not (tmp_path / f"c{name}").exists()
        tensors, metadata = io.read_tensors(tmp_path / name / "snapshots.safetensors")
        shown = [20_000 * percent // 100 for percent in (*course.PERCENTS, 100)]
        assert metadata["images_shown"] == shown
        assert tensors["images"].shape == (len(shown), 1, 1, SIDE, SIDE)
        last = plane(measuring.draw(plain.model.eval(), measuring.N_SHOWN, 0, CPU), of)
        assert torch.equal(tensors["images"][-1, 0], last)
        assert not torch.equal(tensors["images"][0], tensors["images"][-1])


def test_the_plane_by_hand() -> None:
    """Four centres at ±1 on the axes, the picture from −1.3 to 1.3, up is up; what is outside is left out."""
    of = Mixture(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 0.1)
    points = torch.tensor([[0.65, 0.65], [9.0, 0.0], [math.nan, 0.0], [0.0, math.inf]])
    picture = plane(points, of)
    assert picture.shape == (1, SIDE, SIDE)
    assert picture.dtype == torch.uint8
    assert (picture == POINT).sum() == 9
    assert picture[0, SIDE // 4, 3 * SIDE // 4] == POINT
    assert (picture == CENTRE).sum() == 4 * 49
    assert picture[0, SIDE // 2, round(SIDE * 2.3 / 2.6)] == CENTRE
    assert picture[0, 0, 0] == BLANK


def test_samples_are_shown_of_the_first_seed_and_only_of_a_finished_model(tmp_path: Path) -> None:
    from gm_bench import io
    from gm_bench.tracks.mode_collapse import track

    board = SimpleNamespace(
        entries={"ring": [SimpleNamespace(variant="gan")]},
        protocols={"ring": {"mixture": mixture_of(PARAMS, "ring").model_dump()}},
    )
    results = [
        SimpleNamespace(variant="gan", seed=seed, details={"points": [[0.25 * seed, 0.5]]}) for seed in (0, 1)
    ]
    chart = track._samples(board, "ring", results)
    assert chart.table.splitlines()[1:] == ["gan,0,0.0,0.5"]
    pictures = (
        torch.arange(2, dtype=torch.uint8)[:, None, None, None, None].expand(2, 1, 1, 4, 4).contiguous()
    )
    io.write_tensors(tmp_path / "snapshots.safetensors", {"images": pictures}, {"images_shown": [10, 20]})
    for status, last in (("ok", 1), ("diverged", None)):
        found = track._pictures(SimpleNamespace(cell=SimpleNamespace(folder=tmp_path), status=status))
        assert found.images_shown == (10, 20)
        assert (None if found.images is None else int(found.images.max())) == last


def test_looks_follow_one_another() -> None:
    assert course.next_look(1000, 0) == 10
    assert course.next_look(1000, 10) == 20
    assert course.next_look(1000, 55) == 100
    assert course.next_look(1000, 905) == 1001, "the end is looked at without a stop"


WRONG = {
    "unknown mixture": (
        lambda p: p["boards"]["mode_collapse"].update(datasets=["spiral"]),
        "tracks.mode_collapse: mixtures and stacked has no entry 'spiral'; known: ring, grid, stacked_mnist",
    ),
    "a variant without an entry": (
        lambda p: p["boards"]["mode_collapse"].update(variants=["vae"]),
        "tracks.mode_collapse.variants has no entry 'vae'; known: gan, ns_gan",
    ),
    "a variant that is none": (
        lambda p: p["boards"]["mode_collapse"].update(variants=["vqgan"]),
        "variants has no entry 'vqgan'; known: kde, pca",
    ),
    "a wrong rate": (
        lambda p: p["tracks"]["mode_collapse"]["variants"]["wgan"].update(
            optimisers={"critic": {"lr": -1.0}}
        ),
        "'tracks.mode_collapse (wgan): optimisers.critic.lr' is -1.0: input should be greater than 0",
    ),
    "a wrong mixture": (
        lambda p: p["tracks"]["mode_collapse"]["mixtures"]["ring"].update(sd=-1),
        "'tracks.mode_collapse.mixtures.ring.sd' is -1: input should be greater than 0",
    ),
    "no settings": (
        lambda p: p["tracks"].pop("mode_collapse"),
        "key 'tracks.mode_collapse.mixtures' is missing",
    ),
    "no budget": (
        lambda p: p["boards"]["mode_collapse"].pop("n_images"),
        "key 'boards.mode_collapse.n_images' is missing",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_run_is_one_sentence(case: str) -> None:
    change, sentence = WRONG[case]
    refused_on_board(RAW, change, "mode_collapse", sentence)


def row_of(markdown: str, first: str) -> list[str]:
    """The one line of a table that begins so."""
    (line,) = [line for line in markdown.splitlines() if line.startswith(f"| {first} |")]
    return [text.strip().replace("\u00a0", " ") for text in line.strip("|").split("|")]
