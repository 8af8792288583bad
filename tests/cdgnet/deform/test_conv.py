"""Deformable convolution against plain loops, the backends against each other.

Legend: B batch, C channels in, D channels out, H and W height and width, K taps, G offset groups.
"""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cdgnet.config import ModelConfig
from cdgnet.deform import Backend, DeformConv, conv, default_backend, deform_conv2d, measure_offsets
from cdgnet.errors import CDGNetError
from cdgnet.network import CDGNet

Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
OTHERS: tuple[Backend, ...] = ("sample",)
# The others know no float64: see test_fused.py and test_numba.py.
BACKENDS: tuple[Backend, ...] = ("torchvision", *OTHERS)


def bilinear(plane: Tensor, row: float, column: float) -> float:
    """Read ``(H, W)`` between pixels; what lies outside is zero."""
    height, width = plane.shape
    top, left = math.floor(row), math.floor(column)
    total = 0.0
    for y, x in product((top, top + 1), (left, left + 1)):
        if 0 <= y < height and 0 <= x < width:
            total += float(plane[y, x]) * (1 - abs(row - y)) * (1 - abs(column - x))
    return total


def by_loops(inputs: Inputs, padding: int) -> Tensor:
    """Zhu et al. 2019, equation 1, a multiplication at a time."""
    features, offset, modulation, weight, bias = inputs
    outputs, channels, size = weight.shape[:3]
    groups = modulation.shape[1] // size**2
    height, width = offset.shape[-2:]
    result = torch.zeros(features.shape[0], outputs, height, width, dtype=torch.float64)
    for item, to, y, x in product(range(features.shape[0]), range(outputs), range(height), range(width)):
        total = float(bias[to])
        for channel, tap in product(range(channels), range(size**2)):
            place = (channel // (channels // groups)) * size**2 + tap
            row = y - padding + tap // size + float(offset[item, 2 * place, y, x])
            column = x - padding + tap % size + float(offset[item, 2 * place + 1, y, x])
            sample = bilinear(features[item, channel], row, column) * float(modulation[item, place, y, x])
            total += float(weight[to, channel, tap // size, tap % size]) * sample
        result[item, to, y, x] = total
    return result


def make_inputs(
    groups: int = 2,
    size: int = 3,
    *,
    place: tuple[int, int] = (5, 6),
    scale: float = 2.0,
    whole: bool = False,
    seed: int = 0,
) -> Inputs:
    """float64 inputs with B = 2, C = 4, D = 3; ``whole`` offsets lie on pixels, as those of a new layer do."""
    chance = torch.Generator().manual_seed(seed)
    real = torch.float64
    offset = torch.randn(2, 2 * groups * size**2, *place, generator=chance, dtype=real) * scale
    return (
        torch.randn(2, 4, *place, generator=chance, dtype=real),
        offset.round() if whole else offset,
        torch.rand(2, groups * size**2, *place, generator=chance, dtype=real),
        torch.randn(3, 4, size, size, generator=chance, dtype=real),
        torch.randn(3, generator=chance, dtype=real),
    )


def gradients(inputs: Inputs, padding: int, backend: Backend) -> tuple[Tensor, ...]:
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    features, offset, modulation, weight, bias = leaves
    result = deform_conv2d(features, offset, modulation, weight, bias, padding=padding, backend=backend)
    # A weight for each output value, so that no two mistakes cancel in the sum.
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
    return result.detach(), *torch.autograd.grad((result * weights).sum(), leaves)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("whole", [False, True])
def test_each_backend_agrees_with_plain_loops(backend: Backend, groups: int, whole: bool) -> None:
    inputs = make_inputs(groups, whole=whole)
    found = deform_conv2d(*inputs, padding=1, backend=backend)
    # float64, a hundred sums: nothing but rounding may differ.
    torch.testing.assert_close(found, by_loops(inputs, 1), rtol=0, atol=1e-11)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("size", "padding"), [(1, 0), (3, 0), (3, 2), (5, 2)])
def test_each_backend_agrees_with_plain_loops_at_other_kernels(backend: Backend, size: int, padding: int) -> None:
    features, offset, modulation, weight, bias = make_inputs(2, size)
    grown = [side + 2 * padding - size + 1 for side in (5, 6)]
    offset, modulation = (functional.interpolate(each, size=grown) for each in (offset, modulation))
    inputs = (features, offset, modulation, weight, bias)
    found = deform_conv2d(*inputs, padding=padding, backend=backend)
    torch.testing.assert_close(found, by_loops(inputs, padding), rtol=0, atol=1e-11)


@pytest.mark.parametrize("backend", OTHERS)
@settings(max_examples=30, deadline=None)
@given(
    groups=st.sampled_from([1, 2, 4]),
    place=st.tuples(st.integers(1, 17), st.integers(1, 17)),
    scale=st.sampled_from([0.0, 0.3, 3.0, 40.0, 1e6]),
    whole=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_the_backends_agree_in_value_and_in_every_gradient(
    backend: Backend, groups: int, place: tuple[int, int], scale: float, whole: bool, seed: int
) -> None:
    inputs = make_inputs(groups, place=place, scale=scale, whole=whole, seed=seed)
    for one, other in zip(gradients(inputs, 1, "torchvision"), gradients(inputs, 1, backend), strict=True):
        # A far position loses digits on its way through the unit square, hence not 1e-11.
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("backend", OTHERS)
def test_the_backends_agree_in_float32_where_all_taps_are_at_rest(backend: Backend) -> None:
    inputs = make_inputs(2, place=(37, 41), scale=0.0)
    inputs = tuple(tensor.float() for tensor in inputs)  # type: ignore[assignment]
    for one, other in zip(gradients(inputs, 1, "torchvision"), gradients(inputs, 1, backend), strict=True):
        # The weights' gradient sums 3034 products: a few units of the last place each.
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", OTHERS)
def test_strips_change_nothing(monkeypatch: pytest.MonkeyPatch, backend: Backend) -> None:
    inputs = make_inputs(2)
    whole = gradients(inputs, 1, backend)
    monkeypatch.setattr("cdgnet.deform.strips._CPU_STRIP_BYTES", 1)
    for one, other in zip(whole, gradients(inputs, 1, backend), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_analytic_gradients_are_the_numeric_ones(backend: Backend) -> None:
    features, offset, modulation, weight, bias = make_inputs(2, place=(3, 4))
    # Numeric gradients are wrong across a pixel's edge, so stay a tenth away from it.
    offset = offset.floor() + 0.1 + 0.8 * torch.rand_like(offset)
    leaves = [tensor.detach().requires_grad_() for tensor in (features[:1], offset[:1], modulation[:1], weight, bias)]

    def convolve(*tensors: Tensor) -> Tensor:
        features, offset, modulation, weight, bias = tensors
        return deform_conv2d(features, offset, modulation, weight, bias, padding=1, backend=backend)

    assert torch.autograd.gradcheck(convolve, leaves)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_offset_and_full_modulation_make_an_ordinary_convolution(backend: Backend) -> None:
    features, offset, modulation, weight, bias = make_inputs()
    found = deform_conv2d(features, 0 * offset, torch.ones_like(modulation), weight, bias, padding=1, backend=backend)
    torch.testing.assert_close(found, functional.conv2d(features, weight, bias, padding=1))


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_features_are_convolved_in_float32(backend: Backend) -> None:
    inputs = [tensor.bfloat16() for tensor in make_inputs()]
    features, offset, modulation, weight, bias = inputs
    found = deform_conv2d(features, offset, modulation, weight, bias, padding=1, backend=backend)
    features, offset, modulation, weight, bias = (tensor.float() for tensor in inputs)
    wanted = deform_conv2d(features, offset, modulation, weight, bias, padding=1, backend=backend)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, wanted.bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_batch_gives_an_empty_result(backend: Backend) -> None:
    features, offset, modulation, weight, bias = make_inputs()
    found = deform_conv2d(features[:0], offset[:0], modulation[:0], weight, bias, padding=1, backend=backend)
    assert found.shape == (0, 3, 5, 6)


def test_channels_last_features_give_the_same_values() -> None:
    features, *rest = make_inputs()
    wanted = deform_conv2d(features, *rest, padding=1)
    found = deform_conv2d(features.contiguous(memory_format=torch.channels_last), *rest, padding=1)
    torch.testing.assert_close(found, wanted)


def test_a_cpu_gets_the_compiled_loops() -> None:
    assert default_backend(torch.device("cpu")) == "numba"


def test_shapes_alone_are_asked_of_one_operator() -> None:
    assert default_backend(torch.device("meta")) == "torchvision"
    found = deform_conv2d(*(each.to("meta") for each in make_inputs()), padding=1)
    assert (found.shape, found.dtype, found.is_meta) == ((2, 3, 5, 6), torch.float64, True)


def test_other_devices_get_samples() -> None:
    assert default_backend(torch.device("mps")) == "sample"


def test_the_environment_chooses_a_kernel_and_a_typing_error_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv, "_PREFERRED", "sample")
    assert default_backend(torch.device("cpu")) == "sample"
    monkeypatch.setattr(conv, "_PREFERRED", "smaple")
    with pytest.raises(
        CDGNetError, match="CDGNET_DEFORM is 'smaple'; set it to one of torchvision, sample, numba, fused, or"
    ):
        default_backend(torch.device("cpu"))


@pytest.mark.gpu
def test_cuda_gets_the_fused_kernel() -> None:
    assert default_backend(torch.device("cuda")) == "fused"


@pytest.mark.parametrize("backend", OTHERS)
def test_an_offset_that_is_no_number_shows_in_the_result(backend: Backend) -> None:
    features, offset, modulation, weight, bias = make_inputs()
    offset[0, 0, 2, 3] = math.nan
    found = deform_conv2d(features, offset, modulation, weight, bias, padding=1, backend=backend)
    wrong = torch.zeros(2, 3, 5, 6, dtype=torch.bool)
    wrong[0, :, 2, 3] = True
    assert torch.equal(found.isnan(), wrong)


@pytest.mark.parametrize(
    ("index", "shape", "message"),
    [
        (0, (2, 5, 5, 6), r"features \(2, 5, 5, 6\) and weight \(3, 4, 3, 3\) do not fit"),
        (1, (2, 35, 5, 6), r"offset has 35 channels; it must be \(B, 2GK, h, w\): 18 channels per group"),
        (1, (2, 54, 5, 6), "18 channels per group, in groups that divide 4 channels"),
        (1, (2, 36, 5, 5), r"offset is \(2, 36, 5, 5\); it must be \(2, 36, 5, 6\)"),
        (2, (2, 9, 5, 6), r"modulation is \(2, 9, 5, 6\); it must be \(2, 18, 5, 6\)"),
        (3, (3, 4, 2, 2), "kernel is 2 x 2; it must be square with an odd side"),
        (4, (4,), r"bias is \(4,\); it must be \(3,\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(index: int, shape: tuple[int, ...], message: str) -> None:
    inputs = list(make_inputs())
    inputs[index] = torch.zeros(shape, dtype=torch.float64)
    features, offset, modulation, weight, bias = inputs
    with pytest.raises(ValueError, match=message):
        deform_conv2d(features, offset, modulation, weight, bias, padding=1)


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(ValueError, match="'cuda' does not exist; pass one of torchvision, sample, numba, fused"):
        deform_conv2d(*make_inputs(), padding=1, backend="cuda")  # type: ignore[arg-type]


def test_a_new_layer_is_half_of_its_kernel_as_an_ordinary_convolution() -> None:
    torch.manual_seed(0)
    layer = DeformConv(8, 16, offset_groups=1)
    features = torch.randn(1, 8, 9, 7)
    wanted = functional.conv2d(features, layer.weight / 2, layer.bias, padding=1)
    torch.testing.assert_close(layer(features), wanted, rtol=1e-5, atol=1e-5)


def test_a_new_layer_has_the_spread_of_a_new_convolution() -> None:
    torch.manual_seed(0)
    layer, ordinary = DeformConv(64, 64, offset_groups=2), nn.Conv2d(64, 64, 3)
    ratio = float(layer.weight.detach().std() / 2 / ordinary.weight.detach().std())
    # 36864 draws each: the ratio of their spreads is 1 within half a percent.
    assert abs(ratio - 1) < 0.02


def test_offsets_stay_float32_under_autocast() -> None:
    layer = DeformConv(8, 8, offset_groups=2)
    seen: list[torch.dtype] = []
    layer.offset_conv.register_forward_hook(lambda module, inputs, moves: seen.append(moves.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = layer(torch.randn(1, 8, 8, 8).bfloat16())
    assert (seen, result.dtype) == ([torch.float32], torch.bfloat16)


def test_the_meter_gives_the_mean_offset_of_all_layers() -> None:
    layers = nn.Sequential(*(DeformConv(8, 8, offset_groups=1) for _ in range(2)))
    for layer, pixels in zip(layers, (0.5, -2.5), strict=True):
        assert isinstance(layer, DeformConv) and layer.offset_conv.bias is not None
        layer.offset_conv.bias.data[: layer.offset_channels] = pixels
        layer.offset_conv.bias.data[layer.offset_channels :] = 100.0
    with measure_offsets(layers) as meter:
        layers(torch.zeros(1, 8, 8, 8))
    assert meter.mean() == pytest.approx(1.5)


def test_the_meter_sees_every_deformable_layer_of_the_network_and_leaves_no_hook() -> None:
    network = CDGNet(ModelConfig.preset("tiny"))
    with measure_offsets(network) as meter, torch.no_grad():
        network(torch.zeros(1, 3, 16, 16))
    # Two in each attention, two a level in the large decoder, one a level in the small.
    assert (len(meter._means), meter.mean()) == (2 * 2 + 3 * 2 + 3, 0.0)
    assert not any(module._forward_hooks for module in network.modules())


def test_a_meter_that_saw_nothing_reads_nan() -> None:
    with measure_offsets(nn.Identity()) as meter:
        pass
    assert math.isnan(meter.mean())
