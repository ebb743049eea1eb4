"""The GAN and LSGAN families: numbers worked by hand, and the property that each variant's paper claims.

Scores are chosen so that every term of a formula contributes; tolerances are those of single precision unless
a comment says otherwise.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from gm_bench.nets.mlp import MLP
from gm_bench.variants import acgan, began, bigan, dragan, gan_noisy_labels, lsgan_pearson
from gm_bench.variants.base import contract as variants
from gm_bench.variants.base.contract import Batch
from gm_bench.variants.lsgan import least_squares_critic_loss, least_squares_generator_loss

GAN_OPTIONS = {"z_dim": 4, "prior": "normal"}


def exactly(value: float) -> object:
    return pytest.approx(value, rel=1e-6)


def column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def build(name: str, network: MLP, **options: object) -> variants.Variant:
    return variants.build(name, network, GAN_OPTIONS | options)


def batch_of(n: int, seed: int = 0, labels: Tensor | None = None) -> Batch:
    images = torch.arange(n * 64).remainder(256).to(torch.uint8).view(n, 1, 8, 8)
    classes = torch.arange(n) % 10 if labels is None else labels
    data = {"images": images, "labels": classes}
    return Batch(torch.Generator().manual_seed(seed), data, torch.arange(n))


def log_sigmoid(score: float) -> float:
    return -math.log(1 + math.exp(-score))


# --- noisy labels


def test_noisy_labels_by_hand() -> None:
    """−t log σ(s) − (1 − t) log σ(−s): real scores 1, 2 with t .9, 0; fake ones −1, 3 with t 0, .9."""
    targets = column(0.9, 0.0), column(0.0, 0.9)
    loss = gan_noisy_labels.critic_loss(column(1.0, 2.0), column(-1.0, 3.0), *targets)
    real = -0.9 * log_sigmoid(1) - 0.1 * log_sigmoid(-1) - log_sigmoid(-2)
    fake = -log_sigmoid(1) - 0.9 * log_sigmoid(3) - 0.1 * log_sigmoid(-3)
    assert loss.item() == exactly((real + fake) / 2)


def test_labels_are_flipped_as_often_as_asked(digits_network: MLP, monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 labels a side at ε = .2: standard error .0028, so ± .012 is more than four of them."""
    model = build("gan_noisy_labels", digits_network, real_label=0.9, flip=0.2)
    seen: list[Tensor] = []
    monkeypatch.setattr(gan_noisy_labels, "critic_loss", lambda real, fake, *targets: seen.extend(targets))
    scores = torch.zeros(20_000, 1)
    model.critic_loss(scores, scores, batch_of(2))
    real, fake = seen
    for targets, share in ((real, 0.8), (fake, 0.2)):
        assert sorted(targets.unique().tolist()) == [0.0, exactly(0.9)]
        assert (targets > 0).float().mean().item() == pytest.approx(share, abs=0.012)
    assert ((real == 0) & (fake > 0)).float().mean().item() == pytest.approx(0.04, abs=0.006)  # independent


def test_noisy_labels_move_the_best_critic_as_the_formula_says() -> None:
    """The gradient vanishes at logit of D* = α ((1 − ε) p + ε q) / (p + q); p, q = .8, .3 on one outcome.

    The expected loss over labels and outcomes is linear in the targets, so their means stand for them.
    """
    alpha, epsilon, p, q = 0.9, 0.1, [0.8, 0.2], [0.3, 0.7]
    best = [alpha * ((1 - epsilon) * a + epsilon * b) / (a + b) for a, b in zip(p, q, strict=True)]
    scores = torch.tensor([math.log(d / (1 - d)) for d in best], requires_grad=True)
    real, fake = scores[[0] * 8 + [1] * 2, None], scores[[0] * 3 + [1] * 7, None]
    targets = torch.full_like(real, alpha * (1 - epsilon)), torch.full_like(fake, alpha * epsilon)
    (gradient,) = torch.autograd.grad(gan_noisy_labels.critic_loss(real, fake, *targets), scores)
    assert gradient.abs().max().item() < 1e-6


# --- replay


def images_of(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)


def show(model: variants.Variant, seed: int, *values: float) -> list[float]:
    """What the critic is shown for fresh images of these grey levels."""
    return model.fakes_for_critic(images_of(*values), batch_of(len(values), seed))[:, 0, 0, 0].tolist()


def stored(model: variants.Variant) -> list[float]:
    return model.past[:, 0, 0, 0].tolist()


def test_the_buffer_is_filled_in_turn_and_then_replaced_at_random(digits_network: MLP) -> None:
    model = build("gan_replay", digits_network, capacity=6)
    assert show(model, 0, 1, 2, 3, 4) == [1, 2, 3, 4]  # nothing is stored yet: all fresh
    assert stored(model) == [1, 2, 0, 0, 0, 0]
    shown = show(model, 1, 5, 6, 7, 8)
    assert shown[:2] == [5, 6]
    assert set(shown[2:]) <= {1, 2}  # of the filled slots, never an empty one
    assert stored(model) == [1, 2, 5, 6, 0, 0]
    show(model, 2, 9, 10, 11, 12)
    assert stored(model) == [1, 2, 5, 6, 9, 10]
    before = stored(model)
    shown = show(model, 3, 13, 14, 15, 16)
    assert shown[:2] == [13, 14]
    assert set(shown[2:]) <= set(before)
    kept = [new == old for new, old in zip(stored(model), before, strict=True)]
    assert sum(kept) == 4
    assert sorted(v for v, same in zip(stored(model), kept, strict=True) if not same) == [13, 14]


def test_of_an_odd_batch_the_fresh_images_are_more(digits_network: MLP) -> None:
    model = build("gan_replay", digits_network, capacity=6)
    show(model, 0, 1, 2, 3)
    assert stored(model) == [1, 0, 0, 0, 0, 0]
    assert show(model, 1, 4, 5, 6) == [4, 5, 1]


def test_every_slot_is_drawn_and_replaced_evenly(digits_network: MLP) -> None:
    """2,000 draws of 2 from 8 slots: each is drawn 500 times, binomial sd 21; replaced likewise."""
    model = build("gan_replay", digits_network, capacity=8)
    for i in range(4):
        show(model, i, 2 * i + 1, 2 * i + 2, 0, 0)
    drawn, replaced = torch.zeros(9), torch.zeros(8)
    for seed in range(2000):
        model.past.copy_(images_of(1, 2, 3, 4, 5, 6, 7, 8))
        for value in show(model, seed, -1, -1, -1, -1)[2:]:
            drawn[int(value)] += 1
        replaced += model.past[:, 0, 0, 0] == -1
    assert drawn[0] == 0
    assert drawn[1:].sub(500).abs().max() < 105
    assert replaced.sub(500).abs().max() < 105


def test_a_buffer_that_is_too_small_is_refused(digits_network: MLP) -> None:
    model = build("gan_replay", digits_network, capacity=3)
    with pytest.raises(ValueError, match="capacity 3 of gan_replay is less than half a batch of 8"):
        show(model, 0, *range(8))


def test_the_generator_learns_from_fresh_images_alone(digits_network: MLP) -> None:
    model = build("gan_replay", digits_network, capacity=8).train()
    model.loss("generator", batch_of(4))
    assert model.n_filled == 0


# --- DRAGAN


def test_dragan_perturbs_real_images_by_hand() -> None:
    """Pixels 0, 1, 2, 5 of two images have mean 2 and s² = (4 + 1 + 0 + 9) / 4: x̂ = x + α · ½ · s · u."""
    real = torch.tensor([0.0, 1.0, 2.0, 5.0]).view(2, 1, 1, 2)
    alpha, u = torch.tensor([0.5, 1.0]).view(2, 1, 1, 1), torch.tensor([0.4, 0.8, 0.0, 1.0]).view(2, 1, 1, 2)
    around = dragan.perturbed(real, alpha, u, noise=0.5)
    s = math.sqrt(3.5)
    torch.testing.assert_close(around.flatten(), torch.tensor([0.1 * s, 1 + 0.2 * s, 2.0, 5 + 0.5 * s]))


def test_dragan_penalises_slopes_around_real_images_only(digits_network: MLP) -> None:
    """3 Σ x over 64 pixels has slope 24 everywhere: λ (24 − 1)². ‖x‖²/2 has slope ‖x̂‖, x̂ from the draws."""
    model = build("dragan", digits_network, penalty=10.0, noise=0.5)

    class Sum(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return 3 * images.flatten(1).sum(1, keepdim=True)

    class Square(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.square().flatten(1).sum(1, keepdim=True) / 2

    real, fake = 0.2 + 0.3 * torch.randn(4, 1, 8, 8), torch.full((4, 1, 8, 8), -1.0)
    model.critic = Sum()
    assert model.critic_penalty(real, fake, batch_of(4)).item() == exactly(10 * 23.0**2)
    model.critic = Square()
    generator = batch_of(4).generator
    alpha, u = torch.rand(4, 1, 1, 1, generator=generator), torch.rand(4, 1, 8, 8, generator=generator)
    s = (real - real.mean()).square().mean().sqrt()
    lengths = [(real[i] + alpha[i] * 0.5 * s * u[i]).norm().item() for i in range(4)]
    expected = 10 * sum((length - 1) ** 2 for length in lengths) / 4
    assert model.critic_penalty(real, fake, batch_of(4)).item() == pytest.approx(expected, rel=1e-5)
    still = 10 * sum((x.norm().item() - 1) ** 2 for x in real) / 4
    assert abs(still / expected - 1) > 0.05, "the noise counts"


# --- BEGAN


def test_began_balance_by_hand() -> None:
    """k ← k + λ (γ L(x) − L(G)): .2 + .1 (.5 · .8 − .3) = .21; kept in [0, 1]; M = .8 + |.4 − .3| = .9."""
    k, real, fake = torch.tensor(0.2), torch.tensor(0.8), torch.tensor(0.3)
    assert began.next_k(k, real, fake, rate=0.1, diversity=0.5).item() == exactly(0.21)
    assert began.next_k(k, real, torch.tensor(9.0), rate=0.1, diversity=0.5).item() == 0.0
    assert began.next_k(k, torch.tensor(99.0), fake, rate=0.1, diversity=0.5).item() == 1.0
    assert began.convergence(real, fake, diversity=0.5).item() == exactly(0.9)
    assert began.critic_loss(column(0.6, 1.0), column(0.1, 0.5), k).item() == exactly(0.8 - 0.2 * 0.3)


def test_began_scores_are_mean_absolute_reconstruction_errors(digits_network: MLP) -> None:
    critic = began.AutoencoderCritic(digits_network, code_dim=3)
    critic.encoder, critic.decoder = nn.Identity(), nn.Identity()
    critic.decoder.forward = lambda x: 2 * x + torch.tensor([1.0, -3.0]).repeat(32).view(1, 8, 8)
    images = torch.tensor([0.0, 8.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    assert critic(images).tolist() == [[2.0], [7.0]], "|0 + 1| and |0 − 3|, |8 + 1| and |8 − 3|"


def test_began_critic_reconstructs_without_bound(digits_network: MLP) -> None:
    """Its decoder is no generator, which would end in tanh."""
    critic = began.AutoencoderCritic(digits_network, code_dim=3).eval()
    assert critic.decoder(1000 * torch.randn(5, 3)).abs().max() > 2


def test_began_k_follows_the_errors_of_both_players(digits_network: MLP) -> None:
    """One round by hand: the critic uses k₀ = 0; the generator's update then moves k by both errors."""
    model = build("began", digits_network, code_dim=3, rate=0.5, diversity=0.75).train()
    critic = model.loss("critic", batch_of(6))
    assert critic["loss"].item() == exactly(critic["real_score"].item())
    assert model.k == 0
    model.real_error.mul_(10)  # so that k moves up
    real = model.real_error.item()
    generator = model.loss("generator", batch_of(6))
    fake = generator["loss"].item()
    assert model.k.item() == exactly(min(1.0, 0.5 * (0.75 * real - fake)))
    assert generator["k"].item() == model.k.item() > 0
    assert generator["convergence"].item() == exactly(real + abs(0.75 * real - fake))


# --- conditional


def test_acgan_terms_by_hand() -> None:
    """Outputs: score, then logits of two classes. −log softmax of (0, log 3) is log 4 and log 4 − log 3.

    The second real image has logits (log 7, 0): −log softmax is log 8 − log 7 and log 8."""
    real = torch.tensor([[1.0, 0.0, math.log(3)], [-2.0, math.log(7), 0.0]])
    fake = torch.tensor([[0.5, math.log(3), 0.0], [0.0, 0.0, 0.0]])
    labels = torch.tensor([1, 0])
    sources = -(log_sigmoid(1) + log_sigmoid(-2)) / 2 - (log_sigmoid(-0.5) + log_sigmoid(0)) / 2
    classes = (math.log(4 / 3) + math.log(8 / 7)) / 2 + (math.log(4) + math.log(2)) / 2
    assert acgan.critic_loss(real, fake, labels, 0.7).item() == exactly(sources + 0.7 * classes)
    generator = -(log_sigmoid(0.5) + log_sigmoid(0)) / 2 + 0.7 * (math.log(4) + math.log(2)) / 2
    assert acgan.generator_loss(fake, labels, 0.7).item() == exactly(generator)


def test_acgan_judges_by_the_labels_of_the_batch(digits_network: MLP) -> None:
    model = build("acgan", digits_network, class_weight=1.0)
    labels = torch.tensor([3, 0, 5, 9])
    sure = (1.0, 2.0, 3.0, 4.0)  # of the class of each image, or of the one after it
    right, wrong = torch.zeros(4, 11), torch.zeros(4, 11)
    right[range(4), 1 + labels] = wrong[range(4), 1 + (labels + 1) % 10] = torch.tensor(sure)
    batch = batch_of(4, labels=labels)
    of_wrong = sum(math.log(9 + math.exp(logit)) for logit in sure) / 4
    of_right = of_wrong - sum(sure) / 4
    assert model.generator_loss(right, batch).item() == exactly(math.log(2) + of_right)
    assert model.generator_loss(wrong, batch).item() == exactly(math.log(2) + of_wrong)
    both = 2 * math.log(2) + of_right + of_wrong
    assert model.critic_loss(right, wrong, batch).item() == exactly(both)
    assert model.critic_loss(wrong, right, batch).item() == exactly(both)


@pytest.mark.parametrize("name", ["cgan", "acgan", "sngan_projection"])
def test_fakes_have_the_classes_that_they_are_asked_for(name: str) -> None:
    """The critic judges fake images with the classes that the generator was given, in both updates."""
    norm = "spectral" if name == "sngan_projection" else "none"
    network = MLP((1, 8, 8), n_classes=10, width=16, critic_norm=norm)
    model = build(name, network, **({"class_weight": 1.0} if name == "acgan" else {})).train()
    labels = torch.tensor([7, 7, 2, 0])
    generated: list[Tensor] = []
    judged: list[Tensor | None] = []
    decode, score = model.decode, model.score

    def spy_on_decode(z: Tensor, classes: Tensor | None = None) -> Tensor:
        generated.append(classes)
        return decode(z, classes)

    def spy_on_score(images: Tensor, classes: Tensor | None) -> Tensor:
        judged.append(classes)
        return score(images, classes)

    model.decode, model.score = spy_on_decode, spy_on_score
    for player in ("critic", "generator"):
        model.loss(player, batch_of(4, labels=labels))
    assert len(generated) == 2
    assert len(judged) == 3
    assert all(torch.equal(labels, classes) for classes in generated + judged)


def test_cgan_critic_reads_the_class(digits_network: MLP) -> None:
    """Its first weight sees plane k for class k: by hand through the first layer."""
    critic = build("cgan", digits_network).critic
    images, labels = torch.randn(3, 1, 8, 8), torch.tensor([4, 0, 9])
    first = next(layer for layer in critic.modules() if isinstance(layer, nn.Linear))
    seen: list[Tensor] = []
    first.register_forward_hook(lambda layer, inputs, output: seen.append(output))
    critic(images, labels)
    weight = first.weight.view(16, 11, 64)
    expected = images.flatten(1) @ weight[:, 0].T + weight[:, 1 + labels].sum(-1).T + first.bias
    torch.testing.assert_close(seen[0], expected)


def test_two_classes_are_enough_to_tell_apart_and_one_is_not() -> None:
    assert build("cgan", MLP((1, 8, 8), n_classes=2, width=4, critic_norm="none")).n_classes == 2
    with pytest.raises(ValueError, match="cgan learns a distribution for each class, but these images have"):
        build("cgan", MLP((1, 8, 8), n_classes=1, width=4, critic_norm="none"))


# --- BiGAN


def test_bigan_encoder_wants_its_pairs_taken_for_generated_ones() -> None:
    """−E log(1 − σ(s)) for scores 1 and −2."""
    assert bigan.encoder_loss(column(1.0, -2.0)).item() == exactly(-(log_sigmoid(-1) + log_sigmoid(2)) / 2)


def test_bigan_judges_image_and_code_together(digits_network: MLP) -> None:
    """Real pairs are (x, E(x)), fake ones (G(z), z) with the same z; both losses by hand from the scores."""
    model = build("bigan", digits_network, hidden=8).train()
    pairs: list[tuple[Tensor, Tensor]] = []
    judge = model.critic.forward

    def spy(images: Tensor, z: Tensor) -> Tensor:
        pairs.append((images, z))
        return judge(images, z)

    model.critic.forward = spy
    for player in ("critic", "generator"):
        pairs.clear()
        terms = model.loss(player, batch_of(6))
        (x, code), (fake, z) = pairs
        torch.testing.assert_close(x, batch_of(6).images)
        torch.testing.assert_close(code, model.encode(x))
        torch.testing.assert_close(fake, model.decode(z))
        real_scores, fake_scores = judge(x, code).flatten().tolist(), judge(fake, z).flatten().tolist()
        sign = 1 if player == "critic" else -1
        by_hand = -sum(log_sigmoid(sign * s) for s in real_scores) / 6
        by_hand -= sum(log_sigmoid(-sign * s) for s in fake_scores) / 6
        assert terms["loss"].item() == pytest.approx(by_hand, rel=1e-5)
        assert terms["real_score"].item() == pytest.approx(sum(real_scores) / 6, rel=1e-5)
        assert terms["fake_score"].item() == pytest.approx(sum(fake_scores) / 6, rel=1e-5)
        assert fake.requires_grad == code.requires_grad == (player == "generator")


def test_bigan_score_depends_on_both(digits_network: MLP) -> None:
    critic = build("bigan", digits_network, hidden=8).critic
    images, z = torch.randn(4, 1, 8, 8), torch.randn(4, 4)
    scores = critic(images, z)
    assert not torch.allclose(critic(images, z.roll(1, 0)), scores)
    assert not torch.allclose(critic(images.roll(1, 0), z), scores)


def test_bigan_joins_the_code_to_the_features_by_two_hidden_layers(digits_network: MLP) -> None:
    critic = build("bigan", digits_network, hidden=8).critic
    images, z = torch.randn(5, 1, 8, 8), torch.randn(5, 4)
    first, second, last = (layer for layer in critic.joint if isinstance(layer, nn.Linear))
    x = torch.cat([critic.body(images), z], dim=1)
    assert [tuple(layer.weight.shape) for layer in (first, second, last)] == [(8, 20), (8, 8), (1, 8)]
    for layer in (first, second):
        x = x @ layer.weight.T + layer.bias
        x = torch.where(x > 0, x, 0.2 * x)
    torch.testing.assert_close(critic(images, z), x @ last.weight.T + last.bias)


# --- LSGAN


def test_pearson_targets_make_the_generator_minimise_pearsons_divergence(digits_network: MLP) -> None:
    """On two outcomes D* = (p − q)/(p + q) is the best critic, and E_p D*² + E_q D*² = χ²(p + q ‖ 2q)."""
    model = build("lsgan_pearson", digits_network)
    assert isinstance(model, lsgan_pearson.LSGANPearson)
    p, q = [0.8, 0.2], [0.3, 0.7]
    best = torch.tensor([(a - b) / (a + b) for a, b in zip(p, q, strict=True)], requires_grad=True)
    real, fake = best[[0] * 8 + [1] * 2, None], best[[0] * 3 + [1] * 7, None]
    (gradient,) = torch.autograd.grad(model.critic_loss(real, fake, batch_of(2)), best)
    assert gradient.abs().max().item() < 1e-6
    pearson = sum((2 * b - (a + b)) ** 2 / (a + b) for a, b in zip(p, q, strict=True))
    both = model.generator_loss(real, batch_of(2)) + model.generator_loss(fake, batch_of(2))
    assert 2 * both.item() == exactly(pearson)


def test_lsgan_passes_its_targets_on(digits_network: MLP) -> None:
    model = build("lsgan", digits_network, a=-1.0, b=3.0, c=0.5)
    real, fake = column(0.0, 2.0), column(1.0, -1.0, 4.0)
    critic = least_squares_critic_loss(real, fake, a=-1.0, b=3.0)
    assert (
        model.critic_loss(real, fake, batch_of(2)).item() == critic.item() == exactly(0.5 * 5 + 0.5 * 29 / 3)
    )
    generator = least_squares_generator_loss(fake, c=0.5)
    assert model.generator_loss(fake, batch_of(2)).item() == generator.item() == exactly(0.5 * 14.75 / 3)
