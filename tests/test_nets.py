"""Networks: the shapes and sizes that their sources state, over every image size they claim."""

import pytest
import torch
from torch import nn

from gm_bench.config import NetworkChoice
from gm_bench.nets import network as networks

NORM = {"critic_norm": "batch"}
SIZES = [(channels, size) for channels in (1, 3) for size in (8, 16, 28, 32, 64)]


def build(name: str, image_shape: tuple[int, int, int], keywords: dict[str, object]) -> networks.Network:
    return networks.build(NetworkChoice.model_validate({"name": name} | keywords), image_shape)


def options(name: str) -> dict[str, object]:
    return NORM | {"mlp": {"width": 32}, "infogan": {}, "dcgan": {"width": 8}}[name]


@pytest.mark.parametrize(("channels", "size"), SIZES)
@pytest.mark.parametrize("name", ["mlp", "infogan", "dcgan"])
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
    ("size", "base", "ladder"), [(64, 4, 5), (32, 4, 4), (28, 7, 3), (8, 4, 2), (6, 3, 2)]
)
def test_dcgan_is_as_deep_as_the_size_allows(size: int, base: int, ladder: int) -> None:
    network = build("dcgan", (3, size, size), NORM | {"width": 8})
    assert (network.base, len(network.ladder)) == (base, ladder)


def test_convolutional_weights_start_at_the_published_scale() -> None:
    weight = build("infogan", (1, 28, 28), NORM).generator(64)[3].weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.01)  # 6.4 million draws: sampling error 0.03 %


@pytest.mark.parametrize("name", ["mlp", "infogan", "dcgan"])
def test_critic_norm_none_leaves_no_batch_norm(name: str) -> None:
    critic = build(name, (1, 8, 8), options(name) | {"critic_norm": "none"}).discriminator()
    assert not any("BatchNorm" in type(layer).__name__ for layer in critic.modules())


@pytest.mark.parametrize("name", ["infogan", "dcgan"])
def test_a_size_that_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"network {name} needs square images .* not 9×9"):
        build(name, (1, 9, 9), options(name))


def test_unknown_names_and_keys_list_what_there_is() -> None:
    with pytest.raises(ValueError, match="unknown network 'unet'; gm_bench/nets/ holds: dcgan, infogan, mlp"):
        build("unet", (1, 8, 8), {})
    with pytest.raises(
        ValueError, match="unknown key 'widht' in a recipe's network entry for mlp; allowed: width"
    ):
        build("mlp", (1, 8, 8), {"widht": 3, "critic_norm": "none"})
    with pytest.raises(ValueError, match="lacks the key 'width'"):
        build("mlp", (1, 8, 8), {"critic_norm": "none"})
    with pytest.raises(ValueError, match="critic_norm is 'layer'; allowed: batch, none"):
        build("mlp", (1, 8, 8), {"width": 8, "critic_norm": "layer"})
