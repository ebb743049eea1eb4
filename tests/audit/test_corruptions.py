"""Disturbances do what they say, by the amount they say, and a weaker one is part of a stronger one."""

import math

import pytest
import torch
from torch import Tensor

from gm_bench.tracks.audit.corruptions import FAILURES, Hand, deal

N, CLASSES = 60, 6


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def hand() -> Hand:
    """400 random images 1×8×8, all different, of 6 classes."""
    generator = gen(7)
    images = torch.randint(0, 256, (400, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return deal(images, torch.arange(400) % CLASSES, N, gen())


def rows(images: Tensor) -> list[bytes]:
    return [row.numpy().tobytes() for row in images]


def apply(name: str, hand: Hand, strength: float, seed: int = 0) -> Tensor:
    result = FAILURES[name].apply(hand, strength, gen(seed))
    assert result is not None
    assert result.shape == hand.fake.shape
    assert result.dtype == torch.uint8
    return result


def test_dealt_sets_share_no_image_and_lose_none(hand: Hand) -> None:
    parts = [rows(hand.real), rows(hand.train), rows(hand.rest)]
    assert [len(part) for part in parts] == [N, N, 400 - 2 * N]
    assert len(set().union(*parts)) == 400
    assert rows(hand.fake) == parts[2][:N]
    again = deal(torch.cat([hand.real, hand.rest]), torch.zeros(400 - N, dtype=torch.int64), N, gen(1))
    assert set(rows(again.real)) != set(parts[0])
    with pytest.raises(ValueError, match="three sets of 200 images cannot be dealt from 400"):
        deal(hand.rest.new_zeros(400, 1, 8, 8), torch.zeros(400), 200, gen())


def test_labels_stay_with_their_images() -> None:
    labels = torch.arange(90)
    images = labels.to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    dealt = deal(images, labels, 20, gen())
    assert torch.equal(dealt.rest[:, 0, 0, 0].long(), dealt.rest_labels)


@pytest.mark.parametrize("name", ["noise_images", "other_fakes", "copies"])
def test_a_share_is_replaced_and_a_larger_share_replaces_the_same_and_more(name: str, hand: Hand) -> None:
    clean = rows(hand.fake)
    replaced = []
    for share in (0.1, 0.5, 1.0):
        result = rows(apply(name, hand, share))
        replaced.append({i for i in range(N) if result[i] != clean[i]})
        assert len(replaced[-1]) == round(share * N)
    assert replaced[0] < replaced[1] < replaced[2]


def test_copies_are_training_images_each_once(hand: Hand) -> None:
    assert set(rows(apply("copies", hand, 1.0))) == set(rows(hand.train))
    half = rows(apply("copies", hand, 0.5))
    assert len(set(half) & set(rows(hand.train))) == N // 2
    assert len(set(half)) == N


def test_noise_images_are_uniform(hand: Hand) -> None:
    values = apply("noise_images", hand, 1.0).double()
    # 3,840 values of 0 … 255: the mean has a standard error of 73.9 / √3840 = 1.2, the sd one of about 0.6
    assert values.mean() == pytest.approx(127.5, abs=5)
    assert values.std() == pytest.approx(math.sqrt((256**2 - 1) / 12), abs=3)


def test_other_fakes_have_mean_and_covariance_of_the_training_pixels() -> None:
    """Two correlated pixels: 3,000 samples give both moments to a few percent."""
    generator = gen(3)
    base = 128 + 25 * torch.randn(9000, 1, generator=generator)
    pixels = torch.cat([base, base + 10 * torch.randn(9000, 1, generator=generator)], dim=1)
    images = pixels.round().clamp(0, 255).to(torch.uint8).reshape(-1, 1, 1, 2)
    dealt = deal(images, torch.zeros(9000, dtype=torch.int64), 3000, gen())
    samples = apply("other_fakes", dealt, 1.0).double().flatten(1)
    assert samples.mean(dim=0).tolist() == pytest.approx([128, 128], abs=2)
    expected = torch.tensor([[625.0, 625.0], [625.0, 725.0]], dtype=torch.float64)
    assert ((samples.T.cov() - expected).abs() < 60).all()
    assert len(set(rows(samples.to(torch.uint8))) - set(rows(dealt.train.flatten(1)))) > 0


def test_other_fakes_of_few_images_have_their_unbiased_variance() -> None:
    """Of 4 training images n for n − 1 would take a quarter off the variance."""
    values = torch.tensor([100, 110, 130, 160], dtype=torch.uint8)
    hand = Hand(*(values.reshape(4, 1, 1, 1).expand(4, 1, 4, 4) for _ in range(3)), torch.zeros(4))
    # 2,000 independent samples: a standard error of √(2 / 2,000), 3 %
    drawn = torch.cat([apply("other_fakes", hand, 1.0, seed)[:, 0, 0, 0] for seed in range(500)]).double()
    assert drawn.var().item() == pytest.approx(values.double().var().item(), rel=0.12)


def test_duplicates_repeat_what_is_left(hand: Hand) -> None:
    for share in (0.1, 0.5, 0.75):
        result = rows(apply("duplicates", hand, share))
        distinct = set(result)
        assert len(distinct) == N - round(share * N)
        assert distinct <= set(rows(hand.fake))


def test_collapse_leaves_so_many_images_in_equal_parts(hand: Hand) -> None:
    for strength, left in ((2, 30), (10, 6), (60, 1), (400, 1)):
        result = rows(apply("collapse", hand, strength))
        counts = [result.count(row) for row in set(result)]
        assert len(counts) == left
        assert max(counts) - min(counts) <= 1
    assert FAILURES["collapse"].label(10, 400) == "k = 40"


def test_dropped_classes_are_gone_and_nothing_is_repeated(hand: Hand) -> None:
    label_of = dict(zip(rows(hand.rest), hand.rest_labels.tolist(), strict=True))
    gone = []
    for n_dropped in (1, 2, 4):
        result = rows(apply("dropped_classes", hand, n_dropped))
        classes = {label_of[row] for row in result}
        assert len(classes) == CLASSES - n_dropped
        assert len(set(result)) == N
        gone.append(set(range(CLASSES)) - classes)
    assert gone[0] < gone[1] < gone[2]
    # 280 images are left over, some 47 of each class: one class alone cannot fill 60 places
    assert FAILURES["dropped_classes"].apply(hand, 5, gen()) is None


def point(value: int = 255, side: int = 33) -> Hand:
    """Three images of one bright pixel in the middle."""
    images = torch.zeros(9, 1, side, side, dtype=torch.uint8)
    images[:, 0, side // 2, side // 2] = value
    return deal(images, torch.zeros(9, dtype=torch.int64), 3, gen())


def test_blur_has_the_standard_deviation_it_says() -> None:
    """A bright square of 11 pixels on black: σ² adds to the variance of its profile, (11² − 1) / 12 = 10."""
    images = torch.zeros(9, 1, 49, 49, dtype=torch.uint8)
    images[:, 0, 19:30, 19:30] = 255
    dealt = deal(images, torch.zeros(9, dtype=torch.int64), 3, gen())
    for strength in (2 / 49, 4 / 49):
        blurred = apply("blur", dealt, strength)[0, 0].double()
        for axis in (0, 1):
            profile = blurred.sum(dim=axis)
            place = torch.arange(49, dtype=torch.float64)
            mean = float((profile * place).sum() / profile.sum())
            variance = float((profile * (place - mean) ** 2).sum() / profile.sum())
            assert mean == pytest.approx(24, abs=1e-9)
            # rounding to whole grey levels cuts the tails: some percent at most
            assert variance == pytest.approx(10 + (strength * 49) ** 2, rel=0.04)


def test_blur_leaves_flat_images_as_they_are() -> None:
    flat = deal(torch.full((9, 3, 8, 8), 77, dtype=torch.uint8), torch.zeros(9), 3, gen())
    assert apply("blur", flat, 0.16).unique().tolist() == [77]


def test_pixel_noise_has_the_standard_deviation_it_says() -> None:
    grey = deal(torch.full((300, 1, 8, 8), 128, dtype=torch.uint8), torch.zeros(300), 100, gen())
    noise = apply("pixel_noise", grey, 8).double() - 128
    # 6,400 values: relative error of the sd 1/√12800 = 0.9 %; rounding adds 1/12 to the variance
    assert noise.std() == pytest.approx(math.sqrt(64 + 1 / 12), rel=0.03)
    assert noise.mean() == pytest.approx(0, abs=0.4)


def test_shift_moves_by_so_many_pixels_along_one_axis() -> None:
    dealt = point(side=9)
    wide = Hand(*[t.repeat(20, *[1] * (t.ndim - 1)) for t in vars(dealt).values()])
    moved = apply("shift", wide, 2)
    places = {tuple(int(v) for v in image[0].nonzero()[0]) for image in moved}
    assert places == {(4, 6), (4, 2), (6, 4), (2, 4)}
    assert (moved.flatten(1) > 0).sum(dim=1).tolist() == [1] * 60


def test_rotation_by_ninety_degrees_is_exact_and_goes_both_ways() -> None:
    generator = gen(5)
    images = torch.randint(0, 256, (120, 1, 8, 8), generator=generator, dtype=torch.uint8)
    dealt = deal(images, torch.zeros(120), 40, gen())
    turned = apply("rotation", dealt, 90)
    ways = [
        next(k for k in (1, -1) if torch.equal(image, clean.rot90(k, (1, 2))))
        for image, clean in zip(turned, dealt.fake, strict=True)
    ]
    assert {ways.count(1) > 5, ways.count(-1) > 5} == {True}


@pytest.mark.parametrize("name", FAILURES)
def test_a_seed_gives_the_same_images_and_leaves_the_hand_alone(name: str, hand: Hand) -> None:
    before = {key: value.clone() for key, value in vars(hand).items()}
    strength = 3 if name in ("dropped_classes", "shift", "collapse") else 0.5
    assert torch.equal(apply(name, hand, strength, seed=4), apply(name, hand, strength, seed=4))
    assert all(torch.equal(value, vars(hand)[key]) for key, value in before.items())
