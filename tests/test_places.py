"""Layers that keep to channels_last compute what torch's own compute, to the second derivative."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gm_bench.cell import Cell
from gm_bench.config import Params
from gm_bench.nets.places import ImageConv2d, ImageConvTranspose2d, ToMaps, ToRow
from gm_bench.training.checkpoint import Checkpoint
from gm_bench.training.in_memory import train_in_memory
from gm_bench.training.job import Job
from gm_bench.training.state import State, laid_out_as, start

CPU = torch.device("cpu")


def derivatives(layer: nn.Module, x: Tensor, plain: bool) -> list[Tensor]:
    """Output, first derivatives, and those of the slope at x, as a gradient penalty takes them."""
    base = nn.ConvTranspose2d if isinstance(layer, nn.ConvTranspose2d) else nn.Conv2d
    x = x.clone().requires_grad_()
    y = base.forward(layer, x) if plain else layer(x)  # type: ignore[arg-type]
    (slope,) = torch.autograd.grad(y.sin().sum(), x, create_graph=True)
    first = torch.autograd.grad(y.square().sum(), [x, *layer.parameters()], retain_graph=True)
    second = torch.autograd.grad(slope.square().sum(), list(layer.parameters()))
    return [y, *first, slope, *second]


@pytest.mark.parametrize("kind", [ImageConv2d, ImageConvTranspose2d])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(4, 2, 1), (3, 1, 1)])
def test_a_layer_is_torchs_own(kind: type, channels: int, kernel: int, stride: int, padding: int) -> None:
    torch.manual_seed(0)
    wide = (channels, 5) if kind is ImageConv2d else (5, channels)
    layer = kind(*wide, kernel, stride=stride, padding=padding).double()
    x = torch.randn(2, wide[0], 8, 6, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    for ours, torchs in zip(derivatives(layer, x, False), derivatives(layer, x, True), strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(
            layer(x),
            F.conv2d(x, layer.weight, layer.bias, stride, padding)
            if kind is ImageConv2d
            else F.conv_transpose2d(x, layer.weight, layer.bias, stride, padding),
        )


def test_maps_become_rows_place_by_place_and_back_without_a_copy() -> None:
    maps = torch.arange(24.0).view(2, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    rows = ToRow()(maps)
    assert rows[0].tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    assert rows.data_ptr() == maps.data_ptr()
    back = ToMaps((3, 2, 2))(rows)
    assert torch.equal(back, maps)
    assert back.stride() == maps.stride()
    assert back.data_ptr() == maps.data_ptr()


def test_a_tensor_takes_the_layout_of_its_parameter() -> None:
    parameter = torch.zeros(3, 4, 2, 2).contiguous(memory_format=torch.channels_last)
    plain = torch.arange(48.0).view(3, 4, 2, 2)
    laid = laid_out_as(parameter, plain)
    assert torch.equal(laid, plain)
    assert laid.stride() == parameter.stride() != plain.stride()
    count = torch.tensor(3.0)
    assert laid_out_as(parameter, count) is count


def job_of(params: Params, variant: str, recipe: str) -> Job:
    return Job(Cell("mnist_cpu", "mnist", variant, 0), params.recipe(variant, recipe), 64 * 8)


def go(job: Job, state: State, until: int) -> State:
    images = torch.randint(0, 256, (200, 1, 28, 28), generator=torch.Generator().manual_seed(0)).byte()
    data = {"images": images, "labels": torch.arange(200) % 10}
    train_in_memory(state, job, data, stop_asked=lambda: state.images >= until)
    return state


@pytest.mark.parametrize("variant", ["ns_gan", "wgan_gp", "sngan", "vae"])
def test_a_convolutional_cell_is_stepped_as_in_torchs_usual_format(
    params: Params, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a gradient lay otherwise in memory than its weight, a fused optimiser would mix up entries."""
    job = job_of(params, variant, "grey_cpu")
    ours = go(job, start(job, (1, 28, 28), 10, CPU), 128)
    formats = {w.dim(): w.is_contiguous() for w in ours.model.parameters() if w.shape[1:2] > (1,)}
    assert formats[4] is False, "kernels are not in channels_last"
    plain = start(job, (1, 28, 28), 10, CPU)
    plain.model.to(memory_format=torch.contiguous_format)
    monkeypatch.setattr(ImageConv2d, "forward", nn.Conv2d.forward)
    monkeypatch.setattr(ImageConvTranspose2d, "forward", nn.ConvTranspose2d.forward)
    go(job, plain, 128)
    begun = start(job, (1, 28, 28), 10, CPU).model.state_dict()
    for name, weight in plain.model.state_dict().items():
        if weight.dim() == 4:
            step = weight - begun[name]
            difference = ours.model.state_dict()[name] - weight
            assert difference.norm() < 0.1 * step.norm(), name  # mixed up, it is as large as the step


@pytest.mark.parametrize("variant", ["ns_gan", "wgan_gp"])
def test_a_convolutional_cell_resumes_to_the_same_weights(
    params: Params, variant: str, tmp_path: object
) -> None:
    job = job_of(params, variant, "grey_cpu")
    whole = go(job, start(job, (1, 28, 28), 10, CPU), 512)
    half = go(job, start(job, (1, 28, 28), 10, CPU), 256)
    checkpoint = Checkpoint(tmp_path, "k" * 64)  # type: ignore[arg-type]
    checkpoint.save(half)
    resumed = start(job, (1, 28, 28), 10, CPU)
    assert checkpoint.restore(resumed) is None
    assert resumed.images == 256
    go(job, resumed, 512)
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name
