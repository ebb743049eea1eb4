"""Networks: the shapes and sizes that their sources state, over every image size they claim."""

import pytest
import torch
from torch import nn

from gm_bench.nets import network as networks

NORM = {"critic_norm": "batch"}
SIZES = [(channels, size) for channels in (1, 3) for size in (8, 16, 28, 32, 64)]


def build(name: str, image_shape: tuple[int, int, int], keywords: dict[str, object]) -> networks.Network:
    return networks.build(name, keywords, image_shape, 10)


def options(name: str) -> dict[str, object]:
    return (
        NORM
        | {
            "mlp": {"width": 32},
            "tanh_mlp": {"width": 32},
            "infogan": {},
            "dcgan": {"width": 8},
            "resnet": {"width": 8, "critic_width": 8},
        }[name]
    )


@pytest.mark.parametrize(("channels", "size"), SIZES)
@pytest.mark.parametrize("name", ["mlp", "tanh_mlp", "infogan", "dcgan", "resnet"])
def test_every_network_fits_every_size(name: str, channels: int, size: int) -> None:
    network = build(name, (channels, size, size), options(name))
    images = network.generator(7)(torch.randn(2, 7))
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    assert network.discriminator()(images).shape == (2, 1)
    assert network.encoder(5)(images).shape == (2, 5)


def n_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_infogan_has_the_published_size_on_mnist() -> None:
    """Worked by hand from the layer list: dense z64→1024→6272, deconvolutions 128→64→1, norms 2 per unit."""
    network = build("infogan", (1, 28, 28), NORM)
    dense = (64 + 1) * 1024 + (1024 + 1) * 6272
    assert n_parameters(network.generator(64)) == dense + 2 * (1024 + 6272 + 64) + (
        128 * 64 * 16 + 64 + 64 * 16 + 1
    )
    convolutions = 64 * 16 + 64 + 64 * 128 * 16 + 128
    assert n_parameters(network.discriminator()) == convolutions + 2 * (128 + 1024) + (
        (6272 + 1) * 1024 + 1024 + 1
    )


@pytest.mark.parametrize(
    ("size", "sides", "map_side"),
    [
        (64, [64, 32, 16, 8, 4], 4),
        (32, [32, 16, 8, 4], 4),
        (28, [28, 14, 7, 4], 7),
        (8, [8, 4], 4),
        (6, [6, 3], 3),
    ],
)
def test_dcgan_is_as_deep_as_the_size_allows(size: int, sides: list[int], map_side: int) -> None:
    network = build("dcgan", (3, size, size), NORM | {"width": 8})
    assert network.sides == sides
    body, shape = network.map_encoder()
    assert shape == (8 * 2 ** (sides.index(map_side) - 1), map_side, map_side)
    assert body(torch.zeros(2, 3, size, size)).shape[1:] == shape


def test_every_pixel_of_a_discriminated_image_meets_every_other() -> None:
    # Patches of 10×10 pixels that are only summed up could be exchanged between images: then
    # f(a b) + f(c d) = f(a d) + f(c b) for the halves of two images.
    torch.manual_seed(0)
    score = build("dcgan", (1, 28, 28), NORM | {"width": 8, "critic_norm": "none"}).discriminator()
    for layer in score.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
    one, two = torch.rand(2, 1, 1, 28, 28)
    mixed = torch.cat([one[:, :, :14], two[:, :, 14:]], 2), torch.cat([two[:, :, :14], one[:, :, 14:]], 2)
    seam = slice(13, 19)  # alike in both, and no 10×10 patch of the ladder sees beyond both of its edges
    for image in (one, two, *mixed):
        image[:, :, seam] = 0
    with torch.no_grad():
        together, apart = (sum(map(score, pair)) for pair in ((one, two), mixed))
    assert abs(together - apart) > 1e-3 * abs(together)


def test_convolutional_weights_start_at_the_published_scale() -> None:
    weight = build("infogan", (1, 28, 28), NORM).generator(64)[0][3].weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.01)  # 6.4 million draws: sampling error 0.03 %


@pytest.mark.parametrize("name", ["mlp", "tanh_mlp", "infogan", "dcgan", "resnet"])
def test_critic_norm_none_leaves_no_batch_norm(name: str) -> None:
    critic = build(name, (1, 8, 8), options(name) | {"critic_norm": "none"}).discriminator()
    assert not any("BatchNorm" in type(layer).__name__ for layer in critic.modules())


@pytest.mark.parametrize("name", ["mlp", "tanh_mlp", "infogan", "dcgan", "resnet"])
def test_spectral_norm_divides_by_the_largest_singular_value(name: str) -> None:
    """Each weight as a matrix (outputs, inputs · k · k) ends with largest singular value 1."""
    critic = build(name, (1, 8, 8), options(name) | {"critic_norm": "spectral"}).discriminator()
    images = torch.randn(4, 1, 8, 8)
    for _ in range(200):
        critic(images)
    critic.eval()
    layers = [layer for layer in critic.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert len(layers) > 1
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item()
        assert largest == pytest.approx(1.0, abs=2e-3)


def test_label_planes_say_the_class() -> None:
    images = torch.randn(2, 1, 3, 3)
    planes = networks.with_label_planes(images, torch.tensor([2, 0]), 3)
    assert torch.equal(planes[:, :1], images)
    assert planes[:, 1:].mean(dim=(2, 3)).tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]


def test_a_conditional_generator_hears_the_class() -> None:
    """Code and one-hot vector stand side by side: class k adds column z_dim + k of the first weight."""
    generator = build("mlp", (1, 8, 8), options("mlp")).conditional_generator(3)
    first = generator.generator[0][0]
    seen: list[torch.Tensor] = []
    first.register_forward_hook(lambda layer, inputs, output: seen.append(output))
    z = torch.randn(2, 3)
    generator(z, torch.tensor([4, 9]))
    expected = z @ first.weight[:, :3].T + first.weight[:, [3 + 4, 3 + 9]].T
    torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize("name", ["infogan", "dcgan"])
def test_a_size_that_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"network {name} needs square images .* not 9×9"):
        build(name, (1, 9, 9), options(name))


def test_unknown_names_and_keys_list_what_there_is() -> None:
    with pytest.raises(
        ValueError, match="unknown network 'unet'; gm_bench/nets/ holds: dcgan, infogan, mlp, points, resnet"
    ):
        build("unet", (1, 8, 8), {})
    with pytest.raises(
        ValueError, match="unknown key 'widht' in a recipe's network entry for mlp; allowed: width"
    ):
        build("mlp", (1, 8, 8), {"widht": 3, "critic_norm": "none"})
    with pytest.raises(ValueError, match="lacks the key 'width'"):
        build("mlp", (1, 8, 8), {"critic_norm": "none"})
    with pytest.raises(ValueError, match="critic_norm is 'layer'; allowed: batch, spectral, none"):
        build("mlp", (1, 8, 8), {"width": 8, "critic_norm": "layer"})
