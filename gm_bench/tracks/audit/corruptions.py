"""What can go wrong with generated images, done on purpose to real ones: pure functions of a strength.

Source: Xu et al. 2018, "An empirical study on evaluation metrics of generative adversarial networks", §4, and
Heusel et al. 2017, "GANs trained by a two time-scale update rule …", §A1, for the disturbances of pixels.

Every failure takes clean images and does more harm the larger its strength; one generator state gives nested
harm, so that what a small share replaces a larger one replaces too. Images are uint8 (N, C, H, W) throughout.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

WHITE = 255


@dataclass(frozen=True)
class Hand:
    """Real images dealt into sets that share none.

    Args:
        real: the held-out images that stand for the real ones, (n, C, H, W).
        train: the images that a model would have been trained on, (n, C, H, W).
        rest: all others, at least n; the first n play the fakes.
        rest_labels: int64, as many.
    """

    real: Tensor
    train: Tensor
    rest: Tensor
    rest_labels: Tensor

    @property
    def n(self) -> int:
        return len(self.real)

    @property
    def fake(self) -> Tensor:
        """Clean fakes: n images as real as the others."""
        return self.rest[: self.n]


def deal(images: Tensor, labels: Tensor, n: int, generator: torch.Generator) -> Hand:
    """Deal images at random into n real ones, n training ones and the rest.

    Args:
        images: (N, C, H, W).
        labels: int64 (N,).
        n: at most N / 3.

    Raises:
        ValueError: too few images.
    """
    if 3 * n > len(images):
        raise ValueError(f"three sets of {n:,} images cannot be dealt from {len(images):,}: lower n_samples")
    order = torch.randperm(len(images), generator=generator)
    rest = order[2 * n :]
    return Hand(images[order[:n]], images[order[n : 2 * n]], images[rest], labels[rest])


def noise_images(hand: Hand, strength: float, generator: torch.Generator) -> Tensor:
    """A share of the images is replaced by uniform noise."""
    noise = torch.randint(0, WHITE + 1, hand.fake.shape, generator=generator, dtype=torch.uint8)
    return _replace(hand.fake, noise, strength, generator)


def other_fakes(hand: Hand, strength: float, generator: torch.Generator) -> Tensor:
    """A share is replaced by samples of a Gaussian with the mean and covariance of the training pixels.

    x = μ + Xᵀw / √(n − 1) with the centred training images X, (n, D), and w ~ N(0, I) has that covariance.
    """
    pixels = hand.train.double().flatten(1)
    mean = pixels.mean(dim=0)
    weights = torch.randn(hand.n, hand.n, generator=generator, dtype=torch.float64)
    samples = mean + weights @ (pixels - mean) / math.sqrt(hand.n - 1)
    return _replace(hand.fake, _to_uint8(samples).reshape(hand.fake.shape), strength, generator)


def copies(hand: Hand, strength: float, generator: torch.Generator) -> Tensor:
    """A share is replaced by training images, each taken once."""
    return _replace(hand.fake, hand.train, strength, generator)


def duplicates(hand: Hand, strength: float, generator: torch.Generator) -> Tensor:
    """A share is replaced by repetitions of the other images, drawn with replacement."""
    n = hand.n
    order = torch.randperm(n, generator=generator)
    n_kept = max(1, n - round(strength * n))
    kept = order[:n_kept]
    repeated = kept[torch.randint(0, n_kept, (n - n_kept,), generator=generator)]
    return hand.fake[torch.cat([kept, repeated])]


def collapse(hand: Hand, strength: float, generator: torch.Generator) -> Tensor:
    """Only n / strength distinct images are left, each repeated as often as the others, give or take one."""
    n_left = max(1, round(hand.n / strength))
    left = torch.randperm(hand.n, generator=generator)[:n_left]
    return hand.fake[left[torch.arange(hand.n) % n_left]]


def dropped_classes(hand: Hand, strength: float, generator: torch.Generator) -> Tensor | None:
    """So many classes are missing; the others fill their place with images of their own, none repeated.

    Returns:
        None where the classes that are left have fewer than n images.
    """
    classes = hand.rest_labels.unique()
    dropped = classes[torch.randperm(len(classes), generator=generator)[: round(strength)]]
    left = hand.rest[~torch.isin(hand.rest_labels, dropped)]
    return left[: hand.n] if len(left) >= hand.n else None


def blur(hand: Hand, strength: float, generator: torch.Generator) -> Tensor:
    """Gaussian blur; strength is its standard deviation as a share of the image's side."""
    images = hand.fake.double()
    channels, height, width = images.shape[1:]
    sigma = strength * max(height, width)
    radius = math.ceil(4 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(channels, 1, -1)
    padded = F.pad(images, (radius, radius, radius, radius), mode="replicate")
    rows = F.conv2d(padded, kernel[:, :, None, :], groups=channels)
    return _to_uint8(F.conv2d(rows, kernel[:, :, :, None], groups=channels))


def pixel_noise(hand: Hand, strength: float, generator: torch.Generator) -> Tensor:
    """Independent Gaussian noise on every pixel; strength is its standard deviation in grey levels of 255."""
    noise = torch.randn(hand.fake.shape, generator=generator, dtype=torch.float64)
    return _to_uint8(hand.fake.double() + strength * noise)


def shift(hand: Hand, strength: float, generator: torch.Generator) -> Tensor:
    """Each image is moved by so many pixels up, down, left or right, at random; its border is repeated."""
    images = hand.fake
    n, _, height, width = images.shape
    step = torch.tensor([[0, 1], [0, -1], [1, 0], [-1, 0]])[torch.randint(0, 4, (n,), generator=generator)]
    step = step * round(strength)
    y = (torch.arange(height) - step[:, :1]).clamp(0, height - 1)
    x = (torch.arange(width) - step[:, 1:]).clamp(0, width - 1)
    first = torch.arange(n)[:, None, None]
    return images.movedim(1, -1)[first, y[:, :, None], x[:, None, :]].movedim(-1, 1).contiguous()


def rotation(hand: Hand, strength: float, generator: torch.Generator) -> Tensor:
    """Each image is turned by so many degrees, left or right at random; bilinear, its border repeated."""
    images = hand.fake.double()
    n = len(images)
    sign = torch.randint(0, 2, (n,), generator=generator) * 2.0 - 1
    angle = sign.double() * math.radians(strength)
    zero = torch.zeros_like(angle)
    rows = [
        torch.stack([angle.cos(), -angle.sin(), zero], dim=1),
        torch.stack([angle.sin(), angle.cos(), zero], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    turned = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return _to_uint8(turned)


@dataclass(frozen=True)
class Failure:
    """A way to go wrong.

    Args:
        title: what heads its column.
        meaning: what the strength is, in words.
        apply: (hand, strength, generator) → n images, or None where the data do not suffice.
        label: a strength as tables show it, given n.
        needs_labels: whether images without labels cannot suffer it.
    """

    title: str
    meaning: str
    apply: Callable[[Hand, float, torch.Generator], Tensor | None]
    label: Callable[[float, int], str]
    needs_labels: bool = False


def _share(strength: float, n: int) -> str:
    return f"{100 * strength:g} %"


FAILURES = {
    "noise_images": Failure("noise images", "share replaced by uniform noise", noise_images, _share),
    "other_fakes": Failure(
        "other fakes", "share replaced by samples of a Gaussian fitted to the pixels", other_fakes, _share
    ),
    "dropped_classes": Failure(
        "dropped classes",
        "classes that are missing",
        dropped_classes,
        lambda s, n: f"{s:g}",
        needs_labels=True,
    ),
    "collapse": Failure(
        "collapse", "distinct images left", collapse, lambda s, n: f"k = {max(1, round(n / s))}"
    ),
    "duplicates": Failure("duplicates", "share replaced by repetitions of the others", duplicates, _share),
    "copies": Failure("copies", "share replaced by training images", copies, _share),
    "blur": Failure("blur", "standard deviation in % of the side", blur, _share),
    "pixel_noise": Failure(
        "pixel noise", "standard deviation in grey levels of 255", pixel_noise, lambda s, n: f"σ = {s:g}"
    ),
    "shift": Failure("shift", "pixels in one of four directions", shift, lambda s, n: f"{s:g} px"),
    "rotation": Failure("rotation", "degrees to either side", rotation, lambda s, n: f"{s:g}°"),
}


def _replace(images: Tensor, others: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The images with a share of them, chosen at random, replaced by those of `others` in the same places."""
    chosen = torch.randperm(len(images), generator=generator)[: round(share * len(images))]
    result = images.clone()
    result[chosen] = others[chosen]
    return result


def _to_uint8(values: Tensor) -> Tensor:
    return values.round().clamp(0, WHITE).to(torch.uint8)
