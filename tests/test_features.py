"""Extraction: one pass, the same for every image wherever it stands, and no image read for what it is not."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from stand_ins import CLIP_SIZE, MODULES, stand_in
from torch import Tensor
from torch_fidelity import feature_extractor_inceptionv3 as inception_module
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from gm_bench import io
from gm_bench.metrics import extractors
from gm_bench.metrics.extractors import inception, loading
from gm_bench.metrics.extractors.efficientnet_lite0 import EfficientNetLite0Extractor
from gm_bench.metrics.extractors.features import Extractor, WeightsError, check_images, extract
from gm_bench.metrics.extractors.inception import InceptionExtractor
from gm_bench.metrics.extractors.lenet import REGISTERED, LeNetExtractor, LeNetLayers
from gm_bench.nets.efficientnet_lite import EfficientNetLite0
from gm_bench.nets.lenet import LeNet

CPU = torch.device("cpu")


def images(n: int, *shape: int) -> Tensor:
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8)


@pytest.fixture
def network() -> LeNet:
    """A LeNet whose batch normalisation has seen some images."""
    network = LeNet((1, 8, 8), 10)
    for _ in range(3):
        network(images(64, 1, 8, 8))
    return network.eval()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (1, 28, 28), (3, 32, 32), (1, 13, 13), (3, 64, 64)])
def test_lenet_reads_grey_and_colour_of_8_to_64_pixels(shape: tuple[int, int, int]) -> None:
    features, logits = LeNet(shape, 7)(images(4, *shape))
    assert (features.shape, features.dtype) == ((4, 128), torch.float32)
    assert (logits.shape, logits.dtype) == ((4, 7), torch.float32)


def test_features_are_standardised_and_not_rectified() -> None:
    network = LeNet((1, 8, 8), 10)
    features, logits = network(images(500, 1, 8, 8))
    # in training mode the batch itself is what they are standardised by
    assert torch.allclose(features.mean(dim=0), torch.zeros(128), atol=1e-5)
    assert torch.allclose(features.var(dim=0, correction=0), torch.ones(128), atol=1e-2)
    assert (features < 0).float().mean() > 0.3
    assert torch.equal(logits, network.classify(features.clamp(min=0)))


@pytest.mark.parametrize("shape", [(2, 28, 28), (1, 7, 7), (3, 65, 65)])
def test_lenet_refuses_other_images(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="resize the images or choose the extractor inception"):
        LeNet(shape, 10)


def test_extractor_gives_both_layers_of_the_network(network: LeNet) -> None:
    given = images(300, 1, 8, 8)  # more than one batch, and no whole number of them
    seen = extract(LeNetExtractor.of_weights(network.state_dict(), (1, 8, 8)), given, CPU)
    with torch.no_grad():
        features, logits = network(given)
    # other batches, so other orders of summation in float32
    assert torch.allclose(seen.features, features, atol=1e-5)
    assert torch.allclose(seen.logits, logits, atol=1e-5)


def test_an_image_looks_the_same_wherever_it_stands(network: LeNet) -> None:
    extractor = LeNetExtractor.of_weights(network.state_dict(), (1, 8, 8))
    given = images(LeNetExtractor.batch_size + 5, 1, 8, 8)
    order = torch.randperm(len(given))
    seen = extract(extractor, given, CPU).features
    assert torch.equal(extract(extractor, given[order], CPU).features, seen[order])
    assert torch.equal(extract(extractor, given[:2], CPU).features, seen[:2])


def test_it_is_registered_with_torch_fidelity(network: LeNet) -> None:
    assert FEATURE_EXTRACTORS_REGISTRY[REGISTERED] is LeNetLayers
    one = LeNetLayers(REGISTERED, ["logits"], weights=network.state_dict(), image_shape=(1, 8, 8))
    assert [layer.shape for layer in one(images(3, 1, 8, 8))] == [(3, 10)]
    with pytest.raises(ValueError, match="not on the list"):
        LeNetLayers(REGISTERED, ["logit"], weights=network.state_dict(), image_shape=(1, 8, 8))


def test_weights_of_another_network_are_refused(network: LeNet) -> None:
    with pytest.raises(ValueError, match="not those of a LeNet for images of 1×28×28"):
        LeNetExtractor.of_weights(network.state_dict(), (1, 28, 28))
    with pytest.raises(ValueError, match="not those of a LeNet"):
        LeNetExtractor.of_weights({"weight": torch.ones(3)}, (1, 8, 8))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (images(4, 1, 8, 8).float(), "must be uint8"),
        (images(4, 8, 8), "must be uint8"),
        (images(4, 3, 8, 8), "images are 3×8×8 but the extractor is for 1×8×8"),
        (images(4, 1, 9, 9), "images are 1×9×9 but the extractor is for 1×8×8"),
        (images(1, 1, 8, 8), "1 image has no distribution"),
        (images(4, 1, 8, 8) % 2, "no value but 0 and 1"),
    ],
)
def test_images_that_would_be_misread_are_refused(given: Tensor, message: str, network: LeNet) -> None:
    with pytest.raises(ValueError, match=message):
        extract(LeNetExtractor.of_weights(network.state_dict(), (1, 8, 8)), given, CPU)


def test_black_images_are_measured() -> None:
    check_images(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), (1, 8, 8))


@pytest.fixture
def inception_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of Inception's shape with random values, pinned in the place of the real one."""
    path = tmp_path / "weights.pth"
    cls = inception_module.FeatureExtractorInceptionV3
    with monkeypatch.context() as patch:
        patch.setattr(inception_module, "load_state_dict_from_url", lambda *args, **kwargs: {})
        patch.setattr(cls, "load_state_dict", lambda *args, **kwargs: None)
        torch.save(cls("inception-v3-compat", ["2048"]).state_dict(), path)
    monkeypatch.setattr(inception, "WEIGHTS", replace(inception.WEIGHTS, sha256=io.sha256_file(path)))
    monkeypatch.setenv(inception.WEIGHTS.variable, str(path))
    return path


def test_every_file_is_an_extractor_but_the_shared_ones() -> None:
    """The names are told by the files alone, so that params.yaml is checked without importing a network."""
    assert {"efficientnet_lite0", "inception", "lenet", *MODULES} <= set(extractors.names())
    for name in extractors.names():
        assert issubclass(loading.find(name), Extractor)
        assert loading.find(name).name == name
        assert loading.find(name).preprocessing
    for name in extractors.SHARED:
        found = vars(import_module(f"gm_bench.metrics.extractors.{name}")).values()
        classes = {c for c in found if isinstance(c, type) and issubclass(c, Extractor)}
        assert classes <= {Extractor}
    known = r"unknown extractor 'features'; .* clip, dinov2, efficientnet_lite0, inception, lenet, vgg16"
    with pytest.raises(loading.ExtractorError, match=known):
        loading.find("features")


@pytest.fixture
def extractor_of(
    inception_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, tuple[int, int, int]], Extractor]:
    """An extractor by name, with random weights."""

    def make(name: str, image_shape: tuple[int, int, int]) -> Extractor:
        if name in MODULES:
            stand_in(name, tmp_path, monkeypatch)
            return loading.find(name).load(Path(), {}, image_shape)
        made: dict[str, Callable[[], Extractor]] = {
            "efficientnet_lite0": lambda: EfficientNetLite0Extractor.of_weights(
                EfficientNetLite0().state_dict(), image_shape
            ),
            "inception": lambda: InceptionExtractor.of_weights(inception_weights, image_shape),
            "lenet": lambda: LeNetExtractor.of_weights(LeNet(image_shape, 10).state_dict(), image_shape),
        }
        return made[name]()

    return make


def first_input(extractor: Extractor, given: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """What reaches the first convolution for these images."""
    first = next(m for m in extractor.network.modules() if isinstance(m, torch.nn.Conv2d))
    seen: list[Tensor] = []
    first.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    monkeypatch.setattr(type(extractor), "batch_size", len(given))
    extract(extractor, given, CPU)
    return seen[0]


# Level of a constant image → what the first layer must see of it, by hand; and the size of what it sees.
# Networks that scale each channel in its own way have three values.
IMAGENET = {
    0: (-2.1179039, -2.0357143, -1.8044444),
    128: (0.0740646, 0.2051821, 0.4264924),
    255: (2.2489083, 2.4285714, 2.64),
}
FIRST_LAYER = {
    "vgg16": (IMAGENET, (224, 224)),
    "dinov2": (IMAGENET, (224, 224)),
    "clip": (
        {
            0: (-1.7922625, -1.7520971, -1.4802198),
            128: (0.0763361, 0.1688972, 0.3399486),
            255: (1.9303363, 2.0748838, 2.1458970),
        },
        (CLIP_SIZE, CLIP_SIZE),
    ),
    "efficientnet_lite0": ({0: -127 / 128, 128: 1 / 128, 255: 1.0}, (96, 96)),
    "lenet": ({0: -1.0, 128: 1 / 255, 255: 1.0}, (8, 8)),
    "inception": ({0: -1.0, 128: 0.0, 255: 127 / 128}, (299, 299)),
}


@pytest.mark.parametrize("name", extractors.names())
@pytest.mark.parametrize("channels", [1, 3])
def test_what_reaches_the_first_layer(
    name: str, channels: int, extractor_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every channel of a colour image has a level of its own; a grey one is repeated where three are read."""
    expected, size = FIRST_LAYER[name]
    extractor = extractor_of(name, (channels, 8, 8))
    rows = [torch.tensor(list(expected)).roll(-c) for c in range(channels)]
    levels = torch.stack(rows, dim=1)[:, :, None, None].to(torch.uint8)
    seen = first_input(extractor, levels.expand(-1, -1, 8, 8).contiguous(), monkeypatch)
    assert seen.shape == (3, extractor.channels, *size)

    def value(image: int, channel: int) -> float:
        at_level = expected[int(levels[image, channel % channels])]
        return at_level[channel] if isinstance(at_level, tuple) else at_level

    values = torch.tensor([[value(image, c) for c in range(extractor.channels)] for image in range(3)])
    # float32; (x − 128) / 128 and x / 127.5 − 1 differ by 4e-3 at 128 and by 8e-3 at 255
    torch.testing.assert_close(seen, values[:, :, None, None].expand_as(seen), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["inception", *MODULES])
def test_torch_fidelitys_networks_enlarge_as_tensorflow_1_did(
    name: str, extractor_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bilinear from the corner, output pixel i at i · 8 / 299, the last one repeated: by hand, in float64."""
    given = images(2, 3, 8, 8)
    seen = first_input(extractor_of(name, (3, 8, 8)), given, monkeypatch)
    expected, (size, _) = FIRST_LAYER[name]
    zero, full = (torch.tensor(expected[level]).double().view(-1, 1, 1) for level in (0, 255))
    place = torch.arange(size, dtype=torch.float64) * 8 / size
    low = place.floor().long()
    high, share = (low + 1).clamp(max=7), place - low
    rows = given.double()[:, :, low] * (1 - share)[:, None] + given.double()[:, :, high] * share[:, None]
    both = rows[:, :, :, low] * (1 - share) + rows[:, :, :, high] * share
    # float32 at values up to 255
    torch.testing.assert_close(seen.double(), zero + (full - zero) * both / 255, rtol=0, atol=1e-5)


def test_inception_reads_grey_as_three_equal_channels(
    inception_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InceptionExtractor, "batch_size", 2)
    grey = images(2, 1, 16, 16)
    io.write_json(tmp_path / "extractor.json", {"name": "inception", "weights": None})
    _, extractor = loading.load_extractor(tmp_path, (1, 16, 16))
    seen = extract(extractor, grey, CPU)
    assert (seen.features.shape, seen.logits.shape) == ((2, 2048), (2, 1008))
    assert (extractor.n_features, extractor.n_logits) == (2048, 1008)
    unbiased = seen.features @ extractor.network.fc.weight.T
    assert torch.allclose(seen.logits, unbiased, atol=1e-4)  # 2,048 products in float32
    assert not torch.allclose(seen.logits, unbiased + extractor.network.fc.bias, atol=1e-4)
    colour = extract(
        InceptionExtractor.of_weights(inception_weights, (3, 16, 16)), grey.repeat(1, 3, 1, 1), CPU
    )
    assert torch.equal(seen.features, colour.features)
    with pytest.raises(ValueError, match="images are 3×16×16 but the extractor is for 1×16×16"):
        extract(extractor, grey.repeat(1, 3, 1, 1), CPU)


def test_inception_weights_of_another_content_are_never_loaded(inception_weights: Path) -> None:
    with inception_weights.open("ab") as file:
        file.write(b"!")
    with pytest.raises(WeightsError, match=r"is not the file .* \(its sha256 must be"):
        inception.WEIGHTS.find()


def test_missing_inception_weights_say_where_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(inception.WEIGHTS.variable, str(tmp_path / "nothing.pth"))
    with pytest.raises(WeightsError, match=r"nothing\.pth, which is no file: it must be .* from https://"):
        inception.WEIGHTS.find()
    monkeypatch.delenv(inception.WEIGHTS.variable)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    unreachable = (tmp_path / "unreachable").as_uri()
    monkeypatch.setattr(inception, "WEIGHTS", replace(inception.WEIGHTS, url=unreachable))
    with pytest.raises(WeightsError) as caught:
        inception.WEIGHTS.find()
    for part in (
        "file://",
        str(tmp_path / "checkpoints" / inception.WEIGHTS.name),
        inception.WEIGHTS.variable,
        "efficientnet_lite0",
    ):
        assert part in str(caught.value)


def test_inception_weights_are_downloaded_once_and_checked(
    inception_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(inception.WEIGHTS.variable)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    here = inception_weights.as_uri()
    monkeypatch.setattr(inception, "WEIGHTS", replace(inception.WEIGHTS, url=here))
    path = inception.WEIGHTS.find()
    assert io.sha256_file(path) == inception.WEIGHTS.sha256
    inception_weights.unlink()
    assert inception.WEIGHTS.find() == path


def test_an_extractor_whose_weights_were_changed_is_refused(tmp_path: Path, network: LeNet) -> None:
    io.write_tensors(tmp_path / "weights.safetensors", network.state_dict())
    info = {"name": "lenet", "weights": "weights.safetensors", "sha256": "0" * 64}
    io.write_json(tmp_path / "extractor.json", info)
    with pytest.raises(WeightsError, match="run the extractor stage again"):
        loading.load_extractor(tmp_path, (1, 8, 8))
