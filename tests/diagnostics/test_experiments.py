"""The parts of experiments on images and of walks, against hand-made cases; each experiment once, tiny."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gm_bench.config import load_params
from gm_bench.data.loaders import digits
from gm_bench.tracks.diagnostics import frozen_generator
from gm_bench.tracks.diagnostics.claim import find, run
from gm_bench.tracks.diagnostics.claims import ascent_from_noise, metrics_see, vae_without_kl
from gm_bench.tracks.diagnostics.frozen_generator import Gradient, decades_lost, looks
from gm_bench.tracks.diagnostics.images import OPTIONS, Trainer, training_images
from gm_bench.tracks.diagnostics.stages import budget
from gm_bench.variants.autoencoder import Autoencoder

ROOT = Path(__file__).parents[2]
PARAMS = load_params(ROOT / "params.yaml")
FROZEN = {"width": 8, "batch_size": 8, "early": 1, "middle": 2, "late": 3, "n_updates": 40, "lr": 0.02}
GAN = {"width": 8, "n_rounds": 5, "batch_size": 8}
TINY: dict[str, dict[str, Any]] = {
    "ascent_from_noise": {"n_updates": 5, "batch_size": 8, "n_walkers": 8, "n_steps": 50},
    "vae_without_kl": {"width": 8, "z_dim": 2, "n_updates": 20, "batch_size": 8},
    "better_discriminator": FROZEN,
    "least_squares_gradient": FROZEN,
    "latent_gaps": {"width": 64, "z_dim": 8, "n_updates": 100, "batch_size": 64, "n_pairs": 100},
    "vae_blurs": GAN | {"z_dim": 4, "n_updates": 8, "lr": 5e-3},
    "noise_and_replay": GAN | {"capacity": 16},
    "critic_features": GAN | {"n_updates": 2, "hidden": 8, "z_dim": 4},
    "inversion": GAN | {"hidden": 8, "n_images": 4, "n_steps": 30},
    "little_data": GAN | {"n_few": 20, "n_more": 40},
    "steadiness": GAN | {"n_rounds": 2},
    "sampling_speed": {"width": 4, "z_dim": 4, "n_images": 2, "n_codes": 4, "code_dim": 4, "prior_width": 4},
    "published_likelihood": {
        "dataset": "digits",
        "width": 8,
        "z_dim": 2,
        "n_codes": 3,
        "batch_size": 500,
        "n_stages": 2,
        "n_test": 5,
        "n_importance": 4,
    },
    "metrics_see": {"report": str(ROOT / "reports/audit/digits.json")},
}

# What the tiny experiments gave with seed 0 when they were last looked at. On other instruction sets a value
# differs by its thousandth at most, by two in vae_blurs; latent_gaps counts 100 pairs, little_data has
# a ratio near 1.
KNOWN: dict[str, dict[str, float]] = json.loads(Path(__file__).with_name("outcomes.json").read_text())
TOLERANCE = {"latent_gaps": 0.06, "vae_blurs": 0.01, "little_data": 1e-4}


def tiny(name: str) -> dict[str, Any]:
    """The budget of a claim on the first board that it is on, cut."""
    board = "likelihood" if name == "published_likelihood" else "claims"
    return budget(PARAMS, board, name) | TINY[name]


@pytest.mark.parametrize("name", TINY)
def test_an_experiment_gives_what_its_pictures_show_and_the_same_again(name: str) -> None:
    cut = tiny(name)
    outcome = run(name, 0, cut)
    shown = {curve for panel in find(name).panels for curve in (*panel.measured, *panel.exact)}
    assert shown <= set(outcome.curves)
    if name == "sampling_speed":  # seconds are not the same again
        return
    if name in KNOWN:
        tolerance = TOLERANCE.get(name, 1e-3)
        assert dict(outcome.values) == pytest.approx(KNOWN[name], rel=tolerance, abs=tolerance)
    again = run(name, 0, cut)
    assert (again.values, again.curves) == (outcome.values, outcome.curves)
    if name != "metrics_see":
        assert run(name, 1, cut).values != outcome.values


def test_sharpness_is_told_of_what_its_curves_show() -> None:
    """The outcome's tolerance is wider than the ratio's distance from 1 in so small an experiment."""
    outcome = run("vae_blurs", 0, tiny("vae_blurs"))
    at = {name: dict(points) for name, points in outcome.curves.items()}
    samples = at["VAE, samples"]
    assert samples[0.25] != samples[1.0]
    assert outcome.values["blur_wider"] == samples[1.0] / samples[0.25]
    assert outcome.values["blur_vae"] == samples[0.5]
    assert outcome.values["blur_gan"] == at["GAN, samples"][0.5]
    assert outcome.values["blur_autoencoder"] == at["autoencoder, reconstructions"][0.5]


def test_digits_are_those_of_the_boards() -> None:
    source = PARAMS.dataset("digits").source
    assert OPTIONS["digits"] == source.options
    assert torch.equal(training_images("digits"), digits.read(**source.options).train_images)


def test_looks_are_even_on_a_log_scale() -> None:
    assert looks(1000) == [10, 18, 32, 56, 100, 178, 316, 562, 1000]
    assert looks(20) == [10, 20]


class Line(nn.Module):
    """G(z) = a z with a parameter a; z are given batch by batch."""

    def __init__(self, batches: list[list[float]]) -> None:
        super().__init__()
        self.generator = nn.Linear(1, 1, bias=False)
        self.batches = iter(batches)

    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.tensor(next(self.batches))[:, None]

    def decode(self, z: Tensor) -> Tensor:
        return self.generator(z)


@pytest.mark.parametrize(
    ("means", "norm", "variance", "agreement"),
    [([2.0, 2.0, 2.0, 2.0], 2.0, 0.0, 1.0), ([3.0, -1.0, 3.0, -1.0], 2.0, 16 / 3, 0.2)],
)
def test_a_gradient_over_batches_by_hand(
    means: list[float], norm: float, variance: float, agreement: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss E f(a z) with f the identity has the slope E z."""
    monkeypatch.setattr(frozen_generator, "N_BATCHES", len(means))
    model = Line([[mean - 1, mean + 1] for mean in means])
    got = frozen_generator._gradient(model, nn.Identity(), torch.mean, 2, torch.Generator())
    assert (got.norm, got.variance, got.agreement) == pytest.approx((norm, variance, agreement))


def test_decades_are_from_the_largest_norm() -> None:
    norms = {10: 0.1, 20: 10.0, 40: 0.01}
    assert decades_lost({at: Gradient(norm, 0, 0) for at, norm in norms.items()}) == pytest.approx(3)


def test_a_discriminator_learns_and_the_generator_stays() -> None:
    """After 60 updates against an untrained generator the minimax gradient is smaller than after 10."""
    small = frozen_generator.Budget("digits", "mlp", 32, 32, 0, 1, 2, 60, 2e-3)
    images = training_images("digits")
    model = frozen_generator.generators(0, "test", small, images)["early"]
    before = [p.clone() for p in model.parameters()]
    from gm_bench.tracks.diagnostics.claims.better_discriminator import LOSSES, cross_entropy_critic_loss

    found = frozen_generator.gradients(0, "test", model, images, cross_entropy_critic_loss, LOSSES, small)
    assert list(found["minimax"]) == looks(60)
    assert decades_lost(found["minimax"]) > 0.3
    assert all(torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True))


def test_a_trainer_minimises() -> None:
    from gm_bench.data.scale import from_uint8
    from gm_bench.nets.mlp import MLP

    images = training_images("digits")
    model = Autoencoder(MLP((1, 8, 8), 0, 32, "none"), z_dim=8)
    trainer = Trainer(model, images, seed=0, purpose="test", batch_size=32, lr=1e-2)
    trainer.rounds(60)
    model.eval()
    x = from_uint8(images)
    assert vae_without_kl.squared_error(model, x) < 0.5 * float((x - x.mean(dim=0)).square().mean())


def test_the_share_of_noise_by_hand() -> None:
    class Codes:
        """Two dimensions: σ² = 1 and spread 3; σ² = 4 and none."""

        def posterior(self, x: Tensor, labels: None) -> tuple[Tensor, Tensor]:
            mu = torch.tensor([[-math.sqrt(3 / 2), 5.0], [math.sqrt(3 / 2), 5.0]])
            return mu, torch.tensor([[0.0, math.log(4)], [0.0, math.log(4)]])

    share = vae_without_kl.noise_share(Codes(), torch.zeros(2, 1))  # type: ignore[arg-type]
    assert share == pytest.approx((0.25 + 1.0) / 2)


def test_the_slope_of_the_prior_is_that_of_its_log_density() -> None:
    x = torch.randn(20, 2, dtype=torch.float64, requires_grad=True)
    squares = (x[:, None] - ascent_from_noise.CENTRES).square().sum(dim=2)
    (slope,) = torch.autograd.grad((-squares / (2 * ascent_from_noise.SD**2)).logsumexp(dim=1).sum(), x)
    assert torch.allclose(ascent_from_noise.prior_slope(x), slope)


def test_walks_of_a_classifier_that_is_known() -> None:
    """The exact classifier: climbing goes on with steps of one length, Langevin's steps draw the class."""

    class Exact(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            squares = (x[:, None] - ascent_from_noise.CENTRES).square().sum(dim=2)
            return -squares / (2 * ascent_from_noise.SD**2)

    plan = ascent_from_noise.Budget(0, 0, 0.0, 0, 0, 400, 0.02, 0.005)
    labels = torch.zeros(500, dtype=torch.int64)
    ends, path = ascent_from_noise.walk(
        Exact(), labels, plan, torch.Generator().manual_seed(0), with_prior=False
    )
    start = torch.randn(500, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float((ends - start).norm(dim=1).max()) <= 8.0 + 1e-9
    assert path[-1] == (400.0, float(ascent_from_noise.distance(ends, labels).median()))
    assert float(ends.mean(dim=0).min()) > 2 + 3 * ascent_from_noise.SD
    drawn, _ = ascent_from_noise.walk(
        Exact(), labels, plan, torch.Generator().manual_seed(0), with_prior=True
    )
    assert drawn.mean(dim=0).tolist() == pytest.approx([2.0, 2.0], abs=0.1)  # sd of the mean: 0.022
    assert drawn.std(dim=0).tolist() == pytest.approx([0.5, 0.5], abs=0.06)


def test_what_a_report_says_is_read_as_it_stands(tmp_path: Path) -> None:
    curve = [
        {"strength": 0.1, "mean": 3.0, "in_clean_sd": 1.5},
        {"strength": 0.5, "mean": 2.0, "in_clean_sd": 9},
    ]
    report = {"metrics": {"fid": {"failures": {"blur": {"curve": curve}}}}}
    assert metrics_see.points(report, "fid", "blur", "mean") == [(0.1, 3.0), (0.5, 2.0)]
    assert metrics_see.largest(report, "fid", "blur") == 9
    assert metrics_see.share_rising([[(0, 1.0), (1, 2.0), (2, 3.0)], [(0, 1.0), (1, 0.5)]]) == pytest.approx(
        2 / 3
    )
    file = tmp_path / "digits.json"
    with pytest.raises(OSError, match=r"digits\.json is not there: the audit writes it"):
        metrics_see.read(str(file))
    file.write_text("{")
    with pytest.raises(OSError, match="is damaged"):
        metrics_see.read(str(file))
    file.write_text(json.dumps(report))
    assert metrics_see.read(str(file)) == report
