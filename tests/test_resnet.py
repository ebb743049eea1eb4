"""Residual networks: their published shape, their blocks by hand, and the class in their batch norm."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gm_bench.nets import network as networks
from gm_bench.nets.resnet import ConditionalBatchNorm, CriticBlock, FirstBlock, GeneratorBlock, ResNet


def build(
    side: int = 8, channels: int = 1, width: int = 8, critic_width: int = 6, norm: str = "none"
) -> ResNet:
    options = {"width": width, "critic_width": critic_width, "critic_norm": norm}
    network = networks.build("resnet", options, (channels, side, side), 10)
    assert isinstance(network, ResNet)
    return network


def n_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def convolution(n_in: int, n_out: int, kernel: int, bias: bool = True) -> int:
    return n_in * n_out * kernel**2 + n_out * bias


def test_it_has_the_published_size_on_cifar10() -> None:
    """Worked by hand from Miyato et al. 2018, table 4: widths 256 and 128, three blocks up, two of four down.

    A bias before a batch norm has no effect and is left out.
    """
    network = build(32, 3, 256, 128)
    block = (
        convolution(256, 256, 3, bias=False) + convolution(256, 256, 3) + convolution(256, 256, 1) + 4 * 256
    )
    generator = (128 + 1) * 4 * 4 * 256 + 3 * block + 2 * 256 + convolution(256, 3, 3)
    assert n_parameters(network.generator(128)) == generator
    first = convolution(3, 128, 3) + convolution(128, 128, 3) + convolution(3, 128, 1)
    down = 2 * convolution(128, 128, 3) + convolution(128, 128, 1)
    assert n_parameters(network.discriminator()) == first + down + 2 * 2 * convolution(128, 128, 3) + 129


@pytest.mark.parametrize(
    ("side", "base", "n_up", "n_down"),
    [(64, 4, 4, 3), (32, 4, 3, 2), (28, 7, 2, 2), (16, 4, 2, 1), (8, 4, 1, 1), (6, 3, 1, 1)],
)
def test_it_is_as_deep_as_the_size_asks(side: int, base: int, n_up: int, n_down: int) -> None:
    network = build(side)
    assert (network.base, network.n_up, network.n_down) == (base, n_up, n_down)


@pytest.mark.parametrize(("channels", "side"), [(1, 6), (1, 8), (1, 28), (3, 32), (3, 64)])
def test_a_conditional_generator_fits_every_size(channels: int, side: int) -> None:
    images = build(side, channels).conditional_generator(5)(torch.randn(2, 5), torch.tensor([0, 9]))
    assert images.shape == (2, channels, side, side)
    assert images.abs().max() < 1


def test_odd_and_oblong_images_are_refused() -> None:
    with pytest.raises(ValueError, match="network resnet needs square images of even side, not 9×9"):
        build(9)
    with pytest.raises(ValueError, match="network resnet needs square images of even side, not 8×6"):
        ResNet((1, 8, 6), 10, 8, 8, "none")


def test_conditional_batch_norm_by_hand() -> None:
    """−1, 1, −1, 1 in one channel have mean 0, variance 1: class 0 gives 2 x + 1, class 1 gives −3 x."""
    norm = ConditionalBatchNorm(1, 2).train()
    with torch.no_grad():
        norm.scale.weight.copy_(torch.tensor([[2.0], [-3.0]]))
        norm.shift.weight.copy_(torch.tensor([[1.0], [0.0]]))
    x = torch.tensor([-1.0, 1.0, -1.0, 1.0]).view(2, 1, 1, 2)
    out = norm(x, torch.tensor([0, 1])).flatten()
    torch.testing.assert_close(out, torch.tensor([-1.0, 3.0, 3.0, -3.0]), rtol=1e-4, atol=1e-4)  # eps 1e-5


def test_conditional_batch_norm_starts_as_a_plain_one() -> None:
    x = torch.randn(6, 4, 5, 5)
    out = ConditionalBatchNorm(4, 3).train()(x, torch.tensor([0, 1, 2, 0, 1, 2]))
    torch.testing.assert_close(out, ConditionalBatchNorm(4, 0).train()(x, None))
    torch.testing.assert_close(out, nn.BatchNorm2d(4).train()(x))


def test_a_generator_block_by_hand() -> None:
    """Doubling comes before the first convolution, and the shortcut doubles first and convolves then."""
    block = GeneratorBlock(4, 0).eval()
    x = torch.randn(2, 4, 3, 3)
    scale = 1 / math.sqrt(1 + block.norms[0].normalise.eps)  # running mean 0, variance 1
    inner = F.interpolate((x * scale).relu(), scale_factor=2, mode="nearest")
    inner = F.conv2d(inner, block.first.weight, None, padding=1)
    inner = F.conv2d((inner * scale).relu(), block.second.weight, block.second.bias, padding=1)
    twice = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(block(x, None), inner + block.shortcut(twice))


def mean_of_four(x: Tensor) -> Tensor:
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def test_critic_blocks_by_hand() -> None:
    """The first block leaves the image itself unrectified; a later one rectifies before it convolves."""
    x = torch.randn(2, 3, 4, 4)
    first = FirstBlock(3, 5, batch_norm=False)
    inner = first.second(first.first(x).relu())
    torch.testing.assert_close(first(x), mean_of_four(inner) + first.shortcut(mean_of_four(x)))
    down, plain = CriticBlock(3, "down", batch_norm=False), CriticBlock(3, "none", batch_norm=False)
    inner = down.second(down.first(x.relu()).relu())
    torch.testing.assert_close(down(x), mean_of_four(inner) + mean_of_four(down.shortcut(x)))
    inner = plain.second(plain.first(x.relu()).relu())
    torch.testing.assert_close(plain(x), inner + x)


def test_features_are_summed_over_places() -> None:
    """A weightless body passes on what its last layers make of a constant: 0 or more, summed over 4 × 4."""
    body, n_features = build(8).critic_body()
    with torch.no_grad():
        for weight in body.parameters():
            weight.zero_()
        body[0].shortcut.bias.fill_(0.5)
    assert n_features == 6
    assert torch.equal(body(torch.randn(2, 1, 8, 8)), torch.full((2, 6), 8.0))


def test_the_class_reaches_a_conditional_generator_in_every_block() -> None:
    generator = build(28).conditional_generator(5)
    z, labels = torch.randn(4, 5), torch.tensor([1, 1, 2, 3])
    for weight in generator.parameters():
        weight.grad = None
    generator(z, labels).square().sum().backward()
    tables = [layer for layer in generator.modules() if isinstance(layer, nn.Embedding)]
    assert len(tables) == 2 * 2 * 2
    for table in tables:
        assert [bool(row.any()) for row in table.weight.grad[:4]] == [False, True, True, True]


@pytest.mark.parametrize("norm", ["none", "batch", "spectral"])
def test_critic_norm_is_what_it_says(norm: str) -> None:
    critic = build(norm=norm).discriminator()
    kinds = [type(layer).__name__ for layer in critic.modules()]
    assert ("BatchNorm2d" in kinds) == (norm == "batch")
    normalised = sum("SpectralNorm" in kind for kind in kinds)
    # 3 layers of the first block, 2 of each of the two others, the last one
    assert normalised == (3 + 2 * 2 + 1 if norm == "spectral" else 0)


def test_weights_start_after_glorot() -> None:
    """Uniform, variance g² · 2 / (fan in + fan out), g² = 2 inside a block; sampling error 1 %, width 64."""
    block = CriticBlock(64, "down", batch_norm=False)
    for layer, gain2, kernel in ((block.first, 2, 9), (block.shortcut, 1, 1)):
        expected = math.sqrt(gain2 * 2 / (2 * 64 * kernel))
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.03)
        assert not layer.bias.any()
