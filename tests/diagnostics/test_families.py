"""The parts of the claims about families of models, against cases that are worked out by hand or by force."""

import math

import pytest
import torch
from torch import Tensor, nn

from gm_bench.data.scale import from_uint8
from gm_bench.io import sha256_tensor
from gm_bench.metrics.extractors.lenet import pinned_datasets, pinned_record
from gm_bench.nets.tanh_mlp import TanhMLP
from gm_bench.tracks.diagnostics import samples
from gm_bench.tracks.diagnostics.claims import (
    critic_features,
    inversion,
    latent_gaps,
    little_data,
    noise_and_replay,
    published_likelihood,
    sampling_speed,
    steadiness,
    vae_blurs,
)
from gm_bench.tracks.diagnostics.images import splits
from gm_bench.tracks.diagnostics.samples import Rounds, gauge, new_gan, trained_gan
from gm_bench.variants.bigan import BiGAN
from gm_bench.variants.gan_noisy_labels import GANNoisyLabels
from gm_bench.variants.gan_replay import GANReplay
from gm_bench.variants.ns_gan import NSGAN
from gm_bench.variants.vae_bernoulli import BernoulliVAE
from gm_bench.variants.wgan import WGAN

TINY = Rounds("mlp", 8, 3, 8, 1e-3)
DIGITS = splits("digits")
IMAGES = DIGITS.train_images


@pytest.fixture(scope="module")
def known() -> samples.Gauge:
    return gauge("digits", DIGITS)


def test_the_gauge_reads_the_pinned_weights_of_this_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of another split would have been trained on some of the held-out images."""
    assert set(samples.WEIGHTS) == set(pinned_datasets())
    record = pinned_record("digits", sha256_tensor(IMAGES))
    assert record is not None
    assert samples.WEIGHTS["digits"] == record["sha256"]
    with pytest.raises(ValueError, match="no LeNet for the dataset svhn; they have: digits"):
        gauge("svhn", DIGITS)
    monkeypatch.setitem(samples.WEIGHTS, "digits", "0" * 64)
    with pytest.raises(ValueError, match=r"pinned for digits has sha256 be8c6c.*, the claims were written"):
        gauge("digits", DIGITS)


def test_a_gauge_is_of_held_out_images(known: samples.Gauge) -> None:
    assert known.fid(DIGITS.test_images) == pytest.approx(0, abs=1e-6)
    assert 0.3 < known.fid(IMAGES) < 1  # the floor of the board digits is 0.65, sd 0.07
    assert known.precision(DIGITS.test_images) == 1
    assert known.one_nn(DIGITS.test_images[:300]) == 0  # the nearest of each is its own copy
    assert known.one_nn(torch.randint(0, 256, (300, 1, 8, 8)).byte()) > 0.95


def test_variants_of_one_purpose_begin_alike() -> None:
    """Pairs of runs differ by the trick alone."""
    plain = new_gan(NSGAN, IMAGES, TINY, "batch", 0, "test")
    others = [
        new_gan(GANNoisyLabels, IMAGES, TINY, "batch", 0, "test", real_label=0.9, flip=0.1),
        new_gan(GANReplay, IMAGES, TINY, "batch", 0, "test", capacity=8),
    ]
    for other in others:
        for name, weight in plain.named_parameters():
            assert torch.equal(weight, other.get_parameter(name)), name
    another = new_gan(NSGAN, IMAGES, TINY, "batch", 1, "test")
    assert not torch.equal(next(plain.parameters()), next(another.parameters()))


def test_a_gan_is_trained_by_all_its_rounds() -> None:
    """Clipping is part of a round: after it no weight of the critic is larger."""
    model = new_gan(WGAN, IMAGES, TINY, "none", 0, "test", clip=0.01)
    before = [p.clone() for p in model.generator.parameters()]
    trained_gan(model, IMAGES, TINY, 0, "test")
    assert max(float(p.detach().abs().max()) for p in model.critic.parameters()) <= 0.01
    assert all(not torch.equal(p, q) for p, q in zip(before, model.generator.parameters(), strict=True))
    assert not model.training


class Doubling:
    """E(x) = 2 x and D(h) = h / 2, pixel by pixel: a walk between codes is one between images."""

    def encode(self, x: Tensor) -> Tensor:
        return 2 * x.flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        return (z / 2).view(-1, 1, 8, 8)


def test_walks_go_from_the_first_image_to_the_last() -> None:
    first, last = IMAGES[:5], IMAGES[5:10]
    for share in (0.0, 0.25, 1.0):
        walked = latent_gaps.between(Doubling(), first, last, share)  # type: ignore[arg-type]
        assert torch.equal(walked, latent_gaps.mixed(first, last, share))
    assert torch.equal(latent_gaps.mixed(first, last, 0.0), first)
    assert torch.equal(latent_gaps.mixed(first, last, 1.0), last)
    quarter = 0.75 * first.double() + 0.25 * last.double()
    assert float((latent_gaps.mixed(first, last, 0.25) - quarter).abs().max()) <= 0.5 + 1e-4


def test_no_image_is_paired_with_itself_and_none_is_twice_at_an_end() -> None:
    generator, seen = torch.Generator().manual_seed(0), set()
    for _ in range(100):
        first, last = latent_gaps.different(4, 3, generator)
        assert not (first == last).any()
        assert len(set(first.tolist())) == len(set(last.tolist())) == 3
        seen |= set(zip(first.tolist(), last.tolist(), strict=True))
    assert seen == {(a, b) for a in range(4) for b in range(4) if a != b}
    with pytest.raises(ValueError, match="latent_gaps has n_pairs 5, and there are 4 training images"):
        latent_gaps.different(4, 5, generator)


def test_a_dip_is_from_the_ends_to_the_middle() -> None:
    assert latent_gaps.dip([(0.0, 0.9), (0.5, 0.2), (1.0, 0.7)]) == pytest.approx(0.6)


def test_shares_of_distance_by_hand() -> None:
    first, last = torch.tensor([[0.0, 4.0]]), torch.tensor([[2.0, 0.0]])
    assert vae_blurs.share_of_distance(torch.tensor([[1.0, 2.0]]), first, last) == 0
    assert vae_blurs.share_of_distance(first, first, last) == 1
    assert vae_blurs.share_of_distance(last, first, last) == 1
    # from the mean (1, 2) by (1, 0): 1, and the images are at 1 + 4
    assert vae_blurs.share_of_distance(torch.tensor([[2.0, 2.0]]), first, last) == pytest.approx(0.2)


def test_the_error_of_leaving_one_out_is_that_of_doing_so() -> None:
    """By force: a fit with a constant for every row that is left out; λ of the sum, not of the mean."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    x = x - x.mean(dim=0)
    y = torch.randn(9, 2, generator=generator, dtype=torch.float64)
    for ridge in (0.1, 10.0):
        errors = []
        for i in range(9):
            rows = [j for j in range(9) if j != i]
            design = torch.cat([x[rows], torch.ones(8, 1, dtype=torch.float64)], dim=1)
            penalty = ridge * torch.diag(torch.tensor([1.0, 1, 1, 1, 0], dtype=torch.float64))
            weights = torch.linalg.solve(design.T @ design + penalty, design.T @ y[rows])
            errors.append((torch.cat([x[i], x.new_ones(1)]) @ weights - y[i]).square())
        expected = float(torch.stack(errors).mean())
        assert critic_features.left_out_error(x, y, ridge) == pytest.approx(expected)


def test_a_probe_tells_classes_and_passes_over_what_does_not_vary() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    centres = torch.tensor([[5.0, 0, 7], [0, 5, 7], [-5, -5, 7]], dtype=torch.float64)
    noise = torch.randn(60, 3, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 1, 0])
    features = centres[labels] + noise
    probe = critic_features.linear_probe(features[:30], labels[:30])
    assert critic_features.accuracy(probe, features[30:], labels[30:]) == 1
    assert critic_features.accuracy(probe, features[30:], (labels[30:] + 1) % 3) == 0
    assert probe[2][2].abs().max() == 0, "the third feature is 7 everywhere"


def test_features_are_what_the_last_layer_reads() -> None:
    model = new_gan(NSGAN, IMAGES, TINY, "batch", 0, "test").eval()
    x = from_uint8(IMAGES[:20])
    features = critic_features.critic_features(model, x)
    assert features.shape == (20, 8)
    assert torch.equal(model.critic.get_submodule("1")(features), model.critic(x))


class Waves(nn.Module):
    """G(z) = (z, cos 3z): a valley for each wave, of which one is the deepest; codes are given."""

    def __init__(self, starts: list[float]) -> None:
        super().__init__()
        self.starts = torch.tensor(starts)[:, None]

    def latent(self, n: int, generator: torch.Generator) -> Tensor:
        assert n == len(self.starts)
        return self.starts

    def decode(self, z: Tensor) -> Tensor:
        return torch.cat([z, 4 * (3 * z).cos()], dim=1)[:, None, None]


def test_a_search_keeps_the_best_of_the_starts_of_each_image() -> None:
    """Two images of codes 0.1 and 2.2; starts in the right valley and in a wrong one, in either order."""
    targets = Waves([]).decode(torch.tensor([[0.1], [2.2]]))
    generator = torch.Generator()
    right_last = inversion.search(Waves([2.0, 0.0, 2.1, -0.1]), targets, 2, 200, 0.02, generator)  # type: ignore[arg-type]
    assert right_last.tolist() == pytest.approx([0, 0], abs=1e-4)
    wrong = inversion.search(Waves([2.0, 0.0]), targets, 1, 200, 0.02, generator)  # type: ignore[arg-type]
    assert min(wrong.tolist()) > 0.1
    at_start = inversion.search(Waves([0.0, 0.0]), targets, 1, 0, 0.02, generator)  # type: ignore[arg-type]
    first = (0.1**2 + (4 - 4 * math.cos(0.3)) ** 2) / 2
    assert float(at_start[0]) == pytest.approx(first, rel=1e-4)


def test_the_error_of_a_mean_and_of_an_encoder_by_hand() -> None:
    x = torch.tensor([[0.0, 0.0], [2.0, 4.0]])[:, None, None]
    assert inversion.of_mean(x) == pytest.approx((1 + 4 + 1 + 4) / 4)
    model = new_gan(BiGAN, IMAGES, TINY, "batch", 0, "test", hidden=8).eval()
    assert isinstance(model, BiGAN)
    images = from_uint8(IMAGES[:6])
    made = model.decode(model.encode(images))
    assert torch.allclose(inversion.encoded(model, images), (made - images).square().mean(dim=(1, 2, 3)))


def test_what_lies_on_training_images_is_called_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that draws the 20 images of the smallest set again and again."""
    monkeypatch.setattr(little_data, "draw", lambda model, n, seed, purpose: IMAGES[torch.arange(n) % 20])
    own = {"dataset": "digits", "n_few": 20, "n_more": 40}
    budget = little_data.Budget(network="mlp", width=8, n_rounds=1, batch_size=8, lr=1e-3, **own)
    outcome = little_data.experiment(0, budget)
    assert outcome.values["little_data_distance"] == 0
    assert outcome.curves["share of near duplicates"][0] == (20.0, 1.0)
    assert outcome.curves["samples"][0][1] == pytest.approx(
        outcome.curves["the training images themselves"][0][1], rel=0.2
    )


def test_how_near_is_measured_from_each_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of 5 of the 20 training images: every sample lies on one, most training images on no sample."""
    monkeypatch.setattr(little_data, "draw", lambda model, n, seed, purpose: IMAGES[torch.arange(n) % 5])
    budget = little_data.Budget("mlp", 8, 1, 8, 1e-3, dataset="digits", n_few=20, n_more=40)
    outcome = little_data.experiment(0, budget)
    assert outcome.values["little_data_distance"] == 0
    assert outcome.curves["share of near duplicates"][0] == (20.0, 1.0)


def test_a_trick_is_held_against_the_gan_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Final FIDs 4 without, 2 with noisy labels, 12 with a buffer; those on the way count for nothing."""
    courses = {"NSGAN": [9, 8, 7, 6, 4], "GANNoisyLabels": [90, 1, 1, 1, 2], "GANReplay": [1, 1, 1, 1, 12]}
    drawn: list[str] = []

    class Fids:
        def fid(self, samples: Tensor) -> float:
            return float(courses[drawn[-1]][drawn.count(drawn[-1]) - 1])

    def draw(model: nn.Module, n: int, seed: int, purpose: str) -> Tensor:
        drawn.append(type(model).__name__)
        return IMAGES[:n]

    monkeypatch.setattr(noise_and_replay, "gauge", lambda dataset, data: Fids())
    monkeypatch.setattr(noise_and_replay, "draw", draw)
    budget = noise_and_replay.Budget("mlp", 8, 5, 8, 1e-3, "digits", real_label=0.9, flip=0.1, capacity=8)
    outcome = noise_and_replay.experiment(0, budget)
    assert outcome.values == {"tricks_noisy_labels": 0.5, "tricks_replay": 3.0}
    assert outcome.curves["neither"] == [(1.0, 9.0), (2.0, 8.0), (3.0, 7.0), (4.0, 6.0), (5.0, 4.0)]


def test_speed_is_of_the_images_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that a draw of n images moves on by 3 s for the first call, and by n / 50 s later."""
    now, drawn = [100.0], []

    def draw(model: nn.Module, n: int, seed: int, purpose: str) -> Tensor:
        now[0] += n / 50 if drawn else 3.0
        drawn.append(n)
        return IMAGES[:n]

    monkeypatch.setattr(sampling_speed, "draw", draw)
    monkeypatch.setattr(sampling_speed.time, "process_time", lambda: now[0])
    model = new_gan(NSGAN, IMAGES, TINY, "none", 0, "test")
    assert sampling_speed.images_per_second(model, 20, 0) == pytest.approx(50)
    assert drawn == [1, 20]
    assert not model.training


def test_failures_and_spread_by_hand(known: samples.Gauge) -> None:
    fids: dict[steadiness.Run, float] = {(0.1, "none"): 10.0, (0.1, "batch"): 1000.0, (1.0, "none"): 100.0}
    assert steadiness.failures(fids, 50.0) == pytest.approx(2 / 3)
    assert steadiness.failures(fids, 1000.0) == 0
    assert steadiness.spread(fids) == pytest.approx(1.0)  # of 1, 3 and 2
    half = IMAGES[DIGITS.train_labels < 5]
    assert steadiness.half_of_the_classes(known, DIGITS) == known.fid(half)


def test_a_run_that_broke_draws_black_images() -> None:
    model = new_gan(NSGAN, IMAGES, TINY, "none", 0, "test").eval()
    assert steadiness._samples(model, 10, 0).max() > 0
    with torch.no_grad():
        next(model.critic.parameters())[0, 0] = math.nan
    black = steadiness._samples(model, 10, 0)
    assert black.shape == (10, 1, 8, 8)
    assert black.dtype == torch.uint8
    assert black.max() == 0


def test_pixels_are_white_with_the_probability_of_their_grey_level() -> None:
    grey = torch.tensor([0, 51, 255]).byte().view(1, 1, 1, 3).repeat(4000, 1, 1, 1)
    drawn = published_likelihood.binary(grey, torch.Generator().manual_seed(0))
    assert drawn.dtype == torch.uint8
    assert set(drawn.unique().tolist()) == {0, 255}
    shares = (drawn == 255).double().mean(dim=(0, 1, 2)).tolist()
    assert shares == [0, pytest.approx(0.2, abs=0.02), 1]  # sd 0.006


def test_stages_are_those_of_the_paper() -> None:
    assert sum(published_likelihood.stage_of(i)[0] for i in range(8)) == 3280
    assert published_likelihood.stage_of(0) == (1, 1e-3)
    assert published_likelihood.stage_of(7)[1] == pytest.approx(1e-4)


def test_a_decoder_begins_at_the_mean_grey_levels() -> None:
    """Codes say nothing yet: with weights of 0 each pixel's probability is the mean, within [.001, .999]."""
    network = TanhMLP((1, 2, 2), 0, 3, "none")
    model = BernoulliVAE(network, z_dim=2)
    images = torch.tensor([[0, 51, 0, 255], [0, 153, 102, 255]]).byte().view(2, 1, 2, 2)
    published_likelihood.begin_at_means(model, images)
    began = model.get_parameter("model.decoder.4.bias").sigmoid().tolist()
    assert began == pytest.approx([0.001, 0.4, 0.2, 0.999], rel=1e-5)
    for others in ("model.decoder.0.bias", "model.decoder.2.bias"):
        assert not model.get_parameter(others).any()


def test_an_encoder_sees_black_as_zero_and_white_as_one() -> None:
    """With weights of w and no biases a pixel gives w where it is white, and nothing where it is black."""
    model = BernoulliVAE(TanhMLP((1, 1, 3), 0, 1, "none"), z_dim=1)
    published_likelihood.see_zero_and_one(model)
    first, second, last = (m for m in model.model["encoder"].modules() if isinstance(m, nn.Linear))
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[0.1, 0.2, 0.4]]))
        second.weight.fill_(1)
        last.weight.copy_(torch.tensor([[1.0], [0.0]]))
        images = torch.tensor([[0, 0, 0], [255, 0, 255]]).byte().view(2, 1, 1, 3)
        mu = model.model["encoder"](from_uint8(images))[:, 0]
    assert mu.tolist() == pytest.approx([0, math.tanh(math.tanh(0.5))], rel=1e-6)


def test_importance_sampling_is_exact_where_the_code_says_nothing() -> None:
    """A decoder without weights: log p is that of its biases, q is the prior; with any number of codes."""
    network = TanhMLP((1, 2, 2), 0, 3, "none")
    model = BernoulliVAE(network, z_dim=2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.get_parameter("model.decoder.4.bias").copy_(torch.tensor([0.0, 1.0, -1.0, 2.0]))
    images = torch.tensor([[0, 255, 255, 255], [255, 0, 0, 0]]).byte().view(2, 1, 2, 2)
    white = [1 / (1 + math.exp(-logit)) for logit in (0.0, 1.0, -1.0, 2.0)]
    first = 0.5 * white[1] * white[2] * white[3]
    second = 0.5 * (1 - white[1]) * (1 - white[2]) * (1 - white[3])
    expected = -(math.log(first) + math.log(second)) / 2
    for n_codes in (1, 7):
        got = published_likelihood.negative_log_p(model.eval(), images, n_codes, torch.Generator())
        assert got == pytest.approx(expected, rel=1e-5)


def test_the_estimate_is_the_importance_weighted_bound_and_no_elbo() -> None:
    """By force from the same weights: log of the mean of w over codes, not the mean of log w."""
    torch.manual_seed(0)
    model = BernoulliVAE(TanhMLP((1, 2, 2), 0, 3, "none"), z_dim=2).eval()
    with torch.no_grad():
        model.get_parameter("model.decoder.4.weight").mul_(5)  # codes must differ in what they draw
    images = torch.tensor([[0, 255, 255, 255], [255, 0, 0, 0]]).byte().view(2, 1, 2, 2)
    with torch.no_grad():
        codes = torch.Generator().manual_seed(1)
        log_w = model.log_weights(from_uint8(images), None, 40, codes).double()
    expected = -float(log_w.exp().mean(dim=0).log().mean())
    got = published_likelihood.negative_log_p(model, images, 40, torch.Generator().manual_seed(1))
    assert got == pytest.approx(expected, rel=1e-6)
    assert -float(log_w.mean()) > expected + 0.1, "the ELBO is another number here"


def test_a_vae_of_tanh_units_has_no_norm_and_starts_after_glorot() -> None:
    model = BernoulliVAE(TanhMLP((1, 28, 28), 0, 200, "none"), z_dim=50)
    assert not any(isinstance(layer, nn.BatchNorm1d) for layer in model.modules())
    assert sum(p.numel() for p in model.parameters()) == (
        784 * 200
        + 200
        + 200 * 200
        + 200
        + 200 * 100
        + 100
        + 50 * 200
        + 200
        + 200 * 200
        + 200
        + 200 * 784
        + 784
    )
    last = model.get_parameter("model.decoder.4.weight")
    assert float(last.detach().abs().max()) == pytest.approx(math.sqrt(6 / 984), rel=0.01)
